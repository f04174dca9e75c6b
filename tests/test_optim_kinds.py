"""The optimizers that are made of tensor ops, and what all optimizers share: forms of arguments, copies, errors, states of PyTorch."""

from __future__ import annotations

import copy
import io
import math
import pickle

import numpy as np
import pytest

import engine
from engine import _core, nn, optim
from engine.tensor import Tensor

STEPS = 7
MATRICES = [(5, 4), (3, 3), (2, 6)]
SHAPES = [(5, 4), (3,), (), (1,), (2, 3, 4), (0, 4)]
NOT_EMPTY = SHAPES[:-1]  # PyTorch's Adafactor divides by the number of elements

CASES = [
    ("Adam", {"amsgrad": True, "lr": 0.05, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "maximize": True}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1, "lr": 0.05}),
    ("AdamW", {"amsgrad": True, "lr": 0.05}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-5, "weight_decay": 0.1, "momentum": 0.7, "centered": True}),
    ("RMSprop", {"maximize": True, "momentum": 0.9}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.7, "rho": 0.6, "eps": 1e-3, "weight_decay": 0.2, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.7, 0.8), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.7, 0.8), "weight_decay": 0.1, "momentum_decay": 0.01}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.7, 0.8), "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 2, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.05, "etas": (0.3, 1.7), "step_sizes": (0.01, 0.1), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-6, 0.01), "d": 2.0, "weight_decay": 0.1, "maximize": True}),
]  # fmt: skip


def make(array: np.ndarray) -> Tensor:
    return Tensor(_core.from_buffer(np.array(array)))


def draw(seed: int, dtype: type, shapes=SHAPES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), np.float32).astype(dtype) for shape in shapes]


def gradient_of(step: int, dtype: type, shapes=SHAPES) -> list[np.ndarray | None]:
    """Each step's gradients; the second parameter has none in step 2, so that step numbers differ."""
    found: list[np.ndarray | None] = list(draw(step + 1, dtype, shapes))
    if step == 2:
        found[1] = None
    return found


def train(optimizer, params, dtype, steps=range(STEPS), shapes=SHAPES) -> None:
    for step in steps:
        for p, g in zip(params, gradient_of(step, dtype, shapes)):
            p.grad = None if g is None else make(g)
        optimizer.step()


def trained(kind, options, dtype, shapes=SHAPES) -> list[np.ndarray]:
    params = [make(a).requires_grad_() for a in draw(0, dtype, shapes)]
    train(getattr(optim, kind)(params, **options), params, dtype, shapes=shapes)
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-6), ("float32", 2e-5)])
@pytest.mark.parametrize("kind, options", CASES)
def test_as_pytorch(kind, options, dtype, tolerance):
    """1e-6 in float64: PyTorch keeps NAdam's product and ASGD's rate as float32."""
    torch = pytest.importorskip("torch")
    dtype, shapes = getattr(np, dtype), NOT_EMPTY if kind == "Adafactor" else SHAPES
    found = trained(kind, options, dtype, shapes)
    params = [torch.from_numpy(a.copy()).requires_grad_() for a in draw(0, dtype, shapes)]
    optimizer = getattr(torch.optim, kind)(params, foreach=False, **options)
    for step in range(STEPS):
        for p, g in zip(params, gradient_of(step, dtype, shapes)):
            p.grad = None if g is None else torch.from_numpy(g.copy())
        optimizer.step()
    for mine, theirs in zip(found, params):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["Adam", "RMSprop", "Adamax", "NAdam", "Rprop", "Adafactor", "Muon"])
def test_on_a_device(kind, device):
    shape = (3, 5) if device == "cpu" else (34, 33)
    options = {"amsgrad": True} if kind == "Adam" else {}
    (start,), gradients = draw(0, np.float32, [shape]), [draw(step + 1, np.float32, [shape])[0] for step in range(3)]
    results = []
    for where in ("cpu", device):
        p = make(start).to(where).requires_grad_()
        optimizer = getattr(optim, kind)([p], **options)
        for g in gradients:
            p.grad = make(g).to(where)
            optimizer.step()
        state = optimizer.state_dict()
        again = getattr(optim, kind)([make(start).requires_grad_()], **options)
        again.load_state_dict(state)  # moves to the parameter's device
        assert all(not v.is_cuda for s in again.state.values() for v in s.values() if isinstance(v, Tensor))
        results.append(p.detach().cpu().numpy())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=2e-4 if kind == "Muon" else 1e-6)


# ---- against the formulas, in NumPy's float64


def rmsprop(p, gradients, lr=0.01, alpha=0.99, eps=1e-8):
    square = np.zeros_like(p)
    for g in gradients:
        square = alpha * square + (1 - alpha) * g**2
        p = p - lr * g / (np.sqrt(square) + eps)
    return p


def adagrad(p, gradients, lr=0.01, eps=1e-10):
    total = np.zeros_like(p)
    for g in gradients:
        total = total + g**2
        p = p - lr * g / (np.sqrt(total) + eps)
    return p


def adadelta(p, gradients, lr=1.0, rho=0.9, eps=1e-6):
    square = moved = np.zeros_like(p)
    for g in gradients:
        square = rho * square + (1 - rho) * g**2
        delta = np.sqrt(moved + eps) / np.sqrt(square + eps) * g
        moved = rho * moved + (1 - rho) * delta**2
        p = p - lr * delta
    return p


def adamax(p, gradients, lr=0.002, betas=(0.9, 0.999), eps=1e-8):
    mean = largest = np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        mean = betas[0] * mean + (1 - betas[0]) * g
        largest = np.maximum(betas[1] * largest, np.abs(g) + eps)
        p = p - lr / (1 - betas[0] ** t) * mean / largest
    return p


def amsgrad(p, gradients, lr=0.001, betas=(0.9, 0.999), eps=1e-8):
    mean = square = largest = np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        mean = betas[0] * mean + (1 - betas[0]) * g
        square = betas[1] * square + (1 - betas[1]) * g**2
        largest = np.maximum(largest, square)
        p = p - lr * (mean / (1 - betas[0] ** t)) / (np.sqrt(largest / (1 - betas[1] ** t)) + eps)
    return p


def rprop(p, gradients, lr=0.01):
    size, before = np.full_like(p, lr), np.zeros_like(p)
    for g in gradients:
        size = np.clip(size * np.where(g * before > 0, 1.2, np.where(g * before < 0, 0.5, 1)), 1e-6, 50)
        g = np.where(g * before < 0, 0, g)
        p, before = p - np.sign(g) * size, g
    return p


@pytest.mark.parametrize(
    "kind, options, formula",
    [
        ("RMSprop", {}, rmsprop),
        ("Adagrad", {}, adagrad),
        ("Adadelta", {}, adadelta),
        ("Adamax", {}, adamax),
        ("Adam", {"amsgrad": True}, amsgrad),
        ("Rprop", {}, rprop),
    ],
)
def test_as_the_formula(kind, options, formula):
    found = trained(kind, options, np.float64)
    for i, start in enumerate(draw(0, np.float64)):
        gradients = [gradient_of(step, np.float64)[i] for step in range(STEPS)]
        expected = formula(start, [g for g in gradients if g is not None])
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-12)


def test_muon_moves_towards_an_orthogonal_matrix():
    p = make(np.zeros((6, 4), np.float32)).requires_grad_()
    optimizer = optim.Muon([p], lr=1.0, momentum=0.0, weight_decay=0.0)
    p.grad = make(draw(3, np.float32, [(6, 4)])[0])
    optimizer.step()
    values = np.linalg.svd(p.detach().numpy(), compute_uv=False) / math.sqrt(6 / 4)
    assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}])
def test_muon_as_pytorch(options):
    torch = pytest.importorskip("torch")
    found = trained("Muon", {"lr": 0.02, **options}, np.float32, MATRICES)
    params = [torch.from_numpy(a.copy()).requires_grad_() for a in draw(0, np.float32, MATRICES)]
    optimizer = torch.optim.Muon(params, lr=0.02, **options)
    for step in range(STEPS):
        for p, g in zip(params, gradient_of(step, np.float32, MATRICES)):
            p.grad = None if g is None else torch.from_numpy(g.copy())
        optimizer.step()
    for mine, theirs in zip(found, params):  # a rounding to bfloat16 may go the other way
        np.testing.assert_allclose(mine, theirs.detach().numpy(), atol=2e-3)


# ---- LBFGS


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_as_pytorch(search):
    torch = pytest.importorskip("torch")
    losses = []
    for library in (engine, torch):
        x = library.tensor([-1.2, 1.0, 0.5], dtype=library.float64).requires_grad_()
        other = library.tensor(0.3, dtype=library.float64).requires_grad_()
        lr = 1.0 if search else 1e-3
        optimizer = library.optim.LBFGS([x, other], lr=lr, line_search_fn=search, history_size=3, max_iter=9)

        def closure(optimizer=optimizer, x=x, other=other):
            optimizer.zero_grad()
            loss = rosenbrock(x) + (other - 2) ** 2
            loss.backward()
            return loss.detach()

        losses.append([float(optimizer.step(closure)) for _ in range(6)] + x.tolist())
    # Each evaluation multiplies the roundings of the one before.
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4, atol=1e-9)


def test_lbfgs_solves_a_quadratic():
    matrix = np.array([[3.0, 1.0], [1.0, 2.0]])
    x = make(np.zeros(2)).requires_grad_()
    unused = make(np.ones(3)).requires_grad_()
    optimizer = optim.LBFGS([x, unused], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * (x @ (make(matrix) @ x)) - x.sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(x.tolist(), np.linalg.solve(matrix, [1, 1]), rtol=1e-6)
    assert unused.tolist() == [1, 1, 1]


def test_lbfgs_mistakes():
    p, q = (make(np.ones(2)).requires_grad_() for _ in range(2))
    with pytest.raises(ValueError, match="one parameter group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="line_search_fn"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(TypeError, match="closure"):
        optim.LBFGS([p]).step()
    with pytest.raises(ValueError, match="grad_scale"):
        optim.LBFGS([p]).step(lambda: p.sum(), grad_scale=0.5)


# ---- copies and states

KINDS = [
    *((kind, options) for kind, options in CASES if options),
    ("SGD", {"momentum": 0.9}),
    ("AdamW", {}),
    ("Muon", {"lr": 0.1}),
]


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "state_dict"])
@pytest.mark.parametrize("kind, options", KINDS)
def test_a_copy_goes_on_with_the_same_bits(kind, options, how):
    shapes = MATRICES if kind == "Muon" else SHAPES
    params = [make(a).requires_grad_() for a in draw(0, np.float32, shapes)]
    optimizer = getattr(optim, kind)(params, **options)
    train(optimizer, params, np.float32, range(3), shapes)
    if how == "state_dict":
        others = [make(p.detach().numpy()).requires_grad_() for p in params]
        other = getattr(optim, kind)(others, **options)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    else:
        other = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
        others = other.param_groups[0]["params"]
        assert all(mine is not theirs for mine, theirs in zip(others, params))
    train(optimizer, params, np.float32, range(3, STEPS), shapes)
    train(other, others, np.float32, range(3, STEPS), shapes)
    assert [p.tolist() for p in others] == [p.tolist() for p in params]


def test_a_table_of_which_rows_were_used_can_be_copied():
    table = nn.Embedding(50, 4)
    optimizer = optim.AdamW(table.parameters(), lr=0.1)
    for _ in range(2):
        table(engine.tensor([1, 2])).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    other = copy.deepcopy(optimizer)
    (copied,) = other.param_groups[0]["params"]
    copied.grad = engine.ones(50, 4)
    table.weight.grad = engine.ones(50, 4)
    optimizer.step()
    other.step()
    assert copied.tolist() == table.weight.tolist()


@pytest.mark.parametrize("kind, options", [case for case in KINDS if case[0] != "Muon"])
def test_states_go_to_pytorch_and_back(kind, options):
    torch = pytest.importorskip("torch")
    shapes = NOT_EMPTY if kind == "Adafactor" else SHAPES
    params = [make(a).requires_grad_() for a in draw(0, np.float64, shapes)]
    optimizer = getattr(optim, kind)(params, **options)
    train(optimizer, params, np.float64, range(2), shapes)
    theirs = [torch.from_numpy(p.detach().numpy().copy()).requires_grad_() for p in params]
    their_optimizer = getattr(torch.optim, kind)(theirs, foreach=False, **options)
    state = optimizer.state_dict()
    as_torch = {
        number: {k: torch.from_numpy(v.numpy().copy()) if isinstance(v, Tensor) else v for k, v in entries.items()}
        for number, entries in state["state"].items()
    }
    groups = [{**their_optimizer.state_dict()["param_groups"][0], **state["param_groups"][0]}]
    their_optimizer.load_state_dict({"state": as_torch, "param_groups": groups})
    for p, g in zip(theirs, gradient_of(3, np.float64, shapes)):
        p.grad = torch.from_numpy(g.copy())
    their_optimizer.step()
    back = getattr(optim, kind)(params, **options)
    saved = copy.deepcopy(their_optimizer.state_dict())
    for entries in saved["state"].values():
        entries.update({k: make(v.numpy()) for k, v in entries.items() if isinstance(v, torch.Tensor)})
    train(optimizer, params, np.float64, [3], shapes)
    back.load_state_dict(saved)
    for mine, other in zip(params, theirs):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-6, atol=1e-6)
    for p in params:
        for key, value in optimizer.state[p].items():
            other = back.state[p][key]
            np.testing.assert_allclose(
                *(v.numpy() if isinstance(v, Tensor) else v for v in (other, value)), rtol=1e-5, atol=1e-8
            )


def test_a_state_can_be_saved_with_engine_pickle():
    p = make(np.ones(3)).requires_grad_()
    optimizer = optim.NAdam([p])
    train(optimizer, [p], np.float64, [0], [(3,)])
    file = io.BytesIO()
    pickle.dump(optimizer.state_dict(), file)
    file.seek(0)
    again = optim.NAdam([p])
    again.load_state_dict(pickle.load(file))
    assert again.state[p]["step"] == 1 and again.state[p]["mu_product"] == optimizer.state[p]["mu_product"]


# ---- arguments


def test_a_tensor_as_rate():
    p, q = (make(np.ones(3)).requires_grad_() for _ in range(2))
    lr = engine.tensor(0.5, dtype=engine.float64)
    for kind in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"):
        one, other = getattr(optim, kind)([p], lr=lr), getattr(optim, kind)([q], lr=0.5)
        train(one, [p], np.float64, range(2), [(3,)])
        train(other, [q], np.float64, range(2), [(3,)])
        assert p.tolist() == q.tolist()
    with pytest.raises(ValueError, match="lr: expected one element"):
        optim.SGD([p], lr=engine.ones(2))
    with pytest.raises(ValueError, match="foreach"):
        optim.Adam([p], lr=lr, foreach=True)
    betas = (engine.tensor(0.5, dtype=engine.float64), engine.tensor(0.75, dtype=engine.float64))
    one, other = optim.Adam([p], betas=betas), optim.Adam([q], betas=(0.5, 0.75))
    train(one, [p], np.float64, range(2), [(3,)])
    train(other, [q], np.float64, range(2), [(3,)])
    assert p.tolist() == q.tolist()


def test_what_has_a_meaning_in_pytorch_alone():
    p = make(np.ones(2)).requires_grad_()
    for kind in ("Adam", "AdamW", "RMSprop", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"):
        getattr(optim, kind)([p], capturable=True, foreach=False)
        with pytest.raises(ValueError, match="differentiable"):
            getattr(optim, kind)([p], differentiable=True)
    for kind in ("Adam", "AdamW", "SGD", "Adagrad"):
        getattr(optim, kind)([p], fused=True)
        with pytest.raises(RuntimeError, match="fused"):
            getattr(optim, kind)([p], fused=True, foreach=True)


@pytest.mark.parametrize(
    "kind, options, message",
    [
        ("RMSprop", {"alpha": -0.1}, "alpha"),
        ("RMSprop", {"momentum": -1.0}, "momentum"),
        ("Adadelta", {"rho": 1.1}, "rho"),
        ("Adagrad", {"lr_decay": -0.5}, "lr_decay"),
        ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        ("Adamax", {"betas": (0.0, 1.0)}, r"betas\[1\]"),
        ("NAdam", {"momentum_decay": -0.2}, "momentum_decay"),
        ("RAdam", {"weight_decay": -1.0}, "weight_decay"),
        ("ASGD", {"weight_decay": -0.5}, "weight_decay"),
        ("Rprop", {"etas": (1.0, 0.5)}, "etas"),
        ("Adafactor", {"beta2_decay": 0.8}, "beta2_decay"),
        ("Adafactor", {"eps": (-1e-30, 1e-3)}, r"eps\[0\]"),
        ("Adafactor", {"eps": (None, -1.0)}, r"eps\[1\]"),
        ("Adafactor", {"d": 0.0}, "d: expected"),
        ("Muon", {"adjust_lr_fn": "rms"}, "adjust_lr_fn"),
        ("Muon", {"ns_steps": 100}, "ns_steps"),
        ("Muon", {"ns_coefficients": (1.0, 2.0)}, "ns_coefficients"),
        ("Adam", {"betas": (0.5, engine.tensor(0.9))}, "betas"),
    ],
)
def test_values_out_of_range(kind, options, message):
    p = make(np.ones((2, 2))).requires_grad_()
    with pytest.raises(ValueError, match=rf"\[{kind}\] .*{message}"):
        getattr(optim, kind)([p], **options)
    if kind == "Muon":
        with pytest.raises(ValueError, match="matrix"):
            optim.Muon([make(np.ones(2))])


def test_a_generator_in_a_group_serves_two_optimizers():
    parameters = [make(np.ones(2)).requires_grad_() for _ in range(3)]
    groups = [{"params": (p for p in parameters), "lr": 0.5}]
    first, second = optim.SGD(groups), optim.Adam(groups)
    assert first.param_groups[0]["params"] == second.param_groups[0]["params"] == parameters
    one = iter(parameters)
    optim.SGD(one)
    with pytest.raises(ValueError, match="at least one parameter"):
        optim.SGD(one)


def test_forms_of_parameters():
    p, q = (make(np.ones(2)).requires_grad_() for _ in range(2))
    with pytest.raises(TypeError, match="an order, as a list has, got set"):
        optim.SGD([{"params": {p, q}}])
    with pytest.raises(ValueError, match="1 of 2 with names"):
        optim.SGD([("p", p), q])
    with pytest.raises(ValueError, match="all groups with names, or none"):
        optim.SGD([{"params": [("p", p)]}, {"params": [q]}])
    optimizer = optim.SGD([("p", p)])
    with pytest.raises(ValueError, match="all groups with names, or none"):
        optimizer.add_param_group({"params": [q]})
    optimizer.add_param_group({"params": [("q", q)]})
    assert [g["param_names"] for g in optimizer.param_groups] == [["p"], ["q"]]


def test_an_optimizer_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        @engine.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if not state:
                        state["count"] = 0
                    state["count"] += 1
                    p.sub_(p.grad.sign() * group["lr"])

    p = make(np.zeros(3)).requires_grad_()
    p.grad = make(np.array([2.0, 0.0, -3.0]))
    optimizer = Signs([p])
    optimizer.step()
    other = Signs([p])
    other.load_state_dict(optimizer.state_dict())
    assert p.tolist() == [-0.1, 0.0, 0.1] and other.state[p]["count"] == 1


def test_grad_scale_of_ops():
    for scale in (0.25, engine.tensor(0.25, dtype=engine.float64)):
        p, q = (make(np.ones(2)).requires_grad_() for _ in range(2))
        p.grad, q.grad = make(np.full(2, 8.0)), make(np.full(2, 2.0))
        optim.RMSprop([p]).step(grad_scale=scale)
        optim.RMSprop([q]).step()
        assert p.tolist() == q.tolist() and p.grad.tolist() == [8.0, 8.0]


def test_strided_gradients_and_rows():
    p = make(np.zeros((3, 2), np.float32)).requires_grad_()
    p.grad = make(np.arange(6, dtype=np.float32).reshape(2, 3)).T
    optim.Adagrad([p], lr=1.0).step()
    np.testing.assert_allclose(p.tolist(), [[0, -1], [-1, -1], [-1, -1]], atol=1e-6)
    table = nn.Embedding(40, 2)
    before = table.weight.detach().numpy().copy()
    table(engine.tensor([3])).sum().backward()
    optim.RMSprop(table.parameters(), lr=0.1).step()
    moved = np.flatnonzero((table.weight.detach().numpy() != before).any(axis=1))
    assert moved.tolist() == [3]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "Adafactor", "Muon", "RAdam"])
def test_strided_parameters_step_as_pytorch(name):
    torch = pytest.importorskip("torch")
    found = []
    for T in (engine, torch):
        base = T.tensor(np.arange(24, dtype=np.float32).reshape(4, 6) / 10)
        a, b = T.nn.Parameter(base.t()), T.nn.Parameter(T.ones(2, 3))
        optimizer = getattr(T.optim, name)([a, b], lr=0.1, weight_decay=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            ((a * a).sum() + (b * b).sum()).backward()
            optimizer.step()
        assert a.stride() == (1, 6)
        found.append([base.tolist(), a.t().tolist()])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="expected a place in memory for each element"):
        engine.optim.SGD([engine.nn.Parameter(engine.ones(1, 3).expand(2, 3))])


def test_a_mask_among_the_parameters() -> None:
    """A Parameter that is no number of floating point never gets a gradient. Scripts hand all parameters of a module over."""
    model = engine.nn.Linear(2, 1)
    model.mask = engine.nn.Parameter(engine.tensor([True, False]), requires_grad=False)
    for kind in (engine.optim.SGD, engine.optim.AdamW, engine.optim.RMSprop):
        optimizer = kind(model.parameters(), lr=0.1)
        before = model.weight.detach().clone()
        model(engine.ones(1, 2)).sum().backward()
        engine.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert not engine.equal(model.weight, before) and model.mask.tolist() == [True, False]
        again = kind(model.parameters(), lr=0.1)
        again.load_state_dict(optimizer.state_dict())
    with pytest.raises(TypeError, match="a floating-point dtype, got int64"):
        engine.optim.SGD([engine.tensor([1])], lr=0.1)
