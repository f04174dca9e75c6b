"""Reductions over any dimensions, and cumsum. Sums give the same bits at any number of threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record
from engine.errors import BadValue
from engine.ops import precision
from engine.ops.arithmetic import maximum, minimum
from engine.ops.convert import cast
from engine.ops.naming import called_as
from engine.ops.shape import normal_dim
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
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


class ValuesAndIndices(NamedTuple):
    """What `max` and `min` along a dimension return."""

    values: Tensor
    indices: Tensor


def _mask(op: str, dim: Dims, ndim: int) -> int:
    """The dimensions to reduce as bits, as the kernels take them; None or an empty sequence: all."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return (1 << ndim) - 1
    mask = 0
    for d in (dim,) if isinstance(dim, int) else dim:
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


def _converted(input: Tensor, dtype: DType | None) -> Tensor:
    return input if dtype is None else cast(input, dtype)


def _in_dtype(y: Array, dtype: DType | None) -> Array:
    """A sum or product in the dtype asked for: integers, whose kernels give int64, wrap around as in PyTorch."""
    return y if dtype is None else y.cast(dtype)


# ---------------------------------------------------------------- sums


def _sum_backward(ctx: Node, dy: Array) -> Any:
    shape, mask = ctx.saved
    return _kept(dy, shape, mask).expand(shape)


@tensor_method
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Sum over the dimensions `dim` (None: all). Of bool and integers int64; of nothing 0.

    dtype: what to convert the input to first, and what the result has.

    float32 is added up in blocks, blocks in float64: the error does not grow with the number of elements.
    """
    if precision.active:
        input = precision.raised(input)
    as_array("sum", "input", input)
    input = _converted(input, dtype)
    x = input._data
    mask = _mask("sum", dim, x.ndim)
    return record("sum", _in_dtype(K.sum(x, mask, keepdim), dtype), (input,), _sum_backward, x.shape, mask)


def _mean_backward(ctx: Node, dy: Array) -> Any:
    shape, mask = ctx.saved
    n = _count(shape, mask)
    return _kept(K.div(dy, float(n)) if n else dy, shape, mask).expand(shape)


@tensor_method
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Mean over the dimensions `dim` (None: all). float32 or float64; of nothing NaN."""
    as_array("mean", "input", input)
    input = _converted(input, dtype)
    x = input._data
    mask = _mask("mean", dim, x.ndim)
    return record("mean", K.mean(x, mask, keepdim), (input,), _mean_backward, x.shape, mask)


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


def _variance(
    op: str, input: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool
) -> tuple[Any, ...]:
    x = as_array(op, "input", input)
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise BadValue(op, "correction", "only one of unbiased and correction", "both")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    mask = _mask(op, dim, x.ndim)
    y, mean = called_as(op, K.std if op.startswith("std") else K.var, x, mask, keepdim, float(correction))
    return x, y, mean, mask, correction


@tensor_method
def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Variance over the dimensions `dim` (None: all), in two passes.

    Divides by n - correction; correction is 1 unless given (unbiased=False: 0). NaN where nothing is left to divide by.
    """
    x, y, mean, mask, correction = _variance("var", input, dim, unbiased, correction, keepdim)
    return record("var", y, (input,), _var_backward, x, None, mean, mask, correction)


@tensor_method
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Square root of `var`. Its gradient where it is 0 is 0."""
    x, y, mean, mask, correction = _variance("std", input, dim, unbiased, correction, keepdim)
    return record("std", y, (input,), _var_backward, x, y, mean, mask, correction)


def var_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(var, mean) in one op."""
    x, y, mean, mask, correction = _variance("var_mean", input, dim, unbiased, correction, keepdim)
    return record("var_mean", (y, mean), (input,), _var_backward, x, None, mean, mask, correction)


def std_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(std, mean) in one op."""
    x, y, mean, mask, correction = _variance("std_mean", input, dim, unbiased, correction, keepdim)
    return record("std_mean", (y, mean), (input,), _var_backward, x, y, mean, mask, correction)


def _norm_backward(ctx: Node, dy: Array) -> Any:
    x, y, mask, p = ctx.saved
    return K.norm_backward(_kept(dy, x.shape, mask), x, _kept(y, x.shape, mask), p)


@tensor_method
def norm(
    input: Tensor, p: float | str = "fro", dim: Dims = None, keepdim: bool = False, dtype: DType | None = None
) -> Tensor:
    """(sum of |input|^p)^(1/p) over the dimensions `dim` (None: all); "fro" is p = 2, infinity the largest |element|.

    The gradient where the norm is 0 is 0.
    """
    if precision.active:
        input = precision.raised(input)
    as_array("norm", "input", input)
    input = _converted(input, dtype)
    x = input._data
    if p == "fro":
        p = 2.0
    if isinstance(p, str) or p == 0:
        raise BadValue("norm", "p", "'fro' or a number other than 0", repr(p))
    if math.isinf(p):
        return called_as("norm", amax if p > 0 else amin, abs(input), () if dim is None else dim, keepdim)
    mask = _mask("norm", dim, x.ndim)
    y = K.norm(x, mask, keepdim, float(p))
    return record("norm", y, (input,), _norm_backward, x, y, mask, float(p))


def _prod_backward(ctx: Node, dy: Array) -> Any:
    x, mask = ctx.saved
    return K.prod_backward(_kept(dy, x.shape, mask), x, mask)


@tensor_method
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Product along one dimension (None: all). Of bool and integers int64; of nothing 1. dtype as in `sum`."""
    if precision.active:
        input = precision.raised(input)
    as_array("prod", "input", input)
    input = _converted(input, dtype)
    x = input._data
    mask = _mask("prod", dim, x.ndim)
    return record("prod", _in_dtype(K.prod(x, mask, keepdim), dtype), (input,), _prod_backward, x, mask)


def _cumsum_backward(ctx: Node, dy: Array) -> Any:
    return K.cumsum(dy, ctx.saved[0], True)


@tensor_method
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Running sums along a dimension. Of bool and integers int64. dtype as in `sum`."""
    if precision.active:
        input = precision.raised(input)
    as_array("cumsum", "input", input)
    input = _converted(input, dtype)
    x = input._data
    d = normal_dim("cumsum", dim, x.ndim)
    return record("cumsum", _in_dtype(K.cumsum(x, d, False), dtype), (input,), _cumsum_backward, d)


# ---------------------------------------------------------------- the largest and the smallest


def _amax_backward(ctx: Node, dy: Array) -> Any:
    x, y, mask = ctx.saved
    return K.amax_backward(_kept(dy, x.shape, mask), x, _kept(y, x.shape, mask), mask)


@tensor_method
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The largest element over the dimensions `dim` (none given: all), NaN if one is. Equal ones share the gradient.

    Raises ValueError where there is no element.
    """
    x = as_array("amax", "input", input)
    mask = _mask("amax", dim, x.ndim)
    y = K.amax(x, mask, keepdim)
    return record("amax", y, (input,), _amax_backward, x, y, mask)


@tensor_method
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
    """The smallest element over the dimensions `dim` (none given: all), NaN if one is. Equal ones share the gradient.

    Raises ValueError where there is no element.
    """
    x = as_array("amin", "input", input)
    mask = _mask("amin", dim, x.ndim)
    y = K.amin(x, mask, keepdim)
    return record("amin", y, (input,), _amax_backward, x, y, mask)


def _max_backward(ctx: Node, dy: Array, _: Any) -> Any:
    shape, indices, mask, dim = ctx.saved
    dx = _core.empty(shape, dy.dtype, dy.device)
    K.fill(dx, 0.0)
    if dx.ndim == 0:
        return dy
    K.scatter_add(dx, dim, _kept(indices, shape, mask), _kept(dy, shape, mask))
    return dx


def _along(op: str, kernel: Any, input: Tensor, dim: int, keepdim: bool) -> ValuesAndIndices:
    x = as_array(op, "input", input)
    d = normal_dim(op, dim, x.ndim)
    values, indices = kernel(x, 1 << d, keepdim)
    return ValuesAndIndices(*record(op, (values, indices), (input,), _max_backward, x.shape, indices, 1 << d, d))


@tensor_method
def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """max(input): the largest element. max(input, dim): (values, indices) along dim. max(input, other): `maximum`.

    NaN counts as the largest; of equal elements along a dimension the first one's index is given. max(input) shares the
    gradient among equal elements, max(input, dim) gives it to the one at the index.
    """
    if other is not None or isinstance(dim, Tensor):
        return called_as("max", maximum, input, dim if other is None else other)
    return called_as("max", amax, input, (), keepdim) if dim is None else _along("max", K.max, input, dim, keepdim)


@tensor_method
def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """min(input): the smallest element. min(input, dim): (values, indices) along dim. min(input, other): `minimum`.

    NaN counts as the smallest; of equal elements along a dimension the first one's index is given. min(input) shares the
    gradient among equal elements, min(input, dim) gives it to the one at the index.
    """
    if other is not None or isinstance(dim, Tensor):
        return called_as("min", minimum, input, dim if other is None else other)
    return called_as("min", amin, input, (), keepdim) if dim is None else _along("min", K.min, input, dim, keepdim)


def _arg(op: str, kernel: Any, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    x = as_array(op, "input", input)
    return Tensor(kernel(x, _mask(op, dim, x.ndim), keepdim))


@tensor_method
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element is, the first one of several: int64. dim=None: in the flattened tensor. NaN is largest."""
    return _arg("argmax", K.argmax, input, dim, keepdim)


@tensor_method
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element is, the first one of several: int64. dim=None: in the flattened tensor. NaN is smallest."""
    return _arg("argmin", K.argmin, input, dim, keepdim)


# ---------------------------------------------------------------- truth


@tensor_method
def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not 0: bool. Of nothing False."""
    x = as_array("any", "input", input)
    return Tensor(K.any(x, _mask("any", dim, x.ndim), keepdim))


@tensor_method
def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0: bool. Of nothing True."""
    x = as_array("all", "input", input)
    return Tensor(K.all(x, _mask("all", dim, x.ndim), keepdim))
