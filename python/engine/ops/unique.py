"""The distinct elements or slices of a tensor."""

from __future__ import annotations

from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import NotDefined
from engine.ops.blame import explained
from engine.ops.operands import zeros_array
from engine.ops.sizes import normal_dim
from engine.ops.sorting import sorted_arrays
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["unique", "unique_consecutive"]

K = _core.kernels


def _taken(rows: Array, order: Array) -> Array:
    """rows[order], of rows (n, d)."""
    return K.index_rows(rows.unsqueeze(0), order).view((order.size, rows.shape[1]))


def _lexicographic(rows: Array) -> Array:
    """The order in which the rows (n, d) rise: by their first element, then the second, and so on."""
    order: Array | None = None
    for column in range(rows.shape[1] - 1, -1, -1):
        keys = rows.slice(1, column, column + 1, 1).contiguous()
        step = sorted_arrays(keys if order is None else _taken(keys, order), 0)[1].view((rows.shape[0],))
        order = step if order is None else _taken(order.unsqueeze(1), step).view((rows.shape[0],))
    assert order is not None
    return order


def _firsts(rows: Array) -> Array:
    """Whether each of the rows (n, d), n > 0, differs from the one before: bool (n,)."""
    n = rows.shape[0]
    first = _core.empty((n,), _core.bool, rows.device)
    K.fill(first, 1.0)
    if n > 1:
        differs = K.ne(rows.slice(0, 1, n, 1), rows.slice(0, 0, n - 1, 1))
        K.copy(first.slice(0, 1, n, 1), K.any(differs, 2, False))
    return first


def _no_backward(node: Node, *gradients: Any) -> Any:
    raise NotDefined(node.op, "backward", "an op that has a gradient", "one that has none", "detach() its input")


def _distinct(op: str, input: Tensor, dim: int | None, sort: bool, with_inverse: bool, with_counts: bool) -> Any:
    x = as_array(op, "input", input)
    moved: tuple[int, ...]
    if dim is None:
        rows, moved, shape = x.reshape((x.size, 1)), (), x.shape
    else:
        dim = normal_dim(op, dim, x.ndim)
        x = x if x.ndim else x.view((1,))
        order_of_dims = [dim, *(d for d in range(x.ndim) if d != dim)]
        ahead = x.permute(order_of_dims)
        moved, shape = ahead.shape[1:], ahead.shape[:1]
        rows = ahead.reshape((shape[0], prod(moved)))
    n, width = rows.shape
    order = _lexicographic(rows) if sort and width and n else None
    if order is not None:
        rows = _taken(rows, order)
    starts = _core.empty((0,), _core.int64, x.device)
    number = starts  # of the distinct row that each row is
    if n and width:
        first = _firsts(rows)
        starts = K.nonzero_flat(first, K.count_nonzero(first).item())
        number = K.sub(K.cumsum(first, 0, False), 1)
    elif n:  # rows without elements are all equal
        starts, number = (zeros_array((size,), starts) for size in (1, n))
    found = _taken(rows, starts)
    if dim is None:
        values = found.view((starts.size,))
    else:
        back = sorted(range(x.ndim), key=order_of_dims.__getitem__)
        values = found.view((starts.size, *moved)).permute(back).contiguous()
    results = [record(op, values, (input,), _no_backward)]
    if with_inverse:
        inverse = number
        if order is not None:
            inverse = _core.empty((n,), _core.int64, x.device)
            K.scatter(inverse, 0, order, number)
        results.append(Tensor(inverse.view(shape)))
    if with_counts:
        ends = _core.empty((starts.size,), _core.int64, x.device)
        K.fill(ends, float(n))
        if starts.size:
            K.copy(ends.slice(0, 0, starts.size - 1, 1), starts.slice(0, 1, starts.size, 1))
        results.append(Tensor(K.sub(ends, starts)))
    return results[0] if len(results) == 1 else tuple(results)


@tensor_method
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements of `input`, rising: (m,). With `dim`: its distinct slices along that dimension, in the order of
    their elements; then only that dimension gets another size.

    The result is always sorted. return_inverse: also int64 of input's shape (with dim: (size,)), the place of each element in
    the result. return_counts: also int64 (m,), how often each occurs. NaN is not equal to NaN. There are no gradients:
    `backward` through the result raises NotImplementedError.
    """
    return _distinct("unique", input, dim, True, return_inverse, return_counts)


@tensor_method
@explained
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """`input`, flattened, without the elements that are equal to the one before; with `dim`, without such slices. The
    arguments are those of `unique`."""
    return _distinct("unique_consecutive", input, dim, False, return_inverse, return_counts)
