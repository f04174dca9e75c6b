"""States of schedules and PyTorch's are the same dicts, in memory, in files and in JSON: each library goes on with the other's."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy

import pytest

import engine


class Decay:
    """A function with attributes, which a state keeps."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate**step


CASES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda step: 0.9**step),
    "LambdaLR, an object": lambda s, o: s.LambdaLR(o, Decay(0.8)),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda step: 0.9),
    "MultiplicativeLR, an object": lambda s, o: s.MultiplicativeLR(o, Decay(0.95)),
    "ConstantLR": lambda s, o: s.ConstantLR(o, total_iters=6),
    "LinearLR": lambda s, o: s.LinearLR(o, total_iters=9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, total_iters=9),
    "StepLR": lambda s, o: s.StepLR(o, 3),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 6, 6, 7]),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 9),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9),
    "CyclicLR, a function": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 3, scale_fn=lambda x: 1 / x),
    "CyclicLR, an object": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 3, scale_fn=Decay(0.7)),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, 20),
    "OneCycleLR, three phases": lambda s, o: s.OneCycleLR(o, 0.1, 20, three_phase=True, anneal_strategy="linear"),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=1),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, total_iters=3), s.MultiStepLR(o, [1, 1, 2])], [4]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.LinearLR(o, total_iters=3), s.MultiStepLR(o, [1, 6])]),
}


def made(library, name):
    optimizer = library.optim.SGD([library.nn.Parameter(library.ones(2))], lr=0.1, momentum=0.9)
    return optimizer, CASES[name](library.optim.lr_scheduler, optimizer)


def steps(optimizer, schedule, n):
    rates = []
    for _ in range(n):
        optimizer.step()
        schedule.step(*([1.0] if type(schedule).__name__ == "ReduceLROnPlateau" else []))
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def after_five(library, name):
    optimizer, schedule = made(library, name)
    steps(optimizer, schedule, 5)
    state = {"optimizer": deepcopy(optimizer.state_dict()), "schedule": deepcopy(schedule.state_dict())}
    return state, steps(optimizer, schedule, 6)


def gone_on(library, name, state):
    optimizer, schedule = made(library, name)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return steps(optimizer, schedule, 6)


@pytest.mark.parametrize("name", CASES)
def test_both_ways_with_pytorch_through_files(name, tmp_path):
    torch = pytest.importorskip("torch")
    (theirs, rates), (mine, my_rates) = after_five(torch, name), after_five(engine, name)
    assert my_rates == pytest.approx(rates, abs=1e-12)
    torch.save(theirs, tmp_path / "theirs.pt")
    engine.save(mine, tmp_path / "mine.pt")
    assert gone_on(engine, name, engine.load(tmp_path / "theirs.pt")) == pytest.approx(rates, abs=1e-12)
    assert gone_on(torch, name, torch.load(tmp_path / "mine.pt")) == pytest.approx(rates, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name != "CosineAnnealingWarmRestarts"])
def test_the_dicts_are_the_same(name):  # torch's warm restarts count no steps
    torch = pytest.importorskip("torch")
    theirs, mine = (after_five(library, name)[0]["schedule"] for library in (torch, engine))
    assert mine.keys() == theirs.keys()
    if "_schedulers" not in mine:
        for key, value in theirs.items():
            if key == "_last_lr":
                assert mine[key] == pytest.approx(value, abs=1e-12)
            else:
                assert mine[key] == value


@pytest.mark.parametrize("name", CASES)
def test_through_json(name):
    state, rates = after_five(engine, name)
    state["schedule"] = json.loads(json.dumps(state["schedule"]))
    assert gone_on(engine, name, state) == rates


@pytest.mark.parametrize(
    "milestones", [[2, 6, 6, 7], {2: 1, 6: 2, 7: 1}, {"2": 1, "6": 2, "7": 1}, Counter([2, 6, 6, 7])]
)
def test_milestones_of_a_state(milestones):
    state, rates = after_five(engine, "MultiStepLR")
    state["schedule"]["milestones"] = milestones
    assert gone_on(engine, "MultiStepLR", state) == rates


def test_older_states_of_engine():
    """They have no entries for functions, and other names of the phases."""
    for name in ("LambdaLR", "CyclicLR", "OneCycleLR"):
        state, rates = after_five(engine, name)
        schedule = state["schedule"]
        for key in ("lr_lambdas", "_scale_fn_custom"):
            schedule.pop(key, None)
        if name == "OneCycleLR":
            schedule["anneal_strategy"] = schedule.pop("_anneal_func_type")
            schedule["phases"] = [list(phase.values()) for phase in schedule.pop("_schedule_phases")]
        assert gone_on(engine, name, state) == rates


def test_attributes_of_an_object_come_back():
    state, _ = after_five(engine, "LambdaLR, an object")
    _, schedule = made(engine, "LambdaLR, an object")
    state["schedule"]["lr_lambdas"][0]["rate"] = 0.25
    schedule.load_state_dict(state["schedule"])
    assert schedule.lr_lambdas[0].rate == 0.25


def test_swa_both_ways():
    torch = pytest.importorskip("torch")
    states = []
    for library in (torch, engine):
        optimizer = library.optim.SGD([library.nn.Parameter(library.ones(2))], lr=0.1)
        schedule = library.optim.swa_utils.SWALR(optimizer, 0.05, 3, "linear")
        steps(optimizer, schedule, 2)
        states.append(schedule.state_dict())
    assert states[0] == states[1]
