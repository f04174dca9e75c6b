"""From a rectangle (batch, length, ...) to packed positions (total, ...) and back, and rows chosen from packed positions.

Layers pack a rectangle once, when they get it, so that everything inside them works on real positions only. `Layout` says
where the positions are.
"""

from __future__ import annotations

from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import record, record_view
from engine.errors import BadType, BadValue
from engine.layout import Layout, Rows
from engine.ops.blame import explained
from engine.ops.operands import gradient
from engine.ops.pooling import pool_packed
from engine.tensor import Tensor, as_array

__all__ = ["pack_padded", "pad_packed", "take_rows", "take_tokens"]

K = _core.kernels


def _take(x: Array, indices: Array) -> Array:
    rows, rest = x.shape[0], x.shape[1:]
    taken = K.index_rows(x.reshape((1, rows, prod(rest))), indices)
    return taken.view((indices.shape[0], *rest))


def _put(x: Array, indices: Array, rows: int) -> Array:
    put = K.put_rows(x.reshape((x.shape[0], prod(x.shape[1:]))), indices, rows, 0.0)
    return put.view((rows, *x.shape[1:]))


def _recorded(op: str, y: Array, input: Tensor, backward: Any, indices: Array | None) -> Tensor:
    if y.shares_storage(input._data):  # there was no padding
        return record_view(op, y, input, backward, indices, input._data.shape)
    return record(op, y, (input,), backward, indices, input._data.shape)


def _indices(op: str, layout: Layout) -> Array | None:
    if not isinstance(layout, Layout):
        raise BadType(op, "layout", "a Layout", type(layout).__name__)
    return None if layout.indices is None else layout.indices._data


@gradient
def _pack_backward(dy: Array, indices: Array | None, shape: tuple[int, ...]) -> Array:
    return (dy if indices is None else _put(dy, indices, shape[0] * shape[1])).reshape(shape)


def pack_padded(input: Tensor, layout: Layout) -> Tensor:
    """The real positions of a rectangle, one sequence after the other: (batch, length, *) -> (total, *).

    Raises ValueError if (batch, length) is not the layout's `padded_shape`, TypeError if `layout` is not a Layout.
    """
    op = "pack_padded"
    x, indices = as_array(op, "input", input), _indices(op, layout)
    if x.ndim < 2 or x.shape[:2] != layout.padded_shape:
        raise BadValue(op, "input", f"shape {(*layout.padded_shape, *x.shape[2:])}", x.shape)
    flat = x.reshape((x.shape[0] * x.shape[1], *x.shape[2:]))
    y = flat if indices is None else _take(flat, indices)
    return _recorded(op, y, input, _pack_backward, indices)


@gradient
def _pad_backward(dy: Array, indices: Array | None, shape: tuple[int, ...]) -> Array:
    flat = dy.reshape((dy.shape[0] * dy.shape[1], *dy.shape[2:]))
    return (flat if indices is None else _take(flat, indices)).reshape(shape)


def pad_packed(input: Tensor, layout: Layout) -> Tensor:
    """The inverse of `pack_padded`, with zeros at padding: (total, *) -> (batch, length, *).

    Raises ValueError if input does not have the layout's number of positions, TypeError if `layout` is not a Layout.
    """
    op = "pad_packed"
    x, indices = as_array(op, "input", input), _indices(op, layout)
    if x.ndim < 1 or x.shape[0] != layout.total:
        raise BadValue(op, "input", f"{layout.total} positions", f"shape {tuple(x.shape)}")
    batch, length = layout.padded_shape
    flat = x if indices is None else _put(x, indices, batch * length)
    y = flat.reshape((batch, length, *x.shape[1:]))
    return _recorded(op, y, input, _pad_backward, indices)


_take_tokens_backward = gradient(_put)


def take_tokens(input: Tensor, indices: Tensor) -> Tensor:
    """Rows of packed tokens: (total_tokens, *) -> (m, *). indices: int64 (m,), each row at most once.

    The backward is cheaper than that of `index_select`, because it does not sum: if a row is taken twice, one of its gradients
    is lost. Raises IndexError for a number outside [0, total_tokens).
    """
    x, rows = as_array("take_tokens", "input", input), as_array("take_tokens", "indices", indices)
    if x.ndim == 0:
        raise BadValue("take_tokens", "input", "at least one dimension", "a 0-dim tensor")
    if rows.ndim != 1:
        raise BadValue("take_tokens", "indices", "1 dimension", f"shape {tuple(rows.shape)}")
    return record("take_tokens", _take(x, rows), (input,), _take_tokens_backward, rows, x.shape[0])


@explained
def take_rows(input: Tensor, layout: Layout, rows: Rows) -> Tensor:
    """The packed positions that `rows`, made by `layout`, names: (total, d) -> (m, d). Raises ValueError if `rows` asks for the
    first position of each sequence and a sequence is empty."""
    if rows.indices is None:
        return pool_packed(input, layout.cu_seqlens, "first")
    return take_tokens(input, rows.indices)
