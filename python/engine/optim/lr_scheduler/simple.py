"""Schedules by a formula of the step's number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from engine.errors import amount, require
from engine.optim.lr_scheduler.base import Factors, LRScheduler, attributes_of
from engine.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]

Function = Callable[[int], float]


def _functions(op: str, optimizer: Optimizer, lr_lambda: Function | Sequence[Function]) -> list[Function]:
    groups = len(optimizer.param_groups)
    functions = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
    expected, got = f"{amount(groups, 'function')}, one for each parameter group", len(functions)
    require(got == groups, op, "lr_lambda", expected, got)
    return functions


class _OfFunctions(LRScheduler):
    """Schedules with a function for each group. A state has the attributes of those that are objects, as in PyTorch."""

    _not_saved = ("optimizer", "lr_lambdas")
    lr_lambdas: list[Function]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "lr_lambdas": [attributes_of(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for function, attributes in zip(self.lr_lambdas, state_dict.get("lr_lambdas", ())):
            if attributes is not None:
                vars(function).update(attributes)


class LambdaLR(_OfFunctions):
    """lr = initial_lr * lr_lambda(step); one function, or a list with one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1) -> None:
        name = self._take(optimizer)
        self.lr_lambdas = _functions(name, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * function(self.last_epoch) for base, function in zip(self.base_lrs, self.lr_lambdas)]


class MultiplicativeLR(_OfFunctions, Factors):
    """The rate is multiplied by lr_lambda(step) at each step; one function, or a list with one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1) -> None:
        name = self._take(optimizer)
        self.lr_lambdas = _functions(name, optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        return self.lr_lambdas[group](step) if step > 0 else 1.0


class ConstantLR(Factors):
    """initial_lr * factor for total_iters steps, then initial_lr. factor: in [0, 1]."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        require(0 <= factor <= 1, "ConstantLR", "factor", "a number in [0, 1]", factor)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        factor = self.factor if step == 0 else 1.0
        return factor / self.factor if step == self.total_iters else factor


class LinearLR(Factors):
    """From initial_lr * start_factor in a straight line to initial_lr * end_factor after total_iters steps.

    start_factor: in (0, 1]. end_factor: in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        require(0 < start_factor <= 1, "LinearLR", "start_factor", "a number in (0, 1]", start_factor)
        require(0 <= end_factor <= 1, "LinearLR", "end_factor", "a number in [0, 1]", end_factor)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        if step == 0:
            return self.start_factor
        if step > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (step - 1) * rise)


class PolynomialLR(Factors):
    """initial_lr * (1 - step / total_iters) ** power, down to 0 after total_iters steps."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        if step == 0 or step > self.total_iters:
            return 1.0
        left = (1.0 - step / self.total_iters) / (1.0 - (step - 1) / self.total_iters)
        return float(left**self.power)


class StepLR(Factors):
    """The rate is multiplied by gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        require(step_size >= 1, "StepLR", "step_size", "a number >= 1", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        return self.gamma if step > 0 and step % self.step_size == 0 else 1.0


class MultiStepLR(Factors):
    """The rate is multiplied by gamma at each of the milestones, which are numbers of steps."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        return float(self.gamma ** self.milestones[step])

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        given = self.milestones  # a list, or a dict of a step and how often it is there; JSON makes strings of its keys
        if isinstance(given, Mapping):
            self.milestones = Counter({int(step): count for step, count in given.items()})
        else:
            self.milestones = Counter(given)


class ExponentialLR(Factors):
    """The rate is multiplied by gamma at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, step: int, group: int) -> float:
        return self.gamma if step > 0 else 1.0


class CosineAnnealingLR(LRScheduler):
    """From initial_lr down to eta_min along half a cosine of T_max steps, then up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        require(T_max >= 1, "CosineAnnealingLR", "T_max", "a number >= 1", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._rates()
        before, now = (1 + math.cos(math.pi * t / self.T_max) for t in (self.last_epoch - 1, self.last_epoch))
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the lowest point, where `before` is 0
            return [rate + (base - self.eta_min) * now / 2 for rate, base in zip(self._rates(), self.base_lrs)]
        return [now / before * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]
