"""Sorting and its kin where the rows of tests/specs do not reach: NaN, ties, 0-dim, other dtypes, errors, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck

NAN = float("nan")


def test_nan_is_the_largest() -> None:
    x = engine.tensor([2.0, NAN, -1.0, float("inf"), NAN])
    assert engine.argsort(x).tolist() == [2, 0, 3, 1, 4]
    assert engine.argsort(x, descending=True).tolist() == [1, 4, 3, 0, 2]
    assert engine.topk(x, 3).indices.tolist() == [1, 4, 3]
    assert engine.topk(x, 2, largest=False).values.tolist() == [-1.0, 2.0]


@pytest.mark.parametrize("n", [10, 100, 5000])
@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(n: int, descending: bool) -> None:
    x = np.random.default_rng(n).integers(-3, 3, n)
    order = np.argsort(-x if descending else x, kind="stable")
    for dtype in (np.int64, np.int32, np.float32, np.float64):
        assert engine.argsort(engine.tensor(x.astype(dtype)), descending=descending).tolist() == order.tolist()
    assert engine.topk(engine.tensor(x), 3, largest=descending).indices.tolist() == order[:3].tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_, np.float64])
def test_every_dtype_sorts(dtype: type) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-(2**62), 2**62, (3, 200)).astype(dtype)
    assert np.array_equal(engine.sort(engine.tensor(x)).values.numpy(), np.sort(x))
    assert np.array_equal(engine.msort(engine.tensor(x)).numpy(), np.sort(x, 0))
    assert np.array_equal(engine.unique(engine.tensor(x)).numpy(), np.unique(x))


def test_extreme_integers() -> None:
    x = engine.tensor([0, -(2**63), 2**63 - 1, -1])
    assert engine.sort(x).values.tolist() == [-(2**63), -1, 0, 2**63 - 1]


def test_zero_dim() -> None:
    x = engine.tensor(3.0, requires_grad=True)
    for result in (engine.sort(x), engine.topk(x, 1), engine.median(x, 0), engine.mode(x), engine.kthvalue(x, 1)):
        assert result.values.shape == () and result.indices.item() == 0
    engine.sort(x).values.backward()
    assert x.grad is not None and x.grad.item() == 1.0
    assert engine.unique(engine.tensor(3)).tolist() == [3]


def test_median_and_nan() -> None:
    x = engine.tensor([[3.0, NAN, 1.0, 2.0], [4.0, 1.0, 3.0, 2.0]])
    values, indices = engine.median(x, 1)
    assert np.isnan(values[0].item()) and values[1].item() == 2.0 and indices.tolist() == [1, 3]
    values, indices = engine.nanmedian(x, 1)
    assert values.tolist() == [2.0, 2.0] and indices.tolist() == [3, 3]
    assert np.isnan(engine.median(x).item()) and engine.nanmedian(x).item() == 2.0
    assert np.isnan(engine.median(engine.zeros(0)).item())


def test_equal_medians_share_the_gradient() -> None:
    x = engine.tensor([1.0, 2.0, 2.0, 5.0], requires_grad=True)
    engine.median(x).backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_mode_takes_the_smallest_of_the_most_frequent() -> None:
    values, indices = engine.mode(engine.tensor([[3, 1, 1, 3, 2], [5, 4, 3, 2, 1]]), keepdim=True)
    assert values.tolist() == [[1], [1]] and indices.tolist() == [[2], [4]]


@pytest.mark.parametrize(
    "op",
    [
        lambda x: engine.sort(x, 0, descending=True).values,
        lambda x: engine.topk(x, 2, 0).values,
        lambda x: engine.kthvalue(x, 2, 1, keepdim=True).values,
        lambda x: engine.median(x, 1).values,
        lambda x: engine.median(x),
        lambda x: engine.mode(x, 0).values,
        lambda x: engine.msort(x),
    ],
)
def test_gradients(op) -> None:
    x = engine.tensor(np.random.default_rng(0).permutation(12).reshape(3, 4) * 0.1, requires_grad=True)
    assert gradcheck(op, (x.double().detach().requires_grad_(),))


def test_unique_of_slices() -> None:
    x = np.random.default_rng(2).integers(0, 2, (3, 30, 2))
    values, inverse, counts = engine.unique(engine.tensor(x), return_inverse=True, return_counts=True, dim=1)
    wanted = np.unique(x, axis=1, return_inverse=True, return_counts=True)
    assert np.array_equal(values.numpy(), wanted[0])
    assert np.array_equal(inverse.numpy(), wanted[1].reshape(-1)) and np.array_equal(counts.numpy(), wanted[2])
    assert np.array_equal(values.numpy()[:, inverse.numpy()], x)


def test_unique_consecutive() -> None:
    x = engine.tensor([1, 1, 2, 2, 2, 1])
    values, inverse, counts = engine.unique_consecutive(x, return_inverse=True, return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([1, 2, 1], [0, 0, 1, 1, 1, 2], [2, 3, 1])
    rows = engine.tensor([[1, 2], [1, 2], [3, 4]])
    assert engine.unique_consecutive(rows, dim=0).tolist() == [[1, 2], [3, 4]]
    assert engine.unique_consecutive(engine.zeros(0)).shape == (0,)


def test_searchsorted_of_rows() -> None:
    rows = engine.tensor([[1, 3, 5, 7], [2, 4, 6, 8]])
    values = engine.tensor([[3, 6], [2.5, 9]])
    assert engine.searchsorted(rows, values).tolist() == [[1, 3], [1, 4]]
    assert engine.searchsorted(rows, values, side="right", out_int32=True).dtype is engine.int32
    assert engine.searchsorted(rows[0], 3, right=True).item() == 2
    assert engine.searchsorted(engine.tensor([1.0]), engine.tensor([NAN])).item() == 1
    mixed = engine.tensor([5, 1, 3])
    assert engine.searchsorted(mixed, engine.tensor([2, 6]), sorter=engine.argsort(mixed)).tolist() == [1, 3]
    boundaries = engine.tensor([1, 3, 5])
    assert engine.bucketize(engine.tensor([3, 4]), boundaries).tolist() == [1, 2]
    assert engine.bucketize(3, boundaries, right=True).item() == 2


def test_errors() -> None:
    x = engine.zeros(3, 4)
    with pytest.raises(ValueError, match=r"\[topk\] k: expected a number in \[0, 4\], got 5"):
        engine.topk(x, 5)
    with pytest.raises(ValueError, match=r"\[kthvalue\] k: expected a number in \[1, 4\], got 0"):
        engine.kthvalue(x, 0)
    with pytest.raises(IndexError, match=r"\[median\]"):
        engine.median(engine.zeros(3, 0), 1)
    with pytest.raises(IndexError, match=r"\[sort\] dim"):
        engine.sort(x, 2)
    with pytest.raises(ValueError, match=r"\[searchsorted\] side"):
        engine.searchsorted(x[0], 1, side="both")
    with pytest.raises(ValueError, match=r"\[searchsorted\] input"):
        engine.searchsorted(x, engine.zeros(2, 4))


def test_multinomial() -> None:
    engine.manual_seed(0)
    weights = engine.tensor([0.0, 1.0, 0.0, 3.0])
    drawn = engine.multinomial(weights, 20000, replacement=True).numpy()
    assert set(drawn.tolist()) == {1, 3} and abs((drawn == 3).mean() - 0.75) < 0.02
    pairs = engine.multinomial(weights.expand(500, 4), 2)
    assert pairs.shape == (500, 2) and np.array_equal(np.sort(pairs.numpy()), np.tile([1, 3], (500, 1)))
    first = engine.multinomial(weights.expand(20000, 4), 1).numpy()
    assert abs((first == 3).mean() - 0.75) < 0.02
    for bad, count in (
        ([-1.0, 2.0], 1),
        ([0.0, 0.0], 1),
        ([NAN, 1.0], 1),
        ([1.0, 2.0], 3),
        ([0.0, 1.0], 2),
        ([1.0], 0),
    ):
        with pytest.raises(ValueError, match=r"\[multinomial\]"):
            engine.multinomial(engine.tensor(bad), count)


def test_cumprod_through_zeros() -> None:
    x = engine.tensor([[2.0, 0.0, 3.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0, 4.0]], requires_grad=True)
    assert gradcheck(lambda t: engine.cumprod(t, 1), (x.double().detach().requires_grad_(),))
    assert engine.cumprod(engine.tensor([True, True, False]), 0).tolist() == [1, 1, 0]
    assert engine.cumprod(engine.tensor([2, 3]), 0, dtype=engine.float64).dtype is engine.float64
    assert gradcheck(lambda t: (t * 1).cumprod_(0), (x.double().detach().requires_grad_(),))
    assert engine.tensor([2, 3], dtype=engine.int32).cumprod_(0).tolist() == [2, 6]


@pytest.mark.parametrize("op", [engine.unique, engine.unique_consecutive])
def test_distinct_elements_have_no_gradient_and_say_so(op) -> None:
    x = engine.tensor([2.0, 2.0, 1.0], requires_grad=True)
    values, counts = op(x, return_counts=True)
    assert values.requires_grad and not counts.requires_grad and not op(x.detach()).requires_grad
    with pytest.raises(NotImplementedError, match=op.__name__):
        values.sum().backward()
