"""Writing by index along a dimension: scatter, index_add and their kin, new or in place.

Elements that go to one place are joined in their order along the dimension, so the bits are the same at every thread count.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, check_inplace, record, record_inplace
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.factory import fill_array
from engine.ops.naming import called_as
from engine.ops.operands import Number, Operand, ids_array, zeros_array
from engine.ops.sizes import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "index_add",
    "index_copy",
    "index_fill",
    "scatter",
    "scatter_add",
    "scatter_reduce",
]

K = _core.kernels
SUM, PRODUCT, LARGER, SMALLER = range(4)  # as K.scatter_reduce takes them


# ---------------------------------------------------------------- what they share


def _line(x: Array) -> Array:
    """A 0-dim array as one of one element, with the same memory."""
    return x if x.ndim else x.view((1,))


def number_array(op: str, x: Array, value: Any) -> Array:
    """A number as a 0-dim array of x's dtype and device; of a float, an integer tensor gets the integer part."""
    return fill_array(op, _core.empty((), x.dtype, x.device), value, "value")


def _ones(shape: tuple[int, ...], like: Array) -> Array:
    one = _core.empty((), like.dtype, like.device)
    K.fill(one, 1.0)
    return one.expand(shape)


def written(
    op: str,
    input: Tensor,
    value: Tensor | None,
    inplace: bool,
    write: Callable[[Array], None],
    backward: Callable[..., Any],
    *saved: Any,
) -> Tensor:
    """What `write` makes of input's array, or of a copy of it; recorded with the gradients of `input` and `value`."""
    if inplace:
        check_inplace(op, input, value)
        write(input._data)
        return record_inplace(op, input, (input, value), backward, *saved)
    y = input._data.clone()
    write(y)
    return record(op, y, (input, value), backward, *saved)


def _corner(array: Array, shape: tuple[int, ...]) -> Array:
    for d, n in enumerate(shape):
        array = array.slice(d, 0, n, 1)
    return array


def padded(part: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of that shape of which only a corner was read."""
    if part.size == prod(shape):
        return part.reshape(shape)
    whole = zeros_array(shape, part)
    if part.size:
        K.copy(_corner(whole, part.shape), part)
    return whole


def _overwritten(dy: Array, dim: int, index: Array) -> Array:
    """The gradient `dy` without the elements that `index` names."""
    dx = dy.clone()
    K.scatter(_line(dx), dim, index, zeros_array((), dy).expand(index.shape))
    return dx


def _arguments(op: str, input: Tensor, dim: int, index: Tensor, src: Any) -> tuple[int, Array, Array]:
    """The dimension, the index and the part of `src` (a Tensor or a number) that it covers; 0-dim ones have 1 dimension."""
    x, entries = as_array(op, "input", input), _line(ids_array(op, "index", index))
    dim = normal_dim(op, dim, x.ndim)
    if entries.size == 0:  # of any shape: nothing is written
        entries = entries.view((0,) * max(x.ndim, 1))
    if not isinstance(src, Tensor):
        return dim, entries, number_array(op, x, src).expand(entries.shape)
    source = _line(src._data)
    if source.dtype is not x.dtype:
        raise BadType(op, "src", f"the dtype of input, {x.dtype.name}", source.dtype.name)
    if entries.size == 0:
        return dim, entries, _core.empty(entries.shape, x.dtype, x.device)
    if source.ndim != entries.ndim or any(n > s for n, s in zip(entries.shape, source.shape)):
        raise BadValue(op, "src", f"a shape at least as large as index, {tuple(entries.shape)}", src.shape)
    return dim, entries, _corner(source, entries.shape)


# ---------------------------------------------------------------- scatter


def _scatter_backward(ctx: Node, dy: Array) -> Any:
    dim, index, src_shape = ctx.saved
    dsrc = padded(K.gather(_line(dy), dim, index), src_shape) if ctx.needs[1] else None
    return _overwritten(dy, dim, index) if ctx.needs[0] else None, dsrc


def _scatter(
    op: str, inplace: bool, input: Tensor, dim: int, index: Tensor, src: Any, value: Any, reduce: str | None
) -> Tensor:
    require(
        (src is None) != (value is None),
        op,
        "src",
        "a Tensor, or a number as value",
        "both" if src is not None else "neither",
    )
    if src is None:
        src = value
    if reduce is not None:
        require(reduce in ("add", "multiply"), op, "reduce", "'add' or 'multiply'", repr(reduce))
        how = "sum" if reduce == "add" else "prod"
        return _scatter_reduce(op, inplace, input, dim, index, src, how, True)
    dim, entries, source = _arguments(op, input, dim, index, src)

    def write(y: Array) -> None:
        called_as(op, K.scatter, _line(y), dim, entries, source)

    tensor = src if isinstance(src, Tensor) else None
    shape = () if tensor is None else tensor.shape
    return written(op, input, tensor, inplace, write, _scatter_backward, dim, entries, shape)


@tensor_method
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Number | None = None, reduce: str | None = None
) -> Tensor:
    """A copy of `input` with `src` written to the places that `gather` would read. If several elements go to one place, the last
    one along `dim` stays.

    index: int64 or int32, with as many dimensions as input. src: a Tensor of input's dtype that is in no dimension smaller
    than index, or a number, which `value` can also give. reduce: "add" or "multiply" joins src with what is there.
    """
    return _scatter("scatter", False, input, dim, index, src, value, reduce)


@tensor_method("scatter_")
def _scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Number | None = None, reduce: str | None = None
) -> Tensor:
    """`scatter` in place."""
    return _scatter("scatter_", True, self, dim, index, src, value, reduce)


# ---------------------------------------------------------------- scatter with sums, products, extremes


def _identity(reduce: str, x: Array) -> Array:
    """What changes nothing when it is joined, 0-dim."""
    value: Any = 1 if reduce == "prod" else 0
    if reduce in ("amax", "amin"):
        if x.dtype.is_floating_point:
            value = float("-inf") if reduce == "amax" else float("inf")
        else:
            value = INTEGER_LIMITS.get(x.dtype, (False, True))[reduce == "amin"]
    return number_array("scatter_reduce", x, value)


_JOINS = {"sum": SUM, "mean": SUM, "prod": PRODUCT, "amax": LARGER, "amin": SMALLER}


def _counts(x: Array, dim: int, index: Array, include_self: bool) -> Array:
    """How many elements each place of `x` gets, in x's dtype; at least 1."""
    count = _ones(x.shape, x).clone() if include_self else zeros_array(x.shape, x)
    K.scatter_reduce(count, dim, index, _ones(index.shape, x), SUM)
    return K.maximum(count, 1)


def _join(y: Array, dim: int, index: Array, src: Array, reduce: str, include_self: bool) -> None:
    """scatter_reduce in place, of an array with at least one dimension."""
    if not include_self:
        K.scatter(y, dim, index, _identity(reduce, y).expand(index.shape))
    K.scatter_reduce(y, dim, index, src, _JOINS[reduce])
    if reduce == "mean":
        divide = K.div if y.dtype.is_floating_point else K.floor_divide
        K.copy(y, divide(y, _counts(y, dim, index, include_self)))


def _joined(x: Array, dim: int, index: Array, src: Array, reduce: str, include_self: bool = True) -> Array:
    y = x.clone()
    _join(y, dim, index, src, reduce, include_self)
    return y


def _product_gradients(
    g: Array, x: Array, y: Array, dim: int, index: Array, src: Array, include_self: bool
) -> tuple[Array, Array]:
    """Of a product without the element itself: the quotient, unless the element is 0."""
    own = K.where(K.eq(x, 0), 1, x)
    dx = K.div(K.mul(g, _joined(own, dim, index, src, "prod", include_self)), own)
    zero = K.eq(src, 0)
    zeros = _joined(zeros_array(x.shape, x), dim, index, zero.cast(x.dtype), "sum")
    single = K.logical_and(zero, K.eq(K.gather(zeros, dim, index), 1))
    others = _joined(x, dim, index, K.where(single, 1, src), "prod", include_self)
    quotient = K.div(K.gather(K.mul(g, y), dim, index), K.where(zero, 1, src))
    return dx, K.where(single, K.gather(K.mul(g, others), dim, index), quotient)


def _extreme_gradients(
    g: Array, x: Array, y: Array, dim: int, index: Array, src: Array, include_self: bool
) -> tuple[Array, Array]:
    """All that are equal to the result share its gradient."""
    own, of_src = K.eq(x, y).cast(g.dtype), K.eq(src, K.gather(y, dim, index)).cast(g.dtype)
    start = own if include_self else _overwritten(own, dim, index)
    share = K.div(g, K.maximum(_joined(start, dim, index, of_src, "sum"), 1))
    return K.mul(own, share), K.mul(of_src, K.gather(share, dim, index))


def _scatter_reduce_backward(ctx: Node, dy: Array) -> Any:
    x, src, y, dim, index, reduce, include_self, src_shape = ctx.saved
    g = _line(dy)
    if reduce in ("sum", "mean"):
        dx = g if reduce == "sum" else K.div(g, _counts(g, dim, index, include_self))
        dsrc = K.gather(dx, dim, index)
    else:
        formula = _product_gradients if reduce == "prod" else _extreme_gradients
        dx, dsrc = formula(g, _line(x), _line(y), dim, index, src, include_self)
    if not include_self:
        dx = _overwritten(dx, dim, index)
    return dx.view(dy.shape) if ctx.needs[0] else None, padded(dsrc, src_shape) if ctx.needs[1] else None


def _scatter_reduce(
    op: str, inplace: bool, input: Tensor, dim: int, index: Tensor, src: Any, reduce: str, include_self: bool
) -> Tensor:
    require(reduce in _JOINS, op, "reduce", " or ".join(map(repr, _JOINS)), repr(reduce))
    dim, entries, source = _arguments(op, input, dim, index, src)
    tensor = src if isinstance(src, Tensor) else None
    keeps = reduce in ("prod", "amax", "amin") and (
        input.requires_grad or (tensor is not None and tensor.requires_grad)
    )
    x = input._data.clone() if keeps and inplace else input._data

    def write(array: Array) -> None:
        called_as(op, _join, _line(array), dim, entries, source, reduce, include_self)

    saved: tuple[Array | None, ...] = (None, None, None)
    if keeps:  # its backward reads what it read and made
        y = x.clone()
        write(y)
        saved = (x, source, y)
    shape = () if tensor is None else tensor.shape
    backward = _scatter_reduce_backward
    return written(op, input, tensor, inplace, write, backward, *saved, dim, entries, reduce, include_self, shape)


@tensor_method
@explained
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy of `input` in which `src` is joined to the places that `gather` would read.

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: False leaves out what was at these places. index and src as
    in `scatter`. Means of integers are rounded down.
    """
    as_array("scatter_reduce", "src", src)
    return _scatter_reduce("scatter_reduce", False, input, dim, index, src, reduce, include_self)


@tensor_method("scatter_reduce_")
@explained
def _scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_reduce` in place."""
    as_array("scatter_reduce_", "src", src)
    return _scatter_reduce("scatter_reduce_", True, self, dim, index, src, reduce, include_self)


@tensor_method
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of `input` with `src` added at the places that `gather` would read. src: of input's dtype, in no dimension smaller
    than index."""
    as_array("scatter_add", "src", src)
    return _scatter_reduce("scatter_add", False, input, dim, index, src, "sum", True)


@tensor_method("scatter_add_")
def _scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`scatter_add` in place."""
    as_array("scatter_add_", "src", src)
    return _scatter_reduce("scatter_add_", True, self, dim, index, src, "sum", True)


# ---------------------------------------------------------------- whole slices by a list of indices


def _slices(op: str, input: Tensor, dim: int, index: Tensor, wrap: bool = False) -> tuple[int, Array, tuple[int, ...]]:
    """The dimension, the index as it broadcasts over slices, and the shape of the slices (of a 0-dim input 1-dim)."""
    x, entries = as_array(op, "input", input), _line(ids_array(op, "index", index))
    require(entries.ndim == 1, op, "index", "1 dimension", f"shape {tuple(entries.shape)}")
    dim = normal_dim(op, dim, x.ndim)
    shape = x.shape or (1,)
    if wrap:
        entries = called_as(op, K.wrap_index, None, entries, shape[dim], dim)
    shape = (*shape[:dim], entries.size, *shape[dim + 1 :])
    return dim, entries.view([-1 if d == dim else 1 for d in range(len(shape))]).expand(shape), shape


def _source(op: str, input: Tensor, source: Tensor, shape: tuple[int, ...]) -> Array:
    s = as_array(op, "source", source)
    if s.dtype is not input.dtype:
        raise BadType(op, "source", f"the dtype of input, {input.dtype.name}", s.dtype.name)
    fits = s.shape == shape or (s.ndim <= 1 and s.size == prod(shape) == 1)
    require(fits, op, "source", f"shape {shape}", s.shape)
    return s.reshape(shape)


def _index_add_backward(ctx: Node, dy: Array) -> Any:
    dim, index, alpha, shape = ctx.saved
    dsource = None
    if ctx.needs[1]:
        dsource = K.gather(_line(dy), dim, index).reshape(shape)
        dsource = dsource if alpha == 1 else K.mul(dsource, alpha)
    return dy, dsource


def _index_add(op: str, inplace: bool, input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Number) -> Tensor:
    dim, entries, shape = _slices(op, input, dim, index)
    s = _source(op, input, source, shape)
    if alpha != 1:
        s = called_as(op, K.mul, s, alpha)
        require(s.dtype is input.dtype, op, "alpha", "an integer", alpha, error=BadType)

    def write(y: Array) -> None:
        called_as(op, K.scatter_reduce, _line(y), dim, entries, s, SUM)

    return written(op, input, source, inplace, write, _index_add_backward, dim, entries, alpha, source.shape)


@tensor_method
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Tensor:
    """A copy of `input` with alpha * source added to its slices `index` along `dim`. index: int64 or int32 (m,). source: of
    input's dtype and shape, but of size m in `dim`. Raises IndexError for an index outside [0, size)."""
    return _index_add("index_add", False, input, dim, index, source, alpha)


@tensor_method("index_add_")
def _index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Tensor:
    """`index_add` in place."""
    return _index_add("index_add_", True, self, dim, index, source, alpha)


def _index_copy(op: str, inplace: bool, input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    dim, entries, shape = _slices(op, input, dim, index)
    s = _source(op, input, source, shape)

    def write(y: Array) -> None:
        called_as(op, K.scatter, _line(y), dim, entries, s)

    return written(op, input, source, inplace, write, _scatter_backward, dim, entries, source.shape)


@tensor_method
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` whose slices `index` along `dim` are those of `source`. Arguments and errors as in `index_add`."""
    return _index_copy("index_copy", False, input, dim, index, source)


@tensor_method("index_copy_")
def _index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_copy` in place."""
    return _index_copy("index_copy_", True, self, dim, index, source)


def _index_fill_backward(ctx: Node, dy: Array) -> Any:
    dim, index = ctx.saved
    dvalue = None
    if ctx.needs[1]:  # an element that is named twice counts once
        g = _line(dy)
        filled = zeros_array(g.shape, g)
        K.scatter(filled, dim, index, _ones(index.shape, g))
        dvalue = K.sum(K.mul(g, filled), (1 << g.ndim) - 1, False)
    return _overwritten(dy, dim, index), dvalue


def _index_fill(op: str, inplace: bool, input: Tensor, dim: int, index: Tensor, value: Operand) -> Tensor:
    dim, entries, shape = _slices(op, input, dim, index, wrap=True)
    tensor = value if isinstance(value, Tensor) else None
    if tensor is None:
        number = number_array(op, input._data, value)
    else:
        require(tensor.ndim == 0, op, "value", "a number or a 0-dim tensor", f"shape {tuple(tensor.shape)}")
        number = tensor._data.cast(input.dtype).to_device(input._data.device)

    def write(y: Array) -> None:
        called_as(op, K.scatter, _line(y), dim, entries, number.expand(shape))

    return written(op, input, tensor, inplace, write, _index_fill_backward, dim, entries)


@tensor_method
def index_fill(input: Tensor, dim: int, index: Tensor, value: Operand) -> Tensor:
    """A copy of `input` whose slices `index` along `dim` are full of `value`, a number or a 0-dim tensor. index: int64 or int32
    (m,); negative ones count from the end. Raises IndexError for an index outside [-size, size)."""
    return _index_fill("index_fill", False, input, dim, index, value)


@tensor_method("index_fill_")
def _index_fill_(self: Tensor, dim: int, index: Tensor, value: Operand) -> Tensor:
    """`index_fill` in place."""
    return _index_fill("index_fill_", True, self, dim, index, value)
