"""Layers that learn the size of their input from the first call, and are ordinary layers afterwards."""

from __future__ import annotations

from typing import Any

from engine._core import DType
from engine.nn.layers import Linear
from engine.nn.module import Module
from engine.nn.parameter import UninitializedParameter
from engine.ops.sizes import new_sizes
from engine.tensor import Tensor

__all__ = ["LazyLinear"]


class LazyLinear(Linear):
    """A `Linear` whose in_features is the size of the last dimension in its first call; it becomes a `Linear` then.

    Until then its parameters have no shape. An optimizer may take them already, and `load_state_dict` gives them the saved shapes.
    """

    weight: Any  # an UninitializedParameter, until the first call

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        Module.__init__(self)
        self.in_features = 0
        (self.out_features,) = new_sizes("LazyLinear", "out_features", (out_features,))
        self.weight = UninitializedParameter(dtype=dtype, device=device)
        self.register_parameter("bias", UninitializedParameter(dtype=dtype, device=device) if bias else None)

    def has_uninitialized_params(self) -> bool:
        """Whether the parameters have no shape yet."""
        return isinstance(self.weight, UninitializedParameter)

    def reset_parameters(self) -> None:
        """Draws the initial values again, if the parameters have shapes."""
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Gives the parameters their shapes and initial values for inputs of this size."""
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if isinstance(self.bias, UninitializedParameter):
            self.bias.materialize((self.out_features,))
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        if self.has_uninitialized_params():
            self.initialize_parameters(input)
        self.in_features = self.weight.shape[1]
        self.__class__ = Linear  # type: ignore[assignment]
        return self.forward(input)
