"""Norms of vectors and matrices, as `engine.linalg` names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine._core import Array, DType, from_buffer
from engine.autograd.tape import Node, record
from engine.errors import BadType, BadValue, require
from engine.ops import reduction
from engine.ops.blame import explained
from engine.ops.convert import cast
from engine.ops.naming import called_as
from engine.ops.reduction import Dims, amax, amin, sum
from engine.ops.shape import movedim, squeeze, unsqueeze
from engine.ops.sizes import normal_dim
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array


@explained
def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """(sum of |x|^ord)^(1/ord) over the dimensions `dim` (None: all), of a floating dtype.

    ord: 0 counts the elements that are not 0, infinity takes the largest |element|, minus infinity the smallest. dtype: x is
    converted to it first.
    """
    a = as_array("vector_norm", "x", x)
    require(a.dtype.is_floating_point, "vector_norm", "x", "a floating-point dtype", a.dtype.name, error=BadType)
    if dtype is not None:
        require(dtype.is_floating_point, "vector_norm", "dtype", "a floating-point dtype", dtype.name, error=BadType)
    if not isinstance(ord, int | float):
        raise BadType("vector_norm", "ord", "a number", repr(ord))
    return called_as("vector_norm", reduction.norm, x, ord, dim, keepdim, dtype, input_as="x")


@explained
def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """A norm of the matrices in two dimensions, of a floating dtype.

    ord: "fro" (the root of the sum of squares), "nuc" (the sum of the singular values), 2 and -2 (the largest and the smallest
    singular value), 1 and -1 (the largest and the smallest sum of a column of |A|), inf and -inf (of a row). "nuc", 2 and -2 are
    computed by NumPy on the CPU. dtype: A is converted to it first.
    """
    op = "matrix_norm"
    a = as_array(op, "A", A)
    require(a.ndim >= 2, op, "A", "at least 2 dimensions", a.ndim)
    require(a.dtype.is_floating_point, op, "A", "a floating-point dtype", a.dtype.name, error=BadType)
    require(not isinstance(dim, int) and len(dim) == 2, op, "dim", "two dimensions", dim)
    rows, columns = (normal_dim(op, d, a.ndim) for d in dim)
    require(rows != columns, op, "dim", "two different dimensions", dim)
    if dtype is not None:
        A = cast(A, dtype)
    if ord == "fro":
        return called_as(op, reduction.norm, A, 2.0, (rows, columns), keepdim, input_as="A")
    extreme = {1: amax, -1: amin, 2: amax, -2: amin, math.inf: amax, -math.inf: amin, "nuc": sum}.get(ord)
    if extreme is None:
        raise BadValue(op, "ord", "'fro', 'nuc', 1, -1, 2, -2, inf or -inf", repr(ord))
    if ord in (2, -2, "nuc"):
        result = called_as(op, extreme, singular_values(op, movedim(A, (rows, columns), (-2, -1))), -1)
        for d in sorted((rows, columns)) if keepdim else ():
            result = unsqueeze(result, d)
        return result
    first, second = (rows, columns) if ord in (1, -1) else (columns, rows)
    result = called_as(op, extreme, sum(abs(A), first, True), second, True)
    return result if keepdim else squeeze(result, (rows, columns))


def _singular_backward(ctx: Node, dy: Array) -> Array:
    u, v = ctx.saved
    return from_buffer(np.ascontiguousarray(u * np.asarray(dy.to_device(-1))[..., None, :] @ v)).to_device(dy.device)


def singular_values(op: str, input: Tensor) -> Tensor:
    """(*, m, n) -> (*, min(m, n)), falling, by NumPy."""
    x = input._data
    u, s, v = np.linalg.svd(np.asarray(x.to_device(-1)), full_matrices=False)
    return record(op, from_buffer(np.ascontiguousarray(s)).to_device(x.device), (input,), _singular_backward, u, v)


@explained
def norm(A: Tensor, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """`matrix_norm` if dim names two dimensions, or if it is None, ord is given and A has two; otherwise `vector_norm`.

    ord None: the root of the sum of squares.
    """
    a = as_array("norm", "A", A)
    count = a.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if dim is None and ord is not None:
        require(a.ndim in (1, 2), "norm", "A", "1 or 2 dimensions, because ord is given and dim is not", a.ndim)
    if ord is None or (count != 2 and not isinstance(ord, str)):
        return called_as("norm", vector_norm, A, 2.0 if ord is None else ord, dim, keepdim, dtype=dtype)
    dims = (0, 1) if dim is None else dim
    return called_as("norm", matrix_norm, A, ord, dims, keepdim, dtype=dtype)
