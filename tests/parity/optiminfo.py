"""PyTorch's `optim_db`: several steps of each config; and schedules as sequences of learning rates."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from . import names
from .compare import Fault, describe, difference, kind_of_error, sentence
from .opinfo import judge, seed
from .report import Tally
from .schedules import SCHEDULES, Case, lrs
from .sides import PYTORCH, LeftOut, Side, import_test_inputs

DTYPES = (torch.float32, torch.float64)
STEPS = 7
RELOAD_AT = 3  # after this step a new optimizer takes over, from the state_dict of the first


def start(dtype: torch.dtype) -> list[torch.Tensor]:
    """Values of two matrices, since Muon takes nothing else, one of them with a constant row."""
    make = torch.Generator().manual_seed(3)
    weight = torch.randn(5, 4, generator=make, dtype=torch.float64)
    other = torch.randn(4, 4, generator=make, dtype=torch.float64)
    weight[2] = 0.5
    return [weight.to(dtype), other.to(dtype)]


class Training:
    """Parameters of one side, their loss, and an optimizer."""

    def __init__(self, side: Side, name: str, config: Any, dtype: torch.dtype, *, only_matrices: bool) -> None:
        self.side, self.config, self.cls = side, config, side.get(f"optim.{name}")
        values = start(dtype)
        if not only_matrices:
            values.append(torch.linspace(-1, 1, 4, dtype=torch.float64).to(dtype))
        self.parameters = [side.get("nn.Parameter")(side.tensor(v)) for v in values]
        self.scale = side.tensor(torch.linspace(0.5, 1.5, 4, dtype=torch.float64).to(dtype))
        self.optimizer = self.make()

    def make(self) -> Any:
        return self.cls(self._groups(), **self.side.carry(self.config.kwargs))

    def _groups(self) -> Any:
        """The parameters in the form of the config: a list, groups with options, or named."""
        form = self.config.params
        if form is None or not isinstance(form, list):
            return self.parameters
        if form and isinstance(form[0], dict):
            groups = [dict(self.side.carry({k: v for k, v in g.items() if k != "params"})) for g in form]
            share = [self.parameters[:1], self.parameters[1:]][: len(groups)]
            return [{**group, "params": part} for group, part in zip(groups, share)]
        if form and isinstance(form[0], tuple):
            return [(f"p{i}", p) for i, p in enumerate(self.parameters)]
        return self.parameters

    def loss(self) -> Any:
        total = (self.parameters[0] * self.scale - 0.25).square().sum()
        for parameter in self.parameters[1:]:
            total = total + (parameter * self.scale + 0.5).square().sum()
        return total

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def step(self, number: int) -> list[torch.Tensor]:
        if number == RELOAD_AT:
            state = self.optimizer.state_dict()
            self.optimizer = self.make()
            self.optimizer.load_state_dict(state)
        loss = self.optimizer.step(self.closure)
        return [self.side.back(loss), *(self.side.back(p) for p in self.parameters)]


def faults_of(name: str, config: Any, side: Side, dtype: torch.dtype) -> list[Fault]:
    """The faults of one config: parameters after each step."""
    example = f"{name}({describe((), config.kwargs)})"
    matrices = name == "Muon"
    torch_state, expected = _steps(PYTORCH, name, config, dtype, matrices)
    state, got = _steps(side, name, config, dtype, matrices)
    if torch_state == "ok" and state == "ok":
        if found := difference(expected, got):
            return [Fault("steps", found[0], f"{example}: {found[1]}")]
    elif torch_state == "ok":
        return [Fault(state, kind_of_error(got), f"{example}: {sentence(got)}")]
    elif state == "ok":
        return [Fault("errors", "error not raised", f"{example}: PyTorch says {sentence(expected)}")]
    return []


def _steps(side: Side, name: str, config: Any, dtype: torch.dtype, only_matrices: bool) -> tuple[str, Any]:
    stage = "construct"
    try:
        training = Training(side, name, config, dtype, only_matrices=only_matrices)
        stage = "steps"
        return "ok", [training.step(i) for i in range(STEPS)]
    except LeftOut:
        raise
    except Exception as error:
        return stage, error


def error_faults(name: str, error: Any, side: Side, dtype: torch.dtype) -> list[Fault]:
    """What PyTorch refuses, or warns of, must be refused or warned of."""
    config = error.optimizer_error_input

    def attempt(of: Side) -> Exception | None:
        memo: dict[int, Any] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error" if issubclass(error.error_type, Warning) else "ignore")
                parameters = config.params
                if parameters is None:
                    parameters = [torch.nn.Parameter(torch.ones(2, 3, dtype=dtype))]
                made = of.get(f"optim.{name}")(of.carry(parameters, memo), **of.carry(config.kwargs, memo))
                if error.error_on.name == "STEP_ERROR":
                    originals = [p for p in parameters if isinstance(p, torch.Tensor)]
                    for p in originals:
                        if p.grad is not None:
                            memo[id(p)].grad = of.tensor(p.grad)
                    made.step()
        except LeftOut:
            raise
        except Exception as raised:
            return raised
        return None

    expected = attempt(PYTORCH)
    if expected is None:
        raise LeftOut("PyTorch raises nothing for its own error input")
    if attempt(side) is not None:
        return []
    example = f"{name}({describe((), config.kwargs)}), {config.desc}"
    return [Fault("errors", "error not raised", f"{example}: PyTorch says {sentence(expected)}")]


def schedule_faults(case: Case, side: Side) -> list[Fault]:
    """The faults of one schedule: the learning rates of all groups, step by step, with a reload in the middle."""
    try:
        expected = lrs(PYTORCH, case)
    except Exception as error:
        try:
            lrs(side, case)
        except Exception:
            return []
        return [Fault("errors", "error not raised", f"{case.text}: PyTorch says {sentence(error)}")]
    try:
        got = lrs(side, case)
    except Exception as error:
        return [Fault("schedule", kind_of_error(error), f"{case.text}: {sentence(error)}")]
    if found := difference(expected, got):
        return [Fault("schedule", found[0], f"{case.text}: {found[1]}")]
    return []


def configs(info: Any, dtype: torch.dtype) -> Iterator[Any]:
    """The inputs of optim_db, then two groups, named parameters, and PyTorch's choices among its own implementations."""
    common = import_test_inputs("common_optimizers")
    yield from info.optim_inputs_func(device="cpu", dtype=dtype)
    lr = {"lr": 0.02}
    if info.name != "LBFGS":  # it takes one group alone
        yield common.OptimizerInput([{"params": None, "lr": 0.01}, {"params": None}], dict(lr), "two groups")
    yield common.OptimizerInput([("name", None)], dict(lr), "named parameters")
    for choice in ("foreach", "fused", "capturable"):
        if choice in info.supported_impls or choice in info.not_og_supported_flags:
            yield common.OptimizerInput(None, {**lr, choice: choice != "capturable"}, choice)


def run(side: Side, only: str | None = None, limit: int | None = None) -> Tally:
    """The whole of optim_db and of the schedules, or those whose name is `only` (a regular expression)."""
    common = import_test_inputs("common_optimizers")
    tally = Tally("optiminfo")
    if only is None:
        tally.name_family("optimizers", [(n, side.has(f"optim.{n}")) for n in names.OPTIMIZERS])
        tally.name_family("schedules", [(n, side.has(f"optim.lr_scheduler.{n}")) for n in names.SCHEDULERS])
    for info in common.optim_db:
        name = info.name
        if only is not None and not re.fullmatch(only, name):
            continue
        if name == "SparseAdam" or not side.has(f"optim.{name}"):
            tally.left_out["optimizers: sparse" if name == "SparseAdam" else "optimizers: do not exist"] += 1
            continue
        for dtype in DTYPES:
            seed()
            for config in islice(configs(info, dtype), limit):
                judge(name, tally, faults_of, name, config, side, dtype)
            errors = info.optim_error_inputs_func(device="cpu", dtype=dtype)
            for error in islice(errors, limit):
                judge(name, tally, error_faults, name, error, side, dtype)
    for case in SCHEDULES:
        if only is not None and not re.fullmatch(only, case.name):
            continue
        if not side.has(f"optim.lr_scheduler.{case.name}"):
            tally.left_out["cases of schedules that do not exist"] += 1
            continue
        judge(case.name, tally, schedule_faults, case, side)
    return tally
