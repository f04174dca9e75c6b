"""What the rows of tests/specs do not show of reductions: no elements, NaN, ties, accuracy, arguments, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine

NAN, INF = math.nan, math.inf


def t(values, dtype=None, grad=False, device="cpu"):
    return engine.tensor(values, dtype=dtype, requires_grad=grad, device=device)


def many(rows, device: str, copies: int = 401) -> np.ndarray:
    """The rows as they are on the CPU; on a device copies of them that are more than a tile."""
    return np.concatenate([np.array(rows)] * (1 if device == "cpu" else copies))


def test_no_elements() -> None:
    x = engine.zeros(0, 3)
    assert x.sum().item() == 0
    assert x.sum(0).tolist() == [0, 0, 0]
    assert x.sum(1).shape == (0,)
    assert x.prod(0).tolist() == [1, 1, 1]
    assert math.isnan(x.mean().item())
    assert all(map(math.isnan, x.mean(0).tolist() + x.var(0).tolist() + x.std(0).tolist()))
    assert x.norm(dim=0).tolist() == [0, 0, 0]
    assert x.any().item() is False
    assert x.all().item() is True
    assert x.amax(1).shape == (0,)
    assert x.cumsum(0).shape == (0, 3)
    for op in (engine.amax, engine.amin, engine.argmax, engine.argmin, engine.max, engine.min):
        with pytest.raises(ValueError, match=r"input: expected at least one element to reduce, got 0"):
            op(x, 0)
    with pytest.raises(ValueError, match=r"\[max\] input: expected at least one element"):
        x.max()


def test_variance_of_too_few() -> None:
    x = t([[1.0], [2.0]])
    assert all(map(math.isnan, x.var(1).tolist()))
    assert x.var(1, correction=0).tolist() == [0, 0]
    assert x.var(1, unbiased=False).tolist() == [0, 0]
    assert x.var(0).item() == 0.5
    assert x.var(False).item() == 0.25
    with pytest.raises(ValueError, match=r"\[var\] correction: expected only one of unbiased and correction"):
        x.var(0, True, correction=1)


@pytest.mark.parametrize("n", [1, 3, 7, 40, 20000])
def test_nan_is_found_wherever_it_stands(place: str, n: int) -> None:
    n = n if place == "cpu" else 1025 + n % 5000
    for at in sorted({0, n // 2, n - 1}):
        x = np.arange(n, dtype=np.float32)
        x[at] = NAN
        for values in (x, x.reshape(-1, 1), np.stack([x, x], 1)):
            row = engine.from_numpy(values).to(place)
            for op in (engine.amax, engine.amin):
                assert np.isnan(op(row, 0).cpu().numpy()).all()
            for op in (engine.argmax, engine.argmin):
                assert (op(row, 0).cpu().numpy() == at).all()
            for op in (engine.max, engine.min):
                found = op(row, 0)
                assert np.isnan(found.values.cpu().numpy()).all()
                assert (found.indices.cpu().numpy() == at).all()


def test_infinities() -> None:
    assert t([-INF, -INF]).amax().item() == -INF
    assert t([INF, INF]).argmin().item() == 0
    assert t([INF, 1.0]).sum().item() == INF
    assert math.isnan(t([INF, -INF]).sum().item())


def test_equal_largest_elements_share_the_gradient(device) -> None:
    x = t(many([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], device), engine.float32, grad=True, device=device)
    copies = len(x) // 2
    six = engine.full((len(x),), 6.0, device=device)
    x.amax(1).backward(six)
    assert x.grad.tolist() == [[0, 3, 3], [2, 2, 2]] * copies
    x.grad = None
    x.max().backward()
    np.testing.assert_allclose(x.grad.tolist(), np.array([[0, 0.5, 0.5], [0, 0, 0]] * copies) / copies, rtol=1e-6)
    x.grad = None
    x.max(1).values.backward(six)  # along a dimension: the one at the index
    assert x.grad.tolist() == [[0, 6, 0], [6, 0, 0]] * copies
    x.grad = None
    x.min(0, keepdim=True).values.backward(t([[1.0, 1.0, 1.0]], device=device))
    assert x.grad.tolist() == [[1, 0, 0], [0, 1, 1]] + [[0, 0, 0]] * (len(x) - 2)
    nans = t(many([NAN, 1.0, NAN], device), engine.float32, grad=True, device=device)
    nans.max().backward()
    n = len(nans) // 3
    np.testing.assert_allclose(nans.grad.tolist(), np.array([0.5, 0, 0.5] * n) / n, rtol=1e-6)
    nans.grad = None
    nans.amax().backward()  # as in PyTorch
    assert np.isnan(nans.grad.tolist()).all()


def test_gradient_of_a_product_with_zeros(device) -> None:
    rows = [[2.0, 3.0, 4.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0]]
    x = t(many(rows, device), engine.float32, grad=True, device=device)
    x.prod(1).backward(t(many([1.0, 10.0, 100.0], device), engine.float32, device=device))
    assert x.grad.tolist() == [[12, 8, 6], [120, 0, 0], [0, 0, 0]] * (len(x) // 3)


def test_gradients_where_norm_and_deviation_are_zero(device) -> None:
    n = 2 if device == "cpu" else 401
    x = engine.zeros(n, 3, requires_grad=True, device=device)
    x.norm(dim=1).backward(engine.ones(n, device=device))
    assert x.grad.tolist() == [[0] * 3] * n
    x.grad = None
    x.std(1).backward(engine.ones(n, device=device))
    assert x.grad.tolist() == [[0] * 3] * n


def test_sums_are_accurate(isa: str) -> None:
    n = 3_000_001
    x = np.full(n, 0.1, np.float32)
    exact = float(np.float32(0.1)) * n
    assert abs(engine.from_numpy(x).sum().item() - exact) <= 5e-7 * exact
    assert abs(engine.from_numpy(x).mean().item() - float(np.float32(0.1))) <= 5e-8
    wide = engine.from_numpy(x).reshape(-1, 1).expand(n, 20).contiguous()
    assert np.abs(wide.sum(0).numpy() - exact).max() <= 1e-6 * exact
    assert engine.from_numpy(x).cumsum(0).numpy()[-1] == pytest.approx(exact, rel=1e-7)
    rng = np.random.default_rng(0)
    y = (1e4 + rng.standard_normal(200_000)).astype(np.float32)  # E[x^2] - mean^2 would keep no digit
    assert engine.from_numpy(y).var().item() == pytest.approx(y.astype(np.float64).var(ddof=1), rel=1e-5)


def test_sums_of_integers_are_exact(device) -> None:
    def after(values, dtype, zeros: int):
        """The values behind so many zeros."""
        return t(np.array([0] * (0 if device == "cpu" else zeros) + values), dtype, device=device)

    x = after([2**62, 1, -(2**62), 5], engine.int64, 1100)
    assert x.sum().item() == 6
    assert x.cumsum(0).tolist()[-4:] == [2**62, 2**62 + 1, 1, 6]
    assert after([200, 100], engine.uint8, 1100).sum().item() == 300
    assert after([2**31 - 1] * 2, engine.int32, 1100).sum().item() == 2**32 - 2
    assert after([True] * 300, engine.bool, 1100).sum().item() == 300
    assert t(np.array([1] * 1100 + [3, 4]), engine.uint8, device=device).prod().item() == 12


@pytest.mark.parametrize("op", ["sum", "mean", "amax", "amin", "var", "std", "norm", "logsumexp"])
def test_an_empty_list_of_dimensions_means_all(op: str) -> None:
    for shape in ((2, 3), ()):
        x = t(np.arange(math.prod(shape), dtype=np.float64).reshape(shape), grad=True)
        for keepdim in (False, True):
            y = getattr(engine, op)(x, dim=(), keepdim=keepdim)
            all_named = getattr(engine, op)(x, dim=tuple(range(len(shape))), keepdim=keepdim)
            assert y.shape == ((1,) * len(shape) if keepdim else ()) == all_named.shape
            np.testing.assert_array_equal(y.detach().numpy(), all_named.detach().numpy())
        y.backward()
        assert x.grad.shape == shape


def test_dtype_argument() -> None:
    x = t([1.5, 2.5])
    assert x.sum(dtype=engine.float64).dtype is engine.float64
    assert t([1, 2]).mean(dtype=engine.float32).item() == 1.5
    assert x.sum(dtype=engine.int64).item() == 3
    large = t([100.7, 200.2])
    for dtype, total, product, running in (
        (engine.uint8, 44, 32, [100, 44]),
        (engine.int32, 300, 20000, [100, 300]),
        (engine.bool, True, True, [True, True]),
    ):
        for x in (large, large.to(engine.int64)):
            for got, expected in (
                (x.sum(dtype=dtype), total),
                (x.prod(dtype=dtype), product),
                (x.cumsum(0, dtype=dtype), running),
            ):
                assert got.dtype is dtype and got.tolist() == expected
    assert t([3_000_000_000, 3_000_000_000]).sum(dtype=engine.int32).item() == 1_705_032_704
    y = t([1.0, 2.0], grad=True)
    (y * y).sum(dtype=engine.float64).backward()
    assert y.grad.dtype is engine.float32
    assert y.grad.tolist() == [2, 4]


def test_arguments_and_errors() -> None:
    x = engine.ones(2, 3, 4)
    assert x.sum((0, -1), keepdim=True).shape == (1, 3, 1)
    assert x.sum([1]).shape == (2, 4)
    assert x.sum(()).shape == ()
    assert x.mean(-1).shape == (2, 3)
    assert x.argmax().shape == ()
    assert x.argmax(keepdim=True).shape == (1, 1, 1)
    found = x.max(dim=2, keepdim=True)
    assert found.values.shape == found.indices.shape == (2, 3, 1)
    values, indices = x.min(0)
    assert values.shape == indices.shape == (3, 4)
    assert indices.dtype is engine.int64
    assert x.max(engine.zeros(4)).shape == (2, 3, 4)
    with pytest.raises(IndexError, match=r"\[sum\] dim: expected a number in \[-3, 2\], got 3"):
        x.sum(3)
    with pytest.raises(ValueError, match=r"\[sum\] dim: expected each dimension once, got \(0, -3\)"):
        x.sum((0, -3))
    with pytest.raises(TypeError, match=r"\[sum\] input: expected a Tensor, got list"):
        engine.sum([1, 2])
    with pytest.raises(ValueError, match=r"\[norm\] p: expected 'fro', 'nuc' or a number, got 'max'"):
        x.norm("max")


def test_0_dim() -> None:
    x = t(3.0, grad=True)
    assert x.sum(0).item() == x.mean(-1).item() == x.amax(0).item() == x.prod().item() == 3
    assert x.argmax(0).item() == 0
    found = x.max(0)
    assert (found.values.item(), found.indices.item()) == (3, 0)
    (x.cumsum(0) + found.values).backward()
    assert x.grad.item() == 2


@pytest.mark.parametrize("shape", [(1_000_003,), (3, 400_000), (5000, 300), (2, 70_000, 3)])
def test_large_reductions_do_not_depend_on_threads(isa: str, threads, shape) -> None:
    x = engine.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    results = []
    for n in (1, 2, 5):
        threads(n)
        results.append(
            [
                op(x, dim).numpy().tobytes()
                for dim in (None, 0, -1)
                for op in (engine.sum, engine.mean, engine.var, engine.argmax)
            ]
        )
    assert results[0] == results[1] == results[2]
