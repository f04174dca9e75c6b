"""What ops share: operands that are Tensors or numbers, backward functions written as formulas, and arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node
from engine.errors import BadType
from engine.tensor import Tensor, as_array

__all__ = ["promote_types", "result_type"]

K = _core.kernels

Number = float | int | bool
Operand = Tensor | Number


_PYTHON = frozenset((float, int, bool))


def data_of(value: Any) -> Any:
    """The Array of a Tensor or of a NumPy array; anything else as it is (the kernel's binding takes numbers and refuses the rest)."""
    if isinstance(value, Tensor):
        return value._data
    if type(value) in _PYTHON or not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        return value
    return _core.from_buffer(np.ascontiguousarray(value).reshape(value.shape))


def tensor_of(value: Any) -> Tensor | None:
    """An operand as `record` takes it: the Tensor, or None for a number."""
    return value if isinstance(value, Tensor) else None


def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype that both can be converted to: bool, integers, floats, each category by size."""
    for name, dtype in (("type1", type1), ("type2", type2)):
        if not isinstance(dtype, DType):
            raise BadType("promote_types", name, "a dtype such as engine.float32", dtype)
    return _core.promote_types(type1, type2)


def result_type(tensor1: Operand, tensor2: Operand) -> DType:
    """The dtype in which an op on the two operands computes.

    Tensors with dimensions decide. A 0-dim tensor changes the dtype only if its category (bool < integer < floating) is
    higher than theirs, and a number only if its category is higher than that of every tensor.
    """
    return _core.result_type(data_of(tensor1), data_of(tensor2))


# ---------------------------------------------------------------- gradients


def gradient(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The backward of an op with one input: its gradient is formula(dy, *saved)."""

    def backward(ctx: Node, dy: Array) -> Any:
        return formula(dy, *ctx.saved)

    return backward


def gradients(first: Callable[..., Array], second: Callable[..., Array]) -> Callable[..., Any]:
    """The backward of an op with two operands: their gradients are first(dy, *saved) and second(dy, *saved).

    Both formulas give arrays of the output's shape and dtype. If an operand was broadcast or converted, its gradient
    is summed and converted here. A formula is not called if its operand needs no gradient.
    """

    def backward(ctx: Node, dy: Array) -> Any:
        saved = ctx.saved
        a, b = ctx.edges
        return (
            None if a is None else gradient_for(a, first(dy, *saved)),
            None if b is None else gradient_for(b, second(dy, *saved)),
        )

    return backward


def gradient_for(edge: Any, dx: Array) -> Array:
    """`dx`, of the output's shape and dtype, summed, moved and converted as the input behind `edge` needs it."""
    shape, dtype, number = edge[0].outputs[edge[1]] if type(edge) is tuple else edge._data.meta
    if dx.shape != shape:
        dx = sum_to(dx, shape)
    if not shape and dx.device != number:  # a 0-dim tensor of the CPU met others on a device
        dx = dx.to_device(number)
    return dx if dx.dtype is dtype else dx.cast(dtype)


def sum_to(dx: Array, shape: tuple[int, ...]) -> Array:
    """The sum over the dimensions along which an operand of `shape` was repeated to get the shape of `dx`."""
    large = dx.shape
    if large == shape:
        return dx
    lead = len(large) - len(shape)
    mask = (1 << lead) - 1
    for i, size in enumerate(shape):
        if size == 1 and large[lead + i] != 1:
            mask |= 1 << lead + i
    return K.sum(dx, mask, True).view(shape)


# ---------------------------------------------------------------- arrays


def zeros_array(shape: tuple[int, ...], like: Array) -> Array:
    """Zeros of the dtype and on the device of another array."""
    array = _core.empty(shape, like.dtype, like.device)
    K.fill(array, 0.0)
    return array


# The backward of an in-place op that overwrites its only input: zeros, because the old values do not matter.
no_gradient = gradient(lambda dy: zeros_array(dy.shape, dy))


def ids_array(op: str, arg: str, value: Any) -> Array:
    """A Tensor of ids or indices, int64 or int32, as an int64 Array. Raises TypeError for other dtypes."""
    array = as_array(op, arg, value)
    if array.dtype is not _core.int64 and array.dtype is not _core.int32:
        raise BadType(op, arg, "int64 or int32", array.dtype.name)
    return array.cast(_core.int64)
