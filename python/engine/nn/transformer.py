"""Attention and transformer layers, with PyTorch's arguments and parameter names.

Inside, everything is packed: (total_tokens, dim) with cu_seqlens, no padding. A rectangle is packed at the door by its mask
and unpacked on the way out, with zeros at padding (PyTorch computes something there). Only where a mask of single pairs of
positions (`attn_mask`) is given, or attention weights are wanted, does the rectangle stay one.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from engine import ops
from engine._core import DType
from engine.autograd.tape import sole_owner
from engine.nn import functional as F
from engine.nn import init
from engine.nn.containers import ModuleList
from engine.nn.layers import Dropout, LayerNorm, Linear, new_parameter
from engine.nn.module import Module, Parameter
from engine.ops.packing import RectangleLayout, pack_padded, pad_packed, rectangle_layout
from engine.tensor import Tensor

__all__ = ["MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer"]


def _real(op: str, key_padding_mask: Tensor | None) -> Tensor | None:
    """True at real tokens, from PyTorch's mask: True (or -inf) at padding."""
    if key_padding_mask is None:
        return None
    mask = np.asarray(key_padding_mask.detach().cpu())  # read by the host: lengths decide shapes
    real = mask == 0
    if not (real | (mask == (1 if mask.dtype == np.bool_ else -np.inf))).all():
        raise ValueError(f"[{op}] key_padding_mask: expected bool (True: padding), or 0 and -inf, got other numbers")
    return ops.from_numpy(real)


def _rectangle(op: str, x: Tensor, dim: int, batch_first: bool) -> Tensor:
    """(batch, length, dim) from what came."""
    if x.ndim not in (2, 3) or x.shape[-1] != dim:
        order = "(batch, length" if batch_first else "(length, batch"
        raise ValueError(f"[{op}] input: expected shape {order}, {dim}) or (length, {dim}), got {x.shape}")
    if x.ndim == 2:
        return x.unsqueeze(0)
    return x if batch_first else x.transpose(0, 1)


def _mask_rows(mask: Tensor | None, unbatched: bool) -> Tensor | None:
    return mask.unsqueeze(0) if mask is not None and unbatched and mask.ndim == 1 else mask


class _Door:
    """Packs a rectangle, remembers how, and unpacks the result."""

    def __init__(self, op: str, x: Tensor, dim: int, key_padding_mask: Tensor | None, batch_first: bool) -> None:
        rectangle = _rectangle(op, x, dim, batch_first)
        self.unbatched, self.batch_first = x.ndim == 2, batch_first
        mask = _real(op, _mask_rows(key_padding_mask, self.unbatched))
        self.layout: RectangleLayout = rectangle_layout(rectangle.shape[0], rectangle.shape[1], mask, device=x.device)
        self.packed = pack_padded(rectangle, self.layout)

    def leave(self, x: Tensor) -> Tensor:
        y = pad_packed(x, self.layout)
        if self.unbatched:
            y = y.squeeze(0)
        elif not self.batch_first:
            y = y.transpose(0, 1)
        return sole_owner(y)


class MultiheadAttention(Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

    in_proj_weight: (3 * embed_dim, embed_dim), queries, keys and values below each other; out_proj: a Linear.

    Three ways to call it; each returns (output, weights):
      attention(x, cu_seqlens=cu): self-attention on packed tokens (total_tokens, embed_dim).
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
            raise ValueError(
                f"[MultiheadAttention] embed_dim: expected a multiple of num_heads, got {embed_dim} and {num_heads} heads"
            )
        for name, given in (
            ("add_bias_kv", add_bias_kv),
            ("add_zero_attn", add_zero_attn),
            ("kdim", kdim not in (None, embed_dim)),
            ("vdim", vdim not in (None, embed_dim)),
        ):
            if given:
                raise ValueError(f"[MultiheadAttention] {name}: expected its default (no other is supported)")
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
    ) -> tuple[Tensor, Tensor | None]:
        """See the class. attn_mask: (L, S) or (batch * heads, L, S), bool (True: not seen) or added to the scores; with
        is_causal it is taken to be the causal mask and not read."""
        op = "MultiheadAttention"
        key = query if key is None else key
        value = key if value is None else value
        if cu_seqlens is not None:
            if key is not query or value is not query or need_weights or attn_mask is not None:
                raise ValueError(f"[{op}] cu_seqlens: expected self-attention without attn_mask and weights beside it")
            return self.packed(query, cu_seqlens, is_causal), None
        if need_weights or (attn_mask is not None and not is_causal):
            return self._on_rectangles(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        if key is query and value is query:
            door = _Door(op, query, self.embed_dim, key_padding_mask, self.batch_first)
            return door.leave(self.packed(door.packed, door.layout.cu_seqlens, is_causal)), None
        door = _Door(op, query, self.embed_dim, None, self.batch_first)
        keys = _Door(op, key, self.embed_dim, key_padding_mask, self.batch_first)
        values = keys if value is key else _Door(op, value, self.embed_dim, key_padding_mask, self.batch_first)
        q, k, v = (
            part.view(-1, self.num_heads, self.head_dim)
            for part in self._project(door.packed, keys.packed, values.packed)
        )
        y = ops.attention(
            q,
            k,
            v,
            door.layout.cu_seqlens,
            cu_seqlens_k=keys.layout.cu_seqlens,
            is_causal=is_causal,
            dropout_p=self.dropout,
            training=self.training,
        )
        return door.leave(self.out_proj(y.view(-1, self.embed_dim))), None

    def packed(self, x: Tensor, cu_seqlens: Tensor, is_causal: bool = False) -> Tensor:
        """Self-attention on packed tokens: (total_tokens, embed_dim) -> the same, one fused projection."""
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        y = ops.attention_qkv(
            qkv.view(-1, 3, self.num_heads, self.head_dim),
            cu_seqlens,
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
        real = _real(op, _mask_rows(key_padding_mask, unbatched))
        if real is not None:
            if real.shape != (batch, keys):
                raise ValueError(f"[{op}] key_padding_mask: expected shape {(batch, keys)}, got {real.shape}")
            hidden = ops.where(real.view(batch, 1, 1, keys).to(q.device), 0.0, float("-inf")).to(q.dtype)
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
            raise ValueError(
                f"[MultiheadAttention] attn_mask: expected shape {(length, keys)} or "
                f"{(batch * self.num_heads, length, keys)}, got {attn_mask.shape}"
            )
        if not mask.is_floating_point():
            mask = ops.where(mask, float("-inf"), 0.0)
        return mask.to(self.in_proj_weight.dtype)


def _activation(activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": F.tanh}
    if activation not in known:
        raise ValueError(
            f"[TransformerEncoderLayer] activation: expected one of {', '.join(known)}, got {activation!r}"
        )
    return known[activation]


class TransformerEncoderLayer(Module):
    """Self-attention and a two-layer network, each with dropout, a residual and layer normalisation.

    norm_first: normalise before each part (pre-LN) rather than after the residual. activation: "relu", "gelu", "silu",
    "tanh" or a function.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.batch_first, self.norm_first = batch_first, norm_first
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, device=device
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype, device=device)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, device=device)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype, device=device)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype, device=device)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """src: (total_tokens, d_model) with cu_seqlens; or (batch, length, d_model) if batch_first, else (length, batch,
        d_model), with src_key_padding_mask (batch, length), True at padding, where the output is 0."""
        if src_mask is not None and not is_causal:

            def attend(x: Tensor) -> Tensor:
                y, _ = self.self_attn(x, x, x, src_key_padding_mask, attn_mask=src_mask)
                return y

            return self._layer(src, attend)
        if cu_seqlens is not None:
            return self._layer(src, lambda x: self.self_attn.packed(x, cu_seqlens, is_causal))
        d = self.self_attn.embed_dim
        door = _Door("TransformerEncoderLayer", src, d, src_key_padding_mask, self.batch_first)
        cu = door.layout.cu_seqlens
        return door.leave(self._layer(door.packed, lambda x: self.self_attn.packed(x, cu, is_causal)))

    def _layer(self, x: Tensor, attend: Callable[[Tensor], Tensor]) -> Tensor:
        first, second = self.norm1, self.norm2
        p = self.dropout1.p
        if self.norm_first:
            y = attend(first(x))
            y, x = F.dropout_add_layer_norm(
                y, x, second.weight, second.bias, p, self.dropout1.training, second.eps, prenorm=True
            )
            return x + self.dropout2(self._feed_forward(y))
        x = F.dropout_add_layer_norm(attend(x), x, first.weight, first.bias, p, self.dropout1.training, first.eps)
        y = self._feed_forward(x)
        p = self.dropout2.p
        return F.dropout_add_layer_norm(y, x, second.weight, second.bias, p, self.dropout2.training, second.eps)

    def _feed_forward(self, x: Tensor) -> Tensor:
        if self.activation is F.gelu:
            h = F.linear_gelu(x, self.linear1.weight, self.linear1.bias)
        else:
            h = self.activation(self.linear1(x))
        return self.linear2(self.dropout(h))


class TransformerEncoder(Module):
    """A stack of copies of one layer, and a final normalisation if one is given."""

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"[TransformerEncoder] num_layers: expected a number >= 1, got {num_layers}")
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """As TransformerEncoderLayer; a rectangle is packed once for all layers."""
        x = src
        door = None
        if cu_seqlens is None and (mask is None or is_causal) and len(self.layers):
            first = self.layers[0]
            door = _Door("TransformerEncoder", src, first.self_attn.embed_dim, src_key_padding_mask, first.batch_first)
            x, cu_seqlens, mask, src_key_padding_mask = door.packed, door.layout.cu_seqlens, None, None
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal, cu_seqlens=cu_seqlens)
        if self.norm is not None:
            x = self.norm(x)
        return x if door is None else door.leave(x)
