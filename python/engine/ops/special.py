"""Elementary and special functions that have no kernel: formulas of other ops, with gradients of their own.

Integers and bool take the default dtype, as in PyTorch. float16 and bfloat16 are computed in float32. Relative errors are a few units in
the last place, unless the docstring says otherwise.
"""

# Ops below `@formula` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record
from engine.dtypes import default
from engine.ops.activation import erf, tanh
from engine.ops.arithmetic import clamp, pow
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.factory import full_like
from engine.ops.unary import abs, cos, exp, log, round, sign, sin, sqrt
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "acos",
    "asin",
    "atan",
    "cosh",
    "deg2rad",
    "erfc",
    "erfinv",
    "exp2",
    "expm1",
    "log2",
    "log10",
    "logit",
    "rad2deg",
    "sinc",
    "sinh",
    "tan",
]

Formula = Callable[[Tensor], Tensor]


def computed(array: Array) -> Tensor:
    """The elements as formulas take them, cut off from the tape: of the default dtype for bool and integers, and float32 instead of
    the formats of 16 bits."""
    wide = floating(array.dtype) is _core.float64
    return Tensor(array.cast(_core.float64 if wide else _core.float32))


def floating(dtype: DType) -> DType:
    """The dtype that a function of floating-point numbers gives: the default dtype for bool and integers."""
    return dtype if dtype.is_floating_point else default.dtype


def formula(value: Formula, slope: Formula) -> Callable[..., Any]:
    """Makes an op, y = value(input) with dy/dinput = slope(input), of a function with a name and a docstring but no body."""

    def backward(ctx: Node, dy: Array) -> Array:
        (x,) = ctx.saved
        return (computed(dy) * slope(computed(x)))._data.cast(x.dtype)

    def declare(function: Formula) -> Formula:
        name = function.__name__

        @wraps(function)
        def op(input: Tensor) -> Tensor:
            x = as_array(name, "input", input)
            y = value(computed(x))._data
            return record(name, y.cast(floating(x.dtype)), (input,), backward, x)

        return op

    return declare


# ---------------------------------------------------------------- angles


def _atan(x: Tensor) -> Tensor:
    """A rough angle a, and then the exact angle between a and the true one, whose tangent t is below 0.006."""
    large = abs(x) > 1.0
    r = where(large, 1.0 / x, x)
    a = r / (1.0 + 0.28 * r * r)
    s, c = sin(a), cos(a)
    t = (r * c - s) / (c + r * s)
    q = t * t
    a = a + t * (1.0 - q * (1.0 / 3.0 - q * (0.2 - q / 7.0)))
    return where(large, sign(x) * (math.pi / 2) - a, where(x == 0.0, x, a))  # -0 stays -0


@tensor_method
@formula(lambda x: sin(x) / cos(x), lambda x: pow(cos(x), -2))
def tan(input: Tensor) -> Tensor:
    """The tangent of an angle in radians."""


@tensor_method
@formula(_atan, lambda x: 1.0 / (1.0 + x * x))
def atan(input: Tensor) -> Tensor:
    """The angle in (-pi/2, pi/2) with this tangent."""


def _cosine_of_asin(x: Tensor) -> Tensor:
    return sqrt((1.0 - x) * (1.0 + x))


@tensor_method
@formula(lambda x: _atan(x / _cosine_of_asin(x)), lambda x: 1.0 / _cosine_of_asin(x))
def asin(input: Tensor) -> Tensor:
    """The angle in [-pi/2, pi/2] with this sine; NaN outside [-1, 1]."""


@tensor_method
@formula(lambda x: 2.0 * _atan(sqrt((1.0 - x) / (1.0 + x))), lambda x: -1.0 / _cosine_of_asin(x))
def acos(input: Tensor) -> Tensor:
    """The angle in [0, pi] with this cosine; NaN outside [-1, 1]."""


@tensor_method
@formula(lambda x: x * (180.0 / math.pi), lambda x: full_like(x, 180.0 / math.pi))
def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""


@tensor_method
@formula(lambda x: x * (math.pi / 180.0), lambda x: full_like(x, math.pi / 180.0))
def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""


def _sinc(x: Tensor) -> Tensor:
    angle = x * math.pi
    return where(x == 0.0, 1.0, sin(angle) / angle)


@tensor_method
@formula(_sinc, lambda x: where(x == 0.0, 0.0, (cos(x * math.pi) - _sinc(x)) / x))
def sinc(input: Tensor) -> Tensor:
    """sin(pi input) / (pi input), and 1 at 0."""


# ---------------------------------------------------------------- exponentials and logarithms


def _cosh(x: Tensor) -> Tensor:
    half = exp(abs(x) * 0.5)  # e^x itself overflows before cosh does
    return half * (0.5 * half) + 0.5 / half / half


def _sinh(x: Tensor) -> Tensor:
    return tanh(x) * _cosh(x)


@tensor_method
@formula(_sinh, _cosh)
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine, accurate for small input too."""


@tensor_method
@formula(_cosh, _sinh)
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine."""


@tensor_method
@formula(lambda x: tanh(x * 0.5) * (exp(x) + 1.0), exp)
def expm1(input: Tensor) -> Tensor:
    """e^input - 1, accurate for small input too."""


@tensor_method
@formula(lambda x: pow(2.0, x), lambda x: pow(2.0, x) * math.log(2.0))
def exp2(input: Tensor) -> Tensor:
    """2^input."""


def _log_to(base: float, x: Tensor) -> Tensor:
    y = log(x) / math.log(base)
    whole = round(y)
    return where(pow(base, whole) == x, whole, y)  # exact for powers of the base


@tensor_method
@formula(lambda x: _log_to(2.0, x), lambda x: 1.0 / (x * math.log(2.0)))
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2: NaN below 0, minus infinity at 0."""


@tensor_method
@formula(lambda x: _log_to(10.0, x), lambda x: 1.0 / (x * math.log(10.0)))
def log10(input: Tensor) -> Tensor:
    """The logarithm to base 10: NaN below 0, minus infinity at 0."""


@formula(
    lambda x: log(x / (1.0 - x)),
    lambda x: where((x < 0.0).logical_or(x > 1.0), math.nan, 1.0 / (x * (1.0 - x))),
)
def _logit(input: Tensor) -> Tensor:
    """ln(input / (1 - input))."""


@tensor_method
@explained
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(input / (1 - input)), the inverse of sigmoid: NaN outside [0, 1].

    eps: input is clamped to [eps, 1 - eps] first; elements outside get no gradient.
    """
    x = as_array("logit", "input", input)
    if eps is None:
        return _named("logit", _logit, input)
    if not x.dtype.is_floating_point:
        input = Tensor(x.cast(default.dtype))
    return _named("logit", _logit, clamp(input, eps, 1.0 - eps))


def _named(name: str, op: Formula, input: Tensor) -> Tensor:
    y = op(input)
    if y.grad_fn is not None:
        y.grad_fn.op = name
    return y


# ---------------------------------------------------------------- the error function


_SLOPE = 2.0 / math.sqrt(math.pi)


def _bell(x: Tensor) -> Tensor:
    return _SLOPE * exp(-(x * x))


def _erfc(x: Tensor) -> Tensor:
    """1 - erf(x) up to 2; above, where that would cancel, the continued fraction of Laplace."""
    tail = clamp(x, 2.0, 30.0)
    fraction = tail
    for k in range(48 if x.dtype is _core.float64 else 16, 0, -1):
        fraction = tail + (k / 2) / fraction
    far = exp(-(tail * tail)) / (math.sqrt(math.pi) * fraction)
    return where(x < 2.0, 1.0 - erf(x), where(x == x, far, x))


@tensor_method
@formula(_erfc, lambda x: -_bell(x))
def erfc(input: Tensor) -> Tensor:
    """1 - erf(input). Its relative error is below 1e-5 in float32 and 2e-14 in float64, also for results near 0."""


def _erfinv(x: Tensor) -> Tensor:
    """A guess within 0.3 % (Winitzki 2008), and then steps of Halley's method on erf, or on erfc where erf is near 1."""
    a = abs(x)
    rest = 1.0 - a
    level = log(rest * (1.0 + a))
    middle = 2.0 / (math.pi * 0.147) + level * 0.5
    y = sqrt(-level / 0.147 / (sqrt(middle * middle - level / 0.147) + middle))
    for _ in range(3 if x.dtype is _core.float64 else 2):
        miss = where(a < 0.5, erf(y) - a, rest - _erfc(y)) / _bell(y)
        y = y - miss / (1.0 + y * miss)
    y = where(a < 1.0, y, where(a == 1.0, math.inf, math.nan))
    return where(x < 0.0, -y, where(a == 0.0, x, y))


@tensor_method
@formula(_erfinv, lambda x: 1.0 / _bell(_erfinv(x)))
def erfinv(input: Tensor) -> Tensor:
    """The number whose erf is input: infinite at -1 and 1, NaN outside. Its relative error is below 1e-6 in float32 and 2e-15 in
    float64."""
