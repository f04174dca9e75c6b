"""Attention over sequences that lie back to back, and over PyTorch's rectangles through the same kernel."""

from __future__ import annotations

import array
from functools import lru_cache
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.tensor import Tensor, as_array

__all__ = ["attention", "attention_qkv", "scaled_dot_product_attention"]

K = _core.kernels


def _side_by_side(x: Array) -> Array:
    """The elements of a head must be neighbours; all other strides are the kernel's business."""
    return x if x.strides[-1] == 1 or x.shape[-1] <= 1 else x.contiguous()


def _draw(op: str, dropout_p: float) -> tuple[float, int, int]:
    """The probability, and the random state that decides: nothing is drawn where nothing is dropped."""
    p = float(dropout_p)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"[{op}] dropout_p: expected a probability in [0, 1], got {dropout_p}")
    return (p, *_core.next_random()) if p > 0.0 else (p, 0, 0)


def _default_scale(scale: float | None, d: int) -> float:
    return float(scale) if scale is not None else float(max(d, 1)) ** -0.5


def _attention_backward(ctx: Node, dout: Array) -> Any:
    q, k, v, out, lse, cu_q, cu_k, scale, causal, p, seed, call = ctx.saved
    return K.attention_backward(_side_by_side(dout), q, k, v, out, lse, cu_q, cu_k, None, scale, causal, p, seed, call)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seqlens: Tensor,
    *,
    cu_seqlens_k: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
) -> Tensor:
    """Scaled dot-product attention within each sequence of a packed batch (Vaswani et al. 2017, arXiv 1706.03762).

    query: (t_q, heads, d), key: (t_k, heads, d), value: (t_k, heads, e), float32 or float64; slices of one projection are
    taken as they are, without a copy. cu_seqlens: int32 (batch + 1,), where each sequence's queries start, from 0 to t_q;
    cu_seqlens_k: the same for keys and values (default: cu_seqlens). scale: default 1 / sqrt(d). is_causal: query i sees
    the keys up to i. dropout_p: share of the probabilities that is dropped while training, the others scaled up.
    Returns (t_q, heads, e); a query without keys gives zeros.

    Never stores length x length (Dao et al. 2022, arXiv 2205.14135). Raises ValueError for shapes that do not fit and for
    cu_seqlens that do not start at 0, fall, or do not end at the number of tokens; TypeError for dtypes.
    """
    q = _side_by_side(as_array("attention", "query", query))
    k = _side_by_side(as_array("attention", "key", key))
    v = _side_by_side(as_array("attention", "value", value))
    cu_q = as_array("attention", "cu_seqlens", cu_seqlens)
    cu_k = cu_q if cu_seqlens_k is None else as_array("attention", "cu_seqlens_k", cu_seqlens_k)
    scale = _default_scale(scale, q.shape[-1] if q.ndim else 1)
    p, seed, call = _draw("attention", dropout_p if training else 0.0)
    out, lse = K.attention(q, k, v, cu_q, cu_k, None, scale, is_causal, p, seed, call)
    saved = (q, k, v, out, lse, cu_q, cu_k, scale, is_causal, p, seed, call)
    result: Tensor = record("attention", out, (query, key, value), _attention_backward, *saved)
    return result


def _attention_qkv_backward(ctx: Node, dout: Array) -> Any:
    qkv, out, lse, cu, scale, causal, p, seed, call = ctx.saved
    return (K.attention_qkv_backward(_side_by_side(dout), qkv, out, lse, cu, scale, causal, p, seed, call),)


def attention_qkv(
    qkv: Tensor,
    cu_seqlens: Tensor,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
) -> Tensor:
    """`attention` of the queries, keys and values that one projection made: its gradient is one array too.

    qkv: (tokens, 3, heads, d); cu_seqlens: int32 (batch + 1,). Returns (tokens, heads, d). The rest as `attention`.
    """
    x = _side_by_side(as_array("attention_qkv", "qkv", qkv))
    cu = as_array("attention_qkv", "cu_seqlens", cu_seqlens)
    scale = _default_scale(scale, x.shape[-1] if x.ndim else 1)
    p, seed, call = _draw("attention_qkv", dropout_p if training else 0.0)
    out, lse = K.attention_qkv(x, cu, scale, is_causal, p, seed, call)
    saved = (x, out, lse, cu, scale, is_causal, p, seed, call)
    result: Tensor = record("attention_qkv", out, (qkv,), _attention_qkv_backward, *saved)
    return result


# ---------------------------------------------------------------- rectangles


@lru_cache(maxsize=256)
def _equal_lengths(count: int, length: int) -> Array:
    """cu_seqlens of `count` sequences of one length."""
    return _core.from_buffer(array.array("i", range(0, count * length + 1, length) if length else [0] * (count + 1)))


class _Layout:
    """How (batch, heads, length, d) becomes the kernel's (tokens, heads, d): as it lies in memory, where it can.

    `tokens_first`: the memory is that of (batch, length, heads, d), sequences are the batch. Otherwise it is that of
    (batch, heads, length, d), and each head counts as a sequence of its own.
    """

    __slots__ = ("batch", "heads", "tokens_first")

    def __init__(self, *arrays: Array) -> None:
        self.batch, self.heads = arrays[0].shape[:2]
        self.tokens_first = not all(self._joins(a) for a in arrays)

    @staticmethod
    def _joins(x: Array) -> bool:
        """Whether batch, heads and length lie one inside the other, evenly."""
        (batch, heads, length, _), (over_batch, over_heads, over_length, _) = x.shape, x.strides
        return (batch <= 1 or over_batch == heads * over_heads) and (heads <= 1 or over_heads == length * over_length)

    @property
    def sequences(self) -> int:
        return self.batch if self.tokens_first else self.batch * self.heads

    def tokens(self, x: Array) -> Array:
        """(batch, heads, length, d) -> (tokens, heads or 1, d)."""
        batch, heads, length, d = x.shape
        x = _side_by_side(x)
        if not self.tokens_first:
            return x.reshape((batch * heads * length, 1, d))
        return x.permute((0, 2, 1, 3)).reshape((batch * length, heads, d))

    def rectangle(self, x: Array) -> Array:
        """The way back, without a copy."""
        if not self.tokens_first:
            return x.view((self.batch, self.heads, x.shape[0] // max(self.sequences, 1), x.shape[2]))
        return x.view((self.batch, x.shape[0] // max(self.batch, 1), self.heads, x.shape[2])).permute((0, 2, 1, 3))


def _sdpa_backward(ctx: Node, dout: Array) -> Any:
    q, k, v, out, lse, cu_q, cu_k, mask, scale, causal, p, seed, call, layout, shapes = ctx.saved
    dout = layout.tokens(dout.reshape((layout.batch, layout.heads, *dout.shape[-2:])))
    gradients = K.attention_backward(dout, q, k, v, out, lse, cu_q, cu_k, mask, scale, causal, p, seed, call)
    return tuple(
        g if g.shape == shape else g.reshape(shape) for g, shape in zip(map(layout.rectangle, gradients), shapes)
    )


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention on rectangles, with PyTorch's arguments, through the kernel of `attention`.

    query: (..., L, d), key: (..., S, d), value: (..., S, e), float32 or float64, the same leading dimensions, such as
    (batch, heads). attn_mask: broadcast to (..., L, S); bool (True: takes part) or of query's dtype, added to the scaled
    scores; no gradient flows to it. is_causal: query i sees the keys up to i (top left where L != S); may be combined with
    a mask. dropout_p is applied whatever mode a module is in, as in PyTorch. scale: default 1 / sqrt(d).
    Returns (..., L, e); rows that see no key are zeros.

    Raises ValueError for shapes that do not fit and for a mask that requires grad, TypeError for dtypes.
    """
    op = "scaled_dot_product_attention"
    q, k, v = as_array(op, "query", query), as_array(op, "key", key), as_array(op, "value", value)
    lead, shapes = q.shape[:-2], (q.shape, k.shape, v.shape)
    if q.ndim < 2 or q.ndim > 7:
        raise ValueError(f"[{op}] query: expected 2 to 7 dimensions, got shape {q.shape}")
    if k.ndim != q.ndim or k.shape[:-2] != lead or k.shape[-1] != q.shape[-1]:
        raise ValueError(f"[{op}] key: expected shape (*{lead}, S, {q.shape[-1]}), got {k.shape}")
    if v.ndim != q.ndim or v.shape[:-1] != k.shape[:-1]:
        raise ValueError(f"[{op}] value: expected shape (*{k.shape[:-1]}, e), got {v.shape}")
    mask = None
    if attn_mask is not None:
        mask = as_array(op, "attn_mask", attn_mask)
        if mask.dtype not in (_core.bool, q.dtype):
            raise TypeError(f"[{op}] attn_mask: expected bool or {q.dtype.name}, got {mask.dtype.name}")
        if attn_mask.requires_grad:
            raise ValueError(
                f"[{op}] attn_mask: expected a mask that does not require grad, got one that does (use .detach())"
            )
        full = (*lead, q.shape[-2], k.shape[-2])
        extra = len(full) - mask.ndim
        if extra < 0 or any(n not in (1, m) for n, m in zip(mask.shape, full[extra:])):
            raise ValueError(f"[{op}] attn_mask: expected a shape that broadcasts to {full}, got {mask.shape}")
        mask = mask.expand(full)
    # (batch, heads, length, d), whatever came.
    batch = 1
    for n in lead[:-1]:
        batch *= n
    head_dims = (batch, lead[-1] if lead else 1)
    if q.ndim != 4:
        q, k, v = (x.reshape((*head_dims, *x.shape[-2:])) for x in (q, k, v))
        if mask is not None:
            mask = mask.reshape((*head_dims, *mask.shape[-2:]))
    layout = _Layout(q, k, v)
    cu_q, cu_k = _equal_lengths(layout.sequences, q.shape[2]), _equal_lengths(layout.sequences, k.shape[2])
    scale = _default_scale(scale, q.shape[-1])
    p, seed, call = _draw(op, dropout_p)
    q, k, v = layout.tokens(q), layout.tokens(k), layout.tokens(v)
    out, lse = K.attention(q, k, v, cu_q, cu_k, mask, scale, is_causal, p, seed, call)
    result = layout.rectangle(out)
    if result.ndim != len(lead) + 2:
        result = result.reshape((*lead, *result.shape[-2:]))
    saved = (q, k, v, out, lse, cu_q, cu_k, mask, scale, is_causal, p, seed, call, layout, shapes)
    tensor: Tensor = record(op, result, (query, key, value), _sdpa_backward, *saved)
    return tensor
