"""Published encoders (BERT, DistilBERT, RoBERTa, XLM-RoBERTa, ELECTRA, ALBERT: see `families.py`) and their heads.

One class a head serves all families: `config.model_type` says which one a model is of, and with it the pooler, the names in its
files and the class that its config.json names. `AutoModel` and its kin open a directory by what it says of itself.

Differs from `transformers`: models with a head give their logits, not an object that holds them; each takes a packed batch, and
a rectangle likewise.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, NamedTuple

from engine import nn, ops
from engine.errors import BadValue, NotDefined
from engine.hub import resolve
from engine.models.config import TransformerConfig
from engine.models.families import FAMILIES
from engine.models.pretrained import Pretrained, read_config
from engine.models.transformer import TransformerClassifier, TransformerEncoderModel, dense_and_act, init_weights
from engine.nn import functional as F
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


def _with_pooler(config: TransformerConfig, head: str) -> TransformerConfig:
    """The config with the pooler that this head has in its family."""
    if config.model_type is None:
        config = replace(config, model_type="bert")
    family = FAMILIES[str(config.model_type)]
    chosen = family.pooler if head == "sequence" else {}
    default = {"pooler_act": "tanh", "pooler_dropout": False}
    return replace(config, pooler=head in family.pooled, **{**default, **chosen})


class EncoderOutput(NamedTuple):
    """What an encoder gives.

    last_hidden_state: (total_tokens, hidden_size) of a packed batch, (batch, length, hidden_size) of a rectangle, 0 at padding.
    pooler_output: (batch, hidden_size), what the pooler makes of the first tokens; None in families without one.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None


class BertModel(TransformerEncoderModel):
    """The encoder of a published family. `model(batch).last_hidden_state`."""

    head = "base"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(self.config_for(config))

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        return _with_pooler(config, cls.head)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
    ) -> EncoderOutput:
        x = self.inputs(input_ids, attention_mask, token_type_ids, inputs_embeds)
        y = self.encode(x)
        return EncoderOutput(x.leave(y), None if self.pooler is None else self.pool(y, x.layout))


class BertForSequenceClassification(TransformerClassifier):
    """Logits (batch, num_labels) of whole texts: the pooled first token, dropout, a projection.

    `config.problem_type` says what they mean: one label of several, any number of labels, or numbers (regression).
    """

    head = "sequence"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(self.config_for(config))

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        return _with_pooler(config, cls.head)


class _TokenModel(Pretrained):
    """An encoder without a pooler, and something on top of each token."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(self.config_for(config))
        self.bert = TransformerEncoderModel(self.config)

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        return _with_pooler(config, cls.head)

    def _on_top(self, hidden: Tensor) -> Tensor:
        raise NotDefined(type(self).__name__, "_on_top", "a method of this name", "none")

    def forward(
        self,
        input_ids: Any,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        rows: Any = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Logits of every token: (total_tokens, n) of a packed batch, (batch, length, n) of a rectangle, 0 at padding.

        rows: rising numbers of tokens of a packed batch, (m,) on the host: logits (m, n) of these alone, and nothing is computed that
        they do not need.
        """
        op = type(self).__name__
        x = self.bert.inputs(input_ids, attention_mask, token_type_ids, inputs_embeds, op)
        if rows is None:
            return x.leave(self._on_top(self.bert.encode(x)))
        if not x.packed:
            raise BadValue(op, "rows", "None beside a rectangle", "numbers of tokens")
        return self._on_top(self.bert.encode(x, x.layout.choose(rows, op)))

    def loss(self, batch: Any, ignore_index: int = -100, **options: Any) -> Tensor:
        """Cross-entropy over the tokens whose label, `batch.labels` (total_tokens,), is not ignore_index; only these are computed.

        options: of `cross_entropy`. A batch in which no token counts gives 0.
        """
        if batch.labels is None or batch.labels.shape != batch.input_ids.shape:
            got = None if batch.labels is None else batch.labels.shape
            raise BadValue(f"{type(self).__name__}.loss", "labels", f"one a token, shape {batch.input_ids.shape}", got)
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
        p = getattr(c, FAMILIES[str(c.model_type)].token_dropout)
        self.dropout = nn.Dropout(c.hidden_dropout_prob if p is None else p)
        self.classifier = nn.Linear(c.hidden_size, c.num_labels)
        init_weights(self.classifier, c.initializer_range)

    def _on_top(self, hidden: Tensor) -> Tensor:
        return self.classifier(self.dropout(hidden))


class BertForMaskedLM(_TokenModel):
    """Logits of each token over the vocabulary, (total_tokens, vocab_size): a projection, the activation, a normalisation, and
    the table of words as the last projection (its weight is that of the embedding), with a bias of its own."""

    head = "masked"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.cls = _Predictions(self.config)

    def _on_top(self, hidden: Tensor) -> Tensor:
        return self.cls.predictions(hidden, self.bert.embeddings.word_embeddings.weight)

    @classmethod
    def config_for(cls, config: TransformerConfig) -> TransformerConfig:
        if config.published.get("tie_word_embeddings") is False:
            raise BadValue(
                "BertForMaskedLM", "tie_word_embeddings", "True (the last projection is the table of words)", "False"
            )
        return super().config_for(config)

    def _check_unused(self, state: dict[str, Tensor], op: str) -> None:
        """A last projection that is in the file for itself must be the table of words."""
        words = self.bert.embeddings.word_embeddings.weight
        name = FAMILIES[str(self.config.model_type)].last_projection
        decoder = state.get(name, words)
        if decoder.shape != words.shape or not bool((decoder.to(words.dtype) == words).all().item()):
            raise BadValue(op, "directory", "a last projection that is the table of words (tied)", f"another {name}")


class _Predictions(nn.Module):
    """`cls.predictions`, as BERT names it."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.predictions = _PredictionHead(c)


class _PredictionHead(nn.Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.transform = _Transform(c)
        self.bias = nn.Parameter(ops.zeros(c.vocab_size))

    def forward(self, hidden: Tensor, words: Tensor) -> Tensor:
        return F.linear(self.transform(hidden), words, self.bias)


class _Transform(nn.Module):
    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        size = c.embedding_size or c.hidden_size
        self.dense = nn.Linear(c.hidden_size, size)
        self.act = FAMILIES[str(c.model_type)].masked_act or c.hidden_act
        self.LayerNorm = nn.LayerNorm(size, c.layer_norm_eps)
        init_weights(self.dense, c.initializer_range)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(dense_and_act(x, self.dense, self.act))


class _Auto:
    """Opens a directory (or a name on the hub) as the model that it says it is. See `Pretrained.from_pretrained`."""

    published: type[Pretrained]
    own: type[Pretrained] | None = None

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], *, revision: str | None = None, **options: Any) -> Any:
        op = f"{cls.__name__}.from_pretrained"
        folder = resolve(directory, op, revision)
        kind = cls.published
        if cls.own is not None and read_config(folder, op).model_type is None:
            kind = cls.own
        return kind.from_pretrained(folder, **options)

    @classmethod
    def from_config(cls, config: TransformerConfig) -> Any:
        """A model with initial values."""
        own = cls.own is not None and config.model_type is None
        return cls.own(config) if own and cls.own else cls.published(config)


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
