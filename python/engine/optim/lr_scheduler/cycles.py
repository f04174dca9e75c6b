"""Schedules that go up and down: CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import require
from engine.optim.lr_scheduler.base import LRScheduler, attributes_of, for_each_group, set_rate
from engine.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]

Values = float | list[float]
_PHASE = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")  # a phase of OneCycleLR in a saved state


class CosineAnnealingWarmRestarts(LRScheduler):
    """From initial_lr down to eta_min along half a cosine of T_0 steps, again and again; each time T_mult times as many steps
    (Loshchilov and Hutter 2017). `step(epoch)` may take parts of an epoch: `step(epoch + i / batches)`."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            right = isinstance(value, int) and value >= 1
            require(right, "CosineAnnealingWarmRestarts", name, "a whole number >= 1", value)
        self.T_0, self.T_i, self.T_mult, self.eta_min, self.T_cur = T_0, T_0, T_mult, eta_min, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Goes on by one, or to the place `epoch`, which may be a fraction."""
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: Any = None) -> None:
        if epoch is None and self.last_epoch >= 0:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        else:
            epoch = epoch or 0
            require(epoch >= 0, "CosineAnnealingWarmRestarts.step", "epoch", "a number >= 0", epoch)
            self.T_cur, self.T_i = epoch, self.T_0
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                while self.T_cur >= self.T_i:
                    self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch)
        self._write(self.get_lr())


class _WithMomentum(LRScheduler):
    """Schedules that may also move the momentum (betas[0] of the Adam family) against the rate."""

    cycle_momentum: bool

    def _prepare_momentum(self, cycle: bool, base: Values, largest: Values, first: bool) -> None:
        """Puts "base_momentum" and "max_momentum" into the groups, and starts with the largest if this is the first step."""
        op, optimizer = type(self).__name__, self.optimizer
        self.cycle_momentum = cycle
        if not cycle:
            return
        self.use_beta1 = "betas" in optimizer.defaults
        right = self.use_beta1 or "momentum" in optimizer.defaults
        expected = "False for an optimizer without momentum and betas"
        require(right, op, "cycle_momentum", expected, True)
        lows = for_each_group(op, "base_momentum", optimizer, base)
        highs = for_each_group(op, "max_momentum", optimizer, largest)
        if first:
            for group, low, high in zip(optimizer.param_groups, lows, highs):
                group["base_momentum"], group["max_momentum"] = low, high
            self._write_momentum(highs)

    def _write_momentum(self, values: list[float]) -> None:
        for group, value in zip(self.optimizer.param_groups, values):
            if self.use_beta1:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


class CyclicLR(_WithMomentum):
    """Between base_lr and max_lr, step_size_up steps up and step_size_down steps down, again and again (Smith 2017).

    mode: "triangular"; "triangular2", whose height halves with each cycle; "exp_range", whose height is multiplied by gamma at each
    step. scale_fn: a factor of the height instead, of the cycle's number (from 1; scale_mode "cycle") or of the step's
    ("iterations"). cycle_momentum: moves the momentum from max_momentum down to base_momentum while the rate rises.
    """

    _not_saved = ("optimizer", "_scale_fn", "_scale_fn_custom")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Values,
        max_lr: Values,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.8,
        max_momentum: Values = 0.9,
        last_epoch: int = -1,
    ) -> None:
        op, first = self._take(optimizer), last_epoch == -1
        modes = ("triangular", "triangular2", "exp_range")
        require(scale_fn is not None or mode in modes, op, "mode", f"one of {', '.join(modes)}", repr(mode))
        require(scale_mode in ("cycle", "iterations"), op, "scale_mode", "'cycle' or 'iterations'", repr(scale_mode))
        base_lrs = for_each_group(op, "base_lr", optimizer, base_lr)
        self.max_lrs = for_each_group(op, "max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self._prepare_momentum(cycle_momentum, base_momentum, max_momentum, first)
        self.base_momentums = for_each_group(op, "base_momentum", optimizer, base_momentum)
        self.max_momentums = for_each_group(op, "max_momentum", optimizer, max_momentum)
        if first:
            for group, rate in zip(optimizer.param_groups, base_lrs):
                set_rate(group, rate)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The factor of the height in cycle or at step x."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "_scale_fn_custom": attributes_of(self._scale_fn)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        attributes = state_dict.get("_scale_fn_custom")
        if attributes is not None:
            vars(self._scale_fn).update(attributes)

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.base_momentums, self.max_momentums)
            self._write_momentum([high - (high - low) * height for low, high in momenta])
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs)]


class OneCycleLR(_WithMomentum):
    """From max_lr / div_factor up to max_lr in the first pct_start of all steps, then down to a final_div_factor-th of the start
    (Smith and Topin 2018).

    total_steps, or epochs and steps_per_epoch: the number of steps. anneal_strategy: "cos" or "linear". three_phase: down to the start
    in as many steps as up, and in the rest to the end. cycle_momentum: moves the momentum from max_momentum down to base_momentum
    while the rate rises. Raises ValueError for a step after the last one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Values,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.85,
        max_momentum: Values = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        op, first = self._take(optimizer), last_epoch == -1
        counts = {"total_steps": total_steps}
        if total_steps is None:
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        for name, count in counts.items():
            right = isinstance(count, int) and count > 0
            require(right, op, name, "a whole number > 0", count, "pass total_steps, or epochs and steps_per_epoch")
        require(0 <= pct_start <= 1, op, "pct_start", "a number in [0, 1]", pct_start)
        known = anneal_strategy in ("cos", "linear")
        require(known, op, "anneal_strategy", "'cos' or 'linear'", repr(anneal_strategy))
        self.total_steps, self.anneal_strategy = math.prod(c for c in counts.values() if c), anneal_strategy
        peak, end = pct_start * self.total_steps - 1, self.total_steps - 1
        # Each phase: its last step, then the names of the rates and of the momenta at its start and end.
        up: list[Any] = [peak, "initial_lr", "max_lr", "max_momentum", "base_momentum"]
        if three_phase:
            back = [2 * pct_start * self.total_steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"]
            self.phases = [up, back, [end, "initial_lr", "min_lr", "max_momentum", "max_momentum"]]
        else:
            self.phases = [up, [end, "max_lr", "min_lr", "base_momentum", "max_momentum"]]
        max_lrs = for_each_group(op, "max_lr", optimizer, max_lr)
        self._prepare_momentum(cycle_momentum, base_momentum, max_momentum, first)
        if first:
            for group, rate in zip(optimizer.param_groups, max_lrs):
                start = rate / div_factor
                group.update(initial_lr=start, max_lr=rate, min_lr=start / final_div_factor)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["_anneal_func_type"] = state.pop("anneal_strategy")
        state["_schedule_phases"] = [dict(zip(_PHASE, phase)) for phase in state.pop("phases")]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = dict(state_dict)
        if "_schedule_phases" in state:  # otherwise the state has engine's older names
            state["anneal_strategy"] = state.pop("_anneal_func_type")
            state["phases"] = [[phase.get(name) for name in _PHASE] for phase in state.pop("_schedule_phases")]
        super().load_state_dict(state)

    def get_lr(self) -> list[float]:
        step, last = self.last_epoch, len(self.phases) - 1
        require(step <= self.total_steps, "OneCycleLR.step", "step", f"at most {self.total_steps} steps", step)
        i = next((i for i, phase in enumerate(self.phases[:last]) if step <= phase[0]), last)
        began = self.phases[i - 1][0] if i else 0.0
        ended, rate, next_rate, momentum, next_momentum = self.phases[i]
        done, groups = (step - began) / (ended - began), self.optimizer.param_groups
        if self.cycle_momentum:
            self._write_momentum([self._between(g[momentum], g[next_momentum], done) for g in groups])
        return [self._between(g[rate], g[next_rate], done) for g in groups]

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (math.cos(math.pi * done) + 1)
        return (end - start) * done + start
