"""Variable: what a Tensor that takes gradients was called in PyTorch before version 0.4. Old scripts still wrap tensors in it."""

from __future__ import annotations

from typing import Any
from warnings import warn

from engine.tensor import Tensor


class _IsTensor(type):
    """The type of Variable: `isinstance(x, Variable)` asks whether x is a Tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        if volatile:
            warn("Variable(volatile=True) changes nothing; use `with engine.no_grad():`", stacklevel=2)
        return Tensor(data._data, requires_grad)


class Variable(metaclass=_IsTensor):
    """`Variable(tensor, requires_grad)`: a leaf Tensor with the same memory. `volatile` changes nothing, which a warning says."""
