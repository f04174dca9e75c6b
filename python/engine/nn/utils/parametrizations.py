"""Parametrizations that are ready to use."""

from __future__ import annotations

from engine.nn.module import Module
from engine.nn.utils.parametrize import register_parametrization
from engine.nn.utils.weight_lengths import lengths, with_lengths
from engine.tensor import Tensor

__all__ = ["weight_norm"]


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return with_lengths(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return lengths(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """The weight as its lengths (`parametrizations.weight.original0`) times its directions (`original1`). Returns the module.

    dim: the dimension whose parts have a length each; None: one length for all. Raises ValueError for a name that is no parameter.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
