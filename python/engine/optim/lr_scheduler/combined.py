"""Schedules made of schedules: one after the other, or several together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import BadType, amount, require
from engine.optim.lr_scheduler.base import LRScheduler, set_rate
from engine.optim.lr_scheduler.plateau import ReduceLROnPlateau
from engine.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """Holds schedules of one optimizer. Their states are entries of its state."""

    _not_saved = ("optimizer", "_schedulers")

    def _hold(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        op = type(self).__name__
        require(len(schedulers), op, "schedulers", "at least one schedule", "none")
        for i, part in enumerate(schedulers):
            place, got = f"schedulers[{i}]", type(part).__name__
            require(hasattr(part, "optimizer"), op, place, "a schedule", got, error=BadType)
            plain = not isinstance(part, ReduceLROnPlateau)
            require(plain, op, place, "a schedule whose step takes no metric", got)
            same = part.optimizer is (optimizer or schedulers[0].optimizer)
            require(same, op, place, "a schedule of the same optimizer", f"{got} of another one")
        self.optimizer, self._schedulers = optimizer or schedulers[0].optimizer, list(schedulers)

    def _restart(self) -> None:
        for group in self.optimizer.param_groups:
            set_rate(group, group["initial_lr"])
        _before_the_start(self)
        self._initial_step()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        parts, n = state_dict.get("_schedulers", ()), len(self._schedulers)
        op = f"{type(self).__name__}.load_state_dict"
        require(len(parts) == n, op, "_schedulers", f"the states of {amount(n, 'schedule')}", len(parts))
        for part, state in zip(self._schedulers, parts):
            part.load_state_dict(state)
        super().load_state_dict(state_dict)  # after them: it sets the current rates


class SequentialLR(_Combined):
    """One schedule after the other: milestones[i] is the step at which schedulers[i + 1] begins, at its own step 0.

    The constructor starts from the initial rates again. Raises ValueError unless there is one milestone less than schedules.
    """

    _needed = ("last_epoch", "_last_lr")

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._take(optimizer)
        self._hold(schedulers, optimizer)
        n, got = len(schedulers) - 1, len(milestones)
        require(got == n, "SequentialLR", "milestones", f"{n}, one less than schedules", got)
        self._milestones = list(milestones)
        self._restart()
        self.last_epoch = last_epoch + 1

    def _current(self) -> int:
        return bisect_right(self._milestones, self.last_epoch)

    def _initial_step(self) -> None:
        self._schedulers[self._current()]._initial_step()
        self._last_lr = self._rates()

    def step(self) -> None:  # type: ignore[override]
        """Goes on by one."""
        self.last_epoch += 1
        i = self._current()
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i]._restart()
        else:
            self._schedulers[i].step()
        self._last_lr = self._rates()


def _before_the_start(schedule: LRScheduler) -> None:
    """Takes back the first step of a schedule, or of all parts of a combined one."""
    if isinstance(schedule, _Combined):
        for part in schedule._schedulers:
            _before_the_start(part)
        schedule.last_epoch = 0
    else:
        schedule.last_epoch = -1


class ChainedScheduler(_Combined):
    """Several schedules together: each step is a step of each of them."""

    _needed = ("_last_lr",)

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._hold(schedulers, optimizer)
        self._last_lr = self._rates()

    def _initial_step(self) -> None:
        for part in self._schedulers:
            part._initial_step()
        self._last_lr = self._rates()

    def step(self) -> None:  # type: ignore[override]
        """One step of each schedule."""
        for part in self._schedulers:
            part.step()
        self._last_lr = self._rates()
