"""Training: the Trainer, its settings, callbacks and checkpoints."""

from engine.train.callbacks import Callback as Callback
from engine.train.callbacks import InterruptAfterStep as InterruptAfterStep
from engine.train.callbacks import JsonlLog as JsonlLog
from engine.train.callbacks import ProgressBar as ProgressBar
from engine.train.callbacks import TensorBoardLog as TensorBoardLog
from engine.train.callbacks import read_log as read_log
from engine.train.checkpoint import latest_checkpoint as latest_checkpoint
from engine.train.checkpoint import load_checkpoint as load_checkpoint
from engine.train.checkpoint import save_checkpoint as save_checkpoint
from engine.train.config import TrainerConfig as TrainerConfig
from engine.train.parameters import freeze as freeze
from engine.train.parameters import parameter_groups as parameter_groups
from engine.train.sources import BatchStream as BatchStream
from engine.train.state import TrainerState as TrainerState
from engine.train.trainer import Trainer as Trainer

__all__ = [
    "BatchStream",
    "Callback",
    "InterruptAfterStep",
    "JsonlLog",
    "ProgressBar",
    "TensorBoardLog",
    "Trainer",
    "TrainerConfig",
    "TrainerState",
    "freeze",
    "latest_checkpoint",
    "load_checkpoint",
    "parameter_groups",
    "read_log",
    "save_checkpoint",
]
