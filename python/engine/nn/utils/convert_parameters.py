"""All parameters of a model in one row, and back."""

from __future__ import annotations

from collections.abc import Iterable

from engine import ops
from engine.errors import require
from engine.ops.convert import copy_into
from engine.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one row (elements,), in their order. Gradients flow back to them."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the pieces of a row (elements,) into the parameters. Raises ValueError for another shape, before anything is written."""
    targets = list(parameters)
    sizes = [p.numel() for p in targets]
    require(vec.shape == (sum(sizes),), "vector_to_parameters", "vec", f"shape ({sum(sizes)},)", vec.shape)
    for p, piece in zip(targets, vec.detach().split(sizes)):
        copy_into(p._data, piece._data.view(p.shape))
