"""Training: the Trainer, its settings, callbacks and checkpoints."""

from typing import Any as _Any

from engine.train import callbacks, checkpoint, config, head_start, parameters, sources, state, trainer
from engine.train.callbacks import *
from engine.train.checkpoint import *
from engine.train.config import *
from engine.train.head_start import *
from engine.train.parameters import *
from engine.train.sources import *
from engine.train.state import *
from engine.train.trainer import *

__all__ = [
    *callbacks.__all__, *checkpoint.__all__, *config.__all__, *head_start.__all__, *parameters.__all__, *sources.__all__, *state.__all__,
    *trainer.__all__, "fit",  # noqa: F405
]  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name == "fit":  # made of rooms above this one; people look for it here
        from engine.runs.fitting import fit

        return fit
    raise AttributeError(f"module 'engine.train' has no attribute {name!r}")
