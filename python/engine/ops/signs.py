"""Signs, infinities and powers: signbit, copysign, isposinf, isneginf, float_power, matrix_power."""

from __future__ import annotations

import math

from engine import _core
from engine.errors import BadType, require
from engine.ops.arithmetic import pow
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.convert import cast
from engine.ops.factory import eye, tensor
from engine.ops.linear import matmul
from engine.ops.operands import Operand
from engine.ops.special import floating
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["copysign", "float_power", "heaviside", "isneginf", "isposinf", "matrix_power", "signbit"]


@tensor_method
@explained
def signbit(input: Tensor) -> Tensor:
    """Whether each number is below 0, or is -0; bool. False for NaN."""
    x = as_array("signbit", "input", input)
    number = input.detach()
    if not x.dtype.is_floating_point:
        return number < 0
    return where(number == 0, 1.0 / number, number) < 0


@tensor_method
@explained
def copysign(input: Tensor, other: Tensor | float) -> Tensor:
    """|input| with the sign of `other`, a tensor or a number; of integers other's floating dtype or the default one. The gradient of `other` is 0."""
    x = as_array("copysign", "input", input)
    dtype = floating(x.dtype)
    if isinstance(other, Tensor) and other.dtype.is_floating_point and not x.dtype.is_floating_point:
        dtype = other.dtype
    size = abs(cast(input, dtype))
    if isinstance(other, Tensor):
        minus = signbit(other)
        signed = where(minus, -size, size)
        return where(
            minus.logical_or(minus.logical_not()), signed, other
        )  # `other` gives its dtype, and gets the gradient 0
    return -size if math.copysign(1.0, other) < 0 else size * 1


@tensor_method
@explained
def isposinf(input: Tensor) -> Tensor:
    """Whether each number is infinity; bool."""
    as_array("isposinf", "input", input)
    return input.detach() == math.inf


@tensor_method
@explained
def isneginf(input: Tensor) -> Tensor:
    """Whether each number is minus infinity; bool."""
    as_array("isneginf", "input", input)
    return input.detach() == -math.inf


@tensor_method
@explained
def float_power(input: Operand, exponent: Operand) -> Tensor:
    """`pow` in float64, which a CUDA device does not have (TypeError)."""
    some = isinstance(input, Tensor) or isinstance(exponent, Tensor)
    require(some, "float_power", "input", "a Tensor for at least one operand", type(input).__name__, error=BadType)
    base = cast(input, _core.float64) if isinstance(input, Tensor) else float(input)
    power = cast(exponent, _core.float64) if isinstance(exponent, Tensor) else float(exponent)
    return pow(base if isinstance(base, Tensor) else tensor(base, dtype=_core.float64), power)


@tensor_method
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where input is below 0, `values` where it is 0, 1 above; NaN for NaN. The two are broadcast and have one dtype; no gradient flows."""
    x, v = as_array("heaviside", "input", input), as_array("heaviside", "values", values)
    require(x.dtype is v.dtype, "heaviside", "values", f"{x.dtype.name}, as input", v.dtype.name, error=BadType)
    number = input.detach()
    above = (number > 0).to(x.dtype)
    return where(number == 0, values.detach(), where(number != number, number, above))


@tensor_method
@explained
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The product of n equal matrices, for each of (*, m, m); the identity for n = 0. Raises ValueError for n < 0: there is no inverse."""
    x = as_array("matrix_power", "input", input)
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    require(square, "matrix_power", "input", "square matrices (*, m, m)", f"shape {tuple(x.shape)}")
    require(n >= 0, "matrix_power", "n", "a number >= 0", n)
    if n == 0:
        return eye(x.shape[-1], dtype=x.dtype, device=input.device).expand(x.shape).clone()
    result: Tensor | None = None
    power = input
    while True:
        if n % 2:
            result = power if result is None else matmul(result, power)
        n //= 2
        if n == 0:
            return result if result is not input else input.clone()  # type: ignore[return-value]
        power = matmul(power, power)
