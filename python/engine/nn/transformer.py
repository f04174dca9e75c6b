"""The transformer's encoder and decoder layers and stacks of them, with PyTorch's arguments and parameter names.

A layer works on packed tokens, (total_tokens, d_model) with cu_seqlens, or on rectangles. A rectangle is first packed by its
padding mask. The result is unpacked, with zeros at padding. A stack does this once for all of its layers. A rectangle stays a
rectangle only if the caller gives a mask over pairs of positions.

The zeros are on purpose: no work is done for padding. PyTorch has them, too, if a TransformerEncoder evaluates without gradients.
Otherwise it computes what each padded position would attend to; nothing may depend on these numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from engine._core import DType
from engine.errors import BadValue, require
from engine.nn import functional as F
from engine.nn.attention import Door, MultiheadAttention, refuse_masks
from engine.nn.block import Part, Residual, run_block
from engine.nn.containers import ModuleList
from engine.nn.layers import Dropout, LayerNorm, Linear
from engine.nn.module import Module
from engine.tensor import Tensor

__all__ = ["TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]

Attend = Callable[[Tensor], Tensor]

_PARTS = (("norm1", "dropout1"), ("norm2", "dropout2"), ("norm3", "dropout3"))  # PyTorch's names, a pair for each part


class _Layer(Module):
    """What encoder and decoder layers share: the parameters in PyTorch's order, and the parts that they hand to the block."""

    _attentions: tuple[str, ...]  # the names of the attentions, in the order in which they run

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
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.batch_first, self.norm_first = batch_first, norm_first
        for name in self._attentions:
            attention = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **where)
            self.add_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        names = _PARTS[: len(self._attentions) + 1]
        for norm, _ in names:
            self.add_module(norm, LayerNorm(d_model, layer_norm_eps, bias=bias, **where))
        for _, drop in names:
            self.add_module(drop, Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    def _feed_forward(self, x: Tensor) -> Tensor:
        if self.activation is F.gelu:
            h = F.linear_gelu(x, self.linear1.weight, self.linear1.bias)
        else:
            h = self.activation(self.linear1(x))
        return self.linear2(self.dropout(h))

    def _through(self, x: Tensor, *attends: Attend) -> Tensor:
        """x through the attentions and the network, each with its norm and its dropout."""
        mine, parts = self.__dict__, []
        for compute, (norm, drop) in zip((*attends, self._feed_forward), _PARTS):
            dropout = mine[drop]
            parts.append(Part(compute, mine[norm], dropout.p if dropout.training else 0.0))
        return run_block(Residual(x), parts, self.norm_first).sum()


class TransformerEncoderLayer(_Layer):
    """Self-attention and a two-layer network, each with dropout, a residual and layer normalisation.

    norm_first: normalise before each part (pre-LN) rather than after the residual. activation: "relu", "gelu", "silu",
    "tanh" or a function. dropout: a probability in [0, 1]. Raises ValueError for values out of range.
    """

    _attentions = ("self_attn",)

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
        d_model), with src_key_padding_mask (batch, length), True at padding, where the output is 0. The output has the shape of src.

        src_mask: (length, length), either bool (True: not seen) or numbers that are added to the scores. is_causal: a position sees
        itself and the positions before it; src_mask is then not read.
        """
        src_mask = None if is_causal else src_mask
        if cu_seqlens is not None:
            refuse_masks(type(self).__name__, src_mask=src_mask, src_key_padding_mask=src_key_padding_mask)
            return self._through(src, lambda x: self.self_attn.packed(x, cu_seqlens, is_causal))
        if src_mask is not None:
            return self._through(src, lambda x: self.self_attn(x, x, x, src_key_padding_mask, False, src_mask)[0])
        return _encode_packed(self, self, src, src_key_padding_mask, is_causal)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory (an encoder's output), and a two-layer network, each with dropout, a residual and layer
    normalisation. Arguments as in `TransformerEncoderLayer`."""

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
        memory_cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """tgt: (total_tokens, d_model) with cu_seqlens, and memory: (total_memory, d_model) with memory_cu_seqlens; or both (batch,
        length, d_model) if batch_first, else (length, batch, d_model); their lengths may differ. The output has the shape of tgt.

        tgt_key_padding_mask: (batch, tgt length), True at padding, where the output is 0. memory_key_padding_mask: (batch, memory
        length), True at padding. tgt_mask: (tgt length, tgt length), memory_mask: (tgt length, memory length), either bool (True: not
        seen) or numbers that are added to the scores. tgt_is_causal, memory_is_causal: position i sees the positions up to i; the
        mask is then not read.
        """
        op = type(self).__name__
        tgt_mask = None if tgt_is_causal else tgt_mask
        memory_mask = None if memory_is_causal else memory_mask
        padding, memory_padding = tgt_key_padding_mask, memory_key_padding_mask
        if cu_seqlens is not None or memory_cu_seqlens is not None:
            refuse_masks(op, tgt_mask=tgt_mask, memory_mask=memory_mask)
            refuse_masks(op, tgt_key_padding_mask=padding, memory_key_padding_mask=memory_padding)
            cu_q, cu_k = cu_seqlens, memory_cu_seqlens
            if cu_q is None or cu_k is None:
                name = "cu_seqlens" if cu_q is None else "memory_cu_seqlens"
                raise BadValue(op, name, "a Tensor, because tgt and memory are both packed or neither", None)
            return self._through(
                tgt,
                lambda x: self.self_attn.packed(x, cu_q, tgt_is_causal),
                lambda x: self.multihead_attn.packed(x, cu_q, memory_is_causal, memory, memory, cu_k),
            )
        if tgt_mask is not None or memory_mask is not None:
            return self._through(
                tgt,
                lambda x: self.self_attn(x, x, x, padding, False, tgt_mask, is_causal=tgt_is_causal)[0],
                lambda x: self.multihead_attn(
                    x, memory, memory, memory_padding, False, memory_mask, is_causal=memory_is_causal
                )[0],
            )
        causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
        return _decode_packed(self, self, tgt, memory, padding, memory_padding, **causal)


class _Stack(Module):
    """Copies of one layer, and a final normalisation if one is given."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        require(num_layers >= 1, type(self).__name__, "num_layers", "a number >= 1", num_layers)
        self.layers = ModuleList([deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _run(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """A stack of copies of one layer, and a final normalisation if one is given.

    `enable_nested_tensor` and `mask_check` are accepted and change nothing.
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """As in TransformerEncoderLayer. A rectangle is packed once for all layers."""
        if cu_seqlens is not None or (mask is not None and not is_causal):
            return self._run(src, mask, src_key_padding_mask, is_causal, cu_seqlens=cu_seqlens)
        return _encode_packed(self, self.layers[0], src, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """A stack of copies of one layer, and a final normalisation if one is given.

    Differs from PyTorch: tgt_is_causal=None means False. A tgt_mask that happens to be causal is applied like any other mask.
    """

    def __init__(self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        *,
        cu_seqlens: Tensor | None = None,
        memory_cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """As in TransformerDecoderLayer. Rectangles are packed once for all layers."""
        causal: dict[str, Any] = {"tgt_is_causal": bool(tgt_is_causal), "memory_is_causal": memory_is_causal}
        packed = cu_seqlens is not None or memory_cu_seqlens is not None
        masked = (tgt_mask is not None and not tgt_is_causal) or (memory_mask is not None and not memory_is_causal)
        if packed or masked:
            return self._run(
                tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, **causal,
                cu_seqlens=cu_seqlens, memory_cu_seqlens=memory_cu_seqlens,
            )  # fmt: skip
        padding = (tgt_key_padding_mask, memory_key_padding_mask)
        return _decode_packed(self, self.layers[0], tgt, memory, *padding, **causal)


def _activation(op: str, activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    names = ("relu", "gelu", "silu", "tanh")
    require(activation in names, op, "activation", f"one of {', '.join(names)}, or a function", repr(activation))
    return getattr(F, activation)


def _door(module: Module, layer: Any, argument: str, x: Tensor, key_padding_mask: Tensor | None) -> Door:
    op, dim, mask_argument = type(module).__name__, layer.self_attn.embed_dim, f"{argument}_key_padding_mask"
    return Door(op, argument, x, dim, key_padding_mask, layer.batch_first, mask_argument)


def _encode_packed(module: Module, layer: Any, src: Tensor, padding: Tensor | None, is_causal: bool) -> Tensor:
    """Packs a rectangle, calls the module (a layer or a stack of layers) with it, and unpacks the result."""
    door = _door(module, layer, "src", src, padding)
    return door.leave(module.forward(door.packed, is_causal=is_causal, cu_seqlens=door.layout.cu_seqlens))


def _decode_packed(
    module: Module,
    layer: Any,
    tgt: Tensor,
    memory: Tensor,
    tgt_padding: Tensor | None,
    memory_padding: Tensor | None,
    **causal: bool,
) -> Tensor:
    """The same for target and memory. Raises ValueError unless both have the same number of sequences."""
    door = _door(module, layer, "tgt", tgt, tgt_padding)
    keys = _door(module, layer, "memory", memory, memory_padding)
    expected, got = door.layout.batch_size, keys.layout.batch_size
    require(got == expected, type(module).__name__, "memory", f"{expected} sequences, as many as in tgt", got)
    cu = {"cu_seqlens": door.layout.cu_seqlens, "memory_cu_seqlens": keys.layout.cu_seqlens}
    return door.leave(module.forward(door.packed, keys.packed, **causal, **cu))
