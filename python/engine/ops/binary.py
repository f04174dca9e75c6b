"""Functions of two operands that have no kernel: formulas of other ops, with gradients of their own, and mixtures of tensors.

Integers and bool take the default dtype in `atan2`, `hypot`, `logaddexp` and `xlogy`. Shapes are broadcast and dtypes promoted as in `add`.
"""

# Ops below `@paired` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from engine._core import Array, DType
from engine.autograd.tape import filled, record
from engine.errors import BadType, require
from engine.ops.activation import log1p
from engine.ops.arithmetic import add, clamp, maximum, minimum, mul, sub
from engine.ops.blame import explained
from engine.ops.comparison import isnan, where
from engine.ops.convert import into
from engine.ops.naming import in_old_order
from engine.ops.operands import Number, Operand, gradients, result_type, tensor_of
from engine.ops.special import atan, computed, floating
from engine.ops.unary import abs, exp, log, sqrt
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "addcdiv",
    "addcmul",
    "atan2",
    "clamp_max",
    "clamp_min",
    "fmax",
    "fmin",
    "hypot",
    "lerp",
    "logaddexp",
    "xlogy",
]

Formula = Callable[[Tensor, Tensor], Tensor]


def paired(value: Formula, first: Formula, second: Formula, *, numbers: bool = False) -> Callable[..., Any]:
    """Makes an op, y = value(input, other) with the slopes first(input, other) and second(input, other), of a function with a
    name and a docstring but no body. numbers: one of the operands may be a number."""

    def side(slope: Formula) -> Callable[..., Array]:
        return lambda dy, a, b: (computed(dy) * slope(computed(a), computed(b)))._data

    backward = gradients(side(first), side(second))

    def declare(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        name = function.__name__

        @wraps(function)
        def op(input: Operand, other: Operand) -> Tensor:
            device = _device_of(name, input, other, numbers)
            dtype = floating(result_type(input, other))
            a, b = _operand(name, "input", input, dtype, device), _operand(name, "other", other, dtype, device)
            y = value(computed(a), computed(b))._data
            return record(name, y.cast(dtype), (tensor_of(input), tensor_of(other)), backward, a, b)

        return op

    return declare


def _device_of(op: str, input: Operand, other: Operand, numbers: bool) -> int:
    """Where the first Tensor is. Raises TypeError for a number where no number may be."""
    if numbers and (isinstance(input, Tensor) or isinstance(other, Tensor)):
        return next(v._data.device for v in (input, other) if isinstance(v, Tensor))
    as_array(op, "other", other)
    return as_array(op, "input", input).device


def _operand(op: str, name: str, value: Any, dtype: DType, device: int) -> Array:
    if isinstance(value, bool | int | float):
        return filled(((), dtype, device), float(value))
    return as_array(op, name, value).cast(dtype)


# ---------------------------------------------------------------- with two slopes


def _negative(x: Tensor) -> Tensor:
    """Whether the sign bit is set, also that of -0."""
    return where(x == 0.0, 1.0 / x, x) < 0.0


def _atan2(y: Tensor, x: Tensor) -> Tensor:
    up, right = abs(y), abs(x)
    small, large = minimum(up, right), maximum(up, right)
    ratio = where(small == large, where(large == 0.0, 0.0, 1.0), small / large)
    angle = where(isnan(large), large, atan(ratio))
    angle = where(up > right, math.pi / 2 - angle, angle)
    angle = where(_negative(x), math.pi - angle, angle)
    return where(_negative(y), -angle, angle)


def _square_radius(y: Tensor, x: Tensor) -> Tensor:
    """y^2 + x^2, and infinity instead of 0: the gradients of the angle at the origin are 0."""
    square = y * y + x * x
    return where(square == 0.0, math.inf, square)


@tensor_method
@paired(_atan2, lambda y, x: x / _square_radius(y, x), lambda y, x: -y / _square_radius(y, x))
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle in [-pi, pi] of the point with ordinate `input` and abscissa `other`."""


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    small, large = minimum(abs(a), abs(b)), maximum(abs(a), abs(b))
    ratio = small / large
    infinite = (abs(a) == math.inf).logical_or(abs(b) == math.inf)
    return where(infinite, math.inf, where(large == 0.0, large, large * sqrt(1.0 + ratio * ratio)))


@tensor_method
@paired(_hypot, lambda a, b: a / _hypot(a, b), lambda a, b: b / _hypot(a, b))
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """sqrt(input^2 + other^2), without overflow."""


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    # Equal operands may be infinite: their difference would be NaN.
    return where(a == b, a + math.log(2.0), maximum(a, b) + log1p(exp(-abs(a - b))))


@tensor_method
@paired(_logaddexp, lambda a, b: 1.0 / (1.0 + exp(b - a)), lambda a, b: 1.0 / (1.0 + exp(a - b)))
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """ln(e^input + e^other), without overflow."""


@tensor_method
@paired(
    lambda a, b: where((a == 0.0).logical_and(isnan(b).logical_not()), 0.0, a * log(b)),
    lambda a, b: where((a == 0.0).logical_and(b <= 0.0), 0.0, log(b)),
    lambda a, b: a / b,
    numbers=True,
)
def xlogy(input: Operand, other: Operand) -> Tensor:
    """input * ln(other), and 0 where input is 0 and other is not NaN."""


# ---------------------------------------------------------------- made of other ops


def _both(op: str, input: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    as_array(op, "input", input), as_array(op, "other", other)
    return input, other


@tensor_method
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of each pair of elements; if one is NaN, the other. Of equal elements the first gets the gradient."""
    a, b = _both("fmax", input, other)
    return where((a >= b).logical_or(isnan(b)), a, b)


@tensor_method
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of each pair of elements; if one is NaN, the other. Of equal elements the first gets the gradient."""
    a, b = _both("fmin", input, other)
    return where((a <= b).logical_or(isnan(b)), a, b)


@tensor_method
def clamp_min(input: Tensor, min: Operand) -> Tensor:
    """The larger of input and min, NaN if one of them is NaN. The gradient passes to min where input is below it."""
    as_array("clamp_min", "input", input)
    if not isinstance(min, Tensor):
        return clamp(input, min, None)
    return where((input >= min).logical_or(isnan(input)), input, min)


@tensor_method
def clamp_max(input: Tensor, max: Operand) -> Tensor:
    """The smaller of input and max, NaN if one of them is NaN. The gradient passes to max where input is above it."""
    as_array("clamp_max", "input", input)
    if not isinstance(max, Tensor):
        return clamp(input, None, max)
    return where((input <= max).logical_or(isnan(input)), input, max)


@tensor_method
@explained
def lerp(input: Tensor, end: Tensor, weight: Operand, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input); exactly `end` at weight 1. weight: a number, or a Tensor that is broadcast.

    Raises TypeError unless input, end and a weight that is a Tensor have one floating dtype.
    """
    if out is not None:
        return into("lerp", out, lerp(input, end, weight))
    a = as_array("lerp", "input", input)
    require(a.dtype.is_floating_point, "lerp", "input", "a floating-point dtype", a.dtype.name, error=BadType)
    for name, value in (("end", end), ("weight", weight)):
        if name == "end" or isinstance(value, Tensor):
            dtype = as_array("lerp", name, value).dtype
            require(dtype is a.dtype, "lerp", name, f"{a.dtype.name}, as input", dtype.name, error=BadType)
    way = sub(end, input)
    if not isinstance(weight, Tensor):
        return add(input, way * weight) if weight < 0.5 else sub(end, way * (1 - weight))
    return where(abs(weight) < 0.5, add(input, way * weight), sub(end, way * (1 - weight)))


@tensor_method
def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, old: Any = None, *, value: Number = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 * tensor2."""
    if out is not None:
        return into("addcmul", out, addcmul(input, tensor1, tensor2, old, value=value))
    if old is not None:
        in_old_order("addcmul", "value")
        value, tensor1, tensor2 = tensor1, tensor2, old  # type: ignore[assignment]
    for name, tensor in (("input", input), ("tensor1", tensor1), ("tensor2", tensor2)):
        as_array("addcmul", name, tensor)
    return add(input, mul(tensor1, tensor2), alpha=value)


@tensor_method
def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, old: Any = None, *, value: Number = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 / tensor2. Raises TypeError if both tensor1 and tensor2 are integers."""
    if out is not None:
        return into("addcdiv", out, addcdiv(input, tensor1, tensor2, old, value=value))
    if old is not None:
        in_old_order("addcdiv", "value")
        value, tensor1, tensor2 = tensor1, tensor2, old  # type: ignore[assignment]
    for name, tensor in (("input", input), ("tensor1", tensor1), ("tensor2", tensor2)):
        as_array("addcdiv", name, tensor)
    floating = tensor1.is_floating_point() or tensor2.is_floating_point()
    require(
        floating, "addcdiv", "tensor1", "a floating-point dtype for one of the two", tensor1.dtype.name, error=BadType
    )
    return add(input, tensor1 / tensor2, alpha=value)
