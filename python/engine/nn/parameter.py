"""Tensors that belong to a module: those that it trains, and those that it only keeps."""

from __future__ import annotations

from typing import Any

from engine._core import DType
from engine.dtypes import Size
from engine.errors import BadState, BadType
from engine.ops.factory import empty
from engine.tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedParameter"]


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


class UninitializedParameter(Parameter):
    """A parameter of a lazy layer, whose shape is not known yet: `materialize` makes it an ordinary Parameter."""

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__(empty(0, dtype=dtype, device=device), requires_grad)

    @property
    def shape(self) -> Size:
        """Raises RuntimeError: there is none yet."""
        hint = "call the module once, so that it sees the size of its input"
        raise BadState("UninitializedParameter", "shape", "a parameter with a shape", "one without", hint)

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Takes this shape, with undefined contents."""
        self._data = empty(shape, dtype=self.dtype, device=self.device)._data
        self.__class__ = Parameter  # type: ignore[assignment]


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
