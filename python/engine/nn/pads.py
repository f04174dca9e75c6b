"""Layers that add entries around a tensor, over `F.pad`."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import require
from engine.nn import functional as F
from engine.nn.module import Module
from engine.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "ReflectionPad1d",
    "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d",
    "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """padding: one number for all sides, or (before, after) of the last dimension, then of the one before it, and so on."""

    dims: int
    mode = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        sides = 2 * self.dims
        self.padding = (padding,) * sides if isinstance(padding, int) else tuple(padding)
        require(len(self.padding) == sides, type(self).__name__, "padding", f"one number or {sides}", padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """value: what the new entries hold. padding as in the other layers."""

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """`F.pad` of the last dimension with `value`."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`F.pad` of the last two dimensions with `value`."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """`F.pad` of the last three dimensions with `value`."""

    dims = 3


class ZeroPad1d(_ZeroPad):
    """`F.pad` of the last dimension with 0."""

    dims = 1


class ZeroPad2d(_ZeroPad):
    """`F.pad` of the last two dimensions with 0."""

    dims = 2


class ZeroPad3d(_ZeroPad):
    """`F.pad` of the last three dimensions with 0."""

    dims = 3


class ReflectionPad1d(_Pad):
    """`F.pad` of the last dimension with mode="reflect"."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """`F.pad` of the last two dimensions with mode="reflect"."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """`F.pad` of the last three dimensions with mode="reflect"."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """`F.pad` of the last dimension with mode="replicate"."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """`F.pad` of the last two dimensions with mode="replicate"."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """`F.pad` of the last three dimensions with mode="replicate"."""

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """`F.pad` of the last dimension with mode="circular"."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """`F.pad` of the last two dimensions with mode="circular"."""

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """`F.pad` of the last three dimensions with mode="circular"."""

    dims, mode = 3, "circular"
