"""Multi-head attention on rectangles, as one function with PyTorch's arguments."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine.autograd.views import sole_owner
from engine.errors import BadValue, require
from engine.ops.attention import scaled_dot_product_attention
from engine.ops.comparison import where
from engine.ops.dropout import dropout
from engine.ops.factory import ones, triu
from engine.ops.linear import linear, matmul
from engine.ops.padding import pad
from engine.ops.shape import cat
from engine.ops.softmax import softmax
from engine.tensor import Tensor, as_array

__all__ = ["multi_head_attention_forward"]

_OP = "multi_head_attention_forward"


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor | None,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762). Returns (output, weights).

    query: (L, n, e), key: (S, n, k), value: (S, n, v), or without n; e is embed_dim_to_check, a multiple of num_heads.
    in_proj_weight: (3 e, e), the three projections one below the other; with use_separate_proj_weight q_proj_weight (e, e),
    k_proj_weight (e, k) and v_proj_weight (e, v) instead. in_proj_bias: (3 e,); out_proj_weight: (e, e), or
    None: the heads' results are returned as they are; out_proj_bias: (e,).
    bias_k, bias_v: (1, 1, e), one more key and value for all sequences. add_zero_attn: one more of zeros. static_k, static_v:
    (n * num_heads, S, e / num_heads), instead of the projected keys and values.

    key_padding_mask: (n, S) or (S,); attn_mask: (L, S) or (n * num_heads, L, S); bool (True: not seen), or numbers that are added
    to the scores. is_causal: query i sees the keys up to i; attn_mask is taken to say the same and is not read.

    output: (L, n, e) or (L, e). weights: (n, L, S) or (L, S), averaged over the heads, or with average_attn_weights=False (n,
    num_heads, L, S) or (num_heads, L, S); None if need_weights is False, which takes less memory.

    Raises ValueError for shapes that do not fit and for masks of other dtypes.
    """
    batched = as_array(_OP, "query", query).ndim == 3
    for name, x in (("query", query), ("key", key), ("value", value)):
        shape = as_array(_OP, name, x).shape
        right = len(shape) == (3 if batched else 2)
        require(right, _OP, name, "shape (length, n, d), or (length, d) in all three", shape)
    fits = query.shape[-1] == embed_dim_to_check and num_heads >= 1 and embed_dim_to_check % num_heads == 0
    require(
        fits, _OP, "query", f"a last dimension of {embed_dim_to_check}, a multiple of {num_heads} heads", query.shape
    )
    require(key.shape[:-1] == value.shape[:-1], _OP, "value", f"shape {(*key.shape[:-1], 'd')}, as key", value.shape)
    q, k, v = (x.transpose(0, 1) if batched else x.unsqueeze(0) for x in (query, key, value))
    batch, length, keys = q.shape[0], q.shape[1], k.shape[1]
    require(k.shape[0] == batch, _OP, "key", f"{batch} sequences, as query", k.shape[0])
    if use_separate_proj_weight:
        weights_in: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights_in = (None,) * 3 if in_proj_weight is None else in_proj_weight.chunk(3)
    for name, w in zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), weights_in):
        needed = name if use_separate_proj_weight else "in_proj_weight"
        require(w is not None, _OP, needed, "a Tensor", None)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (linear(x, w, b) for x, w, b in zip((q, k, v), weights_in, biases))

    mask = _joint_mask(attn_mask, key_padding_mask, is_causal, need_weights, (batch, num_heads, length, keys), q)
    is_causal = is_causal and mask is None
    if (bias_k is None) is not (bias_v is None):
        raise BadValue(_OP, "bias_v", "None or a Tensor, as bias_k", "the other")
    if bias_k is not None and bias_v is not None:
        require(static_k is None and static_v is None, _OP, "static_k", "None together with bias_k", "a Tensor")
        k = cat([k, bias_k.expand(batch, 1, embed_dim_to_check)], 1)
        v = cat([v, bias_v.expand(batch, 1, embed_dim_to_check)], 1)
    q, k, v = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (q, k, v))
    k = k if static_k is None else _static("static_k", static_k, batch, num_heads, q.shape[-1])
    v = v if static_v is None else _static("static_v", static_v, batch, num_heads, q.shape[-1])
    if add_zero_attn:
        k, v = pad(k, (0, 0, 0, 1)), pad(v, (0, 0, 0, 1))
    extra = k.shape[2] - keys
    if mask is not None and extra > 0:
        mask = pad(mask, (0, extra))
    elif is_causal and extra > 0:
        mask, is_causal = pad(_causal(length, keys, q), (0, extra)), False

    p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = matmul(q * q.shape[-1] ** -0.5, k.transpose(-2, -1))
        weights = dropout(softmax(scores if mask is None else scores + mask, -1), p)
        y = matmul(weights, v)
        weights = weights.mean(1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        y = scaled_dot_product_attention(q, k, v, mask, p, is_causal)
    output = y.permute(2, 0, 1, 3).flatten(2)
    if out_proj_weight is not None:
        output = linear(output, out_proj_weight, out_proj_bias)
    return output if batched else sole_owner(output.squeeze(1)), weights


def _static(name: str, x: Tensor, batch: int, heads: int, d: int) -> Tensor:
    """(batch * heads, S, d) as (batch, heads, S, d)."""
    right = x.ndim == 3 and x.shape[0] == batch * heads and x.shape[2] == d
    require(right, _OP, name, f"shape ({batch * heads}, S, {d})", x.shape)
    return x.unflatten(0, (batch, heads))


def _causal(length: int, keys: int, like: Tensor) -> Tensor:
    """0 where a query sees a key, -inf above the diagonal: (length, keys)."""
    later = triu(ones(length, keys, dtype=like.dtype, device=like.device), 1) > 0
    return where(later, float("-inf"), 0.0).to(like.dtype)


def _added(name: str, mask: Tensor, like: Tensor) -> Tensor:
    """A mask as what is added to the scores."""
    dtype = as_array(_OP, name, mask).dtype
    if dtype is _core.bool:
        return where(mask, float("-inf"), 0.0).to(like.dtype)
    require(dtype.is_floating_point, _OP, name, "bool (True: not seen) or a floating-point dtype", dtype.name)
    return mask.to(like.dtype)


def _joint_mask(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
    need_weights: bool,
    sizes: tuple[int, int, int, int],
    like: Tensor,
) -> Tensor | None:
    """What is added to the scores, (batch or 1, heads or 1, L or 1, S); None if nothing is, or if is_causal says all."""
    batch, heads, length, keys = sizes
    mask = None
    if is_causal:
        if need_weights or key_padding_mask is not None:
            mask = _causal(length, keys, like).unsqueeze(0).unsqueeze(0)
    elif attn_mask is not None:
        shapes = {(length, keys): (1, 1, length, keys), (batch * heads, length, keys): sizes}
        expected = "shape " + " or ".join(map(str, shapes))
        require(as_array(_OP, "attn_mask", attn_mask).shape in shapes, _OP, "attn_mask", expected, attn_mask.shape)
        mask = _added("attn_mask", attn_mask, like).reshape(shapes[attn_mask.shape])
    if key_padding_mask is not None:
        shape = as_array(_OP, "key_padding_mask", key_padding_mask).shape
        right = shape == (batch, keys) or (batch == 1 and shape == (keys,))
        require(right, _OP, "key_padding_mask", f"shape {(batch, keys)}", shape)
        padding = _added("key_padding_mask", key_padding_mask, like).reshape(batch, 1, 1, keys)
        mask = padding if mask is None else mask + padding
    return mask
