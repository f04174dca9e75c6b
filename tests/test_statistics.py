"""Running results, counts, quantiles, areas, closeness: against NumPy and PyTorch, with gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 7, 3))
GAPS = np.where(rng.random(X.shape) < 0.3, np.nan, X)
T = engine.tensor


def test_logcumsumexp() -> None:
    for dim in (0, 1, -1):
        np.testing.assert_allclose(engine.logcumsumexp(T(X), dim).numpy(), np.logaddexp.accumulate(X, dim))
        assert gradcheck(lambda x, d=dim: x.logcumsumexp(d), T(X, requires_grad=True))
    far = np.array([-1e4, 0.0, 1e4, -np.inf, 1e4])  # naive sums lose the small terms, or overflow
    np.testing.assert_allclose(engine.logcumsumexp(T(far), 0).numpy(), np.logaddexp.accumulate(far))
    assert engine.logcumsumexp(T(2.0), 0).item() == 2
    assert engine.logcumsumexp(engine.zeros(0, 2), 0).shape == (0, 2)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes(name: str) -> None:
    torch = pytest.importorskip("torch")
    ties = rng.integers(0, 4, (3, 20)).astype(float)
    for x in (X, ties, GAPS, ties.astype(np.int64), rng.random((2, 9)) < 0.5, np.array(3.0), np.zeros((2, 0))):
        for dim in range(max(x.ndim, 1)):
            expected = getattr(torch, name)(torch.from_numpy(np.asarray(x)), dim)
            got = getattr(engine, name)(T(x), dim)
            np.testing.assert_array_equal(got.values.numpy(), expected.values.numpy())
            np.testing.assert_array_equal(got.indices.numpy(), expected.indices.numpy())
    assert gradcheck(lambda x: getattr(x, name)(1).values, T(X, requires_grad=True))


def test_aminmax() -> None:
    low, high = engine.aminmax(T(X), dim=1)
    np.testing.assert_array_equal(low.numpy(), X.min(1))
    np.testing.assert_array_equal(high.numpy(), X.max(1))
    assert [v.item() for v in T(X).aminmax()] == [X.min(), X.max()]


def test_sums_and_means_without_nan() -> None:
    for dim in (None, 1, (0, 2)):
        np.testing.assert_allclose(engine.nansum(T(GAPS), dim).numpy(), np.nansum(GAPS, dim))
        np.testing.assert_allclose(T(GAPS).nanmean(dim, True).numpy(), np.nanmean(GAPS, dim, keepdims=True))
    assert engine.nansum(T([1, 2])).item() == 3
    assert math.isnan(engine.nanmean(T([math.nan])).item())
    x = T(GAPS, requires_grad=True)
    engine.nansum(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), ~np.isnan(GAPS))


def test_counts() -> None:
    x = rng.integers(0, 6, 50)
    np.testing.assert_array_equal(engine.bincount(T(x)).numpy(), np.bincount(x))
    np.testing.assert_array_equal(T(x).bincount(minlength=9).numpy(), np.bincount(x, minlength=9))
    weights = rng.random(50)
    np.testing.assert_allclose(engine.bincount(T(x), T(weights)).numpy(), np.bincount(x, weights))
    assert engine.bincount(T(x), T(weights).float()).dtype is engine.float32
    assert engine.bincount(engine.zeros(0, dtype=engine.int64), minlength=2).tolist() == [0, 0]
    zeros = T([[0, 1, 2], [0, 0, 3]])
    assert engine.count_nonzero(zeros).item() == 3
    assert engine.count_nonzero(zeros, dim=0).tolist() == [0, 1, 2]
    assert zeros.count_nonzero((0, 1)).item() == 3
    with pytest.raises(ValueError, match=r"\[bincount\] input: expected numbers >= 0, got -1"):
        engine.bincount(T([-1]))
    with pytest.raises(TypeError, match=r"\[bincount\] input: expected integers, got float32"):
        engine.bincount(T([1.0]))


def test_histc() -> None:
    for bins, low, high in ((5, -1, 1), (10, 0, 0), (1, -3, 3)):
        span = (low, high) if high > low else (X.min(), X.max())
        np.testing.assert_array_equal(engine.histc(T(X), bins, low, high).numpy(), np.histogram(X, bins, span)[0])
    assert engine.histc(T([math.nan, 0.0, 1.0]), 2, 0, 1).tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"\[histc\] min: expected finite min and max, min below max, got 2 and 1"):
        engine.histc(T(X), 2, 2, 1)


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(interpolation: str) -> None:
    torch = pytest.importorskip("torch")
    q = np.array([0, 0.2, 0.5, 0.9, 1])
    for x, name in ((X, "quantile"), (GAPS, "quantile"), (GAPS, "nanquantile"), (X, "nanquantile")):
        for dim in (None, 0, 1, -1):
            for keepdim in (False, True):
                arguments = {"dim": dim, "keepdim": keepdim, "interpolation": interpolation}
                expected = getattr(torch, name)(torch.from_numpy(x), torch.from_numpy(q), **arguments)
                got = getattr(engine, name)(T(x), T(q), **arguments)
                np.testing.assert_allclose(got.numpy(), expected.numpy())
                one = getattr(T(x), name)(0.3, **arguments)
                expected = getattr(torch, name)(torch.from_numpy(x), 0.3, **arguments)
                np.testing.assert_allclose(one.numpy(), expected.numpy())
    assert gradcheck(lambda x: x.quantile(0.3, 1, interpolation=interpolation), T(X, requires_grad=True))
    assert engine.quantile(T(2.0), 0.5).shape == ()
    with pytest.raises(ValueError, match=r"\[quantile\] q: expected numbers in \[0, 1\], got 1.5"):
        engine.quantile(T(X), 1.5)


def test_areas() -> None:
    places = np.sort(rng.random(7))
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    np.testing.assert_allclose(engine.trapezoid(T(X), dim=1).numpy(), trapezoid(X, axis=1))
    np.testing.assert_allclose(engine.trapezoid(T(X), dx=0.5, dim=0).numpy(), trapezoid(X, dx=0.5, axis=0))
    many = np.arange(24.0).reshape(4, 2, 3) ** 2
    np.testing.assert_allclose(engine.trapezoid(engine.ones(2), T(many)).numpy(), many[-1] - many[0])  # as in PyTorch
    many = np.arange(24.0).reshape(4, 2, 3) ** 2
    np.testing.assert_allclose(engine.trapezoid(engine.ones(2), T(many)).numpy(), many[-1] - many[0])  # as in PyTorch
    np.testing.assert_allclose(engine.trapz(T(X), T(places), dim=1).numpy(), trapezoid(X, places, axis=1))
    assert gradcheck(
        lambda y, x: engine.trapezoid(y, x, dim=1), (T(X, requires_grad=True), T(places, requires_grad=True))
    )


def test_vander() -> None:
    x = rng.normal(size=4)
    for arguments in ((), (3,), (0,), (3, True)):
        np.testing.assert_allclose(engine.vander(T(x), *arguments).numpy(), np.vander(x, *arguments))
    assert gradcheck(lambda t: engine.vander(t, 4), T(x, requires_grad=True))
    assert engine.vander(T([2, 3])).tolist() == [[2, 1], [3, 1]]


def test_closeness() -> None:
    a = np.array([1, 1 + 1e-7, 2, np.inf, -np.inf, np.nan, 0])
    b = np.array([1, 1, 2.1, np.inf, np.inf, np.nan, 1e-9])
    for options in ({}, {"equal_nan": True}, {"rtol": 0, "atol": 0}, {"rtol": 0.1}):
        expected = np.isclose(a, b, **options)
        np.testing.assert_array_equal(engine.isclose(T(a), T(b), **options).numpy(), expected)
        assert engine.allclose(T(a), T(b), **options) is bool(expected.all())
    assert T(a)[:2].allclose(T(b)[:2])
    assert engine.isclose(T([1, 2]), T([1, 3])).tolist() == [True, False]
    with pytest.raises(TypeError, match=r"\[isclose\] other: expected dtype float64, as input, got float32"):
        engine.isclose(T(a), T(b).float())


def test_isin() -> None:
    x = rng.integers(0, 9, (3, 4))
    for invert in (False, True):
        np.testing.assert_array_equal(
            engine.isin(T(x), T([2, 5]), invert=invert).numpy(), np.isin(x, [2, 5], invert=invert)
        )
    assert engine.isin(T(x), 4).tolist() == (x == 4).tolist()
    assert engine.isin(4, T(x)).item() is bool((x == 4).any())
    assert engine.isin(T(x), engine.zeros(0, dtype=engine.int64)).any().item() is False


def test_numbers_for_nan_and_infinity() -> None:
    x = np.array([1, np.nan, np.inf, -np.inf])
    for dtype in (np.float32, np.float64):
        got = engine.nan_to_num(T(x.astype(dtype)))
        np.testing.assert_array_equal(got.numpy(), np.nan_to_num(x.astype(dtype)))
    t = T(x, requires_grad=True)
    y = t.nan_to_num(7, 8, 9)
    assert y.tolist() == [1, 7, 8, 9]
    y.sum().backward()
    assert t.grad.tolist() == [1, 0, 0, 0]
    assert engine.nan_to_num(T([1])).tolist() == [1]


def test_sequences() -> None:
    assert engine.arange(3.1, dtype=engine.int64).tolist() == [0, 1, 2]
    assert engine.arange(0.5, 3.9, dtype=engine.int64).tolist() == [0, 1, 2]
    assert engine.arange(1.5, 7.2, 1.5, dtype=engine.uint8).tolist() == [1, 2, 3, 4]
    assert engine.arange(-2.5, 3, dtype=engine.int64).tolist() == [-2, -1, 0, 1, 2]
    assert engine.linspace(4.3, -3, 6, dtype=engine.int64).tolist() == [4, 2, 1, 0, -1, -3]
    assert engine.logspace(0, 3, 4).tolist() == [1, 10, 100, 1000]
    assert engine.logspace(0, 3, 4, base=2, dtype=engine.int64).tolist() == [1, 2, 4, 8]
    np.testing.assert_allclose(engine.logspace(-2, 2, 9, dtype=engine.float64).numpy(), np.logspace(-2, 2, 9))
    with pytest.raises(ValueError, match=r"\[arange\] step: expected a number that is not 0 as int64, got 0"):
        engine.arange(0, 3, 0.5, dtype=engine.int64)


def test_fill_gives_its_value_a_gradient() -> None:
    x, value = engine.zeros(2, 3, requires_grad=True), T(5.0, requires_grad=True)
    y = engine.fill(x, value)
    assert y.tolist() == [[5] * 3] * 2
    y.sum().backward()
    assert value.grad.item() == 6
    assert x.grad.tolist() == [[0] * 3] * 2
    assert engine.fill(x, 2).tolist() == [[2] * 3] * 2
