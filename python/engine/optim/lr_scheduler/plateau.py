"""ReduceLROnPlateau: less when a metric gets no better."""

from __future__ import annotations

import math
from typing import Any

from engine.errors import require
from engine.optim.lr_scheduler.base import LRScheduler, for_each_group, set_rate
from engine.optim.optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by factor after more than `patience` steps in a row in which the metric is no better than the best so far.

    mode: "min" if less is better, "max". threshold: by how much better counts, relative to the best (threshold_mode "rel") or not
    ("abs"). cooldown: the steps after a reduction that are not counted. min_lr: the least rate; a list has one for each group. eps:
    smaller reductions are not made. Raises ValueError for factor >= 1 and for other modes.
    """

    _needed = ("last_epoch", "_last_lr", "best")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        op = self._take(optimizer)
        require(factor < 1, op, "factor", "a number < 1", factor)
        require(mode in ("min", "max"), op, "mode", "'min' or 'max'", repr(mode))
        require(threshold_mode in ("rel", "abs"), op, "threshold_mode", "'rel' or 'abs'", repr(threshold_mode))
        self.mode, self.factor, self.patience, self.threshold = mode, factor, patience, threshold
        self.threshold_mode, self.cooldown, self.eps = threshold_mode, cooldown, eps
        self.min_lrs = for_each_group(op, "min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._rates()

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """metrics: the metric after this step, a number or a tensor of one element."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether bad steps are not counted now."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        least = [*self.min_lrs, *self.min_lrs[-1:] * (len(groups) - len(self.min_lrs))]  # groups may have been added
        for group, low in zip(groups, least):
            before = float(group["lr"])
            after = max(before * self.factor, low)
            if before - after > self.eps:
                set_rate(group, after)
