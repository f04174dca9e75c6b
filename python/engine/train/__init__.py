"""Training: the Trainer, metrics, checkpoints, reports, and text classifiers from files to predictions."""

from engine.train import export as export
from engine.train import metrics as metrics
from engine.train import search as search
from engine.train.augment import TokenDropout as TokenDropout
from engine.train.callbacks import Callback as Callback
from engine.train.callbacks import InterruptAfterStep as InterruptAfterStep
from engine.train.callbacks import JsonlLog as JsonlLog
from engine.train.callbacks import ProgressBar as ProgressBar
from engine.train.callbacks import read_log as read_log
from engine.train.checkpoint import latest_checkpoint as latest_checkpoint
from engine.train.checkpoint import load_checkpoint as load_checkpoint
from engine.train.checkpoint import save_checkpoint as save_checkpoint
from engine.train.classifier import Prediction as Prediction
from engine.train.classifier import TextClassifier as TextClassifier
from engine.train.config import TrainerConfig as TrainerConfig
from engine.train.embedder import SentenceEncoder as SentenceEncoder
from engine.train.embedder import embed_file as embed_file
from engine.train.embedder import similarity as similarity
from engine.train.report import evaluation as evaluation
from engine.train.report import format_evaluation as format_evaluation
from engine.train.report import format_report as format_report
from engine.train.report import plot_curves as plot_curves
from engine.train.text import TextData as TextData
from engine.train.text import resume_text_classifier as resume_text_classifier
from engine.train.text import train_text_classifier as train_text_classifier
from engine.train.trainer import Trainer as Trainer
from engine.train.trainer import TrainerState as TrainerState

__all__ = [
    "Callback",
    "InterruptAfterStep",
    "JsonlLog",
    "Prediction",
    "ProgressBar",
    "SentenceEncoder",
    "TextClassifier",
    "TextData",
    "TokenDropout",
    "Trainer",
    "TrainerConfig",
    "TrainerState",
    "embed_file",
    "evaluation",
    "export",
    "format_evaluation",
    "format_report",
    "latest_checkpoint",
    "load_checkpoint",
    "metrics",
    "plot_curves",
    "read_log",
    "resume_text_classifier",
    "save_checkpoint",
    "search",
    "similarity",
    "train_text_classifier",
]
