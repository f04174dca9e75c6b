"""Multi-head attention, with PyTorch's arguments and parameter names, on packed positions and on rectangles.

The work is done on packed tokens: (total_tokens, dim) with cu_seqlens, no padding. A rectangle is first packed by its padding
mask. The result is unpacked, with zeros at padding (PyTorch computes something there). A rectangle stays a rectangle only if the
caller gives a mask over pairs of positions (`attn_mask`) or asks for attention weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import ops
from engine._core import DType
from engine.autograd.views import sole_owner
from engine.errors import BadValue, require
from engine.layout import Layout
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import Linear, new_parameter
from engine.nn.module import Module, Parameter
from engine.ops.packing import pack_padded, pad_packed
from engine.tensor import Tensor

__all__ = ["MultiheadAttention"]


def _real(op: str, argument: str, mask: Tensor | None, batch: int, length: int) -> np.ndarray | None:
    """True at real tokens, (batch, length), from PyTorch's mask: True (or -inf) at padding. One sequence may have a mask (length,)."""
    if mask is None:
        return None
    right = mask.shape == (batch, length) or (batch == 1 and mask.shape == (length,))
    require(right, op, argument, f"shape {(batch, length)}", mask.shape)
    values = np.asarray(mask.detach().cpu())  # the host reads the mask, because lengths decide shapes
    real = values == 0
    padding = values == (1 if values.dtype == np.bool_ else -np.inf)
    require((real | padding).all(), op, argument, "bool (True: padding), or 0 and -inf", "other numbers")
    return real.reshape(batch, length)


def _rectangle(op: str, argument: str, x: Tensor, dim: int, batch_first: bool) -> Tensor:
    """The argument as (batch, length, dim)."""
    if x.ndim not in (2, 3) or x.shape[-1] != dim:
        order = "(batch, length" if batch_first else "(length, batch"
        raise BadValue(op, argument, f"shape {order}, {dim}) or (length, {dim})", x.shape)
    if x.ndim == 2:
        return x.unsqueeze(0)
    return x if batch_first else x.transpose(0, 1)


def refuse_masks(op: str, **masks: Tensor | None) -> None:
    """Raises ValueError for a mask that is given for packed tokens."""
    for name, mask in masks.items():
        if mask is not None:
            raise BadValue(op, name, "None together with cu_seqlens (packed tokens)", "a mask")


class Door:
    """Packs a rectangle, remembers how, and unpacks the result.

    op, argument, mask_argument: the names that errors give to the call, the rectangle and its mask.
    """

    def __init__(
        self,
        op: str,
        argument: str,
        x: Tensor,
        dim: int,
        key_padding_mask: Tensor | None,
        batch_first: bool,
        mask_argument: str = "key_padding_mask",
    ) -> None:
        rectangle = _rectangle(op, argument, x, dim, batch_first)
        self.unbatched, self.batch_first = x.ndim == 2, batch_first
        batch, length, _ = rectangle.shape
        mask = _real(op, mask_argument, key_padding_mask, batch, length)
        self.layout = Layout.from_rectangle(batch, length, mask, device=x.device)
        self.packed = pack_padded(rectangle, self.layout)

    def leave(self, x: Tensor) -> Tensor:
        """The packed result (total_tokens, dim) as a rectangle of the input's form."""
        return sole_owner(_as_given(pad_packed(x, self.layout), self.unbatched, self.batch_first))


def _as_given(y: Tensor, unbatched: bool, batch_first: bool) -> Tensor:
    """(batch, length, dim) in the form of the input."""
    if unbatched:
        return y.squeeze(0)
    return y if batch_first else y.transpose(0, 1)


def project_apart(
    query: Tensor, memory: Tensor, weight: Tensor, bias: Tensor | None, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of some packed positions, and keys and values of others, from one projection weight.

    query: (m, d), memory: (n, d), weight: (3 * d, d), bias: (3 * d,) or None. Returns queries (m, heads, d / heads), and keys and
    values (n, heads, d / heads).
    """
    d = query.shape[1]
    # The gradients of the parts of a split are joined in one pass. The gradient of each slice would write the whole weight.
    wq, wkv = weight.split([d, 2 * d])
    bq, bkv = (None, None) if bias is None else bias.split([d, 2 * d])
    q = F.linear(query, wq, bq).view(-1, heads, d // heads)
    k, v = F.linear(memory, wkv, bkv).view(-1, 2, heads, d // heads).unbind(1)
    return q, k, v


class MultiheadAttention(Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

    in_proj_weight: (3 * embed_dim, embed_dim): the projections to queries, keys and values, one below the other. out_proj: a Linear.

    There are four ways to call it. Each returns (output, weights):
      attention(x, cu_seqlens=cu): self-attention on packed tokens (total_tokens, embed_dim).
      attention(x, y, y, cu_seqlens=cu, cu_seqlens_k=cu_k): attention from packed tokens to other packed tokens.
      attention(x, x, x, key_padding_mask): self-attention on (batch, length, embed_dim) if batch_first, else (length, batch,
        embed_dim), or on one sequence (length, embed_dim). The mask (batch, length) is True at padding, where the output is 0.
      attention(query, key, value, ...): attention from one sequence to another.

    Differs from PyTorch: need_weights defaults to False, because weights need a matrix of length x length (they are None then), and
    is_causal=True needs no attn_mask. Raises ValueError for other shapes and for masks that do not fit.
    """

    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        fits = num_heads >= 1 and embed_dim >= 1 and embed_dim % num_heads == 0
        require(fits, op, "embed_dim", f"a positive multiple of num_heads ({num_heads})", embed_dim)
        options = {"add_bias_kv": add_bias_kv, "add_zero_attn": add_zero_attn, "kdim": kdim, "vdim": vdim}
        for name, given in options.items():
            require(
                given in (None, False, embed_dim), op, name, "the default (no other value is supported)", repr(given)
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.in_proj_weight = new_parameter(3 * embed_dim, embed_dim, dtype=dtype, device=device)
        self.register_parameter(
            "in_proj_bias", new_parameter(3 * embed_dim, dtype=dtype, device=device) if bias else None
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, device=device)
        init.xavier_uniform_(self.in_proj_weight)
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.zeros_(b)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
        cu_seqlens_k: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See the class. attn_mask: (L, S) or (batch * heads, L, S), either bool (True: not seen) or numbers that are added to the
        scores. With is_causal it is taken to be the causal mask, and is not read."""
        op = type(self).__name__
        key = query if key is None else key
        value = key if value is None else value
        if cu_seqlens is not None:
            refuse_masks(op, attn_mask=attn_mask, key_padding_mask=key_padding_mask)
            require(
                not need_weights, op, "need_weights", "False together with cu_seqlens (packed tokens)", need_weights
            )
            fits = (cu_seqlens_k is None) is (key is query)
            got = "None" if cu_seqlens_k is None else "a Tensor"
            require(fits, op, "cu_seqlens_k", "None for self-attention, or a Tensor if key is not query", got)
            return self.packed(query, cu_seqlens, is_causal, key, value, cu_seqlens_k), None
        if need_weights or (attn_mask is not None and not is_causal):
            return self._on_rectangles(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        own = key is query and value is query
        door = Door(op, "query", query, self.embed_dim, key_padding_mask if own else None, self.batch_first)
        if own:
            return door.leave(self.packed(door.packed, door.layout.cu_seqlens, is_causal)), None
        keys = Door(op, "key", key, self.embed_dim, key_padding_mask, self.batch_first)
        values = keys if value is key else Door(op, "value", value, self.embed_dim, key_padding_mask, self.batch_first)
        cu_q, cu_k = door.layout.cu_seqlens, keys.layout.cu_seqlens
        return door.leave(self.packed(door.packed, cu_q, is_causal, keys.packed, values.packed, cu_k)), None

    def packed(
        self,
        query: Tensor,
        cu_seqlens: Tensor,
        is_causal: bool = False,
        key: Tensor | None = None,
        value: Tensor | None = None,
        cu_seqlens_k: Tensor | None = None,
    ) -> Tensor:
        """Attention of packed tokens (total_tokens, embed_dim), of the same shape.

        key, value: the packed tokens that the query's tokens attend to, with cu_seqlens_k. None: the query itself, and queries, keys
        and values are projected together.
        """
        if cu_seqlens_k is None or key is None or value is None:
            qkv = F.linear(query, self.in_proj_weight, self.in_proj_bias)
            y = ops.attention_qkv(
                qkv.view(-1, 3, self.num_heads, self.head_dim),
                cu_seqlens,
                is_causal=is_causal,
                dropout_p=self.dropout,
                training=self.training,
            )
        else:
            if value is key:
                q, k, v = project_apart(query, key, self.in_proj_weight, self.in_proj_bias, self.num_heads)
            else:
                q, k, v = (x.view(-1, self.num_heads, self.head_dim) for x in self._project(query, key, value))
            y = ops.attention(
                q,
                k,
                v,
                cu_seqlens,
                cu_seqlens_k=cu_seqlens_k,
                is_causal=is_causal,
                dropout_p=self.dropout,
                training=self.training,
            )
        return self.out_proj(y.view(-1, self.embed_dim))

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        parts = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), parts, biases)]

    def _on_rectangles(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        need_weights: bool,
        attn_mask: Tensor | None,
        average: bool,
        is_causal: bool,
    ) -> tuple[Tensor, Tensor | None]:
        op, given = type(self).__name__, (("query", query), ("key", key), ("value", value))
        q, k, v = (_rectangle(op, name, x, self.embed_dim, self.batch_first) for name, x in given)
        batch, length, keys = q.shape[0], q.shape[1], k.shape[1]
        mask = None if is_causal else self._joint_mask(attn_mask, batch, length, keys)
        seen = []
        real = _real(op, "key_padding_mask", key_padding_mask, batch, keys)
        if real is not None:
            seen.append(ops.from_numpy(real).view(batch, 1, 1, keys).to(q.device))
        if is_causal and need_weights:
            seen.append(ops.tril(ops.ones(length, keys, dtype=q.dtype, device=q.device)) > 0)
        for each in seen:
            hidden = ops.where(each, 0.0, float("-inf")).to(q.dtype)
            mask = hidden if mask is None else mask + hidden
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in self._project(q, k, v))
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q.matmul(k.transpose(-2, -1)) * self.head_dim**-0.5
            weights = F.softmax(scores if mask is None else scores + mask, -1)
            if p > 0:
                weights = F.dropout(weights, p)
            y = weights.matmul(v)
            weights = weights.mean(1) if average else weights
        else:
            y = ops.scaled_dot_product_attention(q, k, v, mask, p, is_causal)
        output = _as_given(self.out_proj(y.transpose(1, 2).flatten(2)), query.ndim == 2, self.batch_first)
        return output, weights.squeeze(0) if weights is not None and query.ndim == 2 else weights

    def _joint_mask(self, attn_mask: Tensor | None, batch: int, length: int, keys: int) -> Tensor | None:
        """What is added to the scores: (batch or 1, heads or 1, L, S)."""
        if attn_mask is None:
            return None
        heads = self.num_heads
        shapes = {(length, keys): (1, 1, length, keys), (batch * heads, length, keys): (batch, heads, length, keys)}
        expected = "shape " + " or ".join(map(str, shapes))
        require(attn_mask.shape in shapes, type(self).__name__, "attn_mask", expected, attn_mask.shape)
        mask = attn_mask.view(shapes[attn_mask.shape])
        if not mask.is_floating_point():
            mask = ops.where(mask, float("-inf"), 0.0)
        return mask.to(self.in_proj_weight.dtype)
