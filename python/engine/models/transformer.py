"""A transformer encoder (Vaswani et al. 2017; BERT: Devlin et al. 2019, arXiv 1810.04805) and a classifier on top of it.

Parameters have the names of BERT in `transformers`, so that other libraries open the checkpoints. In memory, queries, keys and values
are one projection; in `state_dict` they are three, as in BERT.

Everything between the embeddings and the pooling works on packed tokens, (total_tokens, hidden_size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from engine import nn, ops
from engine.errors import BadType, require
from engine.layout import Layout, Rows
from engine.models.config import TransformerConfig
from engine.models.pretrained import Pretrained
from engine.nn import functional as F
from engine.nn.attention import project_apart
from engine.nn.block import Part, Residual, run_block, run_stack
from engine.nn.module import Module
from engine.nn.plain import is_plain
from engine.ops.naming import called_as
from engine.ops.packing import pack_padded, pad_packed, take_rows
from engine.tensor import Tensor

__all__ = ["Inputs", "TransformerClassifier", "TransformerEncoderModel"]


class Inputs:
    """The packed input of an encoder, made from a packed batch or from a rectangle.

    ids: int64 (total_tokens,). positions: the same, rows of the position table. types: the same, or None. embeds: (total_tokens, d),
    used instead of the word embeddings of the ids, or None. layout: where the sequences start. packed: whether the input was a packed
    batch, not a rectangle.

    Raises ValueError for shapes that do not fit and for sequences longer than the model's limit, TypeError for anything other than a
    packed batch or a Tensor.
    """

    __slots__ = ("embeds", "ids", "layout", "op", "packed", "positions", "types")

    def __init__(
        self,
        op: str,
        input: Any,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        config: TransformerConfig,
    ) -> None:
        self.op, self.embeds = op, inputs_embeds
        self.packed = hasattr(input, "cu_seqlens")  # a PackedBatch
        self.layout: Layout
        if self.packed:
            require(attention_mask is None, op, "attention_mask", "None for a packed batch", "a mask")
            self.ids, self.layout = input.input_ids, input.layout
            self.types = input.token_type_ids if token_type_ids is None else token_type_ids
            offset = config.position_offset
            counted = input.position_ids + offset if offset else input.position_ids
            self.positions = counted if position_ids is None else position_ids
        else:
            if not isinstance(input, Tensor):
                raise BadType(op, "input_ids", "a Tensor or a packed batch", type(input).__name__)
            require(input.ndim == 2, op, "input_ids", "shape (batch, length)", input.shape)
            self.layout = called_as(op, Layout.from_rectangle, *input.shape, attention_mask, device=input.device)
            self.ids, self.types = pack_padded(input, self.layout), None
            if token_type_ids is not None:
                self.types = self._pack("token_type_ids", token_type_ids)
            if position_ids is not None:
                self.positions = self._pack("position_ids", position_ids)
            else:
                self.positions = _positions(input, self.layout, config)
            if inputs_embeds is not None and inputs_embeds.ndim == 3:
                self.embeds = self._pack("inputs_embeds", inputs_embeds)
        tokens, longest, limit = self.ids.shape[0], self.layout.longest, config.max_length
        if self.embeds is not None:
            fits = self.embeds.shape[:1] == (tokens,)
            require(fits, op, "inputs_embeds", f"one row for each of {tokens} tokens", self.embeds.shape)
        expected = f"at most {limit} tokens a sequence (max_position_embeddings)"
        require(longest <= limit, op, "input_ids", expected, longest)

    def _pack(self, name: str, value: Tensor) -> Tensor:
        """The real cells of a rectangle (batch, length, *), or of a single row (1, length, *) that holds for all rows."""
        batch, length = self.layout.padded_shape
        if value.shape[:2] == (1, length):
            value = value.expand(batch, *value.shape[1:])
        return called_as(self.op, pack_padded, value, self.layout, input_as=name)

    def leave(self, y: Tensor) -> Tensor:
        """The encoder's output (total_tokens, *) in the form of the input: for a rectangle (batch, length, *), 0 at padding."""
        return y if self.packed else pad_packed(y, self.layout)


def _positions(ids: Tensor, layout: Layout, c: TransformerConfig) -> Tensor:
    """The rows of the position table for the real cells of a rectangle (batch, length), as `transformers` chooses them: by the
    column, so that padding before a token counts. If the table has rows before the first position (RoBERTa), by the number of
    ids up to the token that are not the padding token's; the padding token itself has the last of those rows."""
    offset, pad = c.position_offset, c.pad_token_id
    if offset and pad is not None:
        counts = (ids != pad).long()
        return pack_padded(counts.cumsum(1) * counts + (offset - 1), layout)
    columns = layout.positions if layout.indices is None else layout.indices % layout.padded_shape[1]
    return columns + offset if offset else columns


class _Embeddings(Module):
    """The sum of word, position and token-type embeddings, then the norm and dropout."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        d = c.embedding_size or c.hidden_size
        self.word_embeddings = nn.Embedding(c.vocab_size, d, padding_idx=c.pad_token_id)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, d)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, d) if c.type_vocab_size else None
        self.LayerNorm = nn.LayerNorm(d, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def forward(self, x: Inputs) -> Tensor:
        words, types, places = self.word_embeddings, self.token_type_embeddings, self.position_embeddings
        fuses = _reads_rows(words) and _reads_rows(places) and (types is None or _reads_rows(types))
        if x.embeds is not None or not fuses:
            y = called_as(x.op, words, x.ids, input_as="input_ids") if x.embeds is None else x.embeds
            y = y + called_as(x.op, places, x.positions, input_as="position_ids")
            if types is not None:
                y = y + types(ops.zeros_like(x.ids) if x.types is None else x.types)
        else:
            type_ids, type_rows = (None, None) if types is None else (x.types, types.weight)
            y = called_as(
                x.op, F.embedding_sum, x.ids, words.weight, x.positions, places.weight, type_ids, type_rows,
                padding_idx=words.padding_idx, input_as="input_ids",
            )  # fmt: skip
        return self.dropout(self.LayerNorm(y))


def _reads_rows(table: nn.Embedding) -> bool:
    """Whether the table's rows are all that a call of it would read."""
    return is_plain(table, nn.Embedding) and table.max_norm is None and not table.scale_grad_by_freq


class _SelfAttention(Module):
    """Self-attention without its output projection. Queries, keys and values are one projection, with a weight (3 * d, d)."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.p = c.num_attention_heads, c.attention_probs_dropout_prob
        self.qkv = nn.Linear(c.hidden_size, 3 * c.hidden_size)

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None) -> Tensor:
        """x: (total_tokens, d) -> the same, or (m, d) if `rows` chooses m tokens: then only these have queries."""
        tokens, d = x.shape
        if rows is None:
            qkv = self.qkv(x).view(tokens, 3, self.heads, d // self.heads)
            y = ops.attention_qkv(qkv, layout.cu_seqlens, dropout_p=self.p, training=self.training)
            return y.view(tokens, d)
        if is_plain(self.qkv, nn.Linear):
            q, k, v = project_apart(take_rows(x, layout, rows), x, self.qkv.weight, self.qkv.bias, self.heads)
        else:
            qkv = self.qkv(x)
            q = take_rows(qkv[:, :d], layout, rows).view(-1, self.heads, d // self.heads)
            _, k, v = qkv.view(tokens, 3, self.heads, d // self.heads).unbind(1)
        cu_q, cu_k = rows.layout.cu_seqlens, layout.cu_seqlens
        y = ops.attention(q, k, v, cu_q, cu_seqlens_k=cu_k, dropout_p=self.p, training=self.training)
        return y.view(-1, d)

    def _entries(self) -> Iterator[tuple[str, Tensor]]:
        """The projection's weight and bias are published as three."""
        for name, value in self.qkv._entries():
            if name in ("weight", "bias"):
                d = value.shape[0] // 3
                for i, part in enumerate(("query", "key", "value")):
                    yield f"{part}.{name}", Tensor(value._data.slice(0, i * d, (i + 1) * d, 1))
            else:  # an adapter's parameter
                yield f"qkv.{name}", value

    def _saved_children(self) -> Iterator[tuple[str, Any]]:
        return iter(())


class _Output(Module):
    """The projection that ends a part of a block, and the norm and the dropout of that part."""

    def __init__(self, c: TransformerConfig, in_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.hidden_dropout_prob)

    def part(self, compute: Callable[[Tensor], Tensor]) -> Part:
        """The part of a block that ends with `dense(compute(x))`."""
        drop = self.dropout
        if is_plain(drop, nn.Dropout):
            return Part(lambda x: self.dense(compute(x)), self.LayerNorm, drop.p if drop.training else 0.0)
        return Part(lambda x: drop(self.dense(compute(x))), self.LayerNorm)


def dense_and_act(x: Tensor, dense: Module, act: str) -> Tensor:
    """act(dense(x)), in one pass for a GELU of a plain projection."""
    if act in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
        approximate = "none" if act == "gelu" else "tanh"
        if is_plain(dense, nn.Linear):
            return F.linear_gelu(x, dense.weight, dense.bias, approximate)
        return F.gelu(dense(x), approximate)
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
    """BERT's block. Post-LN: LN(x + part(x)) for both parts. Pre-LN: x + part(LN(x)), with the same LN for each part."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.norm_first = c.norm_first
        self.attention = _Attention(c)
        self.intermediate = _Intermediate(c)
        self.output = _Output(c, c.intermediate_size)

    def forward(self, residual: Residual, layout: Layout, rows: Rows | None) -> Residual:
        attention = self.attention
        attend = attention.output.part(lambda x: attention.self(x, layout, rows))
        network = self.output.part(self.intermediate)
        return run_block(residual, (attend, network), self.norm_first, layout, rows)


class _Encoder(Module):
    """The stack of layers. If there are fewer layers than the config asks for, each runs several times in a row (ALBERT's groups)."""

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
        """Hidden states of all tokens (total_tokens, d), or only of the `rows` (m, d)."""
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
    """BERT's initial values: N(0, std^2) for projections and tables; 0 for biases and for the padding token's row."""
    for m in module.modules():
        if isinstance(m, nn.Linear | nn.Embedding):
            nn.init.normal_(m.weight, 0.0, std)
        if isinstance(m, nn.Linear) and m.bias is not None:
            nn.init.zeros_(m.bias)
        if isinstance(m, nn.Embedding) and m.padding_idx is not None:
            nn.init.zeros_(m.weight.detach().select(0, m.padding_idx))


class TransformerEncoderModel(Pretrained):
    """The encoder. A packed batch gives (total_tokens, hidden_size). input_ids (batch, length) with an attention_mask (1: token, 0:
    padding) give (batch, length, hidden_size), 0 at padding.

    In a rectangle a token's position is its column, also if padding precedes it, as in `transformers`; in the families that start
    after the padding token's id (RoBERTa), it is the number of ids before it that are not padding. `position_ids` gives other
    positions: rows of the position table, int64 (batch, length), (1, length), or (total_tokens,) for a packed batch. Unlike in
    `transformers`, the pooler reads the first real token of a row, not the first column.

    Raises ValueError for sequences longer than max_position_embeddings, IndexError for ids and positions outside of their tables.

    compute_unread: whether the last layer computes all tokens even if only some of them are read. Tests and benchmarks set it to True
    to compare.
    """

    compute_unread = False

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        config = self.config
        self.embeddings = _Embeddings(config)
        d, small = config.hidden_size, config.embedding_size
        projects = small is not None and (small != d or config.num_hidden_groups is not None)
        self.embeddings_project = nn.Linear(small, d) if small is not None and projects else None
        self.encoder = _Encoder(config)
        self.pooler = _Pooler(config) if config.pooler else None
        init_weights(self, config.initializer_range)

    def encode(self, x: Inputs, rows: Rows | None = None) -> Tensor:
        """Hidden states (total_tokens, hidden_size). rows: m tokens chosen from `x.layout`; then only their hidden states are returned,
        (m, hidden_size), and the last layer computes only these."""
        y = self.embeddings(x)
        if self.embeddings_project is not None:
            y = self.embeddings_project(y)
        if rows is not None and self.compute_unread:
            return take_rows(self.encoder(y, x.layout), x.layout, rows)
        return self.encoder(y, x.layout, rows)

    def inputs(
        self,
        input: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        op: str | None = None,
    ) -> Inputs:
        """Reads a packed batch or a rectangle."""
        name = op or type(self).__name__
        return Inputs(name, input, attention_mask, token_type_ids, position_ids, inputs_embeds, self.config)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        x = self.inputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        return x.leave(self.encode(x))

    def pool(self, hidden: Tensor, layout: Layout) -> Tensor:
        """The pooled hidden states (total_tokens, hidden_size) -> (batch, hidden_size), as the config says."""
        y = F.pool_packed(hidden, layout.cu_seqlens, self.config.pooling)
        return y if self.pooler is None else self.pooler(y)

    def encode_pooled(self, x: Inputs) -> Tensor:
        """The pooled hidden states (batch, hidden_size). The last layer computes only the tokens that the pooling reads."""
        if self.config.pooling != "first":
            return self.pool(self.encode(x), x.layout)
        y = self.encode(x, x.layout.first())
        return y if self.pooler is None else self.pooler(y)


class TransformerClassifier(Pretrained):
    """An encoder, pooling, dropout and a projection to logits (batch, num_labels).

    Call it with a packed batch, or with input_ids (batch, length) and an attention_mask (1: token, 0: padding). position_ids: as in
    `TransformerEncoderModel`. inputs_embeds: (total_tokens, embedding size), or (batch, length, embedding size) for a rectangle, used
    instead of the word embeddings of the ids.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        config = self.config
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
        position_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        x = self.bert.inputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        return self.classifier(self.dropout(self.bert.encode_pooled(x)))
