"""Dropout of whole channels and of SELU networks, and the exchange of channels and places, as modules."""

from __future__ import annotations

from engine.errors import require
from engine.nn import functional as F
from engine.nn.layers import Dropout
from engine.nn.module import Module
from engine.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d", "PixelShuffle", "PixelUnshuffle"]


class Dropout1d(Dropout):
    """`F.dropout1d` in training."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(Dropout):
    """`F.dropout2d` in training."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(Dropout):
    """`F.dropout3d` in training."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(Dropout):
    """`F.alpha_dropout` in training."""

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class PixelShuffle(Module):
    """`F.pixel_shuffle`: (*, c r r, h, w) -> (*, c, h r, w r)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        require(upscale_factor > 0, "PixelShuffle", "upscale_factor", "a number > 0", upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """`F.pixel_unshuffle`: (*, c, h r, w r) -> (*, c r r, h, w)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        require(downscale_factor > 0, "PixelUnshuffle", "downscale_factor", "a number > 0", downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
