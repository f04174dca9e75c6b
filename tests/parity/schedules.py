"""Schedules with their settings, and the learning rates that they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from .sides import Side

STEPS = 30
RELOAD_AT = 11  # before this step a new scheduler takes over, from the state_dict of the first


@dataclass(frozen=True)
class Case:
    """One schedule with its settings. Strings among `parts` and callables are made by the side that runs it."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    parts: tuple[tuple[str, dict[str, Any]], ...] = ()  # schedules that this one is made of
    optimizer: str = "SGD"
    momentum: float = 0.0

    @property
    def text(self) -> str:
        said = [f"{k}={v}" for k, v in self.kwargs.items() if not callable(v)]
        return f"{self.name}({', '.join([*said, *(name for name, _ in self.parts)])})"


def _halving(epoch: int) -> float:
    return 0.5 ** (epoch // 4)


def _decay(epoch: int) -> float:
    return 0.95


def _cycle_scale(x: float) -> float:
    return 0.9**x


SCHEDULES = [
    Case("LambdaLR", {"lr_lambda": _halving}),
    Case("LambdaLR", {"lr_lambda": [_halving, _decay]}),
    Case("LambdaLR", {"lr_lambda": [_halving]}),  # one for two groups: refused
    Case("MultiplicativeLR", {"lr_lambda": _decay}),
    Case("MultiplicativeLR", {"lr_lambda": [_decay, _halving]}),
    Case("StepLR", {"step_size": 4}),
    Case("StepLR", {"step_size": 3, "gamma": 0.5}),
    Case("StepLR", {"step_size": 3, "gamma": 0.5}, optimizer="Adam"),
    Case("MultiStepLR", {"milestones": [2, 5, 5, 9]}),
    Case("MultiStepLR", {"milestones": [9, 2], "gamma": 0.3}),
    Case("ConstantLR"),
    Case("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    Case("ConstantLR", {"factor": 1.5}),  # refused
    Case("LinearLR"),
    Case("LinearLR", {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 7}),
    Case("LinearLR", {"start_factor": 0.0}),  # refused
    Case("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 12}),
    Case("ExponentialLR", {"gamma": 0.9}),
    Case("CosineAnnealingLR", {"T_max": 10}),
    Case("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    Case("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.001}, optimizer="AdamW"),
    Case("CosineAnnealingWarmRestarts", {"T_0": 5}),
    Case("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    Case("CosineAnnealingWarmRestarts", {"T_0": 0}),  # refused
    Case("PolynomialLR"),
    Case("PolynomialLR", {"total_iters": 9, "power": 2.0}),
    Case("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "cycle_momentum": False}),
    Case("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "step_size_down": 5}, momentum=0.9),
    Case("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "mode": "triangular2"}, momentum=0.9),
    Case("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.2], "step_size_up": 3, "mode": "exp_range", "gamma": 0.9}, momentum=0.9),
    Case("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "scale_fn": _cycle_scale, "scale_mode": "cycle"}, momentum=0.9),
    Case("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1}),  # momentum to cycle, and the optimizer has none: refused or not
    Case("OneCycleLR", {"max_lr": 0.1, "total_steps": 30}, momentum=0.9),
    Case("OneCycleLR", {"max_lr": [0.1, 0.2], "epochs": 5, "steps_per_epoch": 6, "pct_start": 0.2}, momentum=0.9),
    Case("OneCycleLR", {"max_lr": 0.1, "total_steps": 30, "anneal_strategy": "linear", "three_phase": True}, momentum=0.9),
    Case("OneCycleLR", {"max_lr": 0.1, "total_steps": 40, "div_factor": 10, "final_div_factor": 100}, optimizer="Adam"),
    Case("OneCycleLR", {"max_lr": 0.1, "total_steps": 20}, momentum=0.9),  # a step too many: refused
    Case("OneCycleLR", {"max_lr": 0.1}),  # refused
    Case("ReduceLROnPlateau"),
    Case("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 2}),
    Case("ReduceLROnPlateau", {"mode": "max", "patience": 0, "threshold_mode": "abs", "threshold": 0.05}),
    Case("ReduceLROnPlateau", {"patience": 0, "min_lr": [0.02, 0.01], "eps": 1e-3}),
    Case("ReduceLROnPlateau", {"factor": 1.0}),  # refused
    Case("SequentialLR", {"milestones": [4]}, (("ConstantLR", {"factor": 0.1, "total_iters": 2}), ("ExponentialLR", {"gamma": 0.9}))),
    Case("SequentialLR", {"milestones": [5]}, (("LinearLR", {"start_factor": 0.1, "total_iters": 5}), ("CosineAnnealingLR", {"T_max": 20}))),
    Case("SequentialLR", {"milestones": [3, 8]}, (("ConstantLR", {}), ("StepLR", {"step_size": 2}), ("ExponentialLR", {"gamma": 0.8}))),
    Case("SequentialLR", {"milestones": [3, 8]}, (("ConstantLR", {}), ("ExponentialLR", {"gamma": 0.8}))),  # refused
    Case("ChainedScheduler", {}, (("ConstantLR", {"factor": 0.1, "total_iters": 2}), ("ExponentialLR", {"gamma": 0.9}))),
    Case("ChainedScheduler", {}, (("LinearLR", {"total_iters": 6}), ("StepLR", {"step_size": 3, "gamma": 0.5}))),
]  # fmt: skip


def make(side: Side, case: Case, optimizer: Any) -> Any:
    """The schedule of a case for an optimizer of this side."""
    cls = side.get(f"optim.lr_scheduler.{case.name}")
    if not case.parts:
        return cls(optimizer, **case.kwargs)
    parts = [side.get(f"optim.lr_scheduler.{name}")(optimizer, **kwargs) for name, kwargs in case.parts]
    if case.name == "ChainedScheduler":
        return cls(parts)
    return cls(optimizer, parts, **case.kwargs)


def lrs(side: Side, case: Case) -> list[Any]:
    """Learning rates and momenta of two groups, at the start and after each step; then `get_last_lr()`."""
    parameters = [side.get("nn.Parameter")(side.tensor(torch.zeros(2))) for _ in range(2)]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 0.02}]
    kwargs = {"momentum": case.momentum} if case.optimizer == "SGD" else {}
    optimizer = side.get(f"optim.{case.optimizer}")(groups, lr=0.05, **kwargs)
    schedule = make(side, case, optimizer)
    seen = [_now(optimizer)]
    for step in range(STEPS):
        if step == RELOAD_AT and not case.parts:
            state, rates = schedule.state_dict(), [group["lr"] for group in optimizer.param_groups]
            schedule = make(side, case, optimizer)
            schedule.load_state_dict(state)
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate
        optimizer.step()
        if case.name == "ReduceLROnPlateau":
            schedule.step(1.0 / (1 + min(step, 6)))  # better until the seventh step, then level
        else:
            schedule.step()
        seen.append(_now(optimizer))
    return [*seen, list(map(float, schedule.get_last_lr()))]


def _now(optimizer: Any) -> list[Any]:
    return [
        [float(g["lr"]), float(g.get("momentum", 0.0)), float(g["betas"][0]) if "betas" in g else 0.0]
        for g in optimizer.param_groups
    ]
