"""Reductions over any dimensions, cumsum and cumprod. Sums give the same bits at any number of threads.

As in PyTorch, `axis` and `keepdims`, NumPy's names, may stand for `dim` and `keepdim`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, check_inplace, record
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, BadValue, require
from engine.ops import precision
from engine.ops.arithmetic import maximum, minimum
from engine.ops.blame import explained
from engine.ops.convert import cast, into
from engine.ops.naming import called_as
from engine.ops.operands import gradient, zeros_array
from engine.ops.sizes import listed, normal_dim
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "std_mean",
    "sum",
    "var",
    "var_mean",
]

K = _core.kernels

Dims = int | Sequence[int] | None
# summed in int64 without a copy
_NARROW = frozenset((*INTEGER_LIMITS, _core.bool)) - {_core.int64}


class ValuesAndIndices(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


def _mask(op: str, dim: Dims, ndim: int) -> int:
    """The dimensions to reduce as bits, as the kernels take them; None or an empty sequence: all."""
    if dim is None or (type(dim) is tuple and not dim):
        return (1 << ndim) - 1
    mask = 0
    for d in (dim,) if isinstance(dim, int) else listed(op, "dim", dim) or range(ndim):
        bit = 1 << normal_dim(op, d, ndim)
        if mask & bit:
            raise BadValue(op, "dim", "each dimension once", dim)
        mask |= bit
    return mask


def _kept(gradient: Array, shape: tuple[int, ...], mask: int) -> Array:
    """An output's gradient with size 1 in the reduced dimensions of an input of `shape`."""
    return gradient.reshape([1 if mask >> i & 1 else n for i, n in enumerate(shape)])


def _count(shape: tuple[int, ...], mask: int) -> int:
    return math.prod([n for i, n in enumerate(shape) if mask >> i & 1])


def _prepared(op: str, input: Tensor, dim: Dims, dtype: DType | None) -> tuple[Tensor, Array, int]:
    """The input, converted to `dtype`; its array; the dimensions to reduce as bits."""
    x = as_array(op, "input", input)
    if dtype is not None:
        require(isinstance(dtype, DType), op, "dtype", "None or a dtype such as engine.float32", dtype, error=BadType)
        input = cast(input, dtype)
        x = input._data
    return input, x, _mask(op, dim, x.ndim)


# ---------------------------------------------------------------- sums


@gradient
def _sum_backward(dy: Array, shape: tuple[int, ...], mask: int) -> Array:
    return _kept(dy, shape, mask).expand(shape)


@tensor_method
def sum(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
    axis: Dims = None,
    keepdims: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Sum over the dimensions `dim` (None: all): int64 for bool and integers, 0 if there are no elements.

    dtype: the input is converted to it first, and the result has it; integers wrap around.

    float32 is added up in blocks, and the blocks in float64: the error does not grow with the number of elements.
    """
    if out is not None:
        return into("sum", out, sum(input, dim, keepdim, dtype=dtype, axis=axis, keepdims=keepdims))
    if precision.active:
        input = precision.raised(input)
    input, x, mask = _prepared("sum", input, dim if axis is None else axis, dtype)
    add = K.sum_integers if x.dtype in _NARROW else K.sum
    y = add(x, mask, keepdim or keepdims)
    return record("sum", y if dtype is None else y.cast(dtype), (input,), _sum_backward, x.shape, mask)


@gradient
def _mean_backward(dy: Array, shape: tuple[int, ...], mask: int) -> Array:
    n = _count(shape, mask)
    return _kept(K.div(dy, float(n)) if n else dy, shape, mask).expand(shape)


@tensor_method
def mean(
    input: Tensor,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
    axis: Dims = None,
    keepdims: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Mean over the dimensions `dim` (None: all), of a floating-point dtype. NaN if there are no elements. dtype as in `sum`."""
    if out is not None:
        return into("mean", out, mean(input, dim, keepdim, dtype=dtype, axis=axis, keepdims=keepdims))
    input, x, mask = _prepared("mean", input, dim if axis is None else axis, dtype)
    return record("mean", K.mean(x, mask, keepdim or keepdims), (input,), _mean_backward, x.shape, mask)


def _var_backward(ctx: Node, dy: Array, dmean: Array | None = None) -> Any:
    x, y, mean, mask, correction = ctx.saved
    shape = x.shape
    n = _count(shape, mask)
    centre = _kept(mean, shape, mask)
    dx = None
    if dy is not None:
        if y is None:  # of var: 2 (x - mean) / (n - correction)
            scale = 2.0 / (n - correction) if n > correction else math.nan
            factor = K.mul(dy, scale)
        else:  # of std: half of that over y
            scale = 1.0 / (n - correction) if n > correction else math.nan
            factor = K.masked_fill(K.div(K.mul(dy, scale), y), K.eq(y, 0), 0)
        dx = K.var_backward(_kept(factor, shape, mask), x, centre)
    if dmean is not None:
        through = _kept(K.div(dmean, float(n)), shape, mask)
        dx = through.expand(shape) if dx is None else K.add(dx, through)
    return dx


def _variance(op: str, input: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool) -> Any:
    """The recorded op: op is std or var, or one of them with its mean."""
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise BadValue(op, "correction", "only one of unbiased and correction", "both")
    if correction is None:
        correction = 0 if unbiased is False else 1
    elif not isinstance(correction, int | float | np.number):
        raise BadType(op, "correction", "a number", type(correction).__name__)
    _, x, mask = _prepared(op, input, dim, None)
    is_std = op.startswith("std")
    y, mean = called_as(op, K.std if is_std else K.var, x, mask, keepdim, float(correction))
    outputs = (y, mean) if op.endswith("mean") else y
    return record(op, outputs, (input,), _var_backward, x, y if is_std else None, mean, mask, correction)


@tensor_method
def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool = False,
) -> Tensor:
    """Variance over the dimensions `dim` (None: all), in two passes.

    The sum of squares is divided by n - correction. correction: 1 by default, 0 with unbiased=False; give only one of the
    two. NaN if n - correction is not positive.
    """
    return _variance("var", input, dim if axis is None else axis, unbiased, correction, keepdim or keepdims)


@tensor_method
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool = False,
) -> Tensor:
    """Square root of `var`. Where it is 0, its gradient is 0."""
    return _variance("std", input, dim if axis is None else axis, unbiased, correction, keepdim or keepdims)


def var_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool = False,
) -> tuple[Tensor, Tensor]:
    """(var, mean) in one op."""
    return _variance("var_mean", input, dim if axis is None else axis, unbiased, correction, keepdim or keepdims)


def std_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dims = None,
    keepdims: bool = False,
) -> tuple[Tensor, Tensor]:
    """(std, mean) in one op."""
    return _variance("std_mean", input, dim if axis is None else axis, unbiased, correction, keepdim or keepdims)


@gradient
def _norm_backward(dy: Array, x: Array, y: Array, mask: int, p: float) -> Array:
    return K.norm_backward(_kept(dy, x.shape, mask), x, _kept(y, x.shape, mask), p)


_count_backward = gradient(lambda dy, shape: zeros_array(shape, dy))


@tensor_method
@explained
def norm(
    input: Tensor, p: float | str = "fro", dim: Dims = None, keepdim: bool = False, dtype: DType | None = None
) -> Tensor:
    """(sum of |input|^p)^(1/p) over the dimensions `dim` (None: all). "fro" is p = 2; 0 counts the elements that are not 0;
    infinity gives the largest |element|, minus infinity the smallest; "nuc" sums the singular values of the matrices in two
    dimensions. dtype as in `sum`.

    Where the norm is 0, its gradient is 0.
    """
    if precision.active:
        input = precision.raised(input)
    input, x, mask = _prepared("norm", input, dim, dtype)
    if p == "fro":
        p = 2.0
    if p == "nuc":
        from engine.ops.matrix_norms import matrix_norm  # it is made of the reductions of this file

        return called_as("norm", matrix_norm, input, "nuc", tuple(range(x.ndim)) if dim is None else dim, keepdim)
    if isinstance(p, str):
        raise BadValue("norm", "p", "'fro', 'nuc' or a number", repr(p))
    if p == 0:
        count = K.sum(K.ne(x, 0).cast(x.dtype), mask, keepdim)
        return record("norm", count, (input,), _count_backward, x.shape)
    if math.isinf(p):
        return called_as("norm", amax if p > 0 else amin, abs(input), () if dim is None else dim, keepdim)
    y = K.norm(x, mask, keepdim, float(p))
    return record("norm", y, (input,), _norm_backward, x, y, mask, float(p))


@gradient
def _prod_backward(dy: Array, x: Array, mask: int) -> Array:
    return K.prod_backward(_kept(dy, x.shape, mask), x, mask)


@tensor_method
def prod(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """Product along one dimension (None: all): int64 for bool and integers, 1 if there are no elements. dtype as in `sum`."""
    if precision.active:
        input = precision.raised(input)
    input, x, mask = _prepared("prod", input, dim if axis is None else axis, dtype)
    y = K.prod(x, mask, keepdim or keepdims)
    return record("prod", y if dtype is None else y.cast(dtype), (input,), _prod_backward, x, mask)


_cumsum_backward = gradient(lambda dy, dim: K.cumsum(dy, dim, True))


@tensor_method
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None, out: Tensor | None = None) -> Tensor:
    """Running sums along a dimension: int64 for bool and integers. dtype as in `sum`."""
    if out is not None:
        return into("cumsum", out, cumsum(input, dim, dtype=dtype))
    if precision.active:
        input = precision.raised(input)
    as_array("cumsum", "input", input)
    if dtype is not None:
        input = cast(input, dtype)
    x = input._data
    d = normal_dim("cumsum", dim, x.ndim)
    y = K.cumsum(x, d, False)
    return record("cumsum", y if dtype is None else y.cast(dtype), (input,), _cumsum_backward, d)


_cumprod_backward = gradient(K.cumprod_backward)


@tensor_method
def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running products along a dimension: int64 for bool and integers. dtype as in `sum`."""
    if precision.active:
        input = precision.raised(input)
    as_array("cumprod", "input", input)
    if dtype is not None:
        input = cast(input, dtype)
    x = input._data
    d = normal_dim("cumprod", dim, x.ndim)
    y = K.cumprod(x, d)
    return record("cumprod", y if dtype is None else y.cast(dtype), (input,), _cumprod_backward, x, d)


@tensor_method("cumprod_")
def _cumprod_(self: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """`cumprod` in place, in the tensor's dtype."""
    check_inplace("cumprod_", self)
    return self.copy_(called_as("cumprod_", cumprod, self.clone(), dim, dtype=dtype))


# ---------------------------------------------------------------- the largest and the smallest


def _shared(dy: Array, x: Array, y: Array, mask: int) -> Array:
    """The gradient of the largest (or smallest) elements, which share it. If that is NaN, the NaNs share it."""
    return K.amax_backward(_kept(dy, x.shape, mask), x, _kept(y, x.shape, mask), mask)


_max_of_all_backward = gradient(_shared)


@gradient
def _amax_backward(dy: Array, x: Array, y: Array, mask: int) -> Array:
    """As in PyTorch, NaN for all elements if the result is NaN."""
    kept = _kept(y, x.shape, mask)
    return K.where(K.isnan(kept), kept, _shared(dy, x, y, mask))


def _of_all(op: str, kernel: Any, input: Tensor, keepdim: bool) -> Tensor:
    _, x, mask = _prepared(op, input, None, None)
    y = called_as(op, kernel, x, mask, keepdim)
    return record(op, y, (input,), _max_of_all_backward, x, y, mask)


@tensor_method
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """The largest element over the dimensions `dim` ((): all), NaN if one is NaN. Equal largest elements share the gradient;
    beside a NaN all gradients are NaN.

    Raises ValueError if there are no elements.
    """
    _, x, mask = _prepared("amax", input, dim if axis is None else axis, None)
    y = K.amax(x, mask, keepdim or keepdims)
    return record("amax", y, (input,), _amax_backward, x, y, mask)


@tensor_method
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """The smallest element over the dimensions `dim` ((): all), NaN if one is NaN. Equal smallest elements share the gradient;
    beside a NaN all gradients are NaN.

    Raises ValueError if there are no elements.
    """
    _, x, mask = _prepared("amin", input, dim if axis is None else axis, None)
    y = K.amin(x, mask, keepdim or keepdims)
    return record("amin", y, (input,), _amax_backward, x, y, mask)


def _max_backward(ctx: Node, dy: Array, _: Any) -> Any:
    shape, indices, mask, dim = ctx.saved
    if not shape:
        return dy
    dx = zeros_array(shape, dy)
    K.scatter_add(dx, dim, _kept(indices, shape, mask), _kept(dy, shape, mask))
    return dx


def _along(op: str, kernel: Any, input: Tensor, dim: int, keepdim: bool) -> ValuesAndIndices:
    x = as_array(op, "input", input)
    d = normal_dim(op, dim, x.ndim)
    if x.dtype is _core.bool:
        values, indices = kernel(x.cast(_core.uint8), 1 << d, keepdim)
        return ValuesAndIndices(Tensor(values.cast(_core.bool)), Tensor(indices))
    values, indices = kernel(x, 1 << d, keepdim)
    return ValuesAndIndices(*record(op, (values, indices), (input,), _max_backward, x.shape, indices, 1 << d, d))


@tensor_method
def max(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    axis: int | None = None,
    keepdims: bool = False,
    out: Tensor | None = None,
) -> Any:
    """max(input): the largest element. max(input, dim): (values, indices) along dim. max(input, other): `maximum`.

    NaN counts as the largest. Of equal elements along a dimension, the index is that of the first. max(input) shares the
    gradient among equal elements; max(input, dim) gives it to the element at the index.
    """
    if other is not None or isinstance(dim, Tensor):
        as_array("max", "input", input)
        larger = called_as("max", maximum, input, dim if other is None else other)
        return larger if out is None else into("max", out, larger)
    require(out is None, "max", "out", "None, unless two tensors are compared", "a tensor")
    dim, keepdim = dim if axis is None else axis, keepdim or keepdims
    return _of_all("max", K.amax, input, keepdim) if dim is None else _along("max", K.max, input, dim, keepdim)


@tensor_method
def min(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    axis: int | None = None,
    keepdims: bool = False,
    out: Tensor | None = None,
) -> Any:
    """min(input): the smallest element. min(input, dim): (values, indices) along dim. min(input, other): `minimum`.

    NaN counts as the smallest. Of equal elements along a dimension, the index is that of the first. min(input) shares the
    gradient among equal elements; min(input, dim) gives it to the element at the index.
    """
    if other is not None or isinstance(dim, Tensor):
        as_array("min", "input", input)
        smaller = called_as("min", minimum, input, dim if other is None else other)
        return smaller if out is None else into("min", out, smaller)
    require(out is None, "min", "out", "None, unless two tensors are compared", "a tensor")
    dim, keepdim = dim if axis is None else axis, keepdim or keepdims
    return _of_all("min", K.amin, input, keepdim) if dim is None else _along("min", K.min, input, dim, keepdim)


def _reduced(op: str, kernel: Any, input: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    _, x, mask = _prepared(op, input, dim, None)
    return Tensor(kernel(x, mask, keepdim))


@tensor_method
def argmax(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """The index of the largest element, the first of equal ones: int64. None: in the flattened tensor. NaN counts as largest."""
    return _reduced("argmax", K.argmax, input, dim if axis is None else axis, keepdim or keepdims)


@tensor_method
def argmin(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:
    """The index of the smallest element, the first of equal ones: int64. None: in the flattened tensor. NaN counts as smallest."""
    return _reduced("argmin", K.argmin, input, dim if axis is None else axis, keepdim or keepdims)


# ---------------------------------------------------------------- truth


def _truth(y: Tensor, input: Tensor) -> Tensor:
    return Tensor(y._data.cast(_core.uint8)) if input.dtype is _core.uint8 else y


@tensor_method
def any(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """Whether at least one element is not 0: bool, of uint8 uint8. False if there are no elements."""
    return _truth(_reduced("any", K.any, input, dim if axis is None else axis, keepdim or keepdims), input)


@tensor_method
def all(input: Tensor, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None, keepdims: bool = False) -> Tensor:
    """Whether no element is 0: bool, of uint8 uint8. True if there are no elements."""
    return _truth(_reduced("all", K.all, input, dim if axis is None else axis, keepdim or keepdims), input)
