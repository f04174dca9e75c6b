"""Multi-head attention, with PyTorch's arguments and parameter names, on packed positions and on rectangles.

Inside, everything is packed: (total_tokens, dim) with cu_seqlens, no padding. A rectangle is packed at the door by its mask
and unpacked on the way out, with zeros at padding (PyTorch computes something there). The rectangle stays one only if a mask of
single pairs of positions (`attn_mask`) is given, or if attention weights are wanted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import ops
from engine._core import DType
from engine.autograd.tape import sole_owner
from engine.errors import BadValue
from engine.layout import Layout
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import Linear, new_parameter
from engine.nn.module import Module, Parameter
from engine.ops.packing import pack_padded, pad_packed
from engine.tensor import Tensor

__all__ = ["MultiheadAttention"]


def _real(op: str, key_padding_mask: Tensor | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """True at real tokens, from PyTorch's mask: True (or -inf) at padding."""
    if key_padding_mask is None:
        return None
    if key_padding_mask.shape != shape:
        raise BadValue(op, "key_padding_mask", f"shape {shape}", key_padding_mask.shape)
    mask = np.asarray(key_padding_mask.detach().cpu())  # read by the host: lengths decide shapes
    real = mask == 0
    if not (real | (mask == (1 if mask.dtype == np.bool_ else -np.inf))).all():
        raise BadValue(op, "key_padding_mask", "bool (True: padding), or 0 and -inf", "other numbers")
    return real


def _rectangle(op: str, x: Tensor, dim: int, batch_first: bool) -> Tensor:
    """(batch, length, dim) from what came."""
    if x.ndim not in (2, 3) or x.shape[-1] != dim:
        order = "(batch, length" if batch_first else "(length, batch"
        raise BadValue(op, "input", f"shape {order}, {dim}) or (length, {dim})", x.shape)
    if x.ndim == 2:
        return x.unsqueeze(0)
    return x if batch_first else x.transpose(0, 1)


def _mask_rows(mask: Tensor | None, unbatched: bool) -> Tensor | None:
    return mask.unsqueeze(0) if mask is not None and unbatched and mask.ndim == 1 else mask


class Door:
    """Packs a rectangle, remembers how, and unpacks the result."""

    def __init__(self, op: str, x: Tensor, dim: int, key_padding_mask: Tensor | None, batch_first: bool) -> None:
        rectangle = _rectangle(op, x, dim, batch_first)
        self.unbatched, self.batch_first = x.ndim == 2, batch_first
        batch, length, _ = rectangle.shape
        mask = _real(op, _mask_rows(key_padding_mask, self.unbatched), (batch, length))
        self.layout = Layout.from_rectangle(batch, length, mask, device=x.device)
        self.packed = pack_padded(rectangle, self.layout)

    def leave(self, x: Tensor) -> Tensor:
        y = pad_packed(x, self.layout)
        if self.unbatched:
            y = y.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        return sole_owner(y)


def project_apart(
    query: Tensor, memory: Tensor, weight: Tensor, bias: Tensor | None, heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of some packed positions, and keys and values of others, by one projection weight (3 * d, d).

    query: (m, d), memory: (n, d), bias: (3 * d,) or None. Returns (m, heads, d / heads), and twice (n, heads, d / heads).
    """
    d = query.shape[1]
    # Parts of one split: their gradients are joined in one pass, where slices would each write the whole.
    wq, wkv = weight.split([d, 2 * d])
    bq, bkv = (None, None) if bias is None else bias.split([d, 2 * d])
    q = F.linear(query, wq, bq).view(-1, heads, d // heads)
    k, v = F.linear(memory, wkv, bkv).view(-1, 2, heads, d // heads).unbind(1)
    return q, k, v


class MultiheadAttention(Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

    in_proj_weight: (3 * embed_dim, embed_dim), queries, keys and values below each other; out_proj: a Linear.

    Four ways to call it; each returns (output, weights):
      attention(x, cu_seqlens=cu): self-attention on packed tokens (total_tokens, embed_dim).
      attention(x, y, y, cu_seqlens=cu, cu_seqlens_k=cu_k): attention from packed tokens to others, packed likewise.
      attention(x, x, x, key_padding_mask): self-attention on (batch, length, embed_dim) if batch_first, else (length, batch,
        embed_dim), or one sequence (length, embed_dim). The mask (batch, length) is True at padding, where the output is 0.
      attention(query, key, value, ...): attention from one sequence to another.

    Differs from PyTorch: need_weights defaults to False, for weights take a matrix of length x length (weights are then None);
    is_causal=True needs no attn_mask.
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
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise BadValue(
                "MultiheadAttention", "embed_dim", "a multiple of num_heads", f"{embed_dim} and {num_heads} heads"
            )
        for name, given in (
            ("add_bias_kv", add_bias_kv),
            ("add_zero_attn", add_zero_attn),
            ("kdim", kdim),
            ("vdim", vdim),
        ):
            if given not in (None, False, embed_dim):
                raise BadValue("MultiheadAttention", name, "its default, the only one supported", repr(given))
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
        """See the class. attn_mask: (L, S) or (batch * heads, L, S), bool (True: not seen) or added to the scores; with
        is_causal it is taken to be the causal mask and not read."""
        op = "MultiheadAttention"
        key = query if key is None else key
        value = key if value is None else value
        if cu_seqlens is not None:
            if need_weights or attn_mask is not None or key_padding_mask is not None:
                raise BadValue(op, "cu_seqlens", "no mask and no need_weights beside packed tokens", "some")
            if (cu_seqlens_k is None) is not (key is query):
                raise BadValue(
                    op,
                    "cu_seqlens_k",
                    "it with a key of its own, and with no other",
                    "none" if cu_seqlens_k is None else "one for self-attention",
                )
            return self.packed(query, cu_seqlens, is_causal, key, value, cu_seqlens_k), None
        if need_weights or (attn_mask is not None and not is_causal):
            return self._on_rectangles(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        if key is query and value is query:
            door = Door(op, query, self.embed_dim, key_padding_mask, self.batch_first)
            return door.leave(self.packed(door.packed, door.layout.cu_seqlens, is_causal)), None
        door = Door(op, query, self.embed_dim, None, self.batch_first)
        keys = Door(op, key, self.embed_dim, key_padding_mask, self.batch_first)
        values = keys if value is key else Door(op, value, self.embed_dim, key_padding_mask, self.batch_first)
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
        """Attention of packed tokens: query (total_tokens, embed_dim) -> the same. key and value: packed tokens that they look at, with
        cu_seqlens_k; None: the query's own, in one projection."""
        if cu_seqlens_k is None:
            qkv = F.linear(query, self.in_proj_weight, self.in_proj_bias)
            y = ops.attention_qkv(
                qkv.view(-1, 3, self.num_heads, self.head_dim),
                cu_seqlens,
                is_causal=is_causal,
                dropout_p=self.dropout,
                training=self.training,
            )
        else:
            assert key is not None and value is not None
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
        op = "MultiheadAttention"
        unbatched = query.ndim == 2
        q, k, v = (_rectangle(op, x, self.embed_dim, self.batch_first) for x in (query, key, value))
        batch, length, keys = q.shape[0], q.shape[1], k.shape[1]
        mask = None if is_causal else self._joint_mask(attn_mask, batch, length, keys)
        real = _real(op, _mask_rows(key_padding_mask, unbatched), (batch, keys))
        if real is not None:
            seen = ops.from_numpy(real).view(batch, 1, 1, keys).to(q.device)
            hidden = ops.where(seen, 0.0, float("-inf")).to(q.dtype)
            mask = hidden if mask is None else mask + hidden
        if is_causal and need_weights:
            causal = ops.tril(ops.ones(length, keys, dtype=q.dtype, device=q.device))
            hidden = ops.where(causal > 0, 0.0, float("-inf")).to(q.dtype)
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
        output = self.out_proj(y.transpose(1, 2).flatten(2))
        if unbatched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), weights

    def _joint_mask(self, attn_mask: Tensor | None, batch: int, length: int, keys: int) -> Tensor | None:
        """What is added to the scores (batch or 1, heads or 1, L, S)."""
        if attn_mask is None:
            return None
        if attn_mask.shape == (length, keys):
            mask = attn_mask.view(1, 1, length, keys)
        elif attn_mask.shape == (batch * self.num_heads, length, keys):
            mask = attn_mask.view(batch, self.num_heads, length, keys)
        else:
            raise BadValue(
                "MultiheadAttention",
                "attn_mask",
                f"shape {(length, keys)} or {(batch * self.num_heads, length, keys)}",
                attn_mask.shape,
            )
        if not mask.is_floating_point():
            mask = ops.where(mask, float("-inf"), 0.0)
        return mask.to(self.in_proj_weight.dtype)
