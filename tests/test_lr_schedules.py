"""All learning-rate schedules against PyTorch and by their definitions; several together; states; mistakes."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

import engine
from engine import optim
from engine.optim import lr_scheduler

STEPS = 30

CASES = [
    ("MultiplicativeLR", {"lr_lambda": lambda step: 0.9 if step % 2 else 0.8}),
    ("MultiplicativeLR", {"lr_lambda": [lambda step: 0.9, lambda step: 1.1]}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 12, "power": 1.7}),
    ("ConstantLR", {"total_iters": 3}),
    ("LinearLR", {"total_iters": 9, "start_factor": 0.1}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.001}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.002}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4}),
    ("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": 0.1, "step_size_up": 4, "step_size_down": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "exp_range", "gamma": 0.95}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "scale_fn": math.sqrt, "scale_mode": "iterations"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": STEPS}),
    ("OneCycleLR", {"max_lr": [0.1, 0.2], "epochs": 6, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 40, "three_phase": True, "pct_start": 0.25, "div_factor": 5.0}),
]  # fmt: skip


def two_groups(library, kind="SGD", lr=0.05):
    groups = [{"params": [library.ones(1)]}, {"params": [library.ones(1)], "lr": 0.02}]
    return getattr(library.optim, kind)(groups, lr=lr, **({"momentum": 0.9} if kind == "SGD" else {}))


def rates(optimizer):
    return [(float(g["lr"]), g["momentum"] if "momentum" in g else g["betas"][0]) for g in optimizer.param_groups]


def run(optimizer, scheduler, n=STEPS):
    seen = [rates(optimizer)]
    for _ in range(n):
        optimizer.step()
        scheduler.step()
        seen.append(rates(optimizer))
        assert scheduler.get_last_lr() == [lr for lr, _ in seen[-1]]
    return seen


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name, options", CASES)
def test_as_pytorch(name, options, kind):
    torch = pytest.importorskip("torch")
    seen = []
    for library in (engine, torch):
        optimizer = two_groups(library, kind)
        seen.append(run(optimizer, getattr(library.optim.lr_scheduler, name)(optimizer, **options)))
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name, options", CASES)
def test_a_resumed_schedule_has_the_same_bits(name, options):
    whole = two_groups(engine)
    expected = run(whole, getattr(lr_scheduler, name)(whole, **options))
    first = two_groups(engine)
    scheduler = getattr(lr_scheduler, name)(first, **options)
    assert run(first, scheduler, 11) == expected[:12]
    state = json.loads(json.dumps(scheduler.state_dict()))
    second = two_groups(engine)
    resumed = getattr(lr_scheduler, name)(second, **options)
    resumed.load_state_dict(state)
    assert [lr for lr, _ in rates(second)] == [lr for lr, _ in expected[11]]
    assert run(second, resumed, STEPS - 11)[1:] == expected[12:]


PARTS = {
    "one after the other": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.CosineAnnealingLR(o, 9)], [3, 8]
    ),
    "warm-up and cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.01, total_iters=5), s.CosineAnnealingLR(o, 20)], milestones=[5]
    ),
    "together": lambda s, o: s.ChainedScheduler([s.LinearLR(o, total_iters=6), s.StepLR(o, 4, 0.5), s.ExponentialLR(o, 0.98)]),
    "nested": lambda s, o: s.SequentialLR(
        o, [s.ChainedScheduler([s.ConstantLR(o, 0.5, 3), s.StepLR(o, 2, 0.9)]), s.StepLR(o, 3, 0.5)], [6]
    ),
    "restarts": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingWarmRestarts(o, 5)], [4]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # about a step of the schedule before one of the optimizer
@pytest.mark.parametrize("name", PARTS)
def test_combined_as_pytorch(name):
    torch = pytest.importorskip("torch")
    seen = []
    for library in (engine, torch):
        optimizer = two_groups(library)
        seen.append(run(optimizer, PARTS[name](library.optim.lr_scheduler, optimizer)))
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PARTS)
def test_combined_states(name):
    whole = two_groups(engine)
    expected = run(whole, PARTS[name](lr_scheduler, whole))
    first = two_groups(engine)
    scheduler = PARTS[name](lr_scheduler, first)
    run(first, scheduler, 7)
    second = two_groups(engine)
    resumed = PARTS[name](lr_scheduler, second)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert run(second, resumed, STEPS - 7) == expected[7:]


def test_a_combined_schedule_may_come_second():
    """PyTorch cannot do this: its combined schedules have no `get_lr`."""
    s, optimizer = lr_scheduler, optim.SGD([engine.ones(1)], lr=1.0)
    together = s.ChainedScheduler([s.StepLR(optimizer, 2, 0.1), s.ExponentialLR(optimizer, 0.5)])
    inner = s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.5, 9), s.ExponentialLR(optimizer, 0.9)], [2])
    whole = s.SequentialLR(optimizer, [s.ConstantLR(optimizer, 0.25, 9), together, inner], [2, 5])
    seen = []
    for _ in range(9):
        seen.append(optimizer.param_groups[0]["lr"])
        whole.step()
    np.testing.assert_allclose(seen, [0.25, 0.25, 1.0, 0.5, 0.025, 0.5, 0.5, 1.0, 0.9])


def test_two_schedules_of_one_optimizer_multiply():
    optimizer = optim.SGD([engine.ones(1)], lr=1.0)
    first, second = lr_scheduler.ExponentialLR(optimizer, 0.9), lr_scheduler.StepLR(optimizer, 2, 0.1)
    seen = []
    for _ in range(4):
        first.step()
        second.step()
        seen.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(seen, [0.9, 0.081, 0.0729, 0.006561], rtol=1e-12)


def test_step_to_an_epoch():
    for make, expected in [
        (lambda o: lr_scheduler.StepLR(o, 2, 0.5), 0.25),
        (lambda o: lr_scheduler.LinearLR(o, 0.2, 1.0, 8), 0.7),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 10), 0.5),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10), 0.5),
    ]:
        optimizer = optim.SGD([engine.ones(1)], lr=1.0)
        scheduler = make(optimizer)
        scheduler.step(1)
        scheduler.step(5)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected) and scheduler.last_epoch == 5
    scheduler.step(12.5)  # a quarter of the way into the second cosine
    assert scheduler.get_last_lr() == [pytest.approx((1 + math.cos(math.pi / 4)) / 2)]


PLATEAUS = [
    {},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"mode": "max", "patience": 0, "threshold": 0.05, "threshold_mode": "abs"},
    {"mode": "max", "patience": 2, "threshold": 0.05},
    {"patience": 0, "min_lr": [0.02, 0.01], "eps": 1e-3},
    {"patience": 1, "threshold_mode": "abs", "threshold": 0.2},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateaus(options):
    metrics = [3.0, 2.5, 2.5, 2.6, 2.4, 2.39, 2.38, -1.0, -1.5, -1.5, math.nan, 0.0, 0.1, *[0.2] * 15]

    def follow(library, restart=None):
        optimizer = two_groups(library)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        seen = []
        for step, metric in enumerate(metrics):
            if step == restart:
                state = json.loads(json.dumps(scheduler.state_dict()))
                optimizer = two_groups(library)
                scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
                scheduler.load_state_dict(state)
            scheduler.step(library.tensor(metric) if step % 2 else metric)
            seen.append([lr for lr, _ in rates(optimizer)])
            assert scheduler.get_last_lr() == seen[-1]
        return seen

    found = follow(engine)
    assert found == follow(engine, restart=9)
    assert found[-1][0] < 0.05
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(found, follow(torch), rtol=1e-9)


def test_a_tensor_as_rate_is_written_in_place():
    lr = engine.tensor(0.5, dtype=engine.float64)
    optimizer = optim.SGD([engine.ones(1)], lr=lr)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    scheduler.step()
    assert lr.item() == 0.25 and optimizer.param_groups[0]["lr"] is lr and scheduler.get_last_lr() == [0.25]
    assert optimizer.param_groups[0]["initial_lr"] == 0.5


def test_a_schedule_of_ones_own():
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optim.SGD([engine.ones(1)], lr=1.0)
    scheduler = Halving(optimizer)
    scheduler.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.25
    with pytest.raises(NotImplementedError, match="get_lr"):
        lr_scheduler.LRScheduler(optimizer)


def test_going_on_with_last_epoch():
    optimizer = optim.SGD([{"params": [engine.ones(1)], "lr": 0.25, "initial_lr": 1.0}], lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5, last_epoch=3)
    assert optimizer.param_groups[0]["lr"] == 0.25 and scheduler.last_epoch == 4
    scheduler.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.125


def test_mistakes():
    optimizer, other = two_groups(engine), two_groups(engine)
    s = lr_scheduler
    plain = s.StepLR(optimizer, 2)
    for wrong, message in [
        (lambda: s.ConstantLR(optimizer, 1.5), r"\[ConstantLR\] factor: expected a number in \[0, 1\], got 1.5"),
        (lambda: s.LinearLR(optimizer, 0.0), "start_factor"),
        (lambda: s.LinearLR(optimizer, 0.5, -0.1), "end_factor"),
        (
            lambda: s.MultiplicativeLR(optimizer, [lambda step: 1.0]),
            "expected 2 functions, one for each parameter group",
        ),
        (lambda: s.CosineAnnealingWarmRestarts(optimizer, 0), "T_0"),
        (lambda: s.CosineAnnealingWarmRestarts(optimizer, 5, 1.5), "T_mult"),
        (lambda: s.CyclicLR(optimizer, 0.1, 0.2, mode="square"), "mode"),
        (lambda: s.CyclicLR(optimizer, [0.1], 0.2), "base_lr: expected 2 values, one for each parameter group, got 1"),
        (lambda: s.CyclicLR(optim.Adagrad([engine.ones(1)]), 0.1, 0.2), "cycle_momentum"),
        (lambda: s.OneCycleLR(optimizer, 0.1), "epochs"),
        (lambda: s.OneCycleLR(optimizer, 0.1, total_steps=0), "total_steps"),
        (lambda: s.OneCycleLR(optimizer, 0.1, 10, pct_start=1.5), "pct_start"),
        (lambda: s.OneCycleLR(optimizer, 0.1, 10, anneal_strategy="step"), "anneal_strategy"),
        (lambda: s.ReduceLROnPlateau(optimizer, factor=1.0), "factor"),
        (lambda: s.ReduceLROnPlateau(optimizer, mode="least"), "mode"),
        (lambda: s.ReduceLROnPlateau(optimizer, threshold_mode="x"), "threshold_mode"),
        (lambda: s.ReduceLROnPlateau(optimizer, min_lr=[0.1]), "min_lr"),
        (lambda: s.SequentialLR(optimizer, [plain], [3]), "milestones: expected 0"),
        (lambda: s.SequentialLR(optimizer, [], []), "at least one schedule"),
        (lambda: s.SequentialLR(other, [plain], []), "of the same optimizer"),
        (lambda: s.SequentialLR(optimizer, [plain, s.ReduceLROnPlateau(optimizer)], [1]), "takes no metric"),
        (lambda: s.ChainedScheduler([]), "at least one schedule"),
        (lambda: s.ChainedScheduler([plain, s.StepLR(other, 2)]), "of the same optimizer"),
        (lambda: plain.load_state_dict({}), "last_epoch"),
        (lambda: plain.load_state_dict({**plain.state_dict(), "_last_lr": [0.1]}), "the rates of 2 parameter groups"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="schedule"):
        s.ChainedScheduler([1])  # type: ignore[list-item]
    once = s.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(3):
        once.step()
    with pytest.raises(ValueError, match="at most 3 steps"):
        once.step()


def test_schedules_of_ones_own_as_pytorch():
    torch = pytest.importorskip("torch")
    found = []
    for T in (engine, torch):
        told = []

        class Halved(T.optim.lr_scheduler._LRScheduler):
            def __init__(self, optimizer, told=told):
                self.told = told
                super().__init__(optimizer)

            def _initial_step(self):
                self.told.append("first")
                super()._initial_step()

            def get_lr(self):
                self.told.append((self._get_lr_called_within_step, self._is_initial))
                return [base * 0.5**self.last_epoch for base in self.base_lrs]

            def _get_closed_form_lr(self):
                return [7.0 for _ in self.base_lrs]

        optimizer = T.optim.SGD([T.ones(1, requires_grad=True)], lr=1.0)
        schedule = Halved(optimizer)
        rates = [schedule.get_last_lr()]
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch speaks against step(epoch)
            schedule.step(5)
        rates.append(schedule.get_last_lr())
        found.append((told, rates, schedule.last_epoch, optimizer.param_groups[0]["lr"]))
    assert found[0] == found[1] and found[0][1] == [[1.0], [0.5], [7.0]]


def test_a_schedule_whose_step_writes_the_rates_itself():
    class Own(optim.lr_scheduler.LRScheduler):
        def step(self, epoch=None):
            self.last_epoch += 1
            for group in self.optimizer.param_groups:
                group["lr"] = 1.0 / (2 + self.last_epoch)

    optimizer = optim.SGD([engine.ones(1, requires_grad=True)], lr=1.0)
    schedule = Own(optimizer)
    assert schedule.get_last_lr() == [0.5]
    state = schedule.state_dict()
    schedule.step()
    schedule.load_state_dict(state)
    assert schedule.last_epoch == 0 and schedule.get_last_lr() == [1 / 3]


def test_update_bn_asks_only_modules_that_have_statistics():
    class Norm(engine.nn.Module):
        momentum = 0.1

        def reset_running_stats(self):
            self.seen = []

        def forward(self, x):
            self.seen.append((x.item(), self.momentum, self.training))
            return x

    optim.swa_utils.update_bn(None, engine.nn.Linear(1, 1))  # does not touch the data
    model = engine.nn.Sequential(Norm()).eval()
    optim.swa_utils.update_bn([engine.ones(1), (engine.zeros(1), "label")], model)
    assert model[0].seen == [(1, None, True), (0, None, True)] and model[0].momentum == 0.1 and not model.training
