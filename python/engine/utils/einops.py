"""Layers of einops for engine, also as `einops.layers.engine`. Needs einops: `pip install einops`.

The functions of einops (`rearrange`, `reduce`, `repeat`, `einsum`, `pack`, `unpack`, …) take engine's Tensors as they are.
"""

from __future__ import annotations

from typing import Any

from einops.layers import RearrangeMixin, ReduceMixin

from engine.nn import Module
from engine.tensor import Tensor

__all__ = ["Rearrange", "Reduce"]


class Rearrange(RearrangeMixin, Module):
    """`einops.rearrange` as a layer: Rearrange("b h w c -> b (h w) c", h=4)."""

    def forward(self, input: Tensor) -> Any:
        return self._apply_recipe(input)


class Reduce(ReduceMixin, Module):
    """`einops.reduce` as a layer: Reduce("b h w c -> b c", "mean")."""

    def forward(self, input: Tensor) -> Any:
        return self._apply_recipe(input)
