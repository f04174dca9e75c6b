"""Schedules with warm-up, by their names in `transformers`."""

from __future__ import annotations

import math
from collections.abc import Callable

from engine.optim.lr_scheduler.simple import LambdaLR
from engine.optim.optimizer import Optimizer

__all__ = [
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_linear_schedule_with_warmup",
]


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The initial rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0, last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """From 0 to the initial rate in num_warmup_steps, then constant."""
    return _warmed_up(optimizer, num_warmup_steps, lambda step: 1.0, last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """From 0 to the initial rate in num_warmup_steps, then in a straight line to 0 at num_training_steps."""
    rest = max(1, num_training_steps - num_warmup_steps)
    return _warmed_up(
        optimizer, num_warmup_steps, lambda step: max(0.0, (num_training_steps - step) / rest), last_epoch
    )


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """From 0 to the initial rate in num_warmup_steps, then along num_cycles of a cosine (0.5: down to 0 at the end)."""
    rest = max(1, num_training_steps - num_warmup_steps)

    def factor(step: int) -> float:
        done = (step - num_warmup_steps) / rest
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * done)))

    return _warmed_up(optimizer, num_warmup_steps, factor, last_epoch)


def _warmed_up(optimizer: Optimizer, warmup: int, factor: Callable[[int], float], last_epoch: int) -> LambdaLR:
    """From 0 to the initial rate in `warmup` steps, then the initial rate times factor(step)."""
    return LambdaLR(optimizer, lambda step: step / warmup if step < warmup else factor(step), last_epoch)
