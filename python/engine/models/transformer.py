"""A transformer encoder (Vaswani et al. 2017; BERT: Devlin et al. 2019, arXiv 1810.04805) and a classifier on top of it.

Parameters carry the names of BERT in `transformers`, so that other libraries open the checkpoints. In memory, queries, keys
and values are one projection; `state_dict` gives and takes them as the three that BERT has.

Everything between the embeddings and the pooling works on packed tokens, (total_tokens, hidden_size).
"""

from __future__ import annotations

from typing import Any

from engine import nn, ops
from engine.models.config import TransformerConfig
from engine.models.pretrained import Pretrained
from engine.nn import functional as F
from engine.nn.module import Module, plan_entry
from engine.ops.naming import called_as
from engine.ops.packing import RectangleLayout, pack_padded, pad_packed, rectangle_layout
from engine.tensor import Tensor

__all__ = ["TransformerClassifier", "TransformerEncoderModel"]


class _Inputs:
    """Ids of a packed batch, whichever way they came."""

    __slots__ = ("cu_seqlens", "ids", "layout", "op", "positions", "types")

    def __init__(
        self, op: str, input: Any, attention_mask: Tensor | None, token_type_ids: Tensor | None, limit: int
    ) -> None:
        self.op = op
        self.layout: RectangleLayout | None = None
        if hasattr(input, "cu_seqlens"):  # a PackedBatch
            if attention_mask is not None:
                raise ValueError(f"[{op}] attention_mask: expected None beside a packed batch, got a mask")
            self.ids, self.cu_seqlens, self.positions = input.input_ids, input.cu_seqlens, input.position_ids
            self.types = input.token_type_ids if token_type_ids is None else token_type_ids
            longest = input.max_seqlen
        else:
            if not isinstance(input, Tensor):
                raise TypeError(f"[{op}] input_ids: expected a Tensor or a packed batch, got {type(input).__name__}")
            if input.ndim != 2:
                raise ValueError(f"[{op}] input_ids: expected shape (batch, length), got {input.shape}")
            self.layout = called_as(
                op, rectangle_layout, input.shape[0], input.shape[1], attention_mask, device=input.device
            )
            self.ids = pack_padded(input, self.layout)
            self.types = None
            if token_type_ids is not None:
                self.types = called_as(op, pack_padded, token_type_ids, self.layout, input_as="token_type_ids")
            self.cu_seqlens, self.positions = self.layout.cu_seqlens, self.layout.position_ids
            longest = self.layout.max_seqlen
        if longest > limit:
            raise ValueError(
                f"[{op}] input_ids: expected at most {limit} tokens a sequence (max_position_embeddings), got {longest}"
            )


class _Embeddings(Module):
    """Word, position and token-type embeddings, summed, normalised and dropped out."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        d = c.hidden_size
        self.word_embeddings = nn.Embedding(c.vocab_size, d, padding_idx=c.pad_token_id)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, d)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, d) if c.type_vocab_size else None
        self.LayerNorm = nn.LayerNorm(d, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def forward(self, x: _Inputs) -> Tensor:
        types = self.token_type_embeddings
        words = self.word_embeddings
        y = called_as(
            x.op,
            F.embedding_sum,
            x.ids,
            words.weight,
            x.positions,
            self.position_embeddings.weight,
            None if types is None else x.types,
            None if types is None else types.weight,
            padding_idx=words.padding_idx,
            input_as="input_ids",
        )
        return self.dropout(self.LayerNorm(y))


class _SelfAttention(Module):
    """The projection to queries, keys and values, in one piece of memory (3 * d, d)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.p = c.num_attention_heads, c.attention_probs_dropout_prob
        self.qkv = nn.Linear(c.hidden_size, 3 * c.hidden_size)

    def forward(self, x: Tensor, cu_seqlens: Tensor, first: bool) -> Tensor:
        """One row a token; first: one a sequence, that of its first token."""
        tokens, d = x.shape
        if first:
            return self._first(x, cu_seqlens)
        qkv = self.qkv(x).view(tokens, 3, self.heads, d // self.heads)
        y = ops.attention_qkv(qkv, cu_seqlens, dropout_p=self.p, training=self.training)
        return y.view(tokens, d)

    def _first(self, x: Tensor, cu_seqlens: Tensor) -> Tensor:
        """Keys and values of all tokens, queries of the first ones alone."""
        d, batch = x.shape[1], cu_seqlens.shape[0] - 1
        assert self.qkv.bias is not None
        # Parts of one split: their gradients are joined in one pass, where slices would each write the whole.
        (wq, wkv), (bq, bkv) = self.qkv.weight.split([d, 2 * d]), self.qkv.bias.split([d, 2 * d])
        q = F.linear(F.pool_packed(x, cu_seqlens, "first"), wq, bq).view(batch, self.heads, d // self.heads)
        k, v = F.linear(x, wkv, bkv).view(x.shape[0], 2, self.heads, d // self.heads).unbind(1)
        ones = ops.arange(batch + 1, dtype=cu_seqlens.dtype, device=cu_seqlens.device)
        y = ops.attention(q, k, v, ones, cu_seqlens_k=cu_seqlens, dropout_p=self.p, training=self.training)
        return y.view(batch, d)

    def _parts(self, prefix: str, state: dict[str, Tensor]) -> Any:
        """(published name, its part of the memory) for each entry."""
        for kind, whole in (("weight", state["qkv.weight"]), ("bias", state["qkv.bias"])):
            d = whole.shape[0] // 3
            for i, name in enumerate(("query", "key", "value")):
                yield f"{prefix}{name}.{kind}", Tensor(whole._data.slice(0, i * d, (i + 1) * d, 1))

    def _publish(self, state: dict[str, Tensor], prefix: str) -> None:
        own = {name: state.pop(prefix + name) for name in ("qkv.weight", "qkv.bias")}
        state.update(self._parts(prefix, own))

    def _plan_load(
        self,
        state: dict[str, Tensor],
        prefix: str,
        plan: list[tuple[Tensor, Tensor]],
        missing: list[str],
        misshaped: list[str],
    ) -> None:
        for name, target in self._parts(prefix, {f"qkv.{k}": v for k, v in self.qkv.named_parameters()}):
            plan_entry(name, target, state, plan, missing, misshaped)


class _Output(Module):
    """A projection whose result goes through dropout, the residual and a normalisation."""

    def __init__(self, c: TransformerConfig, in_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.p = c.hidden_dropout_prob

    def add_and_norm(self, x: Tensor, residual: Tensor, norm: nn.LayerNorm, prenorm: bool = False) -> Any:
        return F.dropout_add_layer_norm(
            x, residual, norm.weight, norm.bias, self.p, training=self.training, eps=norm.eps, prenorm=prenorm
        )

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.add_and_norm(self.dense(x), residual, self.LayerNorm)


class _Intermediate(Module):
    """The first half of the feed-forward network: a projection and the activation."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.intermediate_size)
        self.act = c.hidden_act

    def forward(self, x: Tensor) -> Tensor:
        if self.act in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
            approximate = "none" if self.act == "gelu" else "tanh"
            return F.linear_gelu(x, self.dense.weight, self.dense.bias, approximate)
        return getattr(F, self.act)(self.dense(x))


class _Attention(Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.add_module("self", _SelfAttention(c))
        self.output = _Output(c, c.hidden_size)


class _Layer(Module):
    """Post-LN: LN(x + part(x)) for both parts. Pre-LN: x + part(LN(x)); the LN is the one that stands behind in post-LN.

    first: only the rows of each sequence's first token are computed, which is all that is read of a last layer before
    pooling by first token.
    """

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.attention = _Attention(c)
        self.intermediate = _Intermediate(c)
        self.output = _Output(c, c.intermediate_size)

    def forward(self, x: Tensor, cu_seqlens: Tensor, first: bool) -> Tensor:
        attention = self.attention
        y = attention.self(x, cu_seqlens, first)
        x = attention.output(y, F.pool_packed(x, cu_seqlens, "first") if first else x)
        return self.output(self.intermediate(x), x)

    def pre_norm(
        self, x: Tensor, normed: Tensor, cu_seqlens: Tensor, next_norm: nn.LayerNorm, first: bool
    ) -> tuple[Tensor, Tensor]:
        """x and its normalised form in; the same of the layer's output, normalised for what follows, out."""
        upper, lower = self.attention.output, self.output
        y = upper.dense(self.attention.self(normed, cu_seqlens, first))
        if first:
            x = F.pool_packed(x, cu_seqlens, "first")
        normed, x = upper.add_and_norm(y, x, lower.LayerNorm, prenorm=True)
        normed, x = lower.add_and_norm(lower.dense(self.intermediate(normed)), x, next_norm, prenorm=True)
        return x, normed


class _Encoder(Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_Layer(c) for _ in range(c.num_hidden_layers)])
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps) if c.norm_first else None

    def forward(self, x: Tensor, cu_seqlens: Tensor, first: bool = False) -> Tensor:
        """Hidden states of all tokens; first: of each sequence's first token alone."""
        last = len(self.layer) - 1
        if self.LayerNorm is None:
            for i, layer in enumerate(self.layer):
                x = layer(x, cu_seqlens, first and i == last)
            return x
        norms = [layer.attention.output.LayerNorm for layer in self.layer] + [self.LayerNorm]
        normed = norms[0](x)
        for i, layer in enumerate(self.layer):
            x, normed = layer.pre_norm(x, normed, cu_seqlens, norms[i + 1], first and i == last)
        return normed


class _Pooler(Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(self.dense(x))


def _init_weights(module: Module, std: float) -> None:
    """BERT's initial values: N(0, 0.02^2) for projections and tables, 0 for biases."""
    for m in module.modules():
        if isinstance(m, nn.Linear | nn.Embedding):
            nn.init.normal_(m.weight, 0.0, std)
        if isinstance(m, nn.Linear) and m.bias is not None:
            nn.init.zeros_(m.bias)
        if isinstance(m, nn.Embedding) and m.padding_idx is not None:
            nn.init.zeros_(m.weight.detach().select(0, m.padding_idx))


class TransformerEncoderModel(Pretrained):
    """The encoder. Called with a packed batch it gives (total_tokens, hidden_size); called with input_ids (batch, length) and
    an attention_mask (1: token, 0: padding) it gives (batch, length, hidden_size), 0 at padding.

    A rectangle's positions count its real tokens: left and right padding give the same result. Raises ValueError for
    sequences longer than max_position_embeddings, IndexError for ids out of the vocabulary.

    compute_unread: whether `encode_pooled` computes all tokens of the last layer even where pooling reads only the first
    ones. False; there to compare.
    """

    compute_unread = False

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embeddings = _Embeddings(config)
        self.encoder = _Encoder(config)
        self.pooler = _Pooler(config) if config.pooler else None
        _init_weights(self, config.initializer_range)

    def encode(self, x: _Inputs) -> Tensor:
        """Hidden states (total_tokens, hidden_size)."""
        return self.encoder(self.embeddings(x), x.cu_seqlens)

    def inputs(self, input: Any, attention_mask: Tensor | None, token_type_ids: Tensor | None) -> _Inputs:
        """Reads a packed batch or a rectangle."""
        limit = self.config.max_position_embeddings
        return _Inputs(type(self).__name__, input, attention_mask, token_type_ids, limit)

    def forward(
        self, input_ids: Any, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        x = self.inputs(input_ids, attention_mask, token_type_ids)
        y = self.encode(x)
        return y if x.layout is None else pad_packed(y, x.layout)

    def encode_pooled(self, x: _Inputs) -> Tensor:
        """One row a sequence, (batch, hidden_size), as the config says; of the last layer only what pooling reads."""
        if self.config.pooling == "first" and len(self.encoder.layer) > 0 and not self.compute_unread:
            y = self.encoder(self.embeddings(x), x.cu_seqlens, first=True)
        else:
            y = F.pool_packed(self.encode(x), x.cu_seqlens, self.config.pooling)
        return y if self.pooler is None else self.pooler(y)


class TransformerClassifier(Pretrained):
    """An encoder, pooling, dropout and a projection to logits (batch, num_labels).

    Called with a packed batch, or with input_ids (batch, length) and an attention_mask.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.bert = TransformerEncoderModel(config)
        p = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        _init_weights(self.classifier, config.initializer_range)

    def forward(
        self, input_ids: Any, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        x = self.bert.inputs(input_ids, attention_mask, token_type_ids)
        return self.classifier(self.dropout(self.bert.encode_pooled(x)))
