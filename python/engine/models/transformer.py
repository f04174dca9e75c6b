"""A transformer encoder (Vaswani et al. 2017; BERT: Devlin et al. 2019, arXiv 1810.04805) and a classifier on top of it.

Parameters carry the names of BERT in `transformers`, so that other libraries open the checkpoints. In memory, queries, keys
and values are one projection; `state_dict` gives and takes them as the three that BERT has.

Everything between the embeddings and the pooling works on packed tokens, (total_tokens, hidden_size).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine import nn, ops
from engine.autograd import checkpoint
from engine.models.config import TransformerConfig
from engine.models.pretrained import Pretrained
from engine.nn import functional as F
from engine.nn.module import Module, plan_entry
from engine.ops.naming import called_as
from engine.ops.packing import RectangleLayout, pack_padded, pad_packed, rectangle_layout, take_tokens
from engine.tensor import Tensor

__all__ = ["TransformerClassifier", "TransformerEncoderModel"]


class _Rows(NamedTuple):
    """The tokens that are read of the last layer: all else of it need not be computed.

    indices: int64 (m,), rising, None: the first of each sequence; cu_seqlens: where those of each sequence start.
    """

    indices: Tensor | None
    cu_seqlens: Tensor

    def take(self, x: Tensor, cu_seqlens: Tensor) -> Tensor:
        """The rows of x (total_tokens, d) that are read."""
        return F.pool_packed(x, cu_seqlens, "first") if self.indices is None else take_tokens(x, self.indices)


def _first_rows(cu_seqlens: Tensor) -> _Rows:
    return _Rows(None, ops.arange(cu_seqlens.shape[0], dtype=cu_seqlens.dtype, device=cu_seqlens.device))


def _chosen_rows(op: str, indices: Any, cu_seqlens: Tensor) -> _Rows:
    """Checks the numbers of the tokens to read; their sequences are found on the host."""
    chosen = indices.cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
    ends = cu_seqlens.cpu().numpy()
    if chosen.ndim != 1 or not (np.issubdtype(chosen.dtype, np.integer) or not chosen.size):
        raise ValueError(f"[{op}] rows: expected integers of shape (m,), got {chosen.dtype} {chosen.shape}")
    if chosen.size and (chosen[0] < 0 or chosen[-1] >= ends[-1] or (np.diff(chosen) <= 0).any()):
        raise IndexError(f"[{op}] rows: expected rising numbers of tokens in [0, {ends[-1]}), got others")
    starts = ops.from_numpy(np.searchsorted(chosen, ends).astype(np.int32))
    rows = ops.from_numpy(np.ascontiguousarray(chosen, dtype=np.int64))
    return _Rows(rows.to(cu_seqlens.device), starts.to(cu_seqlens.device))


class _Inputs:
    """Ids of a packed batch, whichever way they came."""

    __slots__ = ("cu_seqlens", "embeds", "ids", "layout", "op", "positions", "types")

    def __init__(
        self,
        op: str,
        input: Any,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        limit: int,
    ) -> None:
        self.op, self.embeds = op, inputs_embeds
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
        if inputs_embeds is not None and inputs_embeds.shape[:1] != self.ids.shape:
            raise ValueError(
                f"[{op}] inputs_embeds: expected one row for each of {self.ids.shape[0]} tokens, got {inputs_embeds.shape}"
            )
        if longest > limit:
            raise ValueError(
                f"[{op}] input_ids: expected at most {limit} tokens a sequence (max_position_embeddings), got {longest}"
            )


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

    def forward(self, x: _Inputs) -> Tensor:
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

    def _from_words(self, x: _Inputs, words: Tensor, positions: Tensor) -> Tensor:
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

    def forward(self, x: Tensor, cu_seqlens: Tensor, rows: _Rows | None) -> Tensor:
        """One row a token, or of the `rows` alone."""
        tokens, d = x.shape
        if rows is not None:
            return self._of_rows(x, cu_seqlens, rows)
        qkv = self.qkv(x).view(tokens, 3, self.heads, d // self.heads)
        y = ops.attention_qkv(qkv, cu_seqlens, dropout_p=self.p, training=self.training)
        return y.view(tokens, d)

    def _of_rows(self, x: Tensor, cu_seqlens: Tensor, rows: _Rows) -> Tensor:
        """Keys and values of all tokens, queries of those rows alone."""
        d = x.shape[1]
        assert self.qkv.bias is not None
        # Parts of one split: their gradients are joined in one pass, where slices would each write the whole.
        (wq, wkv), (bq, bkv) = self.qkv.weight.split([d, 2 * d]), self.qkv.bias.split([d, 2 * d])
        q = F.linear(rows.take(x, cu_seqlens), wq, bq).view(-1, self.heads, d // self.heads)
        k, v = F.linear(x, wkv, bkv).view(x.shape[0], 2, self.heads, d // self.heads).unbind(1)
        y = ops.attention(q, k, v, rows.cu_seqlens, cu_seqlens_k=cu_seqlens, dropout_p=self.p, training=self.training)
        return y.view(-1, d)

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
        for name, value in self.qkv.named_parameters():
            if name not in ("weight", "bias"):  # an adapter's
                plan_entry(f"{prefix}qkv.{name}", value, state, plan, missing, misshaped)


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
    """Post-LN: LN(x + part(x)) for both parts. Pre-LN: x + part(LN(x)); the LN is the one that stands behind in post-LN.

    rows: only these are computed, which is all that is read of a last layer before pooling by first token, or by a loss over
    some of the tokens.
    """

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.attention = _Attention(c)
        self.intermediate = _Intermediate(c)
        self.output = _Output(c, c.intermediate_size)

    def forward(self, x: Tensor, cu_seqlens: Tensor, rows: _Rows | None) -> Tensor:
        attention = self.attention
        y = attention.self(x, cu_seqlens, rows)
        x = attention.output(y, x if rows is None else rows.take(x, cu_seqlens))
        return self.output(self.intermediate(x), x)

    def pre_norm(
        self, x: Tensor, normed: Tensor, cu_seqlens: Tensor, next_norm: nn.LayerNorm, rows: _Rows | None
    ) -> tuple[Tensor, Tensor]:
        """x and its normalised form in; the same of the layer's output, normalised for what follows, out."""
        upper, lower = self.attention.output, self.output
        y = upper.dense(self.attention.self(normed, cu_seqlens, rows))
        if rows is not None:
            x = rows.take(x, cu_seqlens)
        normed, x = upper.add_and_norm(y, x, lower.LayerNorm, prenorm=True)
        normed, x = lower.add_and_norm(lower.dense(self.intermediate(normed)), x, next_norm, prenorm=True)
        return x, normed


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

    def forward(self, x: Tensor, cu_seqlens: Tensor, rows: _Rows | None = None) -> Tensor:
        """Hidden states of all tokens, or of the `rows` alone."""
        layers = self.layers()
        last = self.depth - 1
        again = self.gradient_checkpointing and self.training
        if self.LayerNorm is None:
            for i, layer in enumerate(layers):
                chosen = rows if i == last else None
                x = checkpoint(layer, x, cu_seqlens, chosen) if again else layer(x, cu_seqlens, chosen)
            return x
        norms = [layer.attention.output.LayerNorm for layer in layers] + [self.LayerNorm]
        normed = norms[0](x)
        for i, layer in enumerate(layers):
            given = (x, normed, cu_seqlens, norms[i + 1], rows if i == last else None)
            x, normed = checkpoint(layer.pre_norm, *given) if again else layer.pre_norm(*given)
        return normed


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

    compute_unread: whether `encode_pooled` computes all tokens of the last layer even where pooling reads only the first
    ones. False; there to compare.
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

    def encode(self, x: _Inputs, rows: _Rows | None = None) -> Tensor:
        """Hidden states (total_tokens, hidden_size), or of the `rows` alone."""
        y = self.embeddings(x)
        if self.embeddings_project is not None:
            y = self.embeddings_project(y)
        if rows is not None and self.encoder.depth == 0:
            return rows.take(self.encoder(y, x.cu_seqlens), x.cu_seqlens)
        return self.encoder(y, x.cu_seqlens, rows)

    def encode_rows(self, x: _Inputs, rows: Any = None) -> Tensor:
        """Hidden states of the tokens with the numbers `rows` (m, hidden_size), of all where None; of the last layer only what is
        read is computed. Raises IndexError unless they rise within [0, total_tokens)."""
        if rows is None:
            return self.encode(x)
        chosen = _chosen_rows(x.op, rows, x.cu_seqlens)
        return chosen.take(self.encode(x), x.cu_seqlens) if self.compute_unread else self.encode(x, chosen)

    def inputs(
        self,
        input: Any,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None = None,
        op: str | None = None,
    ) -> _Inputs:
        """Reads a packed batch or a rectangle."""
        limit = self.config.max_length
        return _Inputs(op or type(self).__name__, input, attention_mask, token_type_ids, inputs_embeds, limit)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> Any:
        x = self.inputs(input_ids, attention_mask, token_type_ids, inputs_embeds)
        y = self.encode(x)
        return y if x.layout is None else pad_packed(y, x.layout)

    def pool(self, hidden: Tensor, cu_seqlens: Tensor) -> Tensor:
        """One row a sequence, (batch, hidden_size), of hidden states (total_tokens, hidden_size), as the config says."""
        y = F.pool_packed(hidden, cu_seqlens, self.config.pooling)
        return y if self.pooler is None else self.pooler(y)

    def encode_pooled(self, x: _Inputs) -> Tensor:
        """One row a sequence, (batch, hidden_size), as the config says; of the last layer only what pooling reads."""
        if self.config.pooling != "first" or self.compute_unread:
            return self.pool(self.encode(x), x.cu_seqlens)
        y = self.encode(x, _first_rows(x.cu_seqlens))
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
