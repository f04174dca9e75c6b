"""Writing by index: against NumPy one element at a time, in place and not, with gradients, and the errors."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck


def double(*shape: int):
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return engine.tensor(values, dtype=engine.float64, requires_grad=True)


INDEX = engine.tensor([[0, 2, 2], [1, 1, 0]])
REDUCTIONS = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def reduced(x: np.ndarray, index: np.ndarray, src: np.ndarray, join, include_self: bool) -> np.ndarray:
    y, seen = x.copy(), np.zeros(x.shape, bool)
    for r, c in np.ndindex(index.shape):
        at = index[r, c], c
        y[at] = join(y[at], src[r, c]) if include_self or seen[at] else src[r, c]
        seen[at] = True
    return y


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("reduce", list(REDUCTIONS))
def test_scatter_reduce(reduce: str, dtype: type, include_self: bool) -> None:
    rng = np.random.default_rng(3)
    x, src = (rng.integers(0, 5, (4, 3)).astype(dtype) for _ in range(2))
    wanted = reduced(x, INDEX.numpy(), src, REDUCTIONS[reduce], include_self)
    y = engine.tensor(x)
    found = y.scatter_reduce(0, INDEX, engine.tensor(src), reduce, include_self=include_self)
    assert found.numpy().dtype == dtype and np.array_equal(found.numpy(), wanted)
    assert y.scatter_reduce_(0, INDEX, engine.tensor(src), reduce, include_self=include_self) is y
    assert np.array_equal(y.numpy(), wanted)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_scatter_reduce_gradients(reduce: str, include_self: bool, zeros: int) -> None:
    x, src = double(4, 3), double(2, 3)
    if zeros and reduce == "prod":
        with engine.no_grad():
            x[2, 2], src[0, 1] = 0.0, 0.0
            if zeros == 2:
                src[0, 2] = 0.0
    assert gradcheck(lambda a, b: a.scatter_reduce(0, INDEX, b, reduce, include_self=include_self), (x, src))
    assert gradcheck(
        lambda a, b: a.clone().scatter_reduce_(0, INDEX, b * 1, reduce, include_self=include_self), (x, src)
    )


def test_scatter() -> None:
    x = engine.zeros(3, 3, dtype=engine.int64)
    assert x.scatter(0, INDEX, engine.tensor([[1, 2, 3], [4, 5, 6]])).tolist() == [[1, 0, 6], [4, 5, 0], [0, 2, 3]]
    assert x.scatter(0, INDEX, 7.9).tolist() == [[7, 0, 7], [7, 7, 0], [0, 7, 7]]
    assert x.scatter_(1, engine.tensor([[2]]), value=1) is x and x.tolist() == [[0, 0, 1], [0] * 3, [0] * 3]
    assert x.scatter(1, engine.tensor([[2, 2]]), engine.tensor([[3, 4]]), reduce="add")[0, 2].item() == 8
    assert x.scatter(1, engine.tensor([[2, 2]]), 3, reduce="multiply")[0, 2].item() == 9
    assert engine.tensor(1.0).scatter(0, engine.tensor(0), 5.0).item() == 5.0
    assert engine.tensor(1.0).scatter_add(0, engine.tensor([0]), engine.tensor([2.0])).item() == 3.0
    assert engine.tensor([True, False]).scatter_add(0, engine.tensor([1]), engine.tensor([True])).tolist() == [True] * 2
    one_hot = engine.zeros(2, 4).scatter_(1, engine.tensor([[3], [0]]), 1.0)
    assert one_hot.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


def test_gradients_of_writing() -> None:
    x, few, rows = double(4, 3), double(2, 3), engine.tensor([2, 0])
    mask = engine.tensor(np.arange(12).reshape(4, 3) % 3 == 1)
    for op in (
        lambda a, b: a.scatter(0, engine.tensor([[0, 1, 2], [3, 2, 1]]), b),
        lambda a, b: a.clone().scatter_(0, engine.tensor([[0, 1], [3, 2]]), b * 1),
        lambda a, b: a.index_add(0, rows, b, alpha=2),
        lambda a, b: a.clone().index_add_(0, engine.tensor([1, 1]), b * 1),
        lambda a, b: a.index_copy(0, rows, b),
        lambda a, b: a.clone().index_copy_(0, rows, b * 1),
        lambda a, b: a.index_fill(0, engine.tensor([1, -1]), b[0, 0]),
        lambda a, b: a.index_put((rows,), b),
        lambda a, b: a.clone().index_put_((engine.tensor([1, 1]), None), b * 1, accumulate=True),
        lambda a, b: a.masked_scatter(mask, b),
        lambda a, b: a.take(engine.tensor([[0, -1], [5, 5]])) + b.sum(),
    ):
        assert gradcheck(op, (x, few))


def test_slices_by_index() -> None:
    x = engine.arange(12).reshape(4, 3)
    source = engine.tensor([[10, 20, 30], [1, 2, 3]])
    assert x.index_add(0, engine.tensor([1, 1]), source, alpha=2)[1].tolist() == [25, 48, 71]
    assert x.index_copy(0, engine.tensor([3, 0]), source)[[0, 3]].tolist() == [[1, 2, 3], [10, 20, 30]]
    assert x.index_fill(1, engine.tensor([-1]), -1)[:, 2].tolist() == [-1] * 4
    assert x.index_add(1, engine.tensor([2], dtype=engine.int32), x[:, :1])[3].tolist() == [9, 10, 20]
    strided = engine.arange(12).reshape(3, 4).t()
    strided.index_add_(0, engine.tensor([0]), engine.tensor([[1, 1, 1]]))
    assert strided[0].tolist() == [1, 5, 9]
    assert engine.tensor(2.0).index_add(0, engine.tensor([0]), engine.tensor([3.0])).item() == 5.0
    assert engine.tensor([True, False]).index_add(0, engine.tensor([1]), engine.tensor([True])).tolist() == [True, True]


def test_many_places() -> None:
    x = engine.zeros(3, 4)
    where = (engine.tensor([0, 0, 2]), engine.tensor([1, 1, 3]))
    values = engine.tensor([1.0, 2.0, 4.0])
    assert x.index_put(where, values, accumulate=True)[0, 1].item() == 3.0
    assert x.index_put(where, values)[0, 1].item() == 2.0
    x.t().index_put_((engine.tensor([3]),), engine.tensor(5.0), accumulate=True)
    assert x[:, 3].tolist() == [5.0, 5.0, 5.0]
    mask = engine.tensor([[True, False, False, True]])
    assert engine.arange(8.0).reshape(2, 4).masked_scatter(mask, engine.tensor([9.0, 8.0, 7.0, 6.0])).tolist() == [
        [9, 1, 2, 8],
        [7, 5, 6, 6],
    ]
    assert engine.take(engine.arange(6).reshape(2, 3).t(), engine.tensor([1, -1])).tolist() == [3, 5]
    assert engine.take_along_dim(engine.arange(6).reshape(2, 3), engine.tensor([[-1], [0]]), 1).tolist() == [[2], [3]]
    assert [t.tolist() for t in engine.where(engine.tensor([[0, 1], [1, 0]]) > 0)] == [[0, 1], [1, 0]]
    assert engine.argwhere(engine.tensor([0, 3])).tolist() == [[1]]
    assert engine.index_select(engine.tensor(3.0), 0, engine.tensor([0])).item() == 3.0


def test_empty_indices() -> None:
    x, src = engine.arange(6.0).reshape(2, 3).requires_grad_(), engine.ones(2, 3, requires_grad=True)
    for shape in ((0,), (0, 2), (2, 0)):
        none = engine.zeros(*shape, dtype=engine.int64)
        for y in (x.scatter(0, none, 9.0), x.scatter(1, none, src), x.scatter_add(0, none, src), x.gather(0, none)):
            assert y.shape == shape or y.tolist() == x.tolist()
            y.sum().backward()
    assert src.grad is not None and src.grad.tolist() == [[0.0] * 3] * 2
    nothing = engine.zeros(0, dtype=engine.int64)
    assert x.index_add(0, nothing, engine.zeros(0, 3)).tolist() == x.tolist()
    assert x.index_fill(1, nothing, 1.0).tolist() == x.tolist()
    assert x.index_put((nothing,), engine.tensor(1.0), accumulate=True).tolist() == x.tolist()
    assert x.take(nothing).shape == (0,)


def test_errors() -> None:
    x, index = engine.zeros(3, 4), engine.tensor([[0, 1]])
    for call, error, message in (
        (lambda: x.scatter(1, index, engine.zeros(1, 2, dtype=engine.float64)), TypeError, r"\[scatter\] src"),
        (lambda: x.scatter(1, index, engine.zeros(1, 1)), ValueError, r"\[scatter\] src"),
        (lambda: x.scatter(1, index + 9, 1.0), IndexError, r"\[scatter\] index"),
        (lambda: x.scatter(1, index, 1.0, reduce="mean"), ValueError, r"\[scatter\] reduce"),
        (lambda: x.scatter_(1, index), ValueError, r"\[scatter_\] src"),
        (lambda: x.scatter_reduce(1, index, x, "min"), ValueError, r"\[scatter_reduce\] reduce"),
        (lambda: x.index_add(0, engine.tensor([0]), engine.zeros(2, 4)), ValueError, r"\[index_add\] source"),
        (lambda: x.index_add(0, engine.tensor([3]), engine.zeros(1, 4)), IndexError, r"\[index_add\] index"),
        (lambda: x.index_copy(0, engine.tensor([[0]]), x), ValueError, r"\[index_copy\] index"),
        (lambda: x.index_fill(0, engine.tensor([-4]), 1.0), IndexError, r"\[index_fill\] index"),
        (lambda: x.index_put((engine.tensor([0]),), engine.zeros(2, 4)), ValueError, r"\[index_put\] values"),
        (lambda: x.masked_scatter(x == 0, engine.zeros(3)), ValueError, r"\[masked_scatter\] source"),
        (lambda: x.take(engine.tensor([12])), IndexError, r"\[take\] index"),
    ):
        before = x.tolist()
        with pytest.raises(error, match=message):
            call()
        assert x.tolist() == before
