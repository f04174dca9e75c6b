"""Optimizers step by step against float64 NumPy, and against PyTorch where it is installed; clipping; schedules; state."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest

import engine
from engine import _core, optim
from engine.optim import lr_scheduler
from engine.tensor import Tensor

SHAPES = [(3, 5), (), (1,), (0, 4), (130, 257), (17,), (20000,)]  # the fifth spans chunks, the others share one


def make(array: np.ndarray, device: str = "cpu") -> Tensor:
    return Tensor(_core.from_buffer(np.array(array))).to(device)


def only_on_the_cpu(dtype: type, device: str) -> None:
    if device == "cuda" and dtype is np.float64:
        pytest.skip("float64 stays on the CPU")


def draw(seed: int, dtype: type, shapes=SHAPES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(s), np.float32).astype(dtype) for s in shapes]


def adam_reference(
    p, g, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False, maximize=False
):
    """One step as in the papers, in float64."""
    if maximize:
        g = -g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    mhat, vhat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
    return p - lr * mhat / (np.sqrt(vhat) + eps), m, v


def sgd_reference(p, g, b, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    g = (-g if maximize else g) + weight_decay * p
    if momentum:
        b = g if b is None else momentum * b + (1 - dampening) * g
        g = g + momentum * b if nesterov else b
    return p - lr * g, b


ADAMS = [
    {},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-3, "maximize": True, "weight_decay": 0.1},
]
SGDS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.2, "maximize": True},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.8, "dampening": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]
STEPS = 6


def steps(make_optimizer, dtype, shapes=SHAPES, device="cpu"):
    """Parameters after each of STEPS steps with drawn gradients; one parameter skips a step."""
    params = [make(a, device).requires_grad_() for a in draw(0, dtype, shapes)]
    optimizer = make_optimizer(params)
    seen = []
    for t in range(STEPS):
        for i, (p, g) in enumerate(zip(params, draw(t + 1, dtype, shapes))):
            p.grad = None if (t, i) == (2, 0) else make(g, device)
        optimizer.step()
        seen.append([p.detach().cpu().numpy().copy() for p in params])
    return seen


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 3e-6)])
@pytest.mark.parametrize("options", ADAMS)
@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_adam(kind, options, dtype, tolerance, place, guards):
    only_on_the_cpu(dtype, place)
    found = steps(lambda params: getattr(optim, kind)(params, **options), dtype, device=place)
    for i, p in enumerate(draw(0, np.float64)):
        m = v = np.zeros(p.shape)
        t = 0
        for step in range(STEPS):
            if (step, i) != (2, 0):
                t += 1
                reference = {"weight_decay": 1e-2 if kind == "AdamW" else 0.0, **options}
                g = draw(step + 1, np.float64)[i]
                p, m, v = adam_reference(p, g, m, v, t, decoupled=kind == "AdamW", **reference)
            np.testing.assert_allclose(found[step][i], p, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 3e-6)])
@pytest.mark.parametrize("options", SGDS)
def test_sgd(options, dtype, tolerance, place, guards):
    only_on_the_cpu(dtype, place)
    found = steps(lambda params: optim.SGD(params, **options), dtype, device=place)
    for i, p in enumerate(draw(0, np.float64)):
        b = None
        for step in range(STEPS):
            if (step, i) != (2, 0):
                p, b = sgd_reference(p, draw(step + 1, np.float64)[i], b, **options)
            np.testing.assert_allclose(found[step][i], p, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-14), ("float32", 5e-7)])
@pytest.mark.parametrize(
    "kind, options", [(k, o) for k in ("Adam", "AdamW") for o in ADAMS] + [("SGD", o) for o in SGDS]
)
def test_as_pytorch(kind, options, dtype, tolerance):
    torch = pytest.importorskip("torch")
    found = steps(lambda params: getattr(optim, kind)(params, **options), getattr(np, dtype))
    params = [torch.from_numpy(a.copy()).requires_grad_() for a in draw(0, getattr(np, dtype))]
    optimizer = getattr(torch.optim, kind)(params, foreach=False, **options)
    for t in range(STEPS):
        for i, (p, g) in enumerate(zip(params, draw(t + 1, getattr(np, dtype)))):
            p.grad = None if (t, i) == (2, 0) else torch.from_numpy(g.copy())
        optimizer.step()
        for mine, theirs in zip(found[t], params):
            np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind, options", [("AdamW", {}), ("SGD", {"momentum": 0.9}), ("SGD", {})])
def test_same_bits_at_any_thread_count(kind, options, threads, isa):
    results = []
    for n in (1, 2, 3):
        threads(n)
        results.append(
            [a.tobytes() for a in steps(lambda params: getattr(optim, kind)(params, **options), np.float32)[-1]]
        )
    assert results[0] == results[1] == results[2]


def test_groups_in_one_step(device):
    """Of both dtypes on the CPU; float64 stays there."""
    n, second = (3, np.float64) if device == "cpu" else (1100, np.float32)
    a, b, c = (make(np.ones(n, d), device).requires_grad_() for d in (np.float32, np.float32, second))
    optimizer = optim.AdamW(
        [{"params": [a], "lr": 0.1}, {"params": [b, c], "weight_decay": 0.0}], lr=0.01, weight_decay=0.5
    )
    for p in (a, b, c):
        p.grad = make(np.full(n, 2.0, p.detach().cpu().numpy().dtype), device)
    optimizer.step()
    np.testing.assert_allclose(a.tolist(), 1 * (1 - 0.05) - 0.1, rtol=1e-6)
    np.testing.assert_allclose(b.tolist(), 1 - 0.01, rtol=1e-6)
    np.testing.assert_allclose(c.tolist(), 1 - 0.01 * 2 / (2 + 1e-8), rtol=1e-14 if device == "cpu" else 1e-6)


def test_grad_scale_leaves_the_gradients(device):
    n, dtype = (5, np.float64) if device == "cpu" else (1100, np.float32)
    a, b = (make(np.ones(n, dtype), device).requires_grad_() for _ in range(2))
    a.grad, b.grad = make(np.full(n, 8, dtype), device), make(np.full(n, 2, dtype), device)
    optim.SGD([a], lr=0.1).step(grad_scale=0.25)
    optim.SGD([b], lr=0.1).step()
    assert a.tolist() == b.tolist() and a.grad.tolist() == [8.0] * n


def test_closure_and_zero_grad(device):
    n = 2 if device == "cpu" else 1100
    p = engine.ones(n, device=device, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    p.grad = engine.ones(n, device=device)
    with engine.no_grad():
        assert optimizer.step(lambda: engine.is_grad_enabled()) is True
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0] * n
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()  # nothing to do
    assert p.tolist() == [0] * n


def test_strided_gradients(device):
    rows, columns = (2, 3) if device == "cpu" else (34, 33)
    values = np.arange(float(rows * columns), dtype=np.float32).reshape(columns, rows)
    p = engine.zeros(rows, columns, device=device, requires_grad=True)
    p.grad = make(values, device).T
    assert not p.grad.is_contiguous()
    optim.SGD([p], lr=1.0).step()
    assert p.tolist() == (-values.T).tolist()
    optim.clip_grad_norm_([p], 1.0)
    norm = math.sqrt((values.astype(np.float64) ** 2).sum())
    np.testing.assert_allclose(p.grad.cpu().numpy(), values.T / norm, rtol=1e-6)


def test_mistakes():
    p, q = (make(np.ones(2)).requires_grad_() for _ in range(2))
    for wrong, message in [
        (lambda: optim.SGD([]), "at least one parameter"),
        (lambda: optim.SGD([p, q, p]), r"params\[2\]: expected each parameter once"),
        (lambda: optim.SGD([{"params": [p]}, {"params": [p]}]), "each parameter once"),
        (lambda: optim.SGD([p], lr=-1), r"\[SGD\] lr: expected a number >= 0, got -1"),
        (lambda: optim.AdamW([p], betas=(0.9, 1.0)), r"\[AdamW\] betas\[1\]"),
        (lambda: optim.AdamW([p], eps=float("nan")), "eps"),
        (lambda: optim.AdamW([p], differentiable=True), "differentiable: expected False"),
        (lambda: optim.SGD([p], nesterov=True), "nesterov"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    for wrong in (lambda: optim.SGD(p), lambda: optim.SGD([1.0]), lambda: optim.SGD([make(np.arange(3))])):
        with pytest.raises(TypeError):
            wrong()
    optimizer = optim.Adam([p])
    p._grad = make(np.ones(3))
    with pytest.raises(ValueError, match=r"\[adam_step\] grads\[0\]"):
        optimizer.step()
    assert p.tolist() == [1, 1]


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda p: optim.AdamW(p, lr=0.1),
        lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    ],
)
def test_state_dict(make_optimizer, device):
    def run(first, second):
        params = [make(a, device).requires_grad_() for a in draw(0, np.float32)]
        optimizer = make_optimizer(params)
        for t in range(4):
            if t == 2 and second:
                state = copy.deepcopy(optimizer.state_dict())
                params = [make(p.detach().cpu().numpy(), device).requires_grad_() for p in params]
                optimizer = make_optimizer(params)
                optimizer.param_groups[0]["lr"] = 7.0
                optimizer.load_state_dict(state)
                assert optimizer.param_groups[0]["lr"] == 0.1
            for p, g in zip(params, draw(t + 1, np.float32)):
                p.grad = make(g, device)
            optimizer.step()
        return [p.tolist() for p in params]

    assert run(0, False) == run(0, True)


def test_state_dict_mistakes():
    params = [make(a).requires_grad_() for a in draw(0, np.float32)]
    optimizer = optim.Adam(params)
    for p in params:
        p.grad = make(np.ones(p.shape, np.float32))
    optimizer.step()
    with pytest.raises(ValueError, match="expected 1 group, got 2"):
        optimizer.load_state_dict({"state": {}, "param_groups": optimizer.state_dict()["param_groups"] * 2})
    with pytest.raises(ValueError, match=r"param_groups\[0\]: expected 2 parameters, got 7"):
        optim.Adam(params[:2]).load_state_dict(optimizer.state_dict())
    other = optim.Adam([make(np.ones((2, 2), np.float32)), *params[1:]])
    with pytest.raises(ValueError, match=r"state\[0\]\['exp_avg'\]: expected shape \(2, 2\), got \(3, 5\)"):
        other.load_state_dict(optimizer.state_dict())
    assert not other.state
    # through JSON but for the tensors: numbers become strings, tuples lists
    state = optimizer.state_dict()
    groups = json.loads(json.dumps(state["param_groups"]))
    optimizer.load_state_dict({"state": {str(k): v for k, v in state["state"].items()}, "param_groups": groups})
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999) and optimizer.state[params[0]]["step"] == 1


def test_named_parameters():
    p, q = (make(np.ones(2)).requires_grad_() for _ in range(2))
    optimizer = optim.SGD([("p", p), ("q", q)])
    assert optimizer.param_groups[0]["param_names"] == ["p", "q"] and optimizer.param_groups[0]["params"] == [p, q]
    assert "lr: 0.001" in repr(optimizer)


# ---- clipping


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, 0.5, math.inf])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_total_norm_and_clipping(norm_type, dtype, tolerance, place, guards, threads):
    only_on_the_cpu(dtype, place)
    arrays = draw(3, dtype)
    flat = np.concatenate([a.astype(np.float64).ravel() for a in arrays])
    wanted = np.abs(flat).max() if norm_type == math.inf else (np.abs(flat) ** norm_type).sum() ** (1 / norm_type)
    bits = set()
    for n in (1, 2, 3):
        threads(n)
        norm = optim.get_total_norm([make(a, place) for a in arrays], norm_type)
        assert norm.shape == () and norm.cpu().numpy().dtype == dtype
        bits.add(norm.cpu().numpy().tobytes())
        np.testing.assert_allclose(norm.item(), wanted, rtol=tolerance)
    assert len(bits) == 1
    params = [make(np.zeros(a.shape, dtype), place) for a in arrays]
    for max_norm in (2 * wanted, wanted / 3):
        for p, a in zip(params, arrays):
            p.grad = make(a, place)
        np.testing.assert_allclose(optim.clip_grad_norm_(params, max_norm, norm_type).item(), wanted, rtol=tolerance)
        factor = min(1.0, max_norm / (wanted + 1e-6))
        for p, a in zip(params, arrays):
            np.testing.assert_allclose(p.grad.cpu().numpy(), a * factor, rtol=tolerance * 2)


def test_clipping_of_nothing_and_of_nonsense(device):
    n, dtype = (3, np.float64) if device == "cpu" else (1100, np.float32)
    p = make(np.zeros(n, dtype), device)
    assert optim.clip_grad_norm_([p], 1.0).item() == 0.0
    for value in (math.nan, math.inf):
        for norm_type in (2.0, math.inf, 1.0, 3.0):
            g = np.ones(n, dtype)
            g[n // 2] = value
            p.grad = make(g, device)
            with pytest.raises(ValueError, match="finite"):
                optim.clip_grad_norm_([p], 1.0, norm_type, error_if_nonfinite=True)
            np.testing.assert_equal(optim.get_total_norm([p.grad], norm_type).item(), value)
            optim.clip_grad_norm_([p], 1.0, norm_type)
            left = p.grad.cpu().numpy()
            assert (
                np.isnan(left).all()
                if math.isnan(value)
                else np.isnan(left[n // 2]) and not np.delete(left, n // 2).any()
            )


def test_the_norm_of_both_dtypes():
    both = [make(np.full(4, 1.0, np.float32)), make(np.full(5, 2.0))]
    assert (
        optim.get_total_norm(both).item() == pytest.approx(math.sqrt(24))
        and optim.get_total_norm(both, math.inf).item() == 2
    )


def test_clip_grad_value(place, guards):
    n = 37 if place == "cpu" else 1100
    values = np.linspace(-2, 2, n, dtype=np.float32)
    p = engine.zeros(n, device=place)
    p.grad = make(values, place)
    optim.clip_grad_value_(p, 0.5)
    np.testing.assert_array_equal(p.grad.cpu().numpy(), np.clip(values, -0.5, 0.5))
    p.grad = engine.full((n,), math.nan, device=place)
    optim.clip_grad_value_([p], 1.0)
    assert np.isnan(p.grad.cpu().numpy()).all()


# ---- schedules


SCHEDULES = {
    "LambdaLR": ({"lr_lambda": lambda s: 1 / (1 + s)}, lambda s: 1 / (1 + s)),
    "ConstantLR": ({"factor": 0.5, "total_iters": 4}, lambda s: 0.5 if s < 4 else 1),
    "LinearLR": ({"start_factor": 0.1, "end_factor": 0.9, "total_iters": 4}, lambda s: 0.1 + 0.8 * min(s, 4) / 4),
    "StepLR": ({"step_size": 3, "gamma": 0.5}, lambda s: 0.5 ** (s // 3)),
    "MultiStepLR": ({"milestones": [5, 2], "gamma": 0.5}, lambda s: 0.5 ** ((s >= 2) + (s >= 5))),
    "ExponentialLR": ({"gamma": 0.9}, lambda s: 0.9**s),
    "CosineAnnealingLR": ({"T_max": 6, "eta_min": 0.0}, lambda s: (1 + math.cos(math.pi * s / 6)) / 2),
}


def run_schedule(module, optimizer, name, options, n=10):
    scheduler = getattr(module, name)(optimizer, **options)
    rates = []
    for _ in range(n):
        rates.append([g["lr"] for g in optimizer.param_groups])
        assert scheduler.get_last_lr() == rates[-1]
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    options, factor = SCHEDULES[name]

    def two_groups():
        return optim.SGD([{"params": [make(np.ones(1))]}, {"params": [make(np.ones(1))], "lr": 0.02}], lr=0.1)

    rates = run_schedule(lr_scheduler, two_groups(), name, options)
    np.testing.assert_allclose(rates, [[0.1 * factor(s), 0.02 * factor(s)] for s in range(10)], rtol=1e-12, atol=1e-18)
    scheduler = getattr(lr_scheduler, name)(two_groups(), **options)
    for _ in range(3):
        scheduler.step()
    state = json.loads(json.dumps(scheduler.state_dict()))
    fresh = two_groups()
    resumed = getattr(lr_scheduler, name)(fresh, **options)
    resumed.load_state_dict(state)
    assert resumed.last_epoch == 3
    resumed.step()
    assert [g["lr"] for g in fresh.param_groups] == rates[4]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_as_pytorch(name):
    torch = pytest.importorskip("torch")
    options = SCHEDULES[name][0]
    mine = run_schedule(lr_scheduler, optim.SGD([make(np.ones(1))], lr=0.1), name, options)
    theirs = run_schedule(torch.optim.lr_scheduler, torch.optim.SGD([torch.ones(1)], lr=0.1), name, options)
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-17)


def test_warmup():
    def rates(make_scheduler):
        optimizer = optim.SGD([make(np.ones(1))], lr=1.0)
        scheduler = make_scheduler(optimizer)
        seen = []
        for _ in range(9):
            seen.append(optimizer.param_groups[0]["lr"])
            scheduler.step()
        return seen

    assert rates(lambda o: optim.get_constant_schedule(o)) == [1] * 9
    assert rates(lambda o: optim.get_constant_schedule_with_warmup(o, 4)) == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert rates(lambda o: optim.get_constant_schedule_with_warmup(o, 0)) == [1] * 9
    assert rates(lambda o: optim.get_linear_schedule_with_warmup(o, 2, 6)) == [0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0, 0]
    cosine = rates(lambda o: optim.get_cosine_schedule_with_warmup(o, 2, 6))
    np.testing.assert_allclose(
        cosine[:7], [0, 0.5, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0], atol=1e-15
    )


def test_schedule_mistakes():
    optimizer = optim.SGD([make(np.ones(1))])
    with pytest.raises(ValueError, match="initial_lr"):
        lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
    with pytest.raises(ValueError, match="step_size"):
        lr_scheduler.StepLR(optimizer, 0)
    with pytest.raises(ValueError, match="expected 1 function, one for each parameter group, got 2"):
        lr_scheduler.LambdaLR(optimizer, [lambda s: 1.0, lambda s: 2.0])
    with pytest.raises(TypeError, match="optimizer"):
        lr_scheduler.StepLR([1], 2)  # type: ignore[arg-type]


def test_a_second_scheduler_starts_from_the_first_rate():
    p = engine.ones(1).requires_grad_()
    optimizer = optim.SGD([p], lr=0.5)
    optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)  # a warm-up's first step
    assert optimizer.param_groups[0]["lr"] == 0.0
    assert optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0).base_lrs == [0.5]
    assert optimizer.param_groups[0]["lr"] == 0.5
