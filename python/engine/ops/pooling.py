"""From a packed batch to one row per sequence."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import BadValue
from engine.ops.naming import called_as
from engine.tensor import Tensor, as_array

__all__ = ["pool_packed"]

K = _core.kernels


def _first_backward(ctx: Node, dy: Array) -> Any:
    cu, n = ctx.saved
    return K.pool_first_backward(dy, cu, n)


def _mean_backward(ctx: Node, dy: Array) -> Any:
    cu, n = ctx.saved
    return K.pool_mean_backward(dy, cu, n)


def _max_backward(ctx: Node, dy: Array) -> Any:
    cu, n, index = ctx.saved
    return K.pool_max_backward(dy, index, cu, n)


def pool_packed(input: Tensor, cu_seqlens: Tensor, mode: str = "first") -> Tensor:
    """One row for each sequence of a packed batch.

    input: (total_tokens, dim), float32 or float64; cu_seqlens: int32 (batch + 1,), that of a `Layout`; mode: "first" (the first token), "mean"
    or "max" over the sequence's tokens. Returns (batch, dim). The gradient of a maximum goes to the first of equal ones.

    Raises ValueError for an empty sequence, of which there is neither first token, mean nor maximum.
    """
    op = "pool_packed"
    x, cu = as_array(op, "input", input), as_array(op, "cu_seqlens", cu_seqlens)
    saved: tuple[Any, ...] = (cu, x.shape[0] if x.ndim else 0)
    if mode == "first":
        y, backward = called_as(op, K.pool_first, x, cu), _first_backward
    elif mode == "mean":
        y, backward = called_as(op, K.pool_mean, x, cu), _mean_backward
    elif mode == "max":
        y, index = called_as(op, K.pool_max, x, cu)
        backward, saved = _max_backward, (*saved, index)
    else:
        raise BadValue(op, "mode", "'first', 'mean' or 'max'", repr(mode))
    return record(op, y, (input,), backward, *saved)
