"""Table lookups: rows of a weight by token ids."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.modes import no_grad
from engine.autograd.rows import by_rows
from engine.autograd.tape import Node, filled, record
from engine.errors import BadValue
from engine.ops.comparison import where
from engine.ops.operands import ids_array
from engine.ops.reduction import norm
from engine.tensor import Tensor, as_array

__all__ = ["embedding", "embedding_sum"]

K = _core.kernels


def _padding(op: str, padding_idx: int | None, rows: int) -> int:
    """The row whose gradient stays zero, counted from the start; -1 if there is none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise BadValue(op, "padding_idx", f"None or a number in [{-rows}, {rows})", padding_idx)
    return padding_idx % rows


def _embedding_backward(ctx: Node, dy: Array) -> Any:
    ids, rows, padding = ctx.saved
    return None, by_rows(dy, ids, rows, padding) or K.embedding_backward(dy, ids, rows, padding)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """weight[input].

    input: ids, int64 or int32, (*); weight: (v, d), floating-point. Returns (*, d). The gradient of `weight` is a table
    (v, d), summed in a fixed order; its row `padding_idx` (a negative one counts from the end) stays zero. A leaf keeps only
    the rows that occur until someone reads the whole gradient.

    max_norm: rows that are looked up and have a larger norm_type-norm are first scaled to it, in `weight` itself.
    scale_grad_by_freq: the gradient of each row is divided by the number of times that its id occurs in `input`. sparse is
    accepted and changes nothing: see above for what a leaf keeps.

    Raises IndexError for an id outside [0, v), ValueError for a padding_idx outside [-v, v).
    """
    w, ids = as_array("embedding", "weight", weight), ids_array("embedding", "input", input)
    if max_norm is not None:
        _limit_norms(weight, ids, max_norm, norm_type)
    y = K.embedding(w, ids)
    padding = _padding("embedding", padding_idx, w.shape[0])
    if scale_grad_by_freq:
        return record("embedding", y, (None, weight), _by_frequency_backward, ids, w.shape[0], padding)
    return record("embedding", y, (None, weight), _embedding_backward, ids, w.shape[0], padding)


def _limit_norms(weight: Tensor, ids: Array, max_norm: float, norm_type: float) -> None:
    """Scales the rows of `weight` with these ids to max_norm where their norm is larger, in place."""
    with no_grad():
        table, index = weight.detach(), Tensor(ids.reshape((ids.size,)))
        rows = Tensor(K.embedding(table._data, index._data))
        norms = norm(rows, norm_type, 1, True)
        table[index] = rows * where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)


def _by_frequency_backward(ctx: Node, dy: Array) -> Any:
    ids, rows, padding = ctx.saved
    flat = ids.reshape((ids.size,))
    counts = K.embedding_backward(filled(((ids.size, 1), dy.dtype, dy.device), 1.0), flat, rows, -1)
    return None, K.div(K.embedding_backward(dy, ids, rows, padding), K.clamp(counts, 1.0, None))


def _embedding_sum_backward(ctx: Node, dy: Array) -> Any:
    ids, positions, types, v, p, t, padding = ctx.saved
    rows = by_rows(dy, ids, v, padding) if ctx.needs[1] else None
    words = 0 if rows or not ctx.needs[1] else v  # 0: the kernel leaves out this table
    t = t if ctx.needs[5] else 0
    dword, dposition, dtype = K.embedding_sum_backward(dy, ids, positions, types, words, p, t, padding)
    return None, rows or dword, None, dposition, None, dtype if t else None


def embedding_sum(
    input: Tensor,
    weight: Tensor,
    position_ids: Tensor,
    position_weight: Tensor,
    token_type_ids: Tensor | None = None,
    token_type_weight: Tensor | None = None,
    padding_idx: int | None = None,
) -> Tensor:
    """weight[input] + position_weight[position_ids] + token_type_weight[token_type_ids] in one pass, as BERT needs it.

    Ids: int64 or int32, all of one shape (*); tables: (v, d), (p, d), (t, d), floating-point. Returns (*, d). Without
    token_type_weight the third term is left out. With it but without token_type_ids every token has type 0. padding_idx: as
    in `embedding`, for `weight`.

    Raises IndexError for an id outside its table, for example a position beyond the longest sequence of the model.
    """
    op = "embedding_sum"
    w, p = as_array(op, "weight", weight), as_array(op, "position_weight", position_weight)
    t = None if token_type_weight is None else as_array(op, "token_type_weight", token_type_weight)
    ids, positions = ids_array(op, "input", input), ids_array(op, "position_ids", position_ids)
    types = None if token_type_ids is None else ids_array(op, "token_type_ids", token_type_ids)
    y = K.embedding_sum(w, ids, p, positions, t, types)
    sizes = (w.shape[0], p.shape[0], 0 if t is None else t.shape[0], _padding(op, padding_idx, w.shape[0]))
    inputs = (None, weight, None, position_weight, None, token_type_weight)
    return record(op, y, inputs, _embedding_sum_backward, ids, positions, types, *sizes)
