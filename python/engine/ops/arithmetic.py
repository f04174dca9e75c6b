"""Arithmetic of two operands, element by element, new or in place, with PyTorch's broadcasting and dtype promotion."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, check_inplace, needs_grad, record, record_inplace
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, BadValue, require
from engine.ops import precision
from engine.ops.blame import explained
from engine.ops.convert import into
from engine.ops.inplace import in_place
from engine.ops.naming import in_old_order
from engine.ops.operands import Number, Operand, data_of, gradient_for, gradients, result_type, tensor_of, zeros_array
from engine.ops.rounding import truncated_quotient
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "add",
    "clamp",
    "clip",
    "div",
    "divide",
    "floor_divide",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "pow",
    "remainder",
    "rsub",
    "square",
    "sub",
    "subtract",
    "true_divide",
]

K = _core.kernels

# A NumPy number or array on the left of an operator leaves the operation to the Tensor.
Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


# ---------------------------------------------------------------- + - * /


_add_backward = gradients(lambda dy: dy, lambda dy: dy)


def _scaled(op: str, input: Operand, other: Operand, alpha: Number) -> Tensor:
    """alpha * other. Raises TypeError for a float alpha of integers, and ValueError for an integer that their dtype cannot hold."""
    if not isinstance(alpha, int | float):  # a number of NumPy, or a Tensor of one element
        one = alpha.item() if isinstance(alpha, Tensor | np.generic) and np.prod(alpha.shape) == 1 else alpha
        if not isinstance(one, int | float):
            raise BadType(op, "alpha", "a number", type(alpha).__name__)
        alpha = one
    dtype = result_type(input, other)
    if dtype is _core.bool:
        expected = "a bool or an integer, as the operands are bool"
        require(not isinstance(alpha, float), op, "alpha", expected, alpha, error=BadType)
        return mul(other, bool(alpha))
    if dtype in INTEGER_LIMITS:
        low, high = (-255, 255) if dtype is _core.uint8 else INTEGER_LIMITS[dtype]
        require(not isinstance(alpha, float), op, "alpha", "an integer, as the operands are", alpha, error=BadType)
        require(low <= alpha <= high, op, "alpha", f"a value of {dtype.name}", alpha)
    return mul(other, alpha)


@tensor_method("add")
def add(input: Operand, other: Operand, old: Any = None, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other.

    Shapes are broadcast and dtypes promoted by PyTorch's rules (a Python number does not widen a tensor of its category).
    Raises ValueError for shapes that cannot be broadcast.
    """
    if out is not None:
        return into("add", out, add(input, other, old, alpha=alpha))
    if old is not None:
        in_old_order("add", "alpha")
        alpha, other = other, old  # type: ignore[assignment]
    if type(alpha) not in (int, float) or alpha != 1:
        other = _scaled("add", input, other, alpha)
    return record("add", K.add(data_of(input), data_of(other)), (tensor_of(input), tensor_of(other)), _add_backward)


# The operators take the shortest way between two Tensors: a small model spends much of its time here.
@tensor_method("__add__", "__radd__")
def _plus(input: Tensor, other: Operand) -> Tensor:
    if isinstance(other, Tensor):
        return record("add", K.add(input._data, other._data), (input, other), _add_backward)
    return add(input, other)


_sub_backward = gradients(lambda dy: dy, K.neg)


@tensor_method("sub")
def sub(input: Operand, other: Operand, old: Any = None, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other. Raises TypeError for bool (use logical_xor or logical_not)."""
    if out is not None:
        return into("sub", out, sub(input, other, old, alpha=alpha))
    if old is not None:
        in_old_order("sub", "alpha")
        alpha, other = other, old  # type: ignore[assignment]
    if type(alpha) not in (int, float) or alpha != 1:
        other = _scaled("sub", input, other, alpha)
    y = K.sub(data_of(input), data_of(other))
    return record("sub", y, (tensor_of(input), tensor_of(other)), _sub_backward)


@tensor_method("__sub__")
def _minus(input: Tensor, other: Operand) -> Tensor:
    if isinstance(other, Tensor):
        return record("sub", K.sub(input._data, other._data), (input, other), _sub_backward)
    return sub(input, other)


@tensor_method("rsub", "__rsub__")
@explained
def rsub(input: Tensor, other: Operand, *, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    as_array("rsub", "input", input)
    return sub(other, input, alpha=alpha)


_mul_backward = gradients(lambda dy, a, b: K.mul(dy, b), lambda dy, a, b: K.mul(dy, a))


@tensor_method("mul")
def mul(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input * other, element by element."""
    if out is not None:
        return into("mul", out, mul(input, other))
    a, b, x, y = data_of(input), data_of(other), tensor_of(input), tensor_of(other)
    # Each gradient needs the other operand.
    first = a if y is not None and (y._requires_grad or (y._base is not None and needs_grad(y))) else None
    second = b if x is not None and (x._requires_grad or (x._base is not None and needs_grad(x))) else None
    return record("mul", K.mul(a, b), (x, y), _mul_backward, first, second)


@tensor_method("__mul__", "__rmul__")
def _times(input: Tensor, other: Operand) -> Tensor:
    if not isinstance(other, Tensor):
        return mul(input, other)
    a, b = input._data, other._data
    first = a if other._requires_grad or (other._base is not None and needs_grad(other)) else None
    second = b if input._requires_grad or (input._base is not None and needs_grad(input)) else None
    return record("mul", K.mul(a, b), (input, other), _mul_backward, first, second)


# The operands are kept, not the quotient, so that it may be written in place.
_div_backward = gradients(lambda dy, a, b: K.div(dy, b), lambda dy, a, b: K.div_backward(dy, b, K.div(a, b)))


@tensor_method("div", "__truediv__")
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """input / other; of integers the default dtype, unless it is rounded.

    rounding_mode: None; "floor" for floor_divide; "trunc" rounds towards 0, and its gradients are 0. Raises ValueError if the
    quotient of integers is rounded and a divisor is 0.
    """
    if out is not None:
        return into("div", out, div(input, other, rounding_mode=rounding_mode))
    if rounding_mode is not None:
        if not isinstance(rounding_mode, str):
            raise BadType("div", "rounding_mode", "None, 'trunc' or 'floor'", type(rounding_mode).__name__)
        if rounding_mode == "floor":
            return floor_divide(input, other)
        if rounding_mode != "trunc":
            raise BadValue("div", "rounding_mode", "None, 'trunc' or 'floor'", repr(rounding_mode))
        y = truncated_quotient(data_of(input), data_of(other))
        return record("div", y, (tensor_of(input), tensor_of(other)), _stepped_backward)
    a, b, divisor = data_of(input), data_of(other), tensor_of(other)
    dividend = a if divisor is not None and needs_grad(divisor) else None
    return record("div", K.div(a, b), (tensor_of(input), divisor), _div_backward, dividend, b)


@tensor_method("__rtruediv__")
def _rdiv(input: Tensor, other: Operand) -> Tensor:
    return div(other, input)


_stepped_backward = gradients(lambda dy: zeros_array(dy.shape, dy), lambda dy: zeros_array(dy.shape, dy))


@tensor_method("floor_divide", "__floordiv__")
def floor_divide(input: Operand, other: Operand) -> Tensor:
    """floor(input / other), like Python's //. Its gradients are 0. Raises ValueError for an integer divisor of 0."""
    y = K.floor_divide(data_of(input), data_of(other))
    return record("floor_divide", y, (tensor_of(input), tensor_of(other)), _stepped_backward)


@tensor_method("__rfloordiv__")
def _rfloor_divide(input: Tensor, other: Operand) -> Tensor:
    return floor_divide(other, input)


_remainder_backward = gradients(lambda dy, a, b: dy, lambda dy, a, b: K.neg(K.mul(dy, K.floor_divide(a, b))))


@tensor_method("remainder", "__mod__")
def remainder(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input - other * floor(input / other), like Python's %. Raises ValueError for an integer divisor of 0."""
    if out is not None:
        return into("remainder", out, remainder(input, other))
    a, b = data_of(input), data_of(other)
    if type(a) is not Array and type(b) is not Array:
        raise BadType("remainder", "input", "a Tensor for at least one operand", type(input).__name__)
    y = K.remainder(a, b)
    return record("remainder", y, (tensor_of(input), tensor_of(other)), _remainder_backward, a, b)


@tensor_method("__rmod__")
def _rremainder(input: Tensor, other: Operand) -> Tensor:
    return remainder(other, input)


# ---------------------------------------------------------------- powers, maxima, clamp


_pow_backward = gradients(
    lambda dy, a, b, y: K.pow_backward(dy, _like(a, dy), b),
    lambda dy, a, b, y: K.pow_backward_exponent(dy, a, y),
)


def _like(a: Array, dy: Array) -> Array:
    return a if a.dtype is dy.dtype else a.cast(dy.dtype)


@tensor_method("pow", "__pow__")
def pow(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """input ^ exponent, element by element. The numbers 2, 3, 0.5 and -1 as exponents cost no more than a product.

    Raises ValueError if the input is an integer and the exponent a negative integer number.
    """
    if out is not None:
        return into("pow", out, pow(input, exponent))
    if precision.active:
        input, exponent = precision.raised(input), precision.raised(exponent)
    a, b = data_of(input), data_of(exponent)
    if type(a) is not Array and type(b) is not Array:
        raise BadType("pow", "input", "a Tensor for at least one operand", type(input).__name__)
    if type(b) is int and b < 0 and not isinstance(a, float) and not (type(a) is Array and a.dtype.is_floating_point):
        raise BadValue("pow", "exponent", "an integer >= 0 for an integer input", b)
    y = K.pow(a, b)
    result = y if needs_grad(exponent) else None
    return record("pow", y, (tensor_of(input), tensor_of(exponent)), _pow_backward, a, b, result)


@tensor_method("__rpow__")
def _rpow(input: Tensor, other: Operand) -> Tensor:
    return pow(other, input)


@tensor_method
def square(input: Tensor) -> Tensor:
    """input * input."""
    return pow(input, 2)


_maximum_backward = gradients(K.maximum_backward, lambda dy, a, b: K.maximum_backward(dy, b, a))
_minimum_backward = gradients(K.minimum_backward, lambda dy, a, b: K.minimum_backward(dy, b, a))


@tensor_method
def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of each pair of elements, NaN if one of them is NaN. Equal elements get half of the gradient each."""
    if out is not None:
        return into("maximum", out, maximum(input, other))
    a, b = as_array("maximum", "input", input), as_array("maximum", "other", other)
    return record("maximum", K.maximum(a, b), (input, other), _maximum_backward, a, b)


@tensor_method
def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of each pair of elements, NaN if one of them is NaN. Equal elements get half of the gradient each."""
    if out is not None:
        return into("minimum", out, minimum(input, other))
    a, b = as_array("minimum", "input", input), as_array("minimum", "other", other)
    return record("minimum", K.minimum(a, b), (input, other), _minimum_backward, a, b)


def _clamp_backward(ctx: Node, dy: Array) -> Any:
    x, low, high = ctx.saved
    edge, low_edge, high_edge = ctx.edges
    dinput = dlow = dhigh = None
    if edge is not None:
        dinput = gradient_for(edge, K.clamp_backward(dy, _like(x, dy), low, high))
    if low_edge is not None:
        below = K.lt(x, low) if high is None else K.logical_and(K.lt(x, low), K.lt(low, high))
        dlow = gradient_for(low_edge, K.where(below, dy, 0))
    if high_edge is not None:
        above = K.gt(x, high) if low is None else K.logical_or(K.gt(x, high), K.gt(low, high))
        dhigh = gradient_for(high_edge, K.where(above, dy, 0))
    return dinput, dlow, dhigh


def _bounds(op: str, low: Operand | None, high: Operand | None) -> tuple[Any, Any]:
    if low is None and high is None:
        raise BadValue(op, "min", "a number or tensor for min, for max or for both", "None for both")
    return data_of(low), data_of(high)


def _one_by_one(low: Any, high: Any) -> bool:
    """Whether one of two bounds may be NaN, which the kernel passes on only from a bound that stands alone."""
    return low is not None and high is not None and any(type(b) is Array or b != b for b in (low, high))


@tensor_method("clamp", "clip")
def clamp(
    input: Tensor, min: Operand | None = None, max: Operand | None = None, *, out: Tensor | None = None
) -> Tensor:
    """min(max(input, min), max). The bounds are numbers, Tensors that broadcast with input, or None.

    The gradient passes to input where min <= input <= max, and elsewhere to the bound that holds.
    """
    if out is not None:
        return into("clamp", out, clamp(input, min, max))
    x = as_array("clamp", "input", input)
    low, high = _bounds("clamp", min, max)
    inputs = (input, tensor_of(min), tensor_of(max))
    y = K.clamp(K.clamp(x, low, None), None, high) if _one_by_one(low, high) else K.clamp(x, low, high)
    return record("clamp", y, inputs, _clamp_backward, x, low, high)


# ---------------------------------------------------------------- in place


@tensor_method("add_", "__iadd__")
def _add_(self: Tensor, other: Operand, old: Any = None, *, alpha: Number = 1) -> Tensor:
    """self += alpha * other, in self's dtype. Raises RuntimeError for a leaf that requires grad, except under no_grad."""
    if old is not None:
        in_old_order("add_", "alpha")
        alpha, other = other, old  # type: ignore[assignment]
    check_inplace("add_", self, other)
    if type(alpha) not in (int, float) or alpha != 1:
        other = _scaled("add_", self, other, alpha)
    K.add_(self._data, data_of(other))
    return record_inplace("add_", self, (self, tensor_of(other)), _add_backward)


@tensor_method("sub_", "__isub__")
def _sub_(self: Tensor, other: Operand, old: Any = None, *, alpha: Number = 1) -> Tensor:
    """self -= alpha * other."""
    if old is not None:
        in_old_order("sub_", "alpha")
        alpha, other = other, old  # type: ignore[assignment]
    check_inplace("sub_", self, other)
    if type(alpha) not in (int, float) or alpha != 1:
        other = _scaled("sub_", self, other, alpha)
    K.sub_(self._data, data_of(other))
    return record_inplace("sub_", self, (self, tensor_of(other)), _sub_backward)


@tensor_method("mul_", "__imul__")
def _mul_(self: Tensor, other: Operand) -> Tensor:
    """self *= other."""
    check_inplace("mul_", self, other)
    b = data_of(other)
    before = None
    if isinstance(other, Tensor):
        if needs_grad(other):  # its gradient needs the values that are about to be overwritten
            before = self._data.clone()
        if b is self._data or b.shares_storage(self._data):
            b = b.clone()
    K.mul_(self._data, b)
    return record_inplace("mul_", self, (self, tensor_of(other)), _mul_backward, before, b)


@tensor_method("div_", "__itruediv__")
def _div_(self: Tensor, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """self /= other. rounding_mode as in `div`; without it, raises TypeError for integers, because a quotient is not an integer."""
    if rounding_mode is not None:
        return in_place("div_", self, div, other, rounding_mode=rounding_mode)
    check_inplace("div_", self, other)
    b = data_of(other)
    if isinstance(other, Tensor) and b.shares_storage(self._data):
        b = b.clone()
    before = self._data.clone() if needs_grad(other) else None
    K.div_(self._data, b)
    return record_inplace("div_", self, (self, tensor_of(other)), _div_backward, before, b)


@tensor_method("clamp_", "clip_")
def _clamp_(self: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """clamp in place."""
    low, high = _bounds("clamp_", min, max)
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return in_place("clamp_", self, clamp, min, max)
    check_inplace("clamp_", self)
    before = self._data.clone() if self._requires_grad else None
    if _one_by_one(low, high):
        K.clamp_(self._data, low, None)
        K.clamp_(self._data, None, high)
    else:
        K.clamp_(self._data, low, high)
    return record_inplace("clamp_", self, (self, None, None), _clamp_backward, before, low, high)


clip, subtract, multiply, divide, true_divide = clamp, sub, mul, div, div
