"""Training: the Trainer, metrics, checkpoints, reports, and text classifiers from files to predictions."""

from engine.train import export as export
from engine.train import metrics as metrics
from engine.train import search as search
from engine.train.augment import Compose as Compose
from engine.train.augment import RandomDeletion as RandomDeletion
from engine.train.augment import RandomSwap as RandomSwap
from engine.train.augment import TokenDropout as TokenDropout
from engine.train.augment import TokenMasking as TokenMasking
from engine.train.augment import augmentation as augmentation
from engine.train.callbacks import Callback as Callback
from engine.train.callbacks import InterruptAfterStep as InterruptAfterStep
from engine.train.callbacks import JsonlLog as JsonlLog
from engine.train.callbacks import ProgressBar as ProgressBar
from engine.train.callbacks import TensorBoardLog as TensorBoardLog
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
from engine.train.explain import Attribution as Attribution
from engine.train.explain import attention_maps as attention_maps
from engine.train.explain import attention_of as attention_of
from engine.train.explain import explain_examples as explain_examples
from engine.train.explain import integrated_gradients as integrated_gradients
from engine.train.html import html_report as html_report
from engine.train.masking import MaskedLanguageModeling as MaskedLanguageModeling
from engine.train.masking import evaluate_masked as evaluate_masked
from engine.train.parameters import freeze as freeze
from engine.train.parameters import parameter_groups as parameter_groups
from engine.train.plots import plot_confusion as plot_confusion
from engine.train.plots import plot_curves as plot_curves
from engine.train.plots import plot_reliability as plot_reliability
from engine.train.predictor import Predictor as Predictor
from engine.train.pretraining import format_pretraining as format_pretraining
from engine.train.pretraining import pretrain as pretrain
from engine.train.pretraining import resume_pretraining as resume_pretraining
from engine.train.report import evaluation as evaluation
from engine.train.report import format_evaluation as format_evaluation
from engine.train.report import format_report as format_report
from engine.train.report import multilabel_evaluation as multilabel_evaluation
from engine.train.report import regression_evaluation as regression_evaluation
from engine.train.report import worst_examples as worst_examples
from engine.train.sources import BatchStream as BatchStream
from engine.train.spans import Span as Span
from engine.train.spans import SpanScores as SpanScores
from engine.train.spans import TypeScores as TypeScores
from engine.train.spans import span_scores as span_scores
from engine.train.spans import tag_spans as tag_spans
from engine.train.start import StartConfig as StartConfig
from engine.train.state import TrainerState as TrainerState
from engine.train.tasks import TASKS as TASKS
from engine.train.tasks import Task as Task
from engine.train.text import TextData as TextData
from engine.train.text import resume_text_classifier as resume_text_classifier
from engine.train.text import train_text_classifier as train_text_classifier
from engine.train.trainer import Trainer as Trainer

__all__ = [
    "Attribution",
    "BatchStream",
    "Callback",
    "Compose",
    "InterruptAfterStep",
    "JsonlLog",
    "MaskedLanguageModeling",
    "Prediction",
    "Predictor",
    "ProgressBar",
    "RandomDeletion",
    "RandomSwap",
    "SentenceEncoder",
    "Span",
    "SpanScores",
    "StartConfig",
    "TASKS",
    "Task",
    "TensorBoardLog",
    "TextClassifier",
    "TextData",
    "TokenDropout",
    "TokenMasking",
    "Trainer",
    "TrainerConfig",
    "TrainerState",
    "TypeScores",
    "attention_maps",
    "attention_of",
    "augmentation",
    "embed_file",
    "evaluate_masked",
    "evaluation",
    "explain_examples",
    "export",
    "format_evaluation",
    "format_pretraining",
    "format_report",
    "freeze",
    "html_report",
    "integrated_gradients",
    "latest_checkpoint",
    "load_checkpoint",
    "metrics",
    "multilabel_evaluation",
    "parameter_groups",
    "plot_confusion",
    "plot_curves",
    "plot_reliability",
    "pretrain",
    "read_log",
    "regression_evaluation",
    "resume_pretraining",
    "resume_text_classifier",
    "save_checkpoint",
    "search",
    "similarity",
    "span_scores",
    "tag_spans",
    "train_text_classifier",
    "worst_examples",
]
