"""From a packed batch to one row per sequence."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine.autograd.tape import record
from engine.errors import require
from engine.ops.naming import called_as
from engine.ops.operands import gradient
from engine.tensor import Tensor, as_array

__all__ = ["pool_packed"]

K = _core.kernels


# The forward kernel of each mode, and the backward: its kernel takes dy and what is saved.
_MODES = {
    "first": (K.pool_first, gradient(K.pool_first_backward)),
    "mean": (K.pool_mean, gradient(K.pool_mean_backward)),
    "max": (K.pool_max, gradient(K.pool_max_backward)),
}


def pool_packed(input: Tensor, cu_seqlens: Tensor, mode: str = "first") -> Tensor:
    """One row for each sequence of a packed batch.

    input: (total_tokens, dim), floating-point; cu_seqlens: int32 (batch + 1,), as a `Layout` holds it. mode: "first" (the
    first token), "mean" or "max" over the sequence's tokens. Returns (batch, dim). The gradient of a maximum goes to the
    first of equal elements.

    Raises ValueError for an empty sequence, which has no first token, mean or maximum.
    """
    op = "pool_packed"
    x, cu = as_array(op, "input", input), as_array(op, "cu_seqlens", cu_seqlens)
    require(isinstance(mode, str) and mode in _MODES, op, "mode", "'first', 'mean' or 'max'", repr(mode))
    kernel, backward = _MODES[mode]
    y = called_as(op, kernel, x, cu)
    saved: tuple[Any, ...] = (cu, x.shape[0])
    if mode == "max":
        y, index = y
        saved = (index, *saved)
    return record(op, y, (input,), backward, *saved)
