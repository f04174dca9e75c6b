"""Order along a dimension: sort, topk, median and their kin, and places in sorted sequences.

NaN counts as the largest number. Sorting keeps the order of equal elements. Gradients go to the elements that were taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import BadIndex, BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.convert import into
from engine.ops.factory import as_tensor
from engine.ops.naming import called_as
from engine.ops.operands import gradient, promote_types, zeros_array
from engine.ops.reduction import ValuesAndIndices
from engine.ops.sizes import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "argsort",
    "bucketize",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "searchsorted",
    "sort",
    "topk",
]

K = _core.kernels


def _three(x: Array, dim: int) -> tuple[int, int, int]:
    """The shape (before, along, behind) that the kernels take."""
    shape = x.shape or (1,)
    return prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])


def sorted_arrays(x: Array, dim: int, descending: bool = False) -> tuple[Array, Array]:
    """Values and indices of `x` sorted along `dim`."""
    values, indices = K.sort(x.reshape(_three(x, dim)), descending)
    return values.view(x.shape), indices.view(x.shape)


def _taken_backward(ctx: Node, dy: Array, _: Any) -> Array:
    shape, dim, indices = ctx.saved
    dx = zeros_array(shape or (1,), dy)
    K.scatter_add(dx, dim, indices, dy.reshape(indices.shape))
    return dx.view(shape)


def _recorded(
    op: str, input: Tensor, dim: int, values: Array, indices: Array, shape: tuple[int, ...]
) -> ValuesAndIndices:
    """Values and indices (with all dimensions of the input) in the given shape; gradients go to the elements taken."""
    kept = indices if indices.ndim else indices.view((1,))
    outputs = (values.view(shape), indices.view(shape))
    return ValuesAndIndices(*record(op, outputs, (input,), _taken_backward, input.shape, dim, kept))


# ---------------------------------------------------------------- sorting


def both_into(op: str, out: Sequence[Tensor], result: ValuesAndIndices) -> ValuesAndIndices:
    """Writes values and indices to the two tensors that `out` holds."""
    if not isinstance(out, list | tuple):
        raise BadType(op, "out", "(values, indices)", type(out).__name__)
    require(len(out) == 2, op, "out", "(values, indices)", out)
    return ValuesAndIndices(into(op, out[0], result.values), into(op, out[1], result.indices))


@tensor_method
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Sequence[Tensor] | None = None
) -> ValuesAndIndices:
    """(values, indices): `input` in rising order along `dim`, and where each element was (int64). Both have input's shape.

    Equal elements keep their order, whatever `stable` says; with `descending` too. NaN counts as the largest number.
    """
    if out is not None:
        return both_into("sort", out, sort(input, dim, descending))
    x = as_array("sort", "input", input)
    dim = normal_dim("sort", dim, x.ndim)
    return _recorded("sort", input, dim, *sorted_arrays(x, dim, bool(descending)), x.shape)


@tensor_method
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that `sort` returns: int64, of input's shape."""
    x = as_array("argsort", "input", input)
    return Tensor(sorted_arrays(x, normal_dim("argsort", dim, x.ndim), bool(descending))[1])


@tensor_method
def msort(input: Tensor) -> Tensor:
    """`input` sorted along its first dimension."""
    return called_as("msort", sort, input, 0).values


@tensor_method
@explained
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Sequence[Tensor] | None = None,
) -> ValuesAndIndices:
    """(values, indices) of the k largest elements along `dim`, or the smallest, which becomes k long. indices: int64.

    They are in order, the largest (or smallest) first, whatever `sorted` says; of equal elements the first come first.
    Raises ValueError for a k that is not in [0, size].
    """
    if out is not None:
        return both_into("topk", out, topk(input, k, dim, largest))
    x = as_array("topk", "input", input)
    dim = normal_dim("topk", dim, x.ndim)
    three = _three(x, dim)
    require(0 <= k <= three[1], "topk", "k", f"a number in [0, {three[1]}]", k)
    values, indices = K.topk(x.reshape(three), int(k), bool(largest))
    shape = (*x.shape[:dim], k, *x.shape[dim + 1 :]) if x.ndim else (() if k else (0,))
    return _recorded("topk", input, dim, values.view(shape), indices.view(shape), shape)


# ---------------------------------------------------------------- one element of the sorted ones


def _at(
    op: str, input: Tensor, dim: int, keepdim: bool, values: Array, indices: Array, place: Array | int
) -> ValuesAndIndices:
    """The elements at `place` (a number, or an array with size 1 in `dim`) of what sorted_arrays gave."""
    x = input._data
    if x.ndim == 0:
        return _recorded(op, input, 0, values, indices, ())
    if isinstance(place, int):
        values, indices = (a.slice(dim, place, place + 1, 1).contiguous() for a in (values, indices))
    else:
        values, indices = K.gather(values, dim, place), K.gather(indices, dim, place)
    shape = values.shape if keepdim else (*x.shape[:dim], *x.shape[dim + 1 :])
    return _recorded(op, input, dim, values, indices, shape)


def _prepared(op: str, input: Tensor, dim: int) -> tuple[int, Array, Array]:
    """The dimension, and values and indices sorted along it. Raises IndexError if it is empty."""
    x = as_array(op, "input", input)
    dim = normal_dim(op, dim, x.ndim)
    if x.ndim and x.shape[dim] == 0:
        raise BadIndex(op, "input", f"at least one element in dimension {dim}", "0")
    return (dim, *sorted_arrays(x, dim))


@tensor_method
@explained
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """(value, index) of the k-th smallest element along `dim`, counted from 1. The index is int64.

    Raises ValueError for a k that is not in [1, size]."""
    dim, values, indices = _prepared("kthvalue", input, dim)
    n = values.shape[dim] if values.ndim else 1
    require(1 <= k <= n, "kthvalue", "k", f"a number in [1, {n}]", k)
    return _at("kthvalue", input, dim, keepdim, values, indices, int(k) - 1)


def _nans(values: Array, dim: int) -> Array:
    """How many NaN there are along `dim`: int64, with size 1 there."""
    return K.sum_integers(K.isnan(values), 1 << dim, True)


def _median(op: str, input: Tensor, dim: int, keepdim: bool, skip: bool) -> ValuesAndIndices:
    dim, values, indices = _prepared(op, input, dim)
    n = values.shape[dim] if values.ndim else 1
    place: Array | int = (n - 1) // 2
    if values.ndim and values.dtype.is_floating_point:
        count = _nans(values, dim)
        if skip:  # of those that are left, if there are any
            place = K.maximum(K.floor_divide(K.sub(n - 1, count), 2), 0)
        else:  # the first NaN
            place = K.where(K.gt(count, 0), K.sub(n, count), place)
    return _at(op, input, dim, keepdim, values, indices, place)


@gradient
def _shared_backward(dy: Array, x: Array, y: Array) -> Array:
    ones = (1,) * x.ndim
    return K.amax_backward(dy.reshape(ones), x, y.reshape(ones), (1 << x.ndim) - 1)


def _median_of_all(op: str, input: Tensor, skip: bool) -> Tensor:
    x = as_array(op, "input", input)
    if x.size == 0:
        require(x.dtype.is_floating_point, op, "input", "at least one element", f"shape {tuple(x.shape)}")
        y = _core.empty((), x.dtype, x.device)
        K.fill(y, float("nan"))
    else:
        y = _median(op, Tensor(x.reshape((-1,))), 0, False, skip).values._data
    return record(op, y, (input,), _shared_backward, x, y)


@tensor_method
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median: the lower one of the two in the middle. NaN if there is a NaN.

    median(input): of all elements, 0-dim; equal elements share the gradient. median(input, dim): (values, indices) along dim.
    """
    if dim is None:
        return _median_of_all("median", input, False)
    return _median("median", input, dim, keepdim, False)


@tensor_method
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN; NaN if all are."""
    if dim is None:
        return _median_of_all("nanmedian", input, True)
    return _median("nanmedian", input, dim, keepdim, True)


@tensor_method
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """(values, indices) of the most frequent element along `dim`, the smallest of equally frequent ones. The index is that of
    its last occurrence."""
    dim, values, indices = _prepared("mode", input, dim)
    if values.ndim == 0:
        return _at("mode", input, dim, keepdim, values, indices, 0)
    last, n = values.ndim - 1, values.shape[dim]
    lines = values.transpose(dim, last).reshape((values.size // n, n))
    changes = K.ne(lines.slice(1, 1, n, 1), lines.slice(1, 0, n - 1, 1)).cast(_core.int64)
    runs = zeros_array((lines.shape[0], n), changes)  # the number of the run in which an element lies
    K.copy(runs.slice(1, 1, n, 1), K.cumsum(changes, 1, False))
    length = K.sub(_places(n, runs), K.searchsorted(runs, runs, False))
    place = K.argmax(length, 2, True)  # the end of the first longest run
    shape = [*values.transpose(dim, last).shape[:-1], 1]
    return _at("mode", input, dim, keepdim, values, indices, place.view(shape).transpose(dim, last))


def _places(n: int, like: Array) -> Array:
    """0 to n - 1, int64."""
    ones = _core.empty((n,), _core.int64, like.device)
    K.fill(ones, 1.0)
    return K.sub(K.cumsum(ones, 0, False), 1)


# ---------------------------------------------------------------- places in sorted sequences


def _searched(op: str, sequence: Tensor, values: Any, right: bool, out_int32: bool, names: tuple[str, str]) -> Tensor:
    s = as_array(op, names[0], sequence)
    if not isinstance(values, Tensor):
        values = called_as(op, as_tensor, values)
    v = as_array(op, names[1], values)
    require(s.ndim > 0, op, names[0], "at least one dimension", "a 0-dim tensor")
    if s.ndim > 1 and s.shape[:-1] != v.shape[:-1]:
        expected = f"the leading dimensions of {names[0]}, {s.shape[:-1]}"
        raise BadValue(op, names[1], expected, f"shape {tuple(v.shape)}")
    dtype = promote_types(s.dtype, v.dtype)
    s, v = s.cast(dtype), v.cast(dtype).to_device(s.device)
    if s.ndim == 1:
        rows, wanted = s.unsqueeze(0), v.reshape((1, v.size))
    else:
        rows = s.reshape((prod(s.shape[:-1]), s.shape[-1]))
        wanted = v.reshape((rows.shape[0], v.shape[-1]))
    found = called_as(op, K.searchsorted, rows, wanted, right).view(v.shape)
    return Tensor(found.cast(_core.int32) if out_int32 else found)


@explained
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where the values `input` (a tensor or a number) belong in rows that rise: the number of elements of the row that are
    smaller; with right=True, that are smaller or equal. int64, or int32 with out_int32, of the values' shape.

    sorted_sequence: (*, n); one row (n,) serves all values, otherwise the values are (*, m). side: "left" or "right", which
    says the same as `right`. sorter: int64, the order in which the rows rise, as `argsort` returns it.
    """
    op = "searchsorted"
    require(side in (None, "left", "right"), op, "side", "'left' or 'right'", repr(side))
    require(not (right and side == "left"), op, "side", "'right', because right=True", "'left'")
    if sorter is not None:
        order = as_array(op, "sorter", sorter)
        shape = as_array(op, "sorted_sequence", sorted_sequence).shape
        require(order.shape == shape, op, "sorter", f"shape {shape}", order.shape)
        sorted_sequence = Tensor(called_as(op, K.gather, sorted_sequence._data, len(shape) - 1, order))
    return _searched(op, sorted_sequence, input, right or side == "right", out_int32, ("sorted_sequence", "input"))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval in which each element lies: that of the `boundaries` (n,), which rise, below it. An element
    that equals a boundary counts as below it; with right=True as above it. int64, or int32 with out_int32."""
    b = as_array("bucketize", "boundaries", boundaries)
    require(b.ndim == 1, "bucketize", "boundaries", "1 dimension", f"shape {tuple(b.shape)}")
    return _searched("bucketize", boundaries, input, right, out_int32, ("boundaries", "input"))
