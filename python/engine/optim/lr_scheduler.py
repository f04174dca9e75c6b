"""Learning-rate schedules with PyTorch's protocol, and the warm-up schedules by their names in `transformers`.

Each one computes a group's rate from its initial rate and the number of steps taken, so that a resumed run has the same
bits. Call `scheduler.step()` after `optimizer.step()`. Differs from PyTorch: if an optimizer has two schedules, their factors
are not multiplied; the last call of `step` sets the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import BadType, BadValue, NotDefined, require
from engine.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "StepLR",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_linear_schedule_with_warmup",
]


class LRScheduler:
    """The base. A subclass defines `rate`: a group's learning rate after `last_epoch` steps.

    last_epoch: -1 to start. Otherwise the schedule goes on with step last_epoch + 1; the groups must then have "initial_lr".
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name, got = type(self).__name__, type(optimizer).__name__
        require(isinstance(optimizer, Optimizer), name, "optimizer", "an Optimizer", got, error=BadType)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])  # a scheduler before this one may have lowered lr
            expected = f"-1, or 'initial_lr' in param_groups[{i}]"
            require("initial_lr" in group, name, "last_epoch", expected, last_epoch)
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self.step()

    def rate(self, base_lr: float, group: int) -> float:
        """The learning rate of the group with that number after `last_epoch` steps."""
        raise NotDefined(type(self).__name__, "rate", "a method of this name in the subclass", "none")

    def get_last_lr(self) -> list[float]:
        """The current rates, one for each group."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The rates after `last_epoch` steps, one for each group."""
        return [self.rate(base, i) for i, base in enumerate(self.base_lrs)]

    def step(self, epoch: int | None = None) -> None:
        """Goes on by one, or to step number `epoch`."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Everything except the optimizer and functions: numbers and lists that JSON can hold."""
        return {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict()` returned. The current rates are in the optimizer's state, as in PyTorch."""
        missing = [key for key in ("last_epoch", "base_lrs", "_last_lr") if key not in state_dict]
        if missing:
            raise BadValue(f"{type(self).__name__}.load_state_dict", "state_dict", f"an entry {missing[0]!r}", "none")
        self.__dict__.update({k: list(v) if isinstance(v, list) else v for k, v in state_dict.items()})


class LambdaLR(LRScheduler):
    """lr = initial_lr * lr_lambda(step); one function, or a list with one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        expected, got = f"{groups} functions, one for each parameter group", len(self.lr_lambdas)
        require(got == groups, "LambdaLR", "lr_lambda", expected, got)
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return base_lr * self.lr_lambdas[group](self.last_epoch)


class ConstantLR(LRScheduler):
    """initial_lr * factor for total_iters steps, then initial_lr."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return base_lr * (self.factor if self.last_epoch < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """From initial_lr * start_factor in a straight line to initial_lr * end_factor after total_iters steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        done = min(self.last_epoch, self.total_iters) / self.total_iters if self.total_iters > 0 else 1.0
        return base_lr * (self.start_factor + (self.end_factor - self.start_factor) * done)


class StepLR(LRScheduler):
    """The rate is multiplied by gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        require(step_size >= 1, "StepLR", "step_size", "a number >= 1", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return float(base_lr * self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """The rate is multiplied by gamma at each of the milestones, which are numbers of steps."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return float(base_lr * self.gamma ** sum(m <= self.last_epoch for m in self.milestones))


class ExponentialLR(LRScheduler):
    """The rate is multiplied by gamma at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return float(base_lr * self.gamma**self.last_epoch)


class CosineAnnealingLR(LRScheduler):
    """From initial_lr down to eta_min along half a cosine of T_max steps, then up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        require(T_max >= 1, "CosineAnnealingLR", "T_max", "a number >= 1", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base_lr: float, group: int) -> float:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


# ---- schedules with warm-up, by their names in `transformers`


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
