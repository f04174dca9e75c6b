"""Optimizers, learning-rate schedules and gradient clipping, by PyTorch's names."""

from engine.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from engine.optim import lr_scheduler
from engine.optim.adam import Adam, AdamW
from engine.optim.lr_scheduler import (
    get_constant_schedule,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)
from engine.optim.optimizer import Optimizer
from engine.optim.sgd import SGD

__all__ = [
    "Adam",
    "AdamW",
    "Optimizer",
    "SGD",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_linear_schedule_with_warmup",
    "get_total_norm",
    "lr_scheduler",
]
