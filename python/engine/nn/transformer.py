"""The transformer's encoder and decoder layers and stacks of them, with PyTorch's arguments and parameter names.

A layer works on rows, (rows, d_model) with cu_seqlens. They are packed tokens, or all positions of a rectangle; a stack makes rows
of a rectangle once for all of its layers. A rectangle stays a rectangle only if the caller gives a mask over pairs of positions, or
if a part of the layer is not engine's own.

As in PyTorch, padded positions are not seen, and yet are computed like the others. Only a TransformerEncoder packs: it computes
nothing for padding, and its output is 0 there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import _core, ops
from engine._core import DType
from engine.errors import BadValue, require
from engine.nn import functional as F
from engine.nn.attention import Door, Keys, MultiheadAttention, refuse_masks
from engine.nn.block import Part, Residual, run_block
from engine.nn.containers import ModuleList, copies
from engine.nn.layers import Dropout, LayerNorm, Linear
from engine.nn.module import Module
from engine.nn.plain import is_plain, normalises_rows
from engine.tensor import Tensor

__all__ = ["TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"]

Compute = Callable[[Tensor], Tensor]

_PARTS = (("norm1", "dropout1"), ("norm2", "dropout2"), ("norm3", "dropout3"))  # PyTorch's names, a pair for each part


class _Layer(Module):
    """What encoder and decoder layers share: the parameters in PyTorch's order, and the parts that they hand to the block."""

    _attentions: tuple[str, ...]  # the names of the attentions, in the order in which they run
    _blocks: tuple[
        tuple[str, Any], ...
    ]  # PyTorch's methods for the parts, as engine has them; the network's comes last
    _own_forward: Callable[..., Tensor]

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
        self.activation = activation if callable(activation) else activation_named(activation, type(self).__name__)

    def _is_own(self) -> bool:
        """Whether `forward` is engine's, and no hook waits for its arguments or its result."""
        kind = type(self)
        return kind.forward is kind._own_forward and "forward" not in self.__dict__ and not self._has_hooks()

    def _fuses(self) -> bool:
        """Whether all that `_through` does not call is plain: attentions, dropouts, and the methods for the parts."""
        mine, kind = self.__dict__, type(self)
        for name, method in self._blocks:
            if name in mine or getattr(kind, name) is not method:
                return False
        for _, drop in _PARTS[: len(self._blocks)]:
            if not is_plain(mine[drop], Dropout):
                return False
        for name in self._attentions:
            attention = mine[name]
            if not (is_plain(attention, MultiheadAttention) and attention.packs):
                return False
            if attention.batch_first is not self.batch_first:
                return False
        return True

    def _takes_rows(self) -> bool:
        """Whether rows can take the place of a rectangle. Hooks and parts of the caller's are to see the rectangle."""
        mine = self.__dict__
        for norm, _ in _PARTS[: len(self._blocks)]:
            if not normalises_rows(mine[norm]):
                return False
        network = is_plain(mine["linear1"]) and is_plain(mine["dropout"]) and is_plain(mine["linear2"])
        return network and self._fuses()

    def _feed_forward(self, x: Tensor) -> Tensor:
        linear = self.linear1
        if self.activation is F.gelu and is_plain(linear, Linear):
            h = F.linear_gelu(x, linear.weight, linear.bias)
        else:
            h = self.activation(linear(x))
        return self.linear2(self.dropout(h))

    def _through(self, x: Tensor, *attends: Compute) -> Tensor:
        """x through the attentions and the network, each with its norm and its dropout, which are not called."""
        mine, parts = self.__dict__, []
        for compute, (norm, drop) in zip((*attends, self._feed_forward), _PARTS):
            dropout = mine[drop]
            parts.append(Part(compute, mine[norm], dropout.p if dropout.training else 0.0))
        return run_block(Residual(x), parts, self.norm_first).sum()

    def _by_modules(self, x: Tensor, *attends: Compute) -> Tensor:
        """The same by PyTorch's methods for the parts, which call each module."""
        parts = [Part(compute, getattr(self, norm)) for compute, (norm, _) in zip((*attends, self._ff_block), _PARTS)]
        return run_block(Residual(x), parts, self.norm_first).sum()

    def _refuse_packed(self) -> None:
        """Raises ValueError if a method for an attention is the caller's: it knows PyTorch's arguments only."""
        for name, method in self._blocks[:-1]:
            if name in self.__dict__ or getattr(type(self), name) is not method:
                op, expected = type(self).__name__, f"None, because {name} is overridden"
                raise BadValue(op, "cu_seqlens", expected, "packed tokens")

    def _sa_block(
        self,
        x: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
        **places: Any,
    ) -> Tensor:
        """Self-attention and its dropout. places: cu_seqlens and keys, if x is packed."""
        masks: dict[str, Any] = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        return self.dropout1(self.self_attn(x, x, x, **masks, need_weights=False, **places)[0])

    def _ff_block(self, x: Tensor) -> Tensor:
        """The network and its dropout."""
        drop = getattr(self, _PARTS[len(self._attentions)][1])
        return drop(self._feed_forward(x))


class TransformerEncoderLayer(_Layer):
    """Self-attention and a two-layer network, each with dropout, a residual and layer normalisation.

    norm_first: normalise before each part (pre-LN) rather than after the residual. activation: "relu", "gelu", "silu",
    "tanh" or a function. dropout: a probability in [0, 1]. Raises ValueError for values out of range.

    Fused ops do the work of several parts. A part that has hooks, is of another class or has another `forward` is called instead, and
    so are the methods `_sa_block` and `_ff_block` of a subclass. All of them get the rectangle if the layer got one. Packed tokens
    cannot be combined with another `_sa_block`: that raises ValueError.
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
        mask, padding = None if is_causal else src_mask, src_key_padding_mask
        if cu_seqlens is not None:
            refuse_masks(type(self).__name__, src_mask=mask, src_key_padding_mask=padding)
            if self._fuses():
                return self._through(src, lambda x: self.self_attn.packed(x, cu_seqlens, is_causal, keys=keys))
            self._refuse_packed()
            places = {"cu_seqlens": cu_seqlens} if keys is None else {"cu_seqlens": cu_seqlens, "keys": keys}
            return self._by_modules(src, lambda x: self._sa_block(x, None, None, is_causal, **places))
        if mask is None and self._takes_rows():
            door = _door(type(self).__name__, self, "src", src, padding)
            if door.serves(is_causal):
                return door.leave(self._own_forward(door.rows, is_causal=is_causal, **_places(door)))
        if self._fuses():
            own: dict[str, Any] = {"attn_mask": mask, "key_padding_mask": padding, "is_causal": is_causal}
            return self._through(src, lambda x: self.self_attn(x, x, x, **own, need_weights=False)[0])
        given = _as_numbers(src_mask, src), _as_numbers(padding, src)
        return self._by_modules(src, lambda x: self._sa_block(x, *given, is_causal=is_causal))

    _own_forward = forward
    _blocks = (("_sa_block", _Layer._sa_block), ("_ff_block", _Layer._ff_block))


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
        mask = None if tgt_is_causal else tgt_mask
        to_memory = None if memory_is_causal else memory_mask
        padding, memory_padding = tgt_key_padding_mask, memory_key_padding_mask
        if cu_seqlens is not None or memory_cu_seqlens is not None:
            refuse_masks(op, tgt_mask=mask, memory_mask=to_memory)
            refuse_masks(op, tgt_key_padding_mask=padding, memory_key_padding_mask=memory_padding)
            cu_q, cu_k = cu_seqlens, memory_cu_seqlens
            if cu_q is None or cu_k is None:
                name = "cu_seqlens" if cu_q is None else "memory_cu_seqlens"
                raise BadValue(op, name, "a Tensor, because tgt and memory are both packed or neither", None)
            if self._fuses():
                return self._through(
                    tgt,
                    lambda x: self.self_attn.packed(x, cu_q, tgt_is_causal, keys=keys),
                    lambda x: self.multihead_attn.packed(x, cu_q, memory_is_causal, memory, memory, cu_k),
                )
            self._refuse_packed()
            places = {"cu_seqlens": cu_q} if keys is None else {"cu_seqlens": cu_q, "keys": keys}
            return self._by_modules(
                tgt,
                lambda x: self._sa_block(x, None, None, tgt_is_causal, **places),
                lambda x: self._mha_block(x, memory, None, None, memory_is_causal, cu_seqlens=cu_q, cu_seqlens_k=cu_k),
            )
        if mask is None and to_memory is None and self._takes_rows():
            causal = {"tgt_is_causal": tgt_is_causal, "memory_is_causal": memory_is_causal}
            y = _on_rows(self._own_forward, op, self, tgt, memory, padding, memory_padding, **causal)
            if y is not None:
                return y
        if self._fuses():
            own: dict[str, Any] = {"attn_mask": mask, "key_padding_mask": padding, "is_causal": tgt_is_causal}
            other = {"attn_mask": to_memory, "key_padding_mask": memory_padding, "is_causal": memory_is_causal}
            return self._through(
                tgt,
                lambda x: self.self_attn(x, x, x, **own, need_weights=False)[0],
                lambda x: self.multihead_attn(x, memory, memory, **other, need_weights=False)[0],
            )
        return self._by_modules(
            tgt,
            lambda x: self._sa_block(x, tgt_mask, padding, tgt_is_causal),
            lambda x: self._mha_block(x, memory, memory_mask, memory_padding, memory_is_causal),
        )

    def _mha_block(
        self,
        x: Tensor,
        mem: Tensor,
        attn_mask: Tensor | None,
        key_padding_mask: Tensor | None,
        is_causal: bool = False,
        **places: Any,
    ) -> Tensor:
        """Attention to the memory and its dropout. places: cu_seqlens and cu_seqlens_k, if both are packed."""
        masks: dict[str, Any] = {"attn_mask": attn_mask, "key_padding_mask": key_padding_mask, "is_causal": is_causal}
        return self.dropout2(self.multihead_attn(x, mem, mem, **masks, need_weights=False, **places)[0])

    _own_forward = forward
    _blocks = (("_sa_block", _Layer._sa_block), ("_mha_block", _mha_block), ("_ff_block", _Layer._ff_block))


class _Stack(Module):
    """Copies of one layer, and a final normalisation if one is given."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        require(num_layers >= 1, type(self).__name__, "num_layers", "a number >= 1", num_layers)
        self.layers = ModuleList(copies(type(self).__name__, "num_layers", [layer], num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def _takes_rows(self, kind: type[_Layer]) -> bool:
        """Whether all layers are engine's own, without hooks: a layer of the caller's knows PyTorch's arguments only. The norm is
        then applied to rows too."""
        if self.norm is not None and not normalises_rows(self.norm):
            return False
        return all(isinstance(m, kind) and m._is_own() and m._takes_rows() for m in self.layers)

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


def copies_of(module: Module, N: int) -> ModuleList:
    """N copies of a module. Raises MemoryError if they do not fit into memory."""
    return ModuleList(copies("copies_of", "N", [module], N))


def activation_named(activation: str, op: str = "activation") -> Callable[[Tensor], Tensor]:
    """The function of that name. Raises ValueError for a name that is not known."""
    names = ("relu", "gelu", "silu", "tanh")
    require(activation in names, op, "activation", f"one of {', '.join(names)}, or a function", repr(activation))
    return getattr(F, activation)


def _as_numbers(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A bool mask as numbers that are added to scores, as PyTorch's encoder layer hands it to its parts."""
    if mask is None or mask.dtype is not _core.bool:
        return mask
    return ops.where(mask, float("-inf"), 0.0).to(like.dtype)


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
