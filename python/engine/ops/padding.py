"""Padding at the borders of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import record
from engine.errors import BadValue, require
from engine.ops.blame import explained
from engine.ops.convert import copy_into
from engine.ops.factory import arange, fill_array
from engine.ops.indexing import index_select
from engine.ops.operands import gradient
from engine.ops.shape import narrow, narrow_array
from engine.ops.sizes import sizes_of
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array

__all__ = ["pad"]

Widths = Sequence[tuple[int, int]]  # for each dimension, how much is added before and after it


def _bordered(x: Array, widths: Widths, value: Any) -> Array:
    """A new array with borders full of `value`; a negative width takes entries away."""
    shape = tuple([n + before + after for n, (before, after) in zip(x.shape, widths)])
    y = _core.empty(shape, x.dtype, x.device)
    fill_array("pad", y, value, "value")
    inner = y
    for dim, (before, after) in enumerate(widths):
        length = x.shape[dim] + min(before, 0) + min(after, 0)
        if length <= 0:
            return y
        x = narrow_array(x, dim, max(-before, 0), length)
        inner = narrow_array(inner, dim, max(before, 0), length)
    copy_into(inner, x)
    return y


@gradient
def _pad_backward(dy: Array, widths: Widths) -> Array:
    return _bordered(dy, [(-before, -after) for before, after in widths], 0)


def _mirrored(i: Tensor, n: int) -> Tensor:
    return (n - 1) - abs((n - 1) - abs(i))


# From positions before, inside and after a dimension of size n to positions inside; and the largest width that it allows.
_SOURCES: dict[str, Any] = {
    "reflect": (_mirrored, lambda n: n - 1),
    "replicate": (lambda i, n: i.clamp(0, n - 1), lambda n: None if n else 0),
    "circular": (lambda i, n: i % n, lambda n: n),
}


@explained
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with entries added before and after its last dimensions.

    pad: (before, after) of the last dimension, then of the one before it, and so on. A negative number takes entries away.
    mode: "constant" adds `value` (default 0); "reflect" mirrors at the first and last entry, "replicate" repeats them, "circular"
    goes on at the other end. These three take 1 to 3 pairs and an input with one or two dimensions more than pairs. Any dtype.

    Raises ValueError for other numbers of entries, for widths that the input is too small for, and for `value` with these modes.
    """
    x = as_array("pad", "input", input)
    numbers = sizes_of("pad", "pad", (pad,))
    count = len(numbers) // 2
    even = len(numbers) % 2 == 0 and count <= x.ndim
    require(even, "pad", "pad", f"an even number of entries, at most {2 * x.ndim}", len(numbers))
    widths = [(0, 0)] * (x.ndim - count) + [(numbers[2 * i], numbers[2 * i + 1]) for i in reversed(range(count))]
    for n, (before, after) in zip(x.shape, widths):
        fits = n + before + after >= 0 and n + min(before, 0) + min(after, 0) >= 0
        require(fits, "pad", "pad", f"entries that leave at least 0 of the {n} entries of a dimension", (before, after))
    if mode == "constant":
        y = _bordered(x, widths, 0 if value is None else value)
        return record("pad", y, (input,), _pad_backward, widths)
    if mode not in _SOURCES:
        raise BadValue("pad", "mode", "'constant', 'reflect', 'replicate' or 'circular'", repr(mode))
    require(not value, "pad", "value", f"None with mode={mode!r}", value)
    fits = 1 <= count <= 3 and x.ndim in (count + 1, count + 2)
    dims = f"1 to 3 pairs, and an input with one or two dimensions more than pairs (mode={mode!r})"
    require(fits, "pad", "pad", dims, f"{count} pairs for shape {tuple(x.shape)}")
    source, largest = _SOURCES[mode]
    for dim, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        n, reach = x.shape[dim], max(before, after)
        limit = largest(n)
        require(limit is None or reach <= limit, "pad", "pad", f"widths <= {limit} for a dimension of size {n}", reach)
        if mode == "circular":  # what is taken away does not come round
            input = narrow(input, dim, max(-before, 0), n + min(before, 0) + min(after, 0))
            n, before, after = input.shape[dim], max(before, 0), max(after, 0)
        positions = arange(-before, n + after, device=input.device)
        input = index_select(input, dim, source(positions, n))
    return input if input._data is not x else input.clone()
