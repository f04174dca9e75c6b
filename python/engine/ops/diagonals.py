"""Diagonals of matrices, windows over a dimension, and the indices of triangles. `diagonal` and `unfold` are views."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import record, record_view
from engine.errors import BadIndex, BadType, require
from engine.ops.blame import explained
from engine.ops.factory import ones, tril, triu
from engine.ops.indexing import nonzero
from engine.ops.naming import called_as
from engine.ops.operands import gradient, zeros_array
from engine.ops.reduction import sum
from engine.ops.shape import reshape, transpose
from engine.ops.sizes import new_sizes, normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "trace",
    "tril_indices",
    "triu_indices",
]

K = _core.kernels


# ---------------------------------------------------------------- diagonals


def _diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    """A view of the diagonal, as the last dimension."""
    m, n = x.shape[dim1], x.shape[dim2]
    length = max(min(m, n - offset) if offset >= 0 else min(m + offset, n), 0)
    kept = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    start = x.offset
    if length:
        start += offset * x.strides[dim2] if offset >= 0 else -offset * x.strides[dim1]
    shape = (*(x.shape[d] for d in kept), length)
    strides = (*(x.strides[d] for d in kept), x.strides[dim1] + x.strides[dim2])
    return x.as_strided(shape, strides, start)


@gradient
def _diagonal_backward(dy: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    dx = zeros_array(shape, dy)
    K.copy(_diagonal(dx, offset, dim1, dim2), dy)
    return dx


def _two_dims(op: str, x: Array, dim1: int, dim2: int) -> tuple[int, int]:
    require(x.ndim >= 2, op, "input", "at least 2 dimensions", x.ndim, error=BadIndex)
    a, b = normal_dim(op, dim1, x.ndim, "dim1"), normal_dim(op, dim2, x.ndim, "dim2")
    require(a != b, op, "dim2", f"another dimension than dim1, {dim1}", dim2)
    return a, b


@tensor_method
@explained
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of the matrices in dimensions dim1 and dim2, as the last dimension.

    offset: 0 for the main diagonal, above 0 for one above it, below 0 for one below it.
    """
    x = as_array("diagonal", "input", input)
    a, b = _two_dims("diagonal", x, dim1, dim2)
    return record_view("diagonal", _diagonal(x, offset, a, b), input, _diagonal_backward, x.shape, offset, a, b)


@gradient
def _embed_backward(dy: Array, offset: int, dim1: int, dim2: int) -> Array:
    return _diagonal(dy, offset, dim1, dim2)


@tensor_method
@explained
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """(*, n) -> zeros with the last dimension of `input` on the diagonal of the new dimensions dim1 and dim2, both n + |offset|."""
    x = as_array("diag_embed", "input", input)
    if x.ndim == 0:
        raise BadIndex("diag_embed", "input", "at least one dimension", "a 0-dim tensor")
    a, b = (normal_dim("diag_embed", d, x.ndim + 1, name) for d, name in ((dim1, "dim1"), (dim2, "dim2")))
    require(a != b, "diag_embed", "dim2", f"another dimension than dim1, {dim1}", dim2)
    (side,) = new_sizes("diag_embed", "offset", (x.shape[-1] + abs(offset),))
    rest = iter(x.shape[:-1])
    y = zeros_array(tuple([side if d in (a, b) else next(rest) for d in range(x.ndim + 1)]), x)
    K.copy(_diagonal(y, offset, a, b), x)
    return record("diag_embed", y, (input,), _embed_backward, offset, a, b)


@tensor_method
@explained
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Of a matrix a copy of its diagonal; of (n,) a matrix with these numbers on its diagonal."""
    n = as_array("diag", "input", input).ndim
    require(n in (1, 2), "diag", "input", "1 or 2 dimensions", n)
    if n == 1:
        return called_as("diag", diag_embed, input, diagonal)
    return _diagonal_of(input, diagonal).clone()


@tensor_method
@explained
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of `input` on its diagonal."""
    as_array("diagflat", "input", input)
    return called_as("diagflat", diag_embed, reshape(input, (-1,)), offset)


@tensor_method
@explained
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix: 0-dim, int64 for bool and integers."""
    require(as_array("trace", "input", input).ndim == 2, "trace", "input", "2 dimensions", input.ndim)
    return sum(_diagonal_of(input, 0))


_diagonal_of = diagonal  # `diag` has an argument of this name


# ---------------------------------------------------------------- windows


def _windows(x: Array, dim: int, size: int, step: int) -> Array:
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return x.as_strided(shape, strides, x.offset)


@gradient
def _unfold_backward(dy: Array, shape: tuple[int, ...], dim: int, size: int, step: int) -> Array:
    dx = zeros_array(shape, dy)
    if not shape:
        return dy.reshape(()) if size else dx
    count = dy.shape[dim]
    for at in range(size):  # windows overlap, but their elements number `at` do not
        K.add_(dx.slice(dim, at, at + (count - 1) * step + 1, step), dy.select(dy.ndim - 1, at))
    return dx


@tensor_method("unfold")
@explained
def _unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of `size` elements along `dimension`, one at every `step`; each window is in a new last dimension."""
    x = as_array("unfold", "input", self)
    dim = normal_dim("unfold", dimension, x.ndim, "dimension")
    length = x.shape[dim] if x.ndim else 1
    require(0 <= size <= length, "unfold", "size", f"a number in [0, {length}]", size)
    require(step > 0, "unfold", "step", "a number > 0", step)
    y = _windows(x, dim, size, step) if x.ndim else x.as_strided((size,), (1,), x.offset)
    return record_view("unfold", y, self, _unfold_backward, x.shape, dim, size, step)


# ---------------------------------------------------------------- indices


def _indices(op: str, triangle: Any, row: int, col: int, offset: int, dtype: DType | None, device: Any) -> Tensor:
    for name, size in (("row", row), ("col", col)):
        require(size >= 0, op, name, "a number >= 0", size)
    require(dtype in (None, _core.int64, _core.int32), op, "dtype", "int64 or int32", dtype, error=BadType)
    found = transpose(nonzero(triangle(ones(row, col, dtype=_core.bool), offset)), 0, 1).contiguous()
    return found.to(device=device, dtype=dtype)


@explained
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The places of the lower triangle of a (row, col) matrix: int64 (2, n), the rows above the columns, in row-major order."""
    return _indices("tril_indices", tril, row, col, offset, dtype, device)


@explained
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """The places of the upper triangle of a (row, col) matrix: int64 (2, n), the rows above the columns, in row-major order."""
    return _indices("triu_indices", triu, row, col, offset, dtype, device)
