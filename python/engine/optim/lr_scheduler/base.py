"""The base of all schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from types import FunctionType
from typing import Any

from engine.errors import BadType, BadValue, NotDefined, amount, require
from engine.optim.optimizer import Group, Optimizer
from engine.tensor import Tensor

__all__ = ["LRScheduler"]


class LRScheduler:
    """The base. A subclass defines `get_lr`, which may read `last_epoch`, `base_lrs` and the groups of `optimizer`.

    last_epoch: -1 to start. Otherwise the schedule goes on with step last_epoch + 1; the groups must then have "initial_lr".
    """

    # The entries without which a saved state is not one of this kind, and the attributes that are not saved.
    _needed: tuple[str, ...] = ("last_epoch", "base_lrs", "_last_lr")
    _not_saved: tuple[str, ...] = ("optimizer",)
    # Schedules of users read these: whether `step` calls `get_lr`, and whether the constructor calls `step`.
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = self._take(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))  # a scheduler before this one may have changed lr
            expected = f"-1, or 'initial_lr' in param_groups[{i}]"
            require("initial_lr" in group, name, "last_epoch", expected, last_epoch)
        self.base_lrs: list[float] = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._initial_step()

    def _take(self, optimizer: Optimizer) -> str:
        """Keeps the optimizer, and returns the name of this class. Raises TypeError for anything but an optimizer."""
        name, got = type(self).__name__, type(optimizer).__name__
        require(isinstance(optimizer, Optimizer), name, "optimizer", "an Optimizer", got, error=BadType)
        self.optimizer = optimizer
        return name

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True  # the rate of a schedule that goes on is in the optimizer already
        self.step()
        self._is_initial = False

    def get_last_lr(self) -> list[float]:
        """The rates that this schedule set last, one for each group. If it has set none, because its own `step` writes to the groups:
        their rates."""
        return list(self._last_lr) or self._rates()

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`, one for each group, from the current rates, which are those of the step before."""
        raise NotDefined(type(self).__name__, "get_lr", "a method of this name in the subclass", "none")

    def _get_closed_form_lr(self) -> list[float]:
        """The rates of step `last_epoch` from the initial rates, for `step(epoch)`."""
        return self.get_lr()

    def step(self, epoch: int | None = None) -> None:
        """Goes on by one, or to step number `epoch`."""
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: Any = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            rates = self.get_lr() if epoch is None else self._get_closed_form_lr()
        finally:
            self._get_lr_called_within_step = False
        self._write(rates)

    def _restart(self) -> None:
        """Begins again at step 0, with the initial rates."""
        self._update_lr(0)

    def _write(self, rates: Sequence[float]) -> None:
        """Sets the rates of the optimizer's groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_rate(group, rate)
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything except the optimizer and functions, by PyTorch's names: numbers, and lists and dicts that JSON can hold."""
        return {key: value for key, value in self.__dict__.items() if key not in self._not_saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict()` returned, and sets the rates of that time in the optimizer."""
        missing = [key for key in self._needed if key not in state_dict]
        if missing:
            raise BadValue(f"{type(self).__name__}.load_state_dict", "state_dict", f"an entry {missing[0]!r}", "none")
        groups, got = len(self.optimizer.param_groups), len(state_dict["_last_lr"])
        expected = f"the rates of {groups} parameter groups"
        require(got in (0, groups), f"{type(self).__name__}.load_state_dict", "_last_lr", expected, got)
        kept = {key: value for key, value in state_dict.items() if key not in self._not_saved}
        self.__dict__.update({k: list(v) if isinstance(v, list) else v for k, v in kept.items()})
        if self._last_lr:  # none if the schedule's own `step` writes to the groups
            self._write(self._last_lr)


class Factors(LRScheduler):
    """Schedules whose every step multiplies the current rate. A subclass defines `_factor`."""

    def _factor(self, step: int, group: int) -> float:
        """By what step number `step` multiplies the rate of the group with that number."""
        raise NotDefined(type(self).__name__, "_factor", "a method of this name in the subclass", "none")

    def get_lr(self) -> list[float]:
        rates = self._rates()
        if self._is_initial and self.last_epoch > 0:
            return rates
        return [rate * self._factor(self.last_epoch, i) for i, rate in enumerate(rates)]

    def _get_closed_form_lr(self) -> list[float]:
        steps = range(self.last_epoch + 1)
        return [base * prod(self._factor(t, i) for t in steps) for i, base in enumerate(self.base_lrs)]


def attributes_of(function: Any) -> dict[str, Any] | None:
    """What a state keeps of a function: None; of an object that can be called, its attributes."""
    plain = isinstance(function, FunctionType) or not hasattr(function, "__dict__")
    return None if plain else dict(vars(function))


def set_rate(group: Group, rate: float) -> None:
    """Sets a group's rate; a rate that is a tensor is written in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(rate))
    else:
        group["lr"] = rate


def for_each_group(op: str, argument: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, from one value or a list. Raises ValueError for a list of another length."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    require(len(value) == groups, op, argument, f"{amount(groups, 'value')}, one for each parameter group", len(value))
    return list(value)
