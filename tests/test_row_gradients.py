"""Gradients of tables that are kept as rows: the same bits as dense ones wherever they go."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine import _core, nn, optim
from engine.autograd import rows
from engine.autograd.rows import RowGradient
from engine.nn import functional as F

V, D = 5003, 7  # several chunks of rows


@pytest.fixture(params=[True, False], ids=["rows", "dense"])
def kept_as_rows(request, monkeypatch):
    monkeypatch.setattr(rows, "enabled", request.param)
    return request.param


def ids(seed: int, n: int = 20, device="cpu") -> engine.Tensor:
    return engine.from_numpy(np.random.default_rng(seed).integers(0, V // 2, n)).to(device)


def table(dtype=engine.float32, device="cpu") -> engine.Tensor:
    engine.manual_seed(0)
    return engine.randn(V, D, dtype=dtype, device=device).requires_grad_()


def is_rows(gradient) -> bool:
    return type(gradient) is RowGradient and gradient.row_sum is not None


def loss(w, seed: int):
    y = F.embedding(ids(seed, device=w.device), w, padding_idx=3)
    return (y * y).sum()


MAKERS = {
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "adamw without decay": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.0),
    "adamw, maximize": lambda p: optim.AdamW(p, lr=0.1, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "adam with decay": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
    "eps of 0": lambda p: optim.AdamW(p, lr=0.1, eps=0.0),
    "eps that is 0 in float32": lambda p: optim.AdamW(p, lr=0.1, eps=1e-50),
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "sgd with decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "plain sgd": lambda p: optim.SGD(p, lr=0.1),
    "plain sgd, maximize": lambda p: optim.SGD(p, lr=0.1, maximize=True),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MAKERS)
def test_optimizers_do_the_same_to_the_bit(name, dtype, isa, threads, guards, monkeypatch):
    results = []
    for enabled, count in ((True, 1), (True, 3), (False, 2)):
        threads(count)
        monkeypatch.setattr(rows, "enabled", enabled)
        w = table(getattr(engine, dtype))
        optimizer = MAKERS[name]([w])
        for step in range(6):
            optimizer.zero_grad()
            loss(w, step % 4).backward()
            assert is_rows(w._grad) == enabled
            if step == 3:  # a step with the dense form between those with rows
                w.grad.numpy()
                assert not is_rows(w._grad)
            optimizer.step(grad_scale=0.5)
        states = [optimizer.state[w][k].numpy().copy() for k in optimizer._buffers if k in optimizer.state[w]]
        results.append([w.detach().numpy().copy(), *states])
    for found, again, wanted in zip(*results):
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(again, wanted)


def test_a_saved_state_goes_on_to_the_same_bits(kept_as_rows, device):
    w = table(device=device)
    optimizer = optim.AdamW([w], lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        loss(w, step).backward()
        optimizer.step()
    other = engine.tensor(w.detach().cpu().numpy(), device=device).requires_grad_()
    again = optim.AdamW([other], lr=0.1)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(2, 5):
        for p, o in ((w, optimizer), (other, again)):
            o.zero_grad()
            loss(p, step).backward()
            o.step()
    np.testing.assert_array_equal(other.detach().cpu().numpy(), w.detach().cpu().numpy())


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_that_is_not_finite_reaches_all_rows(scale, kept_as_rows):
    for make in (optim.AdamW, optim.SGD):
        w = table()
        loss(w, 0).backward()
        make([w], lr=0.1).step(grad_scale=scale)
        rest = np.delete(w.detach().numpy(), ids(0).numpy(), 0)
        assert np.isnan(rest).all()


@pytest.mark.parametrize("replace", [True, False], ids=["replaced", "written"])
def test_averages_that_someone_else_sets_are_followed(replace, monkeypatch):
    results = []
    for enabled in (True, False):
        monkeypatch.setattr(rows, "enabled", enabled)
        w = table()
        optimizer = optim.AdamW([w], lr=0.1)
        for step in range(4):
            optimizer.zero_grad()
            loss(w, step).backward()
            if step == 2:
                for name in ("exp_avg", "exp_avg_sq"):
                    if replace:
                        optimizer.state[w][name] = engine.full((V, D), 0.25)
                    else:
                        optimizer.state[w][name][V - 1] = 0.25
            optimizer.step()
        results.append(w.detach().numpy().copy())
    np.testing.assert_array_equal(*results)


def test_untouched_rows_are_left_alone(device):
    w = table(device=device)
    before = w.detach().cpu().numpy().copy()
    optimizer = optim.AdamW([w], lr=0.1, weight_decay=0.0)
    loss(w, 0).backward()
    optimizer.step()
    used = np.unique(ids(0).numpy())
    used = used[used != 3]
    changed = np.flatnonzero((w.detach().cpu().numpy() != before).any(1))
    np.testing.assert_array_equal(changed, used)


def test_looking_at_a_gradient_lays_it_out():
    w = table()
    loss(w, 0).backward()
    wanted = np.zeros((V, D), np.float32)
    np.add.at(wanted, ids(0).numpy(), 2 * w.detach().numpy()[ids(0).numpy()])
    wanted[3] = 0
    assert is_rows(w._grad) and w.grad.shape == (V, D)
    np.testing.assert_allclose(w.grad.numpy(), wanted, rtol=1e-6)
    assert not is_rows(w._grad)


def test_gradients_add_up(kept_as_rows, device):
    w = table(device=device)
    loss(w, 0).backward()
    first = w.grad.cpu().numpy().copy()
    w.grad = None
    loss(w, 0).backward()
    loss(w, 1).backward()
    both = w.grad.cpu().numpy().copy()
    w.grad = None
    (loss(w, 0) + loss(w, 1)).backward()  # two lookups in one graph
    np.testing.assert_allclose(w.grad.cpu().numpy(), both, rtol=1e-6)
    w.grad = None
    (loss(w, 0) + (w * 2).sum()).backward()  # a lookup and a dense use
    np.testing.assert_allclose(w.grad.cpu().numpy(), first + 2, rtol=1e-6)
    w.grad = None
    loss(w * 1.0, 0).backward()  # a table that is no leaf
    np.testing.assert_allclose(w.grad.cpu().numpy(), first, rtol=1e-6)


def test_hooks_grad_and_copies_see_the_whole(kept_as_rows, device):
    w = table(device=device)
    (whole,) = engine.autograd.grad(loss(w, 0), w)
    seen = []
    handle = w.register_hook(lambda g: seen.append(g.cpu().numpy().copy()))
    loss(w, 0).backward()
    handle.remove()
    np.testing.assert_array_equal(seen[0], whole.cpu().numpy())
    w.grad = None
    loss(w, 0).backward()
    for other in (copy.deepcopy(w).grad, pickle.loads(pickle.dumps(w.grad)), w.grad.clone()):
        np.testing.assert_array_equal(other.cpu().numpy(), whole.cpu().numpy())


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_clipping(norm_type, kept_as_rows, device):
    w = table(device=device)
    loss(w, 0).backward()
    wanted = engine.autograd.grad(loss(w, 0), w)[0].cpu().numpy()
    norm = np.linalg.norm(wanted.ravel(), norm_type)
    assert nn.utils.clip_grad_norm_([w], 0.5, norm_type).item() == pytest.approx(norm, rel=1e-6)
    assert is_rows(w._grad) == (kept_as_rows and device == "cpu")
    np.testing.assert_allclose(w.grad.cpu().numpy(), wanted * 0.5 / norm, rtol=1e-5)
    w.grad = None
    loss(w, 0).backward()
    nn.utils.clip_grad_value_([w], 0.25)
    assert is_rows(w._grad) == (kept_as_rows and device == "cpu")
    np.testing.assert_array_equal(w.grad.cpu().numpy(), np.clip(wanted, -0.25, 0.25))


def test_a_norm_that_is_no_number_reaches_the_whole_gradient(kept_as_rows, device):
    w = table(device=device)
    (loss(w, 0) * float("nan")).backward()
    nn.utils.clip_grad_norm_([w], 1.0)
    assert np.isnan(w.grad.cpu().numpy()).all()


def test_plain_sgd_leaves_the_gradient_as_rows():
    w, other = table(), table()
    before = w.detach().numpy().copy()
    optimizer = optim.SGD([w, other], lr=0.1)
    (loss(w, 0) + (other * other).sum()).backward()  # rows beside a dense gradient
    version = w._data.version
    optimizer.step()
    assert is_rows(w._grad) and w._data.version > version
    np.testing.assert_array_equal(w.detach().numpy(), before - np.float32(0.1) * w.grad.numpy())
    np.testing.assert_allclose(other.detach().numpy(), before * np.float32(0.8), rtol=1e-6)


def test_many_tokens_make_it_dense():
    w = table()
    F.embedding(ids(0, V), w).sum().backward()
    assert not is_rows(w._grad)


def test_the_sum_of_embeddings(kept_as_rows, device):
    engine.manual_seed(1)
    w, p, t = (engine.randn(n, D, device=device).requires_grad_() for n in (V, 9, 2))
    at, kinds = engine.arange(8, device=device), engine.tensor([0, 1] * 4, device=device)
    y = F.embedding_sum(ids(0, 8, device), w, at, p, kinds, t)
    (y * y).sum().backward()
    g = 2 * y.detach().cpu().numpy()
    assert is_rows(w._grad) == (kept_as_rows and device == "cpu")
    for tensor, index in ((w, ids(0, 8, device)), (p, at), (t, kinds)):
        wanted = np.zeros(tensor.shape, np.float32)
        np.add.at(wanted, index.cpu().numpy(), g)
        np.testing.assert_allclose(tensor.grad.cpu().numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("wrong", [[5, 5], [5, 4], [-1, 2], [0, V]])
def test_kernel_refuses_rows(wrong):
    make = lambda *shape: engine.zeros(*shape)._data  # noqa: E731
    w = engine.ones(V, D)
    line = engine.tensor([0.1, 0.9, 0.999, 1e-8, 0.1, 1, 1, 0], dtype=engine.float64)._data
    touched = engine.zeros(V, dtype=engine.bool)._data
    with pytest.raises(IndexError, match="rows: expected rising numbers"):
        _core.kernels.adam_rows(
            w._data, engine.tensor(wrong)._data, make(2, D), make(V, D), make(V, D), touched, line, None, 1.0
        )
    assert (w.numpy() == 1).all()
