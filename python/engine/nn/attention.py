"""Multi-head attention, with PyTorch's arguments and parameter names, on packed positions and on rectangles.

The work is done on rows: (rows, dim) with cu_seqlens, which says where the sequences start. Packed tokens are rows. So are all
positions of a rectangle; if it has a padding mask, every row asks, and only the real rows are seen (`Keys`). A rectangle stays a
rectangle only if the caller gives a mask over pairs of positions (`attn_mask`) or asks for attention weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from engine import _core, ops
from engine._core import DType
from engine.autograd.views import sole_owner
from engine.errors import BadValue, require
from engine.layout import Layout
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import Linear, new_parameter
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.nn.plain import is_plain, plain
from engine.nn.sdpa import SDPBackend as SDPBackend
from engine.nn.sdpa import sdpa_kernel as sdpa_kernel
from engine.ops.naming import called_as
from engine.ops.packing import pack_padded, pad_packed, take_tokens
from engine.tensor import Tensor

__all__ = ["MultiheadAttention"]


class Keys(NamedTuple):
    """The rows that are seen, if not all are.

    indices: int64 (m,), rising, their numbers among all rows. cu_seqlens: int32 (batch + 1,), where each sequence starts among them.
    """

    indices: Tensor
    cu_seqlens: Tensor


def _padding(op: str, argument: str, mask: Tensor, batch: int, length: int) -> np.ndarray:
    """PyTorch's mask on the host as what is added to the scores, (batch, length). One sequence may have a mask (length,)."""
    right = mask.shape == (batch, length) or (batch == 1 and mask.shape == (length,))
    require(right, op, argument, f"shape {(batch, length)}", mask.shape)
    mask = mask.detach().cpu()  # the host reads the mask, because lengths decide shapes
    if mask.dtype is _core.bool:
        return np.where(np.asarray(mask), -np.inf, 0.0).reshape(batch, length)
    expected = "bool (True: padding), or a floating-point dtype (-inf: padding)"
    require(mask.dtype.is_floating_point, op, argument, expected, mask.dtype.name)
    return np.asarray(mask.float()).reshape(batch, length)


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
    """Makes rows of a rectangle, and a rectangle of rows.

    pack: only the real positions become rows, and `leave` puts zeros at padding. Otherwise all do, and `keys` says which are real.
    op, argument, mask_argument: the names that errors give to the call, the rectangle and its mask.
    """

    keys: Keys | None = None  # None: all rows are seen

    def __init__(
        self,
        op: str,
        argument: str,
        x: Tensor,
        dim: int,
        key_padding_mask: Tensor | None,
        batch_first: bool,
        mask_argument: str = "key_padding_mask",
        pack: bool = False,
    ) -> None:
        rectangle = _rectangle(op, argument, x, dim, batch_first)
        self.unbatched, self.batch_first = x.ndim == 2, batch_first
        batch, length, _ = rectangle.shape
        real = None
        self.told = self.right = True
        if key_padding_mask is not None:
            added = _padding(op, mask_argument, key_padding_mask, batch, length)
            real = added == 0
            self.told = bool((real | (added == -np.inf)).all())  # other numbers are weights, which rows cannot tell
            self.right = not (real[:, 1:] > real[:, :-1]).any()
        self.layout = Layout.from_rectangle(batch, length, real if self.told else None, device=x.device)
        if not pack and self.layout.indices is not None:
            self.keys = Keys(self.layout.indices, self.layout.cu_seqlens)
            self.layout = Layout.from_rectangle(batch, length, device=x.device)
        self.rows = pack_padded(rectangle, self.layout)

    def serves(self, is_causal: bool) -> bool:
        """Whether attention to these rows can stand for the rectangle's. Causal attention counts the keys of a sequence from its
        start, so that padding must be at the end."""
        return self.told and (self.right or not is_causal)

    def leave(self, x: Tensor) -> Tensor:
        """Rows (rows, dim) as a rectangle of the input's form."""
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


# How parameters start, by the end of their names.
_INITIAL: dict[str, Callable[[Tensor], Tensor]] = {
    "proj_weight": init.xavier_uniform_,
    "proj_bias": init.zeros_,
    "k": init.xavier_normal_,
    "v": init.xavier_normal_,
}


@plain
class MultiheadAttention(Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

    in_proj_weight: (3 * embed_dim, embed_dim): the projections to queries, keys and values, one below the other. If key or value
    have another last dimension, kdim or vdim, there are q_proj_weight, k_proj_weight and v_proj_weight instead. out_proj: a Linear.
    add_bias_kv: one more key and value, bias_k and bias_v, for all sequences. add_zero_attn: one more of zeros.

    There are four ways to call it. Each returns (output, weights):
      attention(x, cu_seqlens=cu): self-attention on packed tokens (total_tokens, embed_dim).
      attention(x, y, y, cu_seqlens=cu, cu_seqlens_k=cu_k): attention from packed tokens to other packed tokens.
      attention(x, x, x, key_padding_mask): self-attention on (batch, length, embed_dim) if batch_first, else (length, batch,
        embed_dim), or on one sequence (length, embed_dim). The mask (batch, length) is True at padding.
      attention(query, key, value, ...): attention from one sequence to another.

    need_weights: True needs a matrix of length x length for each head and sequence. False is quicker; weights are then None.

    As in PyTorch, positions at padding are not seen, and yet get an output. Differs from PyTorch: is_causal=True needs no attn_mask, and packed tokens have no weights. Raises ValueError for other shapes,
    for masks that do not fit, and for packed tokens with kdim, vdim, add_bias_kv or add_zero_attn.
    """

    in_proj_weight: Parameter
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

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
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        joint = self.kdim == self.vdim == embed_dim
        self._qkv_same_embed_dim = joint
        self.packs = joint and not add_bias_kv and not add_zero_attn
        shapes: dict[str, tuple[bool, tuple[int, ...]]] = {
            "in_proj_weight": (joint, (3 * embed_dim, embed_dim)),
            "q_proj_weight": (not joint, (embed_dim, embed_dim)),
            "k_proj_weight": (not joint, (embed_dim, self.kdim)),
            "v_proj_weight": (not joint, (embed_dim, self.vdim)),
            "in_proj_bias": (bias, (3 * embed_dim,)),
            "bias_k": (add_bias_kv, (1, 1, embed_dim)),
            "bias_v": (add_bias_kv, (1, 1, embed_dim)),
        }
        for name, (exists, shape) in shapes.items():
            self.register_parameter(name, new_parameter(*shape, dtype=dtype, device=device) if exists else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype, device=device)
        for name in shapes:
            parameter = getattr(self, name)
            if parameter is not None:
                _INITIAL[name.partition("_")[2]](parameter)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool | None = None,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
        cu_seqlens_k: Tensor | None = None,
        keys: Keys | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """See the class. need_weights=None means True on rectangles and False on packed tokens. keys: with cu_seqlens, in self-attention, the tokens that are seen; None: all. attn_mask: (L, S) or (batch * heads, L, S), either bool (True: not seen) or numbers that are added to the
        scores. With is_causal it is taken to be the causal mask, and is not read."""
        op = type(self).__name__
        key = query if key is None else key
        value = key if value is None else value
        if cu_seqlens is not None:
            refuse_masks(op, attn_mask=attn_mask, key_padding_mask=key_padding_mask)
            require(
                not need_weights, op, "need_weights", "False together with cu_seqlens (packed tokens)", need_weights
            )
            got = "a module with kdim, vdim, add_bias_kv or add_zero_attn"
            require(self.packs, op, "cu_seqlens", "None (packed tokens need a plain module)", got)
            fits = (cu_seqlens_k is None) is (key is query)
            got = "None" if cu_seqlens_k is None else "a Tensor"
            require(fits, op, "cu_seqlens_k", "None for self-attention, or a Tensor if key is not query", got)
            return self.packed(query, cu_seqlens, is_causal, key, value, cu_seqlens_k, keys=keys), None
        need_weights = need_weights is None or need_weights
        if need_weights or not self.packs or (attn_mask is not None and not is_causal):
            return self._on_rectangles(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        own = key is query and value is query
        door = Door(op, "query", query, self.embed_dim, key_padding_mask if own else None, self.batch_first)
        seen = door
        if not own:
            seen = Door(op, "key", key, self.embed_dim, key_padding_mask, self.batch_first, pack=True)
        if not seen.serves(is_causal):
            return self._on_rectangles(
                query, key, value, key_padding_mask, False, attn_mask, average_attn_weights, is_causal
            )
        cu_seqlens = door.layout.cu_seqlens
        if own:
            return door.leave(self.packed(door.rows, cu_seqlens, is_causal, keys=door.keys)), None
        values = seen
        if value is not key:
            values = Door(op, "value", value, self.embed_dim, key_padding_mask, self.batch_first, pack=True)
        cu_k = seen.layout.cu_seqlens
        return door.leave(self.packed(door.rows, cu_seqlens, is_causal, seen.rows, values.rows, cu_k)), None

    def packed(
        self,
        query: Tensor,
        cu_seqlens: Tensor,
        is_causal: bool = False,
        key: Tensor | None = None,
        value: Tensor | None = None,
        cu_seqlens_k: Tensor | None = None,
        *,
        keys: Keys | None = None,
    ) -> Tensor:
        """Attention of packed tokens (total_tokens, embed_dim), of the same shape.

        key, value: the packed tokens that the query's tokens attend to, with cu_seqlens_k. None: the query itself, and queries, keys
        and values are projected together. keys: of the query itself only these rows are seen.
        """
        if keys is not None:
            key = value = take_tokens(query, keys.indices)
            cu_seqlens_k = keys.cu_seqlens
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
        op, dims = type(self).__name__, (self.embed_dim, self.kdim, self.vdim)
        given = zip(("query", "key", "value"), (query, key, value), dims)
        q, k, v = (_rectangle(op, name, x, dim, self.batch_first).transpose(0, 1) for name, x, dim in given)
        own = is_plain(self.out_proj, Linear)
        y, weights = called_as(
            op,
            F.multi_head_attention_forward,
            q,
            k,
            v,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight if own else None,
            self.out_proj.bias if own else None,
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            self.in_proj_weight is None,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
            average_attn_weights=average,
            is_causal=is_causal,
        )
        y = y if own else self.out_proj(y)
        unbatched = query.ndim == 2
        y = sole_owner(_as_given(y.transpose(0, 1), unbatched, self.batch_first))
        return y, weights.squeeze(0) if unbatched and weights is not None else weights
