"""What the rows of tests/specs/linear.py do not reach: messages, row strides, products added up, saved pre-activations."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import _core

K = _core.kernels


def randn(*shape: int, dtype=np.float32) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t: engine.matmul(t(2, 3), t(4, 5)), r"\[matmul\] other: expected shape \(3, n\), got \(4, 5\)"),
        (
            lambda t: engine.matmul(t(2, 3), t()),
            r"\[matmul\] other: expected at least one dimension, got a 0-dim tensor",
        ),
        (
            lambda t: engine.matmul(t(2, 3, 4), t(3, 4, 5)),
            r"\[matmul\] other: expected batch dimensions that broadcast with \(2,\), got \(3,\)",
        ),
        (lambda t: engine.mm(t(2, 3, 4), t(4, 5)), r"\[mm\] input: expected 2 dimensions, got shape \(2, 3, 4\)"),
        (
            lambda t: engine.bmm(t(2, 3, 4), t(1, 4, 5)),
            r"\[bmm\] mat2: expected a batch of 2 matrices, as input, got shape \(1, 4, 5\)",
        ),
        (lambda t: engine.linear(t(2, 3), t(4, 5)), r"\[linear\] weight: expected shape \(4, 3\), got \(4, 5\)"),
        (lambda t: engine.linear(t(2, 3), t(4, 3), t(3)), r"\[linear\] bias: expected shape \(4,\), got \(3,\)"),
        (
            lambda t: engine.linear_gelu(t(2, 3), t(4, 3), None, "erf"),
            r"\[linear_gelu\] approximate: expected 'none' or 'tanh', got 'erf'",
        ),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda *shape: engine.from_numpy(randn(*shape)))


def test_dtypes_that_do_not_fit():
    a, b = engine.from_numpy(randn(2, 2)), engine.from_numpy(randn(2, 2, dtype=np.float64))
    with pytest.raises(TypeError, match=r"\[matmul\] other: expected float32, got float64"):
        engine.matmul(a, b)
    with pytest.raises(TypeError, match=r"\[matmul\] other: expected a Tensor, got ndarray"):
        engine.matmul(a, randn(2, 2))
    with pytest.raises(TypeError, match=r"\[matmul\] input: expected a floating-point dtype, got bool"):
        engine.matmul(engine.from_numpy(np.ones((2, 2), bool)), engine.from_numpy(np.ones((2, 2), bool)))


# Transposes, rows with gaps, columns with gaps, reversed batches: strides are taken as they are, nothing is copied before.
VIEWS = {
    "transposed": lambda a: a.T.copy().T,
    "rows with gaps": lambda a: np.concatenate([a, a], 1)[:, : a.shape[1]],
    "columns with gaps": lambda a: np.repeat(a, 2, 1)[:, ::2],
}


@pytest.mark.parametrize("left", VIEWS)
@pytest.mark.parametrize("right", VIEWS)
@pytest.mark.parametrize("sizes", [(5, 7, 3), (130, 400, 70)])
def test_strided_operands(left, right, sizes, isa, guards):
    m, k, n = sizes
    a, b = VIEWS[left](randn(m, k)), VIEWS[right](randn(k, n))
    y = engine.matmul(engine.from_numpy(a), engine.from_numpy(b)).numpy()
    np.testing.assert_allclose(y, a.astype(np.float64) @ b, rtol=0, atol=2e-4)


def test_matmul_into_accumulates_and_sums_over_repeated_dimensions(isa, guards):
    a, b, c = randn(3, 4, 13, 5), randn(3, 4, 5, 37), randn(4, 13, 37)
    y = _core.from_buffer(c.copy())
    K.matmul_into(y.expand((3, 4, 13, 37)), _core.from_buffer(a), _core.from_buffer(b), True)
    np.testing.assert_allclose(np.asarray(y), c + (a @ b).sum(0), rtol=0, atol=2e-5)
    K.matmul_into(y.expand((3, 4, 13, 37)), _core.from_buffer(a), _core.from_buffer(b), False)
    np.testing.assert_allclose(np.asarray(y), (a @ b).sum(0), rtol=0, atol=2e-5)


def test_linear_gelu_without_gradients_gives_the_same_bits():
    x, w, b = (engine.from_numpy(randn(*s)) for s in [(70, 33), (65, 33), (65,)])
    without = engine.linear_gelu(x, w, b).numpy()
    w.requires_grad_()
    assert np.array_equal(engine.linear_gelu(x, w, b).detach().numpy(), without)


def test_infinities_stay_in_their_rows():
    a, b = randn(20, 9), randn(9, 40)
    a[3, 4] = np.inf
    y = engine.matmul(engine.from_numpy(a), engine.from_numpy(b)).numpy()
    assert np.isinf(y[3]).all() and np.isfinite(np.delete(y, 3, 0)).all()


@pytest.mark.parametrize("rows", [64, 200, 255, 257])
@pytest.mark.parametrize("inner, outer", [(96, 768), (768, 96), (100, 600)])
def test_same_bits_however_the_blocks_are_cut(rows, inner, outer, isa, threads):
    rng = np.random.default_rng(rows)
    arrays = [rng.standard_normal(s, np.float32) for s in ((rows, inner), (outer, inner), (outer,), (rows, outer))]
    results = []
    for n in (1, 2, 3, 4, 5, 8):
        threads(n)
        x, w, b, dy = (engine.from_numpy(a) for a in arrays)
        x.requires_grad_(), w.requires_grad_()
        y = engine.nn.functional.linear_gelu(x, w, b)
        y.backward(dy)
        results.append([t.numpy().tobytes() for t in (y.detach(), x.grad, w.grad)])
    assert results.count(results[0]) == len(results)


@pytest.mark.parametrize("ends, position", [([3, 2, 5], 1), ([-1, 2, 5], 0), ([0, 2, 8], 2), ([7, 7, 5], 2)])
def test_ends_of_groups_that_do_not_rise(device, ends, position):
    message = (
        rf"\[grouped_mm\] offs: expected ends that rise within \[0, 7\], got {ends[position]} at position {position}"
    )
    a, b = (engine.from_numpy(randn(*s)).to(device) for s in ((7, 3), (3, 3, 5)))
    offs = engine.from_numpy(np.array(ends, np.int32)).to(device)
    with pytest.raises(ValueError, match=message):
        engine.grouped_mm(a, b, offs=offs).cpu()
    with pytest.raises(ValueError, match=message):
        _core.kernels.grouped_mm_backward_mat_b(a._data, engine.ones(7, 5, device=device)._data, offs._data).to_device(
            -1
        )


def test_grouped_mm_takes_what_belongs_together():
    a, b, offs = engine.from_numpy(randn(7, 3)), engine.from_numpy(randn(2, 3, 5)), np.array([3, 7], np.int32)
    with pytest.raises(ValueError, match=r"\[grouped_mm\] offs: expected shape \(2,\), got \(1,\)"):
        engine.grouped_mm(a, b, offs=engine.from_numpy(offs[:1].copy()))
    with pytest.raises(TypeError, match=r"\[grouped_mm\] offs: expected int32, got int64"):
        engine.grouped_mm(a, b, offs=engine.from_numpy(offs.astype(np.int64)))
    with pytest.raises(ValueError, match=r"\[grouped_mm\] mat_b: expected shape \(2, 3, n\), got \(2, 4, 5\)"):
        engine.grouped_mm(a, engine.from_numpy(randn(2, 4, 5)), offs=engine.from_numpy(offs))


@pytest.mark.parametrize("precision, tolerance", [("highest", 2e-6), ("high", 2e-3), ("medium", 2e-2)])
def test_grouped_mm_is_matmul_of_each_group(device, precision, tolerance):
    """Weights as layers of experts have them, (g, n, k); another order of sums, the same precision."""
    a, w, ends = randn(201, 36), randn(4, 68, 36), [64, 64, 150, 190]
    x, y = engine.from_numpy(a).to(device), np.zeros((201, 68))
    weights = engine.from_numpy(w).to(device)
    for g, (begin, end) in enumerate(zip([0, *ends], ends)):
        y[begin:end] = a[begin:end].astype(np.float64) @ w[g].T
    engine.set_float32_matmul_precision(precision)
    try:
        found = engine.grouped_mm(x, weights.transpose(-1, -2), offs=engine.tensor(ends, dtype=engine.int32).to(device))
    finally:
        engine.set_float32_matmul_precision("highest")
    assert np.abs(found.cpu().numpy() - y).max() <= tolerance * np.abs(y).max()


def test_a_weight_of_one_output() -> None:
    """As in PyTorch, a weight without a dimension for outputs gives none."""
    x, w = engine.arange(6.0).view(2, 3), engine.tensor([1.0, 2.0, 3.0], requires_grad=True)
    bias = engine.tensor(0.5, requires_grad=True)
    y = engine.nn.functional.linear(x, w, bias)
    assert y.tolist() == [8.5, 26.5] and engine.nn.functional.linear(x[0], w).shape == ()
    y.sum().backward()
    assert w.grad.tolist() == [3, 5, 7] and bias.grad.item() == 2
    with pytest.raises(ValueError, match=r"\[linear\]"):
        engine.nn.functional.linear(x, w[:2])
    with pytest.raises(ValueError, match=r"\[linear\] bias"):
        engine.nn.functional.linear(x, engine.ones(4, 3), engine.ones(3))
