"""Variable, PyTorch's name for a tensor with a gradient before version 0.4."""

from __future__ import annotations

from typing import Any

from engine.errors import BadType
from engine.notices import say_once
from engine.tensor import Tensor

__all__ = ["Variable"]


class _Variable(type):
    """`isinstance(x, Variable)` asks for a Tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Any = None, requires_grad: bool = False, volatile: Any = None) -> Any:
        if not isinstance(data, Tensor):
            raise BadType("Variable", "data", "a Tensor", type(data).__name__)
        if volatile is not None:
            say_once("engine: volatile changes nothing, as in PyTorch: use engine.no_grad()")
        return data.detach().requires_grad_(requires_grad)


class Variable(metaclass=_Variable):
    """`Variable(data, requires_grad=False)`: a Tensor with the same memory. Every Tensor is a Variable."""
