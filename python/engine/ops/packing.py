"""From the rectangle (batch, length, ...) with a mask to the packed layout (total_tokens, ...), and back.

Layers do this once at the door, so that everything inside works on real tokens only.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record, record_view
from engine.device import number_of
from engine.ops.factory import arange
from engine.tensor import Tensor, as_array

__all__ = ["RectangleLayout", "pack_padded", "pad_packed", "rectangle_layout", "take_tokens"]

K = _core.kernels


class RectangleLayout(NamedTuple):
    """Where the real tokens of a (batch, length) rectangle lie.

    indices: int64 (total_tokens,), rising positions in the flattened rectangle; None: every token is real.
    cu_seqlens: int32 (batch + 1,). position_ids: int64 (total_tokens,), counting the real tokens of each row from 0.
    max_seqlen: the longest row's number of real tokens.
    """

    batch: int
    length: int
    indices: Tensor | None
    cu_seqlens: Tensor
    position_ids: Tensor
    max_seqlen: int


def rectangle_layout(
    batch: int, length: int, attention_mask: Tensor | None = None, *, device: Any = None
) -> RectangleLayout:
    """Reads a mask (batch, length) that is 1 (True) at real tokens and 0 (False) at padding, of any dtype; None: no padding.

    device: where the layout is to lie; None: where the mask does. The number of tokens, and with it the shape of all that
    follows, is known to the host only once it has read the mask: one on a CUDA device is waited for, one on the CPU not.
    Raises ValueError for another shape or other values.
    """
    if attention_mask is None:
        ends = arange(batch + 1, dtype=_core.int32, device=device) * length
        positions = arange(length, device=device).expand(batch, length).reshape(batch * length)
        return RectangleLayout(batch, length, None, ends, positions, length if batch else 0)
    mask = as_array("rectangle_layout", "attention_mask", attention_mask)
    number = mask.device if device is None else number_of(device)
    mask = mask.to_device(-1)
    if mask.shape != (batch, length):
        raise ValueError(f"[rectangle_layout] attention_mask: expected shape {(batch, length)}, got {mask.shape}")
    cu_seqlens, longest = K.mask_seqlens(mask)
    total = int(cu_seqlens.select(0, batch).item())
    indices, positions = (Tensor(a.to_device(number)) for a in K.mask_indices(mask, total))
    everything = total == batch * length
    return RectangleLayout(
        batch,
        length,
        None if everything else indices,
        Tensor(cu_seqlens.to_device(number)),
        positions,
        int(longest.item()),
    )


def _take(x: Array, indices: Array) -> Array:
    rows, rest = x.shape[0], x.shape[1:]
    taken = K.index_rows(x.reshape((1, rows, prod(rest))), indices)
    return taken.view((indices.shape[0], *rest))


def _put(x: Array, indices: Array, rows: int) -> Array:
    put = K.put_rows(x.reshape((x.shape[0], prod(x.shape[1:]))), indices, rows, 0.0)
    return put.view((rows, *x.shape[1:]))


def _recorded(op: str, y: Array, input: Tensor, backward: Any, indices: Array | None) -> Tensor:
    if y.shares_storage(input._data):  # without padding nothing moves
        return record_view(op, y, input, backward, indices, input._data.shape)
    return record(op, y, (input,), backward, indices, input._data.shape)


def _pack_backward(ctx: Node, dy: Array) -> Any:
    indices, shape = ctx.saved
    return (dy if indices is None else _put(dy, indices, shape[0] * shape[1])).reshape(shape)


def pack_padded(input: Tensor, layout: RectangleLayout) -> Tensor:
    """The real tokens of a rectangle back to back: (batch, length, *) -> (total_tokens, *)."""
    x = as_array("pack_padded", "input", input)
    if x.ndim < 2 or x.shape[:2] != (layout.batch, layout.length):
        raise ValueError(f"[pack_padded] input: expected shape {(layout.batch, layout.length)}, *, got {x.shape}")
    flat = x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))
    indices = None if layout.indices is None else layout.indices._data
    y = flat if indices is None else _take(flat, indices)
    return _recorded("pack_padded", y, input, _pack_backward, indices)


def _pad_backward(ctx: Node, dy: Array) -> Any:
    indices, shape = ctx.saved
    flat = dy.reshape((dy.shape[0] * dy.shape[1], *dy.shape[2:]))
    return (flat if indices is None else _take(flat, indices)).reshape(shape)


def pad_packed(input: Tensor, layout: RectangleLayout) -> Tensor:
    """The way back, zeros at padding: (total_tokens, *) -> (batch, length, *)."""
    x = as_array("pad_packed", "input", input)
    rows = layout.batch * layout.length
    indices = None if layout.indices is None else layout.indices._data
    total = rows if indices is None else indices.shape[0]
    if x.ndim < 1 or x.shape[0] != total:
        raise ValueError(f"[pad_packed] input: expected {total} tokens, got shape {x.shape}")
    flat = x if indices is None else _put(x, indices, rows)
    y = flat.reshape((layout.batch, layout.length, *x.shape[1:]))
    return _recorded("pad_packed", y, input, _pad_backward, indices)


def _take_tokens_backward(ctx: Node, dy: Array) -> Any:
    indices, rows = ctx.saved
    return _put(dy, indices, rows)


def take_tokens(input: Tensor, indices: Tensor) -> Tensor:
    """The rows `indices`, int64 (m,), each at most once, of packed tokens: (total_tokens, *) -> (m, *).

    Cheaper backward than `index_select`, which sums rows that were taken twice; here their gradients would be lost. Raises
    IndexError for a number outside [0, total_tokens).
    """
    x, rows = as_array("take_tokens", "input", input), as_array("take_tokens", "indices", indices)
    if x.ndim < 1 or rows.ndim != 1:
        raise ValueError(f"[take_tokens] indices: expected 1 dimension and rows to take, got {rows.shape} of {x.shape}")
    return record("take_tokens", _take(x, rows), (input,), _take_tokens_backward, rows, x.shape[0])
