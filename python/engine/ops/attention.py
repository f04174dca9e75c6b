"""Attention over sequences stored one after the other, and over PyTorch's rectangles, with the same kernel."""

from __future__ import annotations

from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record, will_record
from engine.errors import BadType, BadValue
from engine.layout import equal_offsets
from engine.ops import precision
from engine.ops.dropout import drawn, dropout
from engine.ops.factory import tril
from engine.ops.operands import gradient
from engine.ops.reduction import amax
from engine.ops.softmax import softmax
from engine.tensor import Tensor, as_array

__all__ = ["attention", "attention_qkv", "scaled_dot_product_attention"]

K = _core.kernels


def _side_by_side(x: Array) -> Array:
    """`x` with the elements of each head next to each other, as the kernel needs them. It takes any other strides."""
    return x if not x.ndim or x.strides[-1] == 1 or x.shape[-1] <= 1 else x.contiguous()


def _default_scale(scale: float | None, d: int) -> float:
    return float(scale) if scale is not None else float(max(d, 1)) ** -0.5


_attention_backward = gradient(lambda dout, *saved: K.attention_backward(_side_by_side(dout), *saved))


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

    query: (t_q, heads, d), key: (t_k, heads, d), value: (t_k, heads, e), floating-point; slices of one projection are
    used without a copy. cu_seqlens: int32 (batch + 1,), where each sequence's queries start, from 0 to t_q, as a `Layout`
    holds it; cu_seqlens_k: the same for keys and values (default: cu_seqlens). scale: default 1 / sqrt(d). is_causal: query
    i sees the keys up to i. dropout_p: the share of the probabilities that is dropped in training; the others are scaled
    up. Returns (t_q, heads, e); a query without keys gives zeros.

    No matrix of length x length is stored (Dao et al. 2022, arXiv 2205.14135). Raises ValueError for shapes that do not fit
    and for cu_seqlens that fall or do not lead from 0 to the number of tokens; TypeError for other or different dtypes.
    """
    if precision.active:
        query, key, value = precision.lowered(query, key, value)
    q = _side_by_side(as_array("attention", "query", query))
    k = _side_by_side(as_array("attention", "key", key))
    v = _side_by_side(as_array("attention", "value", value))
    cu_q = as_array("attention", "cu_seqlens", cu_seqlens)
    cu_k = cu_q if cu_seqlens_k is None else as_array("attention", "cu_seqlens_k", cu_seqlens_k)
    scale = _default_scale(scale, q.shape[-1] if q.ndim else 1)
    p, seed, call = drawn("attention", dropout_p, training, "dropout_p")
    out, lse = K.attention(q, k, v, cu_q, cu_k, None, scale, is_causal, p, seed, call)
    saved = (q, k, v, out, lse, cu_q, cu_k, None, scale, is_causal, p, seed, call)
    return record("attention", out, (query, key, value), _attention_backward, *saved)


_attention_qkv_backward = gradient(lambda dout, *saved: K.attention_qkv_backward(_side_by_side(dout), *saved))


def attention_qkv(
    qkv: Tensor,
    cu_seqlens: Tensor,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    training: bool = True,
) -> Tensor:
    """`attention` of the queries, keys and values that one projection made. The gradient is one array too.

    qkv: (tokens, 3, heads, d); cu_seqlens: int32 (batch + 1,). Returns (tokens, heads, d). All else as in `attention`.
    """
    if precision.active:
        (qkv,) = precision.lowered(qkv)
    x = _side_by_side(as_array("attention_qkv", "qkv", qkv))
    cu = as_array("attention_qkv", "cu_seqlens", cu_seqlens)
    scale = _default_scale(scale, x.shape[-1] if x.ndim else 1)
    p, seed, call = drawn("attention_qkv", dropout_p, training, "dropout_p")
    out, lse = K.attention_qkv(x, cu, scale, is_causal, p, seed, call)
    saved = (x, out, lse, cu, scale, is_causal, p, seed, call)
    return record("attention_qkv", out, (qkv,), _attention_qkv_backward, *saved)


# ---------------------------------------------------------------- rectangles


def _nested(x: Array) -> bool:
    """Whether the strides of batch, heads and length are nested as in contiguous memory."""
    if x.is_contiguous:
        return True
    (batch, heads, length, _), (over_batch, over_heads, over_length, _) = x.shape, x.strides
    return (batch <= 1 or over_batch == heads * over_heads) and (heads <= 1 or over_heads == length * over_length)


def _tokens(x: Array, shape: Any, by_head: bool) -> Array:
    """(batch, heads, length, d) -> the kernel's (tokens, heads, d), without a copy if the memory allows it.

    by_head: the memory is laid out as (batch, heads, length, d), and each head of each batch entry is one sequence.
    Otherwise it is laid out as (batch, length, heads, d), and each batch entry is one sequence.
    """
    batch, heads, length, d = shape
    x = _side_by_side(x)
    if by_head:
        return x.reshape((batch * heads * length, 1, d))
    return x.permute((0, 2, 1, 3)).reshape((batch * length, heads, d))


def _rectangle(x: Array, shape: Any, by_head: bool) -> Array:
    """The inverse of `_tokens`, without a copy."""
    batch, heads, length, d = shape
    return x.view(shape) if by_head else x.view((batch, length, heads, d)).permute((0, 2, 1, 3))


def _worded(*sizes: int | str) -> str:
    """A shape in which letters stand for sizes that may differ."""
    return f"({', '.join(map(str, sizes))})"


def _expanded_mask(attn_mask: Tensor, dtype: Any, full: tuple[int, ...]) -> Array:
    """The mask as a view of shape `full`."""
    op = "scaled_dot_product_attention"
    mask = as_array(op, "attn_mask", attn_mask)
    if mask.dtype not in (_core.bool, dtype):
        raise BadType(op, "attn_mask", f"bool or {dtype.name}", mask.dtype.name)
    extra = len(full) - mask.ndim
    if extra < 0 or any(n not in (1, m) for n, m in zip(mask.shape, full[extra:])):
        raise BadValue(op, "attn_mask", f"a shape that broadcasts to {full}", mask.shape)
    return mask.expand(full)


def _sdpa_backward(ctx: Node, dout: Array) -> Any:
    q, k, v, out, lse, cu_q, cu_k, mask, scale, causal, p, seed, call, by_head, rectangles, shapes = ctx.saved
    of_out = (*rectangles[0][:3], rectangles[2][3])
    dout = _tokens(dout if len(shapes[0]) == 4 else dout.reshape(of_out), of_out, by_head)
    gradients = K.attention_backward(dout, q, k, v, out, lse, cu_q, cu_k, mask, scale, causal, p, seed, call)
    results = (_rectangle(g, rectangle, by_head) for g, rectangle in zip(gradients, rectangles))
    return tuple(results if len(shapes[0]) == 4 else (g.reshape(shape) for g, shape in zip(results, shapes)))


def _same_leading(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> tuple[Tensor, ...]:
    """The three with the same leading dimensions, as views if the memory allows it. Raises ValueError if that cannot be."""
    op = "scaled_dot_product_attention"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise BadValue(
            op,
            "query",
            "2 to 7 dimensions, as key and value",
            f"shapes {tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}",
        )
    if enable_gqa:
        key, value = _repeated_heads("key", key, query), _repeated_heads("value", value, query)
    shapes = [t.shape[:-2] for t in (query, key, value)]
    ndim = max(map(len, shapes))
    sizes = list(zip(*((1,) * (ndim - len(s)) + s for s in shapes)))
    lead = tuple([next((n for n in column if n != 1), 1) for column in sizes])
    for name, shape in zip(("query", "key", "value"), shapes):
        if any(n not in (1, m) for n, m in zip(shape[::-1], lead[::-1])):
            raise BadValue(op, name, f"leading dimensions that broadcast to {lead}", shape)
    return tuple(t.expand((*lead, *t.shape[-2:])) for t in (query, key, value))


def _repeated_heads(name: str, x: Tensor, query: Tensor) -> Tensor:
    """Keys or values with as many heads as the query: each head is repeated."""
    op = "scaled_dot_product_attention"
    if query.ndim < 3 or x.ndim < 3 or x.shape[-3] == 0 or query.shape[-3] % x.shape[-3]:
        raise BadValue(
            op, name, f"a number of heads that divides that of query, of shape {tuple(query.shape)}", x.shape
        )
    times = query.shape[-3] // x.shape[-3]
    if times == 1:
        return x
    spread = (*x.shape[:-2], times, *x.shape[-2:])
    return x.unsqueeze(-3).expand(spread).reshape(*x.shape[:-3], query.shape[-3], *x.shape[-2:])


def _with_scores(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout_p: float, is_causal: bool, scale: float | None
) -> Tensor:
    """The same, made of ops through which a gradient flows to the mask."""
    scores = query @ key.transpose(-2, -1) * _default_scale(scale, query.shape[-1]) + mask
    if is_causal:
        ones = scores.new_ones(scores.shape[-2:])
        scores = scores.masked_fill(tril(ones) == 0, float("-inf"))
    if scores.shape[-1]:  # a query that sees no key: even weights have a gradient, and then count as 0
        hidden = amax(scores.detach(), -1, True) == float("-inf")
        weights = softmax(scores.masked_fill(hidden, 0.0), -1).masked_fill(hidden, 0.0)
    else:
        weights = scores
    return dropout(weights, dropout_p) @ value


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention on rectangles, with PyTorch's arguments, through the kernel of `attention`.

    query: (..., L, d), key: (..., S, d), value: (..., S, e), floating-point. The leading dimensions, for example (batch,
    heads), are broadcast. enable_gqa: key and value may have fewer heads (dimension -3) than query; each of their heads then
    serves as many heads of query, one after the other. attn_mask: broadcast to (..., L, S); bool (True: the query sees the key),
    or of query's dtype and added to the scaled scores. If such a mask requires grad, the scores are stored and take memory.
    is_causal: query i sees the keys up to i, also if L != S; it can be combined with a mask. dropout_p applies in training and
    evaluation alike, as in PyTorch. scale: default 1 / sqrt(d). Returns (..., L, e); queries that see no key give zeros.

    Raises ValueError for shapes that do not fit, TypeError for other or different dtypes.
    """
    op = "scaled_dot_product_attention"
    if precision.active:
        query, key, value = precision.lowered(query, key, value)
        if precision.is_autocast_enabled() and isinstance(attn_mask, Tensor) and attn_mask.is_floating_point():
            attn_mask = attn_mask.to(query.dtype)
    q, k, v = as_array(op, "query", query), as_array(op, "key", key), as_array(op, "value", value)
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-2] != v.shape[:-2]:
        query, key, value = _same_leading(query, key, value, enable_gqa)
        q, k, v = query._data, key._data, value._data
    qs, ks, vs = shapes = (q.shape, k.shape, v.shape)
    ndim, lead = len(qs), qs[:-2]
    if not 2 <= ndim <= 7:
        raise BadValue(op, "query", "2 to 7 dimensions", f"shape {qs}")
    if len(ks) != ndim or ks[:-2] != lead or ks[-1] != qs[-1]:
        raise BadValue(op, "key", f"shape {_worded(*lead, 'S', qs[-1])}", ks)
    if len(vs) != ndim or vs[:-1] != ks[:-1]:
        raise BadValue(op, "value", f"shape {_worded(*ks[:-1], 'e')}", vs)
    mask = None
    if attn_mask is not None:
        mask = _expanded_mask(attn_mask, q.dtype, (*lead, qs[-2], ks[-2]))
        if will_record(attn_mask):
            return _with_scores(query, key, value, attn_mask, dropout_p, is_causal, scale)
    if ndim != 4:  # as (batch, heads, length, d)
        batch, heads = prod(lead[:-1]), (lead[-1] if lead else 1)
        qs, ks, vs = ((batch, heads, *x[-2:]) for x in shapes)
        q, k, v = q.reshape(qs), k.reshape(ks), v.reshape(vs)
        if mask is not None:
            mask = mask.reshape((*qs[:3], ks[2]))
    by_head = _nested(q) and _nested(k) and _nested(v)
    sequences = qs[0] * qs[1] if by_head else qs[0]
    cu_q = equal_offsets(sequences, qs[2], q.device, op)[0]._data
    cu_k = equal_offsets(sequences, ks[2], k.device, op)[0]._data
    q, k, v = _tokens(q, qs, by_head), _tokens(k, ks, by_head), _tokens(v, vs, by_head)
    scale = _default_scale(scale, qs[3])
    p, seed, call = drawn(op, dropout_p, True, "dropout_p")
    out, lse = K.attention(q, k, v, cu_q, cu_k, mask, scale, is_causal, p, seed, call)
    result = _rectangle(out, (*qs[:3], vs[3]), by_head)
    if ndim != 4:
        result = result.reshape((*shapes[0][:-1], vs[3]))
    saved = (q, k, v, out, lse, cu_q, cu_k, mask, scale, is_causal, p, seed, call, by_head, (qs, ks, vs), shapes)
    return record(op, result, (query, key, value), _sdpa_backward, *saved)
