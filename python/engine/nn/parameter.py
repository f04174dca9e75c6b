"""Tensors that belong to a module: those that it trains, and those that it only keeps."""

from __future__ import annotations

from engine.errors import BadType
from engine.tensor import Tensor

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that a Module trains: when it is assigned to an attribute, it becomes one of the module's parameters.

    data: a Tensor, whose memory the parameter shares; None: no elements. Raises TypeError for anything else.
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        data = Tensor() if data is None else data
        if not isinstance(data, Tensor):
            raise BadType("Parameter", "data", "a Tensor", type(data).__name__)
        super().__init__(data._data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a Module's state but is not trained: when it is assigned to an attribute, it becomes one of the
    module's buffers.

    data: a Tensor, whose memory the buffer shares; None: no elements. persistent: whether state_dict holds it. Raises TypeError for
    anything else.
    """

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        data = Tensor() if data is None else data
        if not isinstance(data, Tensor):
            raise BadType("Buffer", "data", "a Tensor", type(data).__name__)
        super().__init__(data._data)
        self.persistent = persistent
