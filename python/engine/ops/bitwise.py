"""The bits of integers: and, or, xor, not and shifts, with PyTorch's broadcasting and dtype promotion. bool has one bit."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine.autograd.tape import check_inplace
from engine.errors import BadType, BadValue
from engine.ops.naming import called_as
from engine.ops.operands import Operand, data_of, result_type
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
]

K = _core.kernels


def _of_bits(op: str, kernel: Any, input: Operand, other: Operand) -> Tensor:
    a, b = data_of(input), data_of(other)
    if a is input and b is other:
        raise BadType(op, "input", "a Tensor, if other is a number", type(input).__name__)
    return Tensor(kernel(a, b))


@tensor_method("bitwise_and", "__and__", "__rand__")
def bitwise_and(input: Operand, other: Operand) -> Tensor:
    """input & other, of integers or bool. Raises TypeError for floating dtypes."""
    return _of_bits("bitwise_and", K.bitwise_and, input, other)


@tensor_method("bitwise_or", "__or__", "__ror__")
def bitwise_or(input: Operand, other: Operand) -> Tensor:
    """input | other, of integers or bool. Raises TypeError for floating dtypes."""
    return _of_bits("bitwise_or", K.bitwise_or, input, other)


@tensor_method("bitwise_xor", "__xor__", "__rxor__")
def bitwise_xor(input: Operand, other: Operand) -> Tensor:
    """input ^ other, of integers or bool. Raises TypeError for floating dtypes."""
    return _of_bits("bitwise_xor", K.bitwise_xor, input, other)


@tensor_method("bitwise_not", "__invert__")
def bitwise_not(input: Tensor) -> Tensor:
    """~input: the other bits of an integer, `logical_not` of bool. Raises TypeError for floating dtypes."""
    return Tensor(K.bitwise_not(as_array("bitwise_not", "input", input)))


def _shifted(op: str, kernel: Any, input: Operand, other: Operand) -> Tensor:
    if result_type(input, other) is _core.bool:
        raise BadType(op, "input", "integers", "bool")
    return _of_bits(op, kernel, input, other)


@tensor_method("bitwise_left_shift", "__lshift__")
def bitwise_left_shift(input: Operand, other: Operand) -> Tensor:
    """input * 2^other, of integers, which wrap around. 0 if `other` is negative or at least the number of bits.

    Raises TypeError for bool and floating dtypes."""
    return _shifted("bitwise_left_shift", K.bitwise_left_shift, input, other)


@tensor_method("bitwise_right_shift", "__rshift__")
def bitwise_right_shift(input: Operand, other: Operand) -> Tensor:
    """floor(input / 2^other), of integers. 0 or -1, by the sign, if `other` is negative or at least the number of bits.

    Raises TypeError for bool and floating dtypes."""
    return _shifted("bitwise_right_shift", K.bitwise_right_shift, input, other)


@tensor_method("__rlshift__")
def _rlshift(self: Tensor, other: Operand) -> Tensor:
    return bitwise_left_shift(other, self)


@tensor_method("__rrshift__")
def _rrshift(self: Tensor, other: Operand) -> Tensor:
    return bitwise_right_shift(other, self)


# ---------------------------------------------------------------- in place


def _in_place(function: Any, operator: str) -> None:
    name = f"{function.__name__}_"

    def write(self: Tensor, *other: Operand) -> Tensor:
        check_inplace(name, self)
        x, y = self._data, called_as(name, function, self, *other)._data
        if x.dtype is _core.bool and y.dtype is not _core.bool:
            raise BadType(name, "other", "bool, which self is", y.dtype.name)
        if y.shape != x.shape:
            raise BadValue(
                name, "other", f"a shape that broadcasts to {tuple(x.shape)}", f"a result of shape {tuple(y.shape)}"
            )
        K.copy(x, y)
        return self

    write.__name__ = name
    write.__doc__ = f"`{function.__name__}` in place."
    tensor_method(*((name, operator) if operator else (name,)))(write)


for _function, _operator in (
    (bitwise_and, "__iand__"),
    (bitwise_or, "__ior__"),
    (bitwise_xor, "__ixor__"),
    (bitwise_not, ""),
    (bitwise_left_shift, "__ilshift__"),
    (bitwise_right_shift, "__irshift__"),
):
    _in_place(_function, _operator)
