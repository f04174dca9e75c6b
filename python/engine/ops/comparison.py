"""Comparisons, logic and selection, element by element, with PyTorch's broadcasting and dtype promotion."""

# Ops below `@unary` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import math
from numbers import Integral
from typing import Any
from warnings import warn

from engine import _core
from engine._core import Array
from engine.autograd.tape import check_inplace, record, record_inplace
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadValue
from engine.ops.convert import into
from engine.ops.indexing import nonzero
from engine.ops.naming import called_as
from engine.ops.operands import Operand, data_of, gradients, promote_types, tensor_of
from engine.ops.unary import unary
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "eq",
    "equal",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "ne",
    "where",
]

K = _core.kernels


def _compared(kernel: Any, input: Operand, other: Operand) -> Tensor:
    a, b = as_array(kernel.__name__, "input", input), data_of(other)
    return Tensor(kernel(_in_reach(a, b), _in_reach(b, a)))


def _in_reach(value: Any, other: Any) -> Any:
    """`value`. An integer that the other operand's dtype cannot hold becomes a float or infinity, which compares the same way."""
    if type(value) is Array or type(other) is not Array or not isinstance(value, Integral):
        return value
    least, largest = INTEGER_LIMITS.get(other.dtype, INTEGER_LIMITS[_core.int64])
    number = int(value)
    if least <= number <= largest:
        return value
    if other.dtype.is_floating_point and abs(number) < 2**1023:
        return float(number)
    return math.inf if number > 0 else -math.inf


@tensor_method
def eq(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input == other, a bool tensor."""
    if out is not None:
        return into("eq", out, eq(input, other))
    return _compared(K.eq, input, other)


@tensor_method
def ne(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input != other, a bool tensor."""
    if out is not None:
        return into("ne", out, ne(input, other))
    return _compared(K.ne, input, other)


# == and != compare a Tensor with any object. These are never equal to one, so Python's own answer is taken.
_NEVER_EQUAL = (type(None), str, bytes, list, tuple, dict, set, type)


@tensor_method("__eq__")
def _eq(input: Tensor, other: Any) -> Any:
    return NotImplemented if isinstance(other, _NEVER_EQUAL) else eq(input, other)


@tensor_method("__ne__")
def _ne(input: Tensor, other: Any) -> Any:
    return NotImplemented if isinstance(other, _NEVER_EQUAL) else ne(input, other)


@tensor_method("lt", "__lt__")
def lt(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input < other, a bool tensor."""
    if out is not None:
        return into("lt", out, lt(input, other))
    return _compared(K.lt, input, other)


@tensor_method("le", "__le__")
def le(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input <= other, a bool tensor."""
    if out is not None:
        return into("le", out, le(input, other))
    return _compared(K.le, input, other)


@tensor_method("gt", "__gt__")
def gt(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input > other, a bool tensor."""
    if out is not None:
        return into("gt", out, gt(input, other))
    return _compared(K.gt, input, other)


@tensor_method("ge", "__ge__")
def ge(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input >= other, a bool tensor."""
    if out is not None:
        return into("ge", out, ge(input, other))
    return _compared(K.ge, input, other)


@tensor_method
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both tensors have the same shape and elements."""
    a, b = as_array("equal", "input", input), as_array("equal", "other", other)
    return a.shape == b.shape and bool(K.all(K.eq(a, b), (1 << a.ndim) - 1, False).item())


@tensor_method
def logical_and(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether neither of the two elements is 0."""
    if out is not None:
        return into("logical_and", out, logical_and(input, other))
    return Tensor(K.logical_and(as_array("logical_and", "input", input), as_array("logical_and", "other", other)))


@tensor_method
def logical_or(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether at least one of the two elements is not 0."""
    if out is not None:
        return into("logical_or", out, logical_or(input, other))
    return Tensor(K.logical_or(as_array("logical_or", "input", input), as_array("logical_or", "other", other)))


@tensor_method
def logical_xor(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether exactly one of the two elements is not 0."""
    if out is not None:
        return into("logical_xor", out, logical_xor(input, other))
    return Tensor(K.logical_xor(as_array("logical_xor", "input", input), as_array("logical_xor", "other", other)))


@tensor_method
@unary(K.logical_not)
def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the element is 0."""


@tensor_method
@unary(K.isnan)
def isnan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the element is NaN."""


@tensor_method
@unary(K.isinf)
def isinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the element is infinite."""


@tensor_method
@unary(K.isfinite)
def isfinite(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the element is neither infinite nor NaN."""


# ---------------------------------------------------------------- selection


_where_backward = gradients(
    lambda dy, condition: K.where(condition, dy, 0),
    lambda dy, condition: K.where(condition, 0, dy),
)


def where(condition: Tensor, input: Operand | None = None, other: Operand | None = None) -> Any:
    """input where condition is true, other elsewhere. condition: bool, or uint8, of which all but 0 is true. The three are broadcast;
    input and other are promoted.

    where(condition) is `nonzero(condition, as_tuple=True)`."""
    c = as_array("where", "condition", condition)
    if input is None and other is None:
        return called_as("where", nonzero, condition, as_tuple=True)
    if c.dtype is _core.uint8:
        warn("where takes a condition of uint8 as a mask, as PyTorch does; write bool", stacklevel=2)
        c = c.cast(_core.bool)
    y = K.where(c, data_of(input), data_of(other))
    return record("where", y, (tensor_of(input), tensor_of(other)), _where_backward, c)


@tensor_method("where")
def _where(self: Tensor, condition: Tensor, other: Operand) -> Tensor:
    """self where condition (bool) is true, other elsewhere. The three are broadcast; self and other are promoted."""
    return where(condition, self, other)


_masked_fill_backward = gradients(
    lambda dy, mask: K.masked_fill(dy, mask, 0),
    lambda dy, mask: K.where(mask, dy, 0),
)


@tensor_method
def masked_fill(input: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """value where mask is true, input elsewhere, in input's dtype. mask: bool; value: a number or a 0-dim Tensor."""
    x, m, v = as_array("masked_fill", "input", input), as_array("masked_fill", "mask", mask), data_of(value)
    v = _value("masked_fill", x, v)
    y = K.masked_fill(x, m, v)
    return record("masked_fill", y, (input, tensor_of(value)), _masked_fill_backward, m)


@tensor_method("masked_fill_")
def _masked_fill_(self: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """masked_fill in place."""
    check_inplace("masked_fill_", self, value)
    m, v = as_array("masked_fill_", "mask", mask), data_of(value)
    v = _value("masked_fill_", self._data, v)
    K.masked_fill_(self._data, m, v)
    return record_inplace("masked_fill_", self, (self, tensor_of(value)), _masked_fill_backward, m)


def _value(op: str, x: Array, value: Any) -> Any:
    """The value as x's dtype takes it: of a float, integers get the integer part."""
    if type(value) is Array:
        if value.ndim:
            raise BadValue(op, "value", "a number or a 0-dim tensor", f"shape {tuple(value.shape)}")
        return value if promote_types(value.dtype, x.dtype) is x.dtype else value.cast(x.dtype)
    if isinstance(value, float) and not x.dtype.is_floating_point:
        low, high = INTEGER_LIMITS.get(x.dtype, INTEGER_LIMITS[_core.int64])
        if not (math.isfinite(value) and low <= int(value) <= high):
            raise BadValue(op, "value", f"a number that {x.dtype.name} can hold", value)
        value = int(value)
    if x.dtype is _core.bool and isinstance(value, int):
        return bool(value)
    return value
