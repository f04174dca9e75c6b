"""Operators of Python that write to a tensor or look into it: `**=`, `//=`, `%=` and `in`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.autograd.tape import check_inplace
from engine.dtypes import can_cast
from engine.errors import BadType, BadValue
from engine.ops.arithmetic import floor_divide, pow, remainder
from engine.ops.comparison import eq
from engine.ops.convert import clone
from engine.ops.naming import called_as
from engine.ops.operands import Operand
from engine.tensor import Tensor, tensor_method

__all__: list[str] = []  # methods only


def _written(op: str, self: Tensor, function: Callable[..., Tensor], other: Operand) -> Tensor:
    check_inplace(op, self, other)
    before = clone(self) if self.requires_grad else self  # what the op saves must keep its values
    result = called_as(op, function, before, other)
    if not can_cast(result.dtype, self.dtype):
        raise BadType(op, "self", f"a dtype that can hold the result, {result.dtype.name}", self.dtype.name)
    if result.shape != self.shape:
        raise BadValue(op, "self", f"shape {tuple(result.shape)}, to which the operands broadcast", self.shape)
    return called_as(op, self.copy_, result)


@tensor_method("__ipow__")
def _ipow(self: Tensor, other: Operand) -> Tensor:
    return _written("pow_", self, pow, other)


@tensor_method("__ifloordiv__")
def _ifloordiv(self: Tensor, other: Operand) -> Tensor:
    return _written("floor_divide_", self, floor_divide, other)


@tensor_method("__imod__")
def _imod(self: Tensor, other: Operand) -> Tensor:
    return _written("remainder_", self, remainder, other)


@tensor_method("__contains__")
def _contains(self: Tensor, element: Any) -> bool:
    if not isinstance(element, Tensor | bool | int | float):
        raise BadType("contains", "element", "a Tensor or a number", type(element).__name__)
    return bool(eq(self.detach(), element).any().item())
