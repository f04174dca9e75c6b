"""The transformer's encoder and decoder layers and stacks of them, with PyTorch's arguments and parameter names.

A layer works on rows, (rows, d_model) with cu_seqlens. They are packed tokens, or all positions of a rectangle; a stack makes rows
of a rectangle once for all of its layers. A rectangle stays a rectangle only if the caller gives a mask over pairs of positions, or
if a part of the layer is not engine's own.

As in PyTorch, padded positions are not seen, and yet are computed like the others. Only a TransformerEncoder packs: it computes
nothing for padding, and its output is 0 there.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

from engine import _core, ops
from engine._core import DType
from engine.errors import BadValue, require
from engine.nn import functional as F
from engine.nn.attention import Door, Keys, MultiheadAttention, refuse_masks
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

    def _takes_rows(self) -> bool:
        """Whether the attentions are engine's own, without hooks, which would see no rectangle."""
        for name in self._attentions:
            attention = self.__dict__[name]
            if type(attention).forward is not MultiheadAttention.forward or attention._has_hooks():
                return False
        return True

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
        keys: Keys | None = None,
    ) -> Tensor:
        """src: (total_tokens, d_model) with cu_seqlens; or (batch, length, d_model) if batch_first, else (length, batch,
        d_model), with src_key_padding_mask (batch, length), True at positions that are not seen. The output has the shape of src.

        src_mask: (length, length), either bool (True: not seen) or numbers that are added to the scores. is_causal: a position sees
        itself and the positions before it; src_mask is then not read. keys: with cu_seqlens, the tokens that are seen; None: all.
        """
        src_mask = None if is_causal else src_mask
        if cu_seqlens is not None:
            refuse_masks(type(self).__name__, src_mask=src_mask, src_key_padding_mask=src_key_padding_mask)
            return self._through(src, lambda x: self.self_attn.packed(x, cu_seqlens, is_causal, keys=keys))
        if src_mask is None and self._takes_rows():
            door = _door(type(self).__name__, self, "src", src, src_key_padding_mask)
            if door.serves(is_causal):
                return door.leave(
                    TransformerEncoderLayer.forward(self, door.rows, is_causal=is_causal, **_places(door))
                )
        masks: dict[str, Any] = {"attn_mask": src_mask, "key_padding_mask": src_key_padding_mask}
        return self._through(
            src, lambda x: self.self_attn(x, x, x, **masks, need_weights=False, is_causal=is_causal)[0]
        )


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
        keys: Keys | None = None,
    ) -> Tensor:
        """tgt: (total_tokens, d_model) with cu_seqlens, and memory: (total_memory, d_model) with memory_cu_seqlens; or both (batch,
        length, d_model) if batch_first, else (length, batch, d_model); their lengths may differ. The output has the shape of tgt.

        tgt_key_padding_mask: (batch, tgt length), memory_key_padding_mask: (batch, memory length), True at positions that are not
        seen. tgt_mask: (tgt length, tgt length), memory_mask: (tgt length, memory length), either bool (True: not seen) or numbers
        that are added to the scores. tgt_is_causal, memory_is_causal: position i sees the positions up to i; the mask is then not
        read. keys: with cu_seqlens, the tokens of tgt that are seen; None: all.
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
                lambda x: self.self_attn.packed(x, cu_q, tgt_is_causal, keys=keys),
                lambda x: self.multihead_attn.packed(x, cu_q, memory_is_causal, memory, memory, cu_k),
            )
        causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
        if tgt_mask is None and memory_mask is None and self._takes_rows():
            run = partial(TransformerDecoderLayer.forward, self)
            y = _on_rows(run, op, self, tgt, memory, padding, memory_padding, **causal)
            if y is not None:
                return y
        own: dict[str, Any] = {"attn_mask": tgt_mask, "key_padding_mask": padding, "is_causal": tgt_is_causal}
        to_memory = {"attn_mask": memory_mask, "key_padding_mask": memory_padding, "is_causal": memory_is_causal}
        return self._through(
            tgt,
            lambda x: self.self_attn(x, x, x, **own, need_weights=False)[0],
            lambda x: self.multihead_attn(x, memory, memory, **to_memory, need_weights=False)[0],
        )


class _Stack(Module):
    """Copies of one layer, and a final normalisation if one is given."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        require(num_layers >= 1, type(self).__name__, "num_layers", "a number >= 1", num_layers)
        self.layers = ModuleList([deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _takes_rows(self, kind: type[_Layer]) -> bool:
        """Whether all layers are engine's own, without hooks: a layer of the caller's knows PyTorch's arguments only."""
        return all(type(m).forward is kind.forward and not m._has_hooks() and m._takes_rows() for m in self.layers)

    def _run(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """A stack of copies of one layer, and a final normalisation if one is given.

    enable_nested_tensor: with a src_key_padding_mask and without a mask over pairs, compute nothing for padding; the output is 0
    there. PyTorch does so in evaluation without gradients, and then normalises the zeros too; here it is so in training as well.
    `mask_check` changes nothing.
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
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
        *,
        cu_seqlens: Tensor | None = None,
    ) -> Tensor:
        """As in TransformerEncoderLayer; mask is its src_mask. is_causal=None: whether the mask is the causal one. With
        enable_nested_tensor the output of a batch is 0 at padding, unless there is a mask that is not the causal one."""
        is_causal = _is_causal(mask) if is_causal is None else is_causal
        masks: dict[str, Any] = {"src_mask": mask, "src_key_padding_mask": src_key_padding_mask}
        if cu_seqlens is not None:
            return self._run(src, **masks, is_causal=is_causal, cu_seqlens=cu_seqlens)
        if (mask is None or is_causal) and self._takes_rows(TransformerEncoderLayer):
            pack = self.enable_nested_tensor and src.ndim == 3
            door = _door(type(self).__name__, self.layers[0], "src", src, src_key_padding_mask, pack)
            if door.told if pack else door.serves(is_causal):
                return door.leave(self._run(door.rows, is_causal=is_causal, **_places(door)))
        return self._run(src, **masks, is_causal=is_causal)


class TransformerDecoder(_Stack):
    """A stack of copies of one layer, and a final normalisation if one is given."""

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
        keys: Keys | None = None,
    ) -> Tensor:
        """As in TransformerDecoderLayer. tgt_is_causal=None: whether tgt_mask is the causal one."""
        tgt_is_causal = _is_causal(tgt_mask) if tgt_is_causal is None else tgt_is_causal
        causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
        masks = {
            "tgt_mask": tgt_mask,
            "memory_mask": memory_mask,
            "tgt_key_padding_mask": tgt_key_padding_mask,
            "memory_key_padding_mask": memory_key_padding_mask,
        }
        if cu_seqlens is not None or memory_cu_seqlens is not None:
            places = {"cu_seqlens": cu_seqlens, "memory_cu_seqlens": memory_cu_seqlens, "keys": keys}
            return self._run(tgt, memory, **masks, **causal, **places)
        unmasked = (tgt_mask is None or tgt_is_causal) and (memory_mask is None or memory_is_causal)
        if unmasked and self._takes_rows(TransformerDecoderLayer):
            op, padding = type(self).__name__, (tgt_key_padding_mask, memory_key_padding_mask)
            y = _on_rows(self._run, op, self.layers[0], tgt, memory, *padding, tgt_is_causal, memory_is_causal)
            if y is not None:
                return y
        return self._run(tgt, memory, **masks, **causal)


def _activation(op: str, activation: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if callable(activation):
        return activation
    names = ("relu", "gelu", "silu", "tanh")
    require(activation in names, op, "activation", f"one of {', '.join(names)}, or a function", repr(activation))
    return getattr(F, activation)


def _is_causal(mask: Tensor | None) -> bool:
    """Whether a mask over pairs hides all later positions, and nothing else. The host waits for the answer."""
    if mask is None or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    return bool((mask == causal_mask(mask.shape[0], mask.device, mask.dtype)).all().item())


def causal_mask(size: int, device: Any, dtype: DType | None) -> Tensor:
    """(size, size): 0 on and below the diagonal, -inf (of bool: True) above it."""
    hidden = True if dtype is _core.bool else float("-inf")
    return ops.triu(ops.full((size, size), hidden, dtype=dtype, device=device), 1)


def _door(op: str, layer: Any, argument: str, x: Tensor, key_padding_mask: Tensor | None, pack: bool = False) -> Door:
    dim, mask_argument = layer.self_attn.embed_dim, f"{argument}_key_padding_mask"
    return Door(op, argument, x, dim, key_padding_mask, layer.batch_first, mask_argument, pack)


def _places(door: Door) -> dict[str, Any]:
    """Where the rows of a door's sequences are, as layers take it."""
    return {"cu_seqlens": door.layout.cu_seqlens, "keys": door.keys}


def _on_rows(
    run: Callable[..., Tensor],
    op: str,
    layer: Any,
    tgt: Tensor,
    memory: Tensor,
    tgt_padding: Tensor | None,
    memory_padding: Tensor | None,
    tgt_is_causal: bool,
    memory_is_causal: bool,
) -> Tensor | None:
    """`run`, a decoder layer or a stack of them, on rows of target and memory; None if rows cannot tell what the masks hide.

    Raises ValueError unless both have the same number of sequences.
    """
    door = _door(op, layer, "tgt", tgt, tgt_padding)
    seen = _door(op, layer, "memory", memory, memory_padding, pack=True)
    expected, got = door.layout.batch_size, seen.layout.batch_size
    require(got == expected, op, "memory", f"{expected} sequences, as many as in tgt", got)
    if not (door.serves(tgt_is_causal) and seen.serves(memory_is_causal)):
        return None
    causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
    return door.leave(run(door.rows, seen.rows, **causal, **_places(door), memory_cu_seqlens=seen.layout.cu_seqlens))
