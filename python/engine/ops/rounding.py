"""Whole parts, fractions and remainders whose sign is that of the dividend. Their dtype is that of the operands."""

from __future__ import annotations

import builtins
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import record
from engine.errors import BadType, require
from engine.ops.operands import Operand, data_of, gradient, gradients, tensor_of, zeros_array
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["fix", "fmod", "frac", "trunc"]

K = _core.kernels

_zero_backward = gradient(lambda dy: zeros_array(dy.shape, dy))
_same_backward = gradient(lambda dy: dy)


def _whole(x: Array) -> Array:
    """x without its fraction. Integers and infinite numbers stay as they are."""
    if not x.dtype.is_floating_point:
        return x.clone()
    return K.where(K.lt(x, 0), K.neg(K.floor(K.neg(x))), K.floor(x))


@tensor_method("trunc", "fix")
def trunc(input: Tensor) -> Tensor:
    """The integer part of each element, in the input's dtype. Its gradient is 0."""
    return record("trunc", _whole(as_array("trunc", "input", input)), (input,), _zero_backward)


fix = trunc


@tensor_method
def frac(input: Tensor) -> Tensor:
    """input - trunc(input), of a floating dtype; it has input's sign."""
    x = as_array("frac", "input", input)
    require(x.dtype.is_floating_point, "frac", "input", "a floating-point dtype", x.dtype.name, error=BadType)
    return record("frac", K.sub(x, _whole(x)), (input,), _same_backward)


# ---------------------------------------------------------------- two operands


def _size(value: Any) -> Any:
    return K.abs(value) if type(value) is Array else builtins.abs(value)


def _signs_differ(a: Any, b: Any) -> Array:
    return K.logical_xor(K.lt(a, 0), K.lt(b, 0))


def _integers(value: Any, dtype: DType) -> Any:
    """An operand as an array of that dtype, in which a number wraps around."""
    if type(value) is Array:
        return value.cast(dtype)
    return _core.from_bytes((int(value) % 2**64).to_bytes(8, "little"), (), _core.int64).cast(dtype)


def truncated_quotient(a: Any, b: Any) -> Array:
    """trunc(a / b): exact for integers, also for the least, whose absolute value their dtype cannot hold."""
    dtype = _core.result_type(a, b)
    if dtype.is_floating_point:
        return _whole(K.div(a, b))
    a, b = _integers(a, dtype), _integers(b, dtype)
    floor, rest = K.floor_divide(a, b), K.remainder(a, b)
    return K.add(floor, K.logical_and(rest, _signs_differ(a, b)))


_fmod_backward = gradients(lambda dy, a, b: dy, lambda dy, a, b: K.neg(K.mul(dy, truncated_quotient(a, b))))


@tensor_method
def fmod(input: Tensor, other: Operand) -> Tensor:
    """input - other * trunc(input / other), exactly: it has input's sign, unlike `remainder`.

    Raises ValueError for an integer divisor of 0.
    """
    a, b = as_array("fmod", "input", input), data_of(other)
    dtype = _core.result_type(a, b)
    if dtype.is_floating_point:
        a = a.cast(dtype)
        rest = K.remainder(_size(a), _size(b))
        y = K.where(K.lt(a, 0), K.neg(rest), rest)
    else:
        a, b = _integers(a, dtype), _integers(b, dtype)
        rest = K.remainder(a, b)
        y = K.where(K.logical_and(rest, _signs_differ(a, b)), K.sub(rest, b), rest)
    return record("fmod", y, (input, tensor_of(other)), _fmod_backward, a, b)
