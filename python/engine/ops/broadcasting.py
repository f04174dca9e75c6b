"""What the binary ops share: operands that are Tensors or numbers, and gradients of operands that were broadcast."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node
from engine.tensor import Tensor

__all__ = ["promote_types", "result_type"]

K = _core.kernels

Number = float | int | bool
Operand = Tensor | Number


def data_of(value: Any) -> Any:
    """The Array of a Tensor; anything else as it is (the kernel's binding takes numbers and refuses the rest)."""
    return value._data if isinstance(value, Tensor) else value


def tensor_of(value: Any) -> Tensor | None:
    """What `record` wants of an operand: the Tensor, or None for a number."""
    return value if isinstance(value, Tensor) else None


def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype that both can be converted to: bool, integers, floats, each category by size."""
    return _core.promote_types(type1, type2)


def result_type(tensor1: Operand, tensor2: Operand) -> DType:
    """The dtype in which an op on the two operands computes.

    Tensors with dimensions decide; 0-dim tensors and then numbers only if they are of a higher category (bool < integer
    < floating).
    """
    return _core.result_type(data_of(tensor1), data_of(tensor2))


def input_of(ctx: Node, i: int) -> tuple[tuple[int, ...], DType, int]:
    """Shape, dtype and device of input i of a node that needs its gradient."""
    edge = ctx.edges[i]
    if type(edge) is tuple:
        return edge[0].outputs[edge[1]]
    return edge._data.meta


def sum_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sums over the dimensions along which an operand of `shape` was repeated to get the gradient's shape."""
    large = gradient.shape
    if large == shape:
        return gradient
    lead = len(large) - len(shape)
    mask = (1 << lead) - 1
    for i, size in enumerate(shape):
        if size == 1 and large[lead + i] != 1:
            mask |= 1 << lead + i
    return K.sum(gradient, mask, True).view(shape)


def gradient_for(ctx: Node, i: int, gradient: Array) -> Array:
    """`gradient`, of the output's shape and dtype, as input i needs it."""
    shape, dtype, number = input_of(ctx, i)
    if gradient.shape != shape:
        gradient = sum_to(gradient, shape)
    if not shape and gradient.device != number:  # a 0-dim tensor of the CPU stood beside others on a device
        gradient = gradient.to_device(number)
    return gradient if gradient.dtype is dtype else gradient.cast(dtype)
