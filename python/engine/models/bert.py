"""Published encoders (BERT, DistilBERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA, ALBERT: see `families.py`) and their heads.

There is one class for each head, and it serves all families. `config.model_type` names the family of a model. The family decides the
pooler, the names in its files and the class that its config.json names. `AutoModel` and the other Auto classes choose the class of
a directory from its config.json.

Differs from `transformers`: models with a head return their logits, not an object that holds them. Each model takes a packed batch or
a rectangle.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from engine import nn, ops
from engine.errors import NotDefined, require
from engine.hub import resolve
from engine.models.config import TransformerConfig
from engine.models.pretrained import Pretrained, read_config
from engine.models.transformer import TransformerClassifier, TransformerEncoderModel, dense_and_act, init_weights
from engine.nn import functional as F
from engine.nn.plain import plain
from engine.tensor import Tensor

__all__ = [
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "EncoderOutput",
]


class EncoderOutput(NamedTuple):
    """What an encoder returns.

    last_hidden_state: (total_tokens, hidden_size) for a packed batch; (batch, length, hidden_size) for a rectangle, 0 at padding.
    pooler_output: (batch, hidden_size), computed from the first real tokens, also if padding precedes them; None in families without a pooler.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None


@plain
class BertModel(TransformerEncoderModel):
    """The encoder of a published family. `model(batch).last_hidden_state`."""

    head = "base"

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> EncoderOutput:
        x = self.inputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        y = self.encode(x)
        return EncoderOutput(x.leave(y), None if self.pooler is None else self.pool(y, x.layout))


class BertForSequenceClassification(TransformerClassifier):
    """Logits (batch, num_labels) of whole texts: the pooled first token, dropout, a projection.

    `config.problem_type` says what they mean: one label of several, any number of labels, or numbers (regression).
    """

    head = "sequence"


class _TokenModel(Pretrained):
    """An encoder without a pooler, and something on top of each token."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.bert = TransformerEncoderModel(self.config)

    def _on_top(self, hidden: Tensor) -> Tensor:
        raise NotDefined(type(self).__name__, "_on_top", "a class that defines this method", "one that does not")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        rows: Any = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Logits of every token: (total_tokens, n) for a packed batch; (batch, length, n) for a rectangle, 0 at padding.

        rows: numbers of tokens of a packed batch, (m,), rising, on the host. Only the logits of these tokens are computed, (m, n).
        """
        op = type(self).__name__
        x = self.bert.inputs(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, op)
        if rows is None:
            return x.leave(self._on_top(self.bert.read(x)))
        require(x.packed, op, "rows", "None for a rectangle (only packed batches have rows)", "numbers of tokens")
        return self._on_top(self.bert.read(x, x.layout.choose(rows, op)))

    def loss(self, batch: Any, ignore_index: int = -100, **options: Any) -> Tensor:
        """The cross-entropy of the tokens whose label is not ignore_index. Only the logits of these tokens are computed.

        batch: a packed batch with `labels`, int64 (total_tokens,). options: arguments of `cross_entropy`. A batch in which no token
        counts gives 0. Raises ValueError if the batch has no labels, or labels of another shape.
        """
        expected, got = batch.input_ids.shape, None if batch.labels is None else batch.labels.shape
        require(got == expected, f"{type(self).__name__}.loss", "labels", f"one label a token, shape {expected}", got)
        labels = batch.host("labels")
        (rows,) = (labels != ignore_index).nonzero()
        logits = self(batch, rows=rows)
        if not len(rows):
            return logits.sum()
        target = ops.from_numpy(labels[rows]).to(batch.device)
        return F.cross_entropy(logits, target, ignore_index=ignore_index, **options)


class BertForTokenClassification(_TokenModel):
    """Logits of each token, (total_tokens, num_labels): dropout and a projection."""

    head = "token"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        c = self.config
        p = getattr(c, self.family.token_dropout)
        self.dropout = nn.Dropout(c.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(c.hidden_size, c.num_labels)
        init_weights(self.classifier, c.initializer_range)

    def _on_top(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.dropout(hidden))


class BertForMaskedLM(_TokenModel):
    """Logits of each token over the vocabulary, (total_tokens, vocab_size): a projection, the activation, a normalisation, and a last
    projection. The weight of the last projection is the table of word embeddings; its bias is a separate parameter."""

    head = "masked"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.cls = nn.ModuleDict({"predictions": _PredictionHead(self.config, self.family.masked_act)})

    def _on_top(self, hidden: Tensor) -> Tensor:
        return self.cls.predictions(hidden, self.bert.embeddings.word_embeddings.weight)

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        tied = config.published.get("tie_word_embeddings") is not False
        expected = "True (the last projection is the table of words)"
        require(tied, "BertForMaskedLM", "tie_word_embeddings", expected, "False")
        return super().config_for(config)

    def _check_unused(self, state: dict[str, Tensor], op: str) -> None:
        """If the file holds the last projection too, it must be equal to the table of words."""
        words = self.bert.embeddings.word_embeddings.weight
        name = self.family.last_projection
        decoder = state.get(name, words)
        tied = decoder.shape == words.shape and bool((decoder.to(words.dtype) == words).all())
        require(tied, op, "directory", "a last projection that is the table of words (tied)", f"another {name}")


class _PredictionHead(nn.Module):
    """`cls.predictions`, as BERT names it. act: the activation, if it is not the encoder's."""

    def __init__(self, c: TransformerConfig, act: str | None) -> None:
        super().__init__()
        self.transform = _Transform(c, act or c.hidden_act)
        self.bias = nn.Parameter(ops.zeros(c.vocab_size))

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        return F.linear(self.transform(hidden), words, self.bias)


class _Transform(nn.Module):
    def __init__(self, c: TransformerConfig, act: str) -> None:
        super().__init__()
        size = c.embedding_size or c.hidden_size
        self.dense = nn.Linear(c.hidden_size, size)
        self.act = act
        self.LayerNorm = nn.LayerNorm(size, c.layer_norm_eps)
        init_weights(self.dense, c.initializer_range)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(dense_and_act(x, self.dense, self.act))


class _Auto:
    """Opens a directory (or a repository of the hub) as the model that its config.json describes. See `Pretrained.from_pretrained`."""

    published: type[Pretrained]  # the class of published models
    own: type[Pretrained] | None = None  # the class of engine's own models, if there is one

    @classmethod
    def _kind(cls, config: TransformerConfig) -> type[Pretrained]:
        return cls.published if cls.own is None or config.model_type is not None else cls.own

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], *, revision: str | None = None, **options: Any) -> Any:
        op = f"{cls.__name__}.from_pretrained"
        folder = resolve(directory, op, revision)
        return cls._kind(read_config(folder, op)).from_pretrained(folder, **options)

    @classmethod
    def from_config(cls, config: TransformerConfig) -> Any:
        """A model with initial values."""
        return cls._kind(config)(config)


class AutoModel(_Auto):
    """`BertModel` of any family, or engine's own `TransformerEncoderModel`."""

    published = BertModel
    own = TransformerEncoderModel


class AutoModelForSequenceClassification(_Auto):
    """`BertForSequenceClassification` of any family, or engine's own `TransformerClassifier`."""

    published = BertForSequenceClassification
    own = TransformerClassifier


class AutoModelForTokenClassification(_Auto):
    """`BertForTokenClassification` of any family."""

    published = BertForTokenClassification


class AutoModelForMaskedLM(_Auto):
    """`BertForMaskedLM` of any family."""

    published = BertForMaskedLM
