"""A transformer encoder (Vaswani et al. 2017; BERT: Devlin et al. 2019, arXiv 1810.04805) and a classifier on top of it.

Parameters carry the names of BERT in `transformers`, so that other libraries open the checkpoints. In memory, queries, keys
and values are one projection; `state_dict` gives and takes them as the three that BERT has.

Everything between the embeddings and the pooling works on packed tokens, (total_tokens, hidden_size).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine import nn, ops
from engine.errors import BadType, BadValue
from engine.layout import Layout, Rows
from engine.models.config import TransformerConfig
from engine.models.pretrained import Pretrained
from engine.nn import functional as F
from engine.nn.attention import project_apart
from engine.nn.block import Part, Residual, run_block, run_stack
from engine.nn.module import Module
from engine.ops.naming import called_as
from engine.ops.packing import pack_padded, pad_packed, take_rows
from engine.tensor import Tensor

__all__ = ["Inputs", "TransformerClassifier", "TransformerEncoderModel"]


class Inputs:
    """What an encoder reads, packed, whichever way it came.

    ids, positions: int64 (total_tokens,); types: the same or None; embeds: (total_tokens, d) in place of the words' rows, or None;
    layout: where the sequences start; packed: whether they came that way, and not as a rectangle.
    """

    __slots__ = ("embeds", "ids", "layout", "op", "packed", "positions", "types")

    def __init__(
        self,
        op: str,
        input: Any,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        limit: int,
    ) -> None:
        self.op, self.embeds, self.types = op, inputs_embeds, token_type_ids
        self.packed = hasattr(input, "cu_seqlens")  # a PackedBatch
        self.layout: Layout
        if self.packed:
            if attention_mask is not None:
                raise BadValue(op, "attention_mask", "None beside a packed batch", "a mask")
            self.ids, self.layout, self.positions = input.input_ids, input.layout, input.position_ids
            if token_type_ids is None:
                self.types = input.token_type_ids
        else:
            if not isinstance(input, Tensor):
                raise BadType(op, "input_ids", "a Tensor or a packed batch", type(input).__name__)
            if input.ndim != 2:
                raise BadValue(op, "input_ids", "shape (batch, length)", input.shape)
            self.layout = called_as(op, Layout.from_rectangle, *input.shape, attention_mask, device=input.device)
            self.ids, self.positions = pack_padded(input, self.layout), self.layout.positions
            if token_type_ids is not None:
                self.types = called_as(op, pack_padded, token_type_ids, self.layout, input_as="token_type_ids")
        if inputs_embeds is not None and inputs_embeds.shape[:1] != self.ids.shape:
            raise BadValue(op, "inputs_embeds", f"one row for each of {self.ids.shape[0]} tokens", inputs_embeds.shape)
        if self.layout.longest > limit:
            raise BadValue(
                op, "input_ids", f"at most {limit} tokens a sequence (max_position_embeddings)", self.layout.longest
            )

    def leave(self, y: Tensor) -> Tensor:
        """What the encoder made, (total_tokens, *), in the form in which the input came: (batch, length, *) of a rectangle."""
        return y if self.packed else pad_packed(y, self.layout)


class _Embeddings(Module):
    """Word, position and token-type embeddings, summed, normalised and dropped out."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        d = c.embedding_size or c.hidden_size
        self.offset = c.position_offset
        self.word_embeddings = nn.Embedding(c.vocab_size, d, padding_idx=c.pad_token_id)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, d)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, d) if c.type_vocab_size else None
        self.LayerNorm = nn.LayerNorm(d, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def forward(self, x: Inputs) -> Tensor:
        types = self.token_type_embeddings
        words = self.word_embeddings
        positions = x.positions + self.offset if self.offset else x.positions
        if x.embeds is not None:
            return self._from_words(x, x.embeds, positions)
        y = called_as(
            x.op,
            F.embedding_sum,
            x.ids,
            words.weight,
            positions,
            self.position_embeddings.weight,
            None if types is None else x.types,
            None if types is None else types.weight,
            padding_idx=words.padding_idx,
            input_as="input_ids",
        )
        return self.dropout(self.LayerNorm(y))

    def _from_words(self, x: Inputs, words: Tensor, positions: Tensor) -> Tensor:
        """The same with given rows in place of those of the words."""
        y = words + self.position_embeddings(positions)
        if self.token_type_embeddings is not None:
            y = y + self.token_type_embeddings(ops.zeros_like(x.ids) if x.types is None else x.types)
        return self.dropout(self.LayerNorm(y))


class _SelfAttention(Module):
    """The projection to queries, keys and values, in one piece of memory (3 * d, d)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.p = c.num_attention_heads, c.attention_probs_dropout_prob
        self.qkv = nn.Linear(c.hidden_size, 3 * c.hidden_size)

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None) -> Tensor:
        """One row a token, or of the `rows` alone: then keys and values of all tokens, queries of those rows."""
        tokens, d = x.shape
        if rows is None:
            qkv = self.qkv(x).view(tokens, 3, self.heads, d // self.heads)
            y = ops.attention_qkv(qkv, layout.cu_seqlens, dropout_p=self.p, training=self.training)
            return y.view(tokens, d)
        q, k, v = project_apart(take_rows(x, layout, rows), x, self.qkv.weight, self.qkv.bias, self.heads)
        cu_q, cu_k = rows.layout.cu_seqlens, layout.cu_seqlens
        y = ops.attention(q, k, v, cu_q, cu_seqlens_k=cu_k, dropout_p=self.p, training=self.training)
        return y.view(-1, d)

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The projection's weight and bias as the three that are published."""
        for name, value in super()._entries(prefix):
            kind = name.removeprefix(f"{prefix}qkv.")
            if kind in ("weight", "bias"):
                d = value.shape[0] // 3
                for i, part in enumerate(("query", "key", "value")):
                    yield f"{prefix}{part}.{kind}", Tensor(value._data.slice(0, i * d, (i + 1) * d, 1))
            else:  # an adapter's
                yield name, value


class _Output(Module):
    """The projection that ends a part of a block, and the norm and the dropout that go with the part."""

    def __init__(self, c: TransformerConfig, in_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.p = c.hidden_dropout_prob

    @property
    def dropout(self) -> float:
        """The probability with which elements of the part's result are dropped now."""
        return self.p if self.training else 0.0


def dense_and_act(x: Tensor, dense: nn.Linear, act: str) -> Tensor:
    if act in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
        return F.linear_gelu(x, dense.weight, dense.bias, "none" if act == "gelu" else "tanh")
    return getattr(F, act)(dense(x))


class _Intermediate(Module):
    """The first half of the feed-forward network: a projection and the activation."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.intermediate_size)
        self.act = c.hidden_act

    def forward(self, x: Tensor) -> Tensor:
        return dense_and_act(x, self.dense, self.act)


class _Attention(Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.add_module("self", _SelfAttention(c))
        self.output = _Output(c, c.hidden_size)


class _Layer(Module):
    """BERT's block. Post-LN: LN(x + part(x)) for both parts. Pre-LN: x + part(LN(x)); the LN is the one that stands behind in post-LN."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.norm_first = c.norm_first
        self.attention = _Attention(c)
        self.intermediate = _Intermediate(c)
        self.output = _Output(c, c.intermediate_size)

    def forward(self, residual: Residual, layout: Layout, rows: Rows | None) -> Residual:
        attention, upper, lower = self.attention, self.attention.output, self.output
        attend = Part(lambda x: upper.dense(attention.self(x, layout, rows)), upper.LayerNorm, upper.dropout)
        network = Part(lambda x: lower.dense(self.intermediate(x)), lower.LayerNorm, lower.dropout)
        return run_block(residual, (attend, network), self.norm_first, layout, rows)


class _Encoder(Module):
    """The stack; fewer layers than the config's are each used several times, side by side (ALBERT's groups)."""

    gradient_checkpointing = False

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.depth = c.num_hidden_layers
        held = min(self.depth, c.num_hidden_groups or self.depth)
        self.layer = nn.ModuleList([_Layer(c) for _ in range(held)])
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps) if c.norm_first else None

    def layers(self) -> list[Any]:
        """The layers in the order in which they run."""
        return [self.layer[i * len(self.layer) // self.depth] for i in range(self.depth)]

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None = None) -> Tensor:
        """Hidden states of all tokens, or of the `rows` alone."""
        again = self.gradient_checkpointing and self.training
        return run_stack(self.layers(), x, layout, rows, self.LayerNorm, again)


class _Pooler(Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)
        self.act = c.pooler_act
        p = c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout
        self.dropout = nn.Dropout(p) if c.pooler_dropout else None

    def forward(self, x: Tensor) -> Tensor:
        return dense_and_act(x if self.dropout is None else self.dropout(x), self.dense, self.act)


def init_weights(module: Module, std: float) -> None:
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

    compute_unread: whether all tokens of the last layer are computed even if only some of them are read. False; there to compare.
    """

    compute_unread = False

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.embeddings = _Embeddings(config)
        small = config.embedding_size
        projects = small is not None and (small != config.hidden_size or config.num_hidden_groups is not None)
        self.embeddings_project = nn.Linear(small, config.hidden_size) if small is not None and projects else None
        self.encoder = _Encoder(config)
        self.pooler = _Pooler(config) if config.pooler else None
        init_weights(self, config.initializer_range)

    def encode(self, x: Inputs, rows: Rows | None = None) -> Tensor:
        """Hidden states (total_tokens, hidden_size), or of the `rows`, chosen from `x.layout`, (m, hidden_size); of the last layer then
        only what is read is computed."""
        y = self.embeddings(x)
        if self.embeddings_project is not None:
            y = self.embeddings_project(y)
        if rows is not None and self.compute_unread:
            return take_rows(self.encoder(y, x.layout), x.layout, rows)
        return self.encoder(y, x.layout, rows)

    def inputs(
        self,
        input: Any,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None = None,
        op: str | None = None,
    ) -> Inputs:
        """Reads a packed batch or a rectangle."""
        limit = self.config.max_length
        return Inputs(op or type(self).__name__, input, attention_mask, token_type_ids, inputs_embeds, limit)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        x = self.inputs(input_ids, attention_mask, token_type_ids, inputs_embeds)
        return x.leave(self.encode(x))

    def pool(self, hidden: Tensor, layout: Layout) -> Tensor:
        """One row a sequence, (batch, hidden_size), of hidden states (total_tokens, hidden_size), as the config says."""
        y = F.pool_packed(hidden, layout.cu_seqlens, self.config.pooling)
        return y if self.pooler is None else self.pooler(y)

    def encode_pooled(self, x: Inputs) -> Tensor:
        """One row a sequence, (batch, hidden_size), as the config says; of the last layer only what pooling reads."""
        if self.config.pooling != "first":
            return self.pool(self.encode(x), x.layout)
        y = self.encode(x, x.layout.first())
        return y if self.pooler is None else self.pooler(y)


class TransformerClassifier(Pretrained):
    """An encoder, pooling, dropout and a projection to logits (batch, num_labels).

    Called with a packed batch, or with input_ids (batch, length) and an attention_mask. inputs_embeds: rows (total_tokens,
    embedding size) in place of those that the ids have in the table of words.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.bert = TransformerEncoderModel(config)
        p = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        init_weights(self.classifier, config.initializer_range)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        x = self.bert.inputs(input_ids, attention_mask, token_type_ids, inputs_embeds)
        return self.classifier(self.dropout(self.bert.encode_pooled(x)))
