"""Patches of pictures as columns, and back: unfold and fold. Made of other ops; each is the other's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import require
from engine.ops.blame import explained
from engine.ops.factory import arange, zeros
from engine.ops.padding import pad
from engine.ops.scatter import index_add
from engine.tensor import Tensor, as_array

__all__ = ["fold", "unfold"]

Pair = int | Sequence[int]


def _pair(op: str, name: str, value: Pair, least: int) -> tuple[int, int]:
    both = (value, value) if isinstance(value, int) else tuple(value)
    require(
        len(both) == 2 and all(n >= least for n in both),
        op,
        name,
        f"one number >= {least}, or two (height, width)",
        value,
    )
    return both[0], both[1]


class _Windows:
    """Where the patches lie along the two sides of a picture."""

    def __init__(
        self, op: str, sides: tuple[int, ...], kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair
    ) -> None:
        self.kernel, dilations = _pair(op, "kernel_size", kernel_size, 1), _pair(op, "dilation", dilation, 1)
        self.padding, strides = _pair(op, "padding", padding, 0), _pair(op, "stride", stride, 1)
        self.padded = tuple([n + 2 * p for n, p in zip(sides, self.padding)])
        reach = [d * (k - 1) + 1 for d, k in zip(dilations, self.kernel)]
        room = [n - r for n, r in zip(self.padded, reach)]
        fits = f"at least one patch of {tuple(reach)} in a picture of {self.padded} with its padding"
        require(min(room) >= 0, op, "kernel_size", fits, kernel_size)
        self.counts = tuple([r // s + 1 for r, s in zip(room, strides)])
        self.steps = tuple(zip(self.kernel, dilations, self.counts, strides))

    def places(self, side: int, like: Tensor) -> Tensor:
        """(kernel * count,): the entry along a side that each row or column of each patch has."""
        size, dilation, count, stride = self.steps[side]
        start, step = arange(count, device=like.device) * stride, arange(size, device=like.device) * dilation
        return (step.unsqueeze(1) + start).reshape(-1)


@explained
def unfold(input: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """(batch, channels, height, width) -> (batch, channels * kernel height * kernel width, patches): each patch as a column.

    Patches are in the order of rows. The first dimension may be missing. Raises ValueError for other shapes and for arguments into
    which no patch fits.
    """
    x = as_array("unfold", "input", input)
    require(x.ndim in (3, 4), "unfold", "input", "3 or 4 dimensions", x.shape)
    if x.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    w = _Windows("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    (up, left), (kh, kw), (rows, columns) = w.padding, w.kernel, w.counts
    wide = pad(input, (left, left, up, up)) if up or left else input
    parts = wide.index_select(2, w.places(0, input)).index_select(3, w.places(1, input))
    n, channels = x.shape[:2]
    apart = parts.view(n, channels, kh, rows, kw, columns).transpose(3, 4)
    return apart.reshape(n, channels * kh * kw, rows * columns)


@explained
def fold(
    input: Tensor, output_size: Pair, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1
) -> Tensor:
    """(batch, channels * kernel height * kernel width, patches) -> (batch, channels, *output_size): the sum of the patches that
    `unfold` would give. The first dimension may be missing. Raises ValueError for shapes that do not fit."""
    x = as_array("fold", "input", input)
    require(x.ndim in (2, 3), "fold", "input", "2 or 3 dimensions", x.shape)
    if x.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    height, width = _pair("fold", "output_size", output_size, 1)
    w = _Windows("fold", (height, width), kernel_size, dilation, padding, stride)
    (up, left), (kh, kw), (rows, columns) = w.padding, w.kernel, w.counts
    n, channels = x.shape[0], x.shape[1] // (kh * kw)
    wanted = f"({n}, a multiple of {kh * kw}, {rows * columns})"
    require(x.shape[1:] == (channels * kh * kw, rows * columns), "fold", "input", f"shape {wanted}", x.shape)
    parts = input.view(n, channels, kh, kw, rows, columns).transpose(3, 4).reshape(n, channels, kh * rows, kw * columns)
    made: dict[str, Any] = {"dtype": input.dtype, "device": input.device}
    lines = index_add(zeros(n, channels, kh * rows, w.padded[1], **made), 3, w.places(1, input), parts)
    whole = index_add(zeros(n, channels, *w.padded, **made), 2, w.places(0, input), lines)
    return whole[:, :, up : up + height, left : left + width]
