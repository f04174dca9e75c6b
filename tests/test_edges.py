"""Numbers at the edge of float32, in every instruction set: values and gradients against float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine.nn import functional as F

SCALES = [1e4, 1e10, 1e19, 1e20, 1e30, 1e37, 1e38, 3.4e38]
SIZES = [1, 5, 16, 37, 300]


def rows(scale, d, seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (5, d)) * scale
    values[1] = scale  # a constant row
    values[2, ::2] = -scale
    return values.astype(np.float32)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("d", SIZES)
def test_norms_of_large_rows(scale, d, isa):
    x, (w, b) = rows(scale, d), np.random.default_rng(1).standard_normal((2, d)).astype(np.float32)
    wide = x.astype(np.float64)
    deviation = wide - wide.mean(1, keepdims=True)
    close = {"rtol": 2e-5, "atol": 2e-5 * abs(w).max()}
    expected = wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-6) * w
    np.testing.assert_allclose(
        F.rms_norm(engine.tensor(x), (d,), engine.tensor(w), eps=1e-6).numpy(), expected, **close
    )
    varied = (
        [0, 2, 3, 4] if d > 1 else []
    )  # the mean of equal numbers is not exactly the number, which the norm magnifies
    expected = deviation / np.sqrt((deviation**2).mean(1, keepdims=True) + 1e-5) * w + b
    y = F.layer_norm(engine.tensor(x), (d,), engine.tensor(w), engine.tensor(b)).numpy()
    np.testing.assert_allclose(y[varied], expected[varied], **close)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("scale", SCALES[:6])
@pytest.mark.parametrize("d", SIZES)
def test_gradients_of_norms_of_large_rows_are_finite(scale, d, isa):
    for norm in (lambda x: F.layer_norm(x, (d,)), lambda x: F.rms_norm(x, (d,), eps=1e-6)):
        x = engine.tensor(rows(scale, d)).requires_grad_()
        norm(x).sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_at_the_edge(approximate, isa):
    values = np.array([s * sign for s in (*SCALES, 30.0, 100.0, 200.0) for sign in (1, -1)], np.float32)
    x = engine.tensor(values).requires_grad_()
    y = F.gelu(x, approximate=approximate)
    y.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), np.maximum(values, 0))
    np.testing.assert_array_equal(x.grad.numpy(), (values > 0).astype(np.float32))
    assert math.isnan(F.gelu(engine.tensor([math.nan]), approximate=approximate).item())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("d", SIZES)
def test_softmax_at_the_edge(scale, d, isa):
    x = rows(scale, d)
    wide = x.astype(np.float64)
    shifted = wide - wide.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    with np.errstate(over="ignore"):
        lowest = logs.astype(np.float32)
    np.testing.assert_allclose(F.softmax(engine.tensor(x), -1).numpy(), np.exp(logs), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(F.log_softmax(engine.tensor(x), -1).numpy(), lowest, rtol=1e-5, atol=1e-5)
    sums = (wide.max(1) + np.log(np.exp(shifted).sum(1))).astype(np.float32)
    np.testing.assert_allclose(engine.logsumexp(engine.tensor(x), 1).numpy(), sums, rtol=1e-6)
    t = engine.tensor(x).requires_grad_()
    loss = F.cross_entropy(t, engine.tensor(np.argmax(x, 1)))
    loss.backward()
    assert math.isfinite(loss.item()) and np.isfinite(t.grad.numpy()).all()


def test_rows_of_minus_infinity(isa):
    x = engine.full((2, 37), -math.inf)
    assert np.isnan(F.softmax(x, -1).numpy()).all()  # 0 / 0, as PyTorch
    assert (engine.logsumexp(x, 1).numpy() == -math.inf).all()


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e18])
def test_attention_with_large_scores(scale, isa):
    """The largest score of a query takes all the weight."""
    n, heads, d = 7, 2, 16
    q, k, v = (np.random.default_rng(i).standard_normal((1, heads, n, d)).astype(np.float32) for i in range(3))
    q *= np.float32(scale)
    y = F.scaled_dot_product_attention(*map(engine.tensor, (q, k, v))).numpy()
    scores = q.astype(np.float64) @ k.astype(np.float64).swapaxes(2, 3) / math.sqrt(d)
    weights = np.exp(scores - scores.max(3, keepdims=True))
    weights /= weights.sum(3, keepdims=True)
    np.testing.assert_allclose(y, weights @ v, rtol=1e-3, atol=2e-3)


def test_a_long_sequence(isa):
    """One query over 32,768 keys."""
    n, d = 32768, 16
    q, k, v = (
        np.random.default_rng(i).standard_normal((1, 1, m, d)).astype(np.float32) for i, m in enumerate((1, n, n))
    )
    y = F.scaled_dot_product_attention(*map(engine.tensor, (q, k, v))).numpy()
    scores = q.astype(np.float64) @ k.astype(np.float64).swapaxes(2, 3) / math.sqrt(d)
    weights = np.exp(scores - scores.max())
    np.testing.assert_allclose(y, weights @ v.astype(np.float64) / weights.sum(), rtol=1e-4, atol=1e-6)


def test_a_million_rows(isa):
    x = np.random.default_rng(0).standard_normal((2**20, 5)).astype(np.float32)
    t = engine.tensor(x).requires_grad_()
    y = F.layer_norm(t, (5,))
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-3, atol=1e-4)
    loss = F.cross_entropy(y, engine.tensor(np.argmax(x, 1)))
    picked = expected - np.log(np.exp(expected).sum(1, keepdims=True))
    assert abs(loss.item() + picked[np.arange(2**20), np.argmax(x, 1)].mean()) < 1e-5
    loss.backward()
    assert np.isfinite(t.grad.numpy()).all()


@pytest.mark.parametrize("terms", [10**6, pytest.param(10**8, marks=pytest.mark.long)])
def test_sums_of_many_terms(terms, isa):
    """Vectors of float32 add up blocks of 256 terms, and float64 the blocks: the error does not grow with the number of terms. It is at
    most 8 units of the last place of the sum of the magnitudes."""
    x = np.random.default_rng(0).standard_normal(terms, dtype=np.float32) + np.float32(0.1)
    exact, size = x.sum(dtype=np.float64), np.abs(x).sum(dtype=np.float64)
    assert abs(engine.tensor(x).sum().item() - exact) <= 8 * 2.0**-24 * size
