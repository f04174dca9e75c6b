"""The sizes and choices of a transformer encoder, by the names that `transformers` uses for BERT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from engine.errors import BadType, BadValue
from engine.models.families import FAMILIES

__all__ = ["TransformerConfig"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")
POOLING = ("first", "mean", "max")
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")


@dataclass
class TransformerConfig:
    """What a model is built from. Raises ValueError or TypeError for values that make no model.

    vocab_size, max_position_embeddings, type_vocab_size: rows of the embedding tables; type_vocab_size 0: no token types.
    pooling: what a classifier reads: "first" token, "mean" or "max" over a sequence. pooler: a Linear and tanh behind it, as in
        BERT. classifier_dropout: default hidden_dropout_prob.
    norm_first: normalise before each part (pre-LN) rather than after it; then a last normalisation follows the layers.
    pad_token_id: the id whose embedding starts as zeros and gets no gradient; None: no such id.
    id2label: names of the classes, kept with the model.
    problem_type: what a classifier's logits mean, by the names of `transformers`: "single_label_classification",
        "multi_label_classification" or "regression"; None: a single label.
    model_type: the published family whose config.json and names of weights the model is saved with ("bert", "distilbert",
        "roberta", "xlm-roberta", "electra", "albert"); None: engine's own.
    embedding_size: of the tables, where a projection to hidden_size follows them (ELECTRA, ALBERT); None: hidden_size.
    num_hidden_groups: layers with weights of their own, which the others share (ALBERT); None: all.
    position_offset: the row of the position table that a first token has (RoBERTa: pad_token_id + 1).
    pooler_act, pooler_dropout: what the pooler ends with, and whether dropout comes before it (ELECTRA, RoBERTa).
    published: further entries of the config.json that the model came with; they are written back.
    """

    vocab_size: int
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    intermediate_size: int = 512
    max_position_embeddings: int = 512
    type_vocab_size: int = 0
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    num_labels: int = 2
    pooling: str = "first"
    layer_norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    norm_first: bool = False
    pad_token_id: int | None = 0
    initializer_range: float = 0.02
    classifier_dropout: float | None = None
    pooler: bool = False
    id2label: dict[int, str] | None = None
    problem_type: str | None = None
    model_type: str | None = None
    embedding_size: int | None = None
    num_hidden_groups: int | None = None
    position_offset: int = 0
    pooler_act: str = "tanh"
    pooler_dropout: bool = False
    published: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
        for name, least in [
            *((name, 1) for name in sizes),
            ("num_hidden_layers", 0),
            ("type_vocab_size", 0),
            ("num_labels", 1),
            ("embedding_size", 1),
            ("num_hidden_groups", 1),
            ("position_offset", 0),
        ]:
            value = getattr(self, name)
            if value is None and name in ("embedding_size", "num_hidden_groups"):
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadType("TransformerConfig", name, "an integer", repr(value))
            if not least <= value < 2**31:
                raise BadValue("TransformerConfig", name, f"a number in [{least}, 2^31)", value)
        if self.hidden_size % self.num_attention_heads:
            raise BadValue(
                "TransformerConfig",
                "hidden_size",
                f"a multiple of num_attention_heads ({self.num_attention_heads})",
                self.hidden_size,
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            if value is None and name == "classifier_dropout":
                continue
            if not isinstance(value, int | float):
                raise BadType("TransformerConfig", name, "a number", repr(value))
            if not 0 <= value < 1:
                raise BadValue("TransformerConfig", name, "a probability in [0, 1)", value)
        for name in ("layer_norm_eps", "initializer_range"):
            if not isinstance(getattr(self, name), int | float) or not getattr(self, name) >= 0:
                raise BadValue("TransformerConfig", name, "a number >= 0", repr(getattr(self, name)))
        if not self.position_offset < self.max_position_embeddings:
            raise BadValue(
                "TransformerConfig",
                "position_offset",
                f"less than max_position_embeddings ({self.max_position_embeddings})",
                self.position_offset,
            )
        for name, known in (
            ("hidden_act", ACTIVATIONS), ("pooler_act", ACTIVATIONS), ("pooling", POOLING),
            ("problem_type", (None, *PROBLEMS)), ("model_type", (None, *FAMILIES)),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise BadValue(
                    "TransformerConfig", name, f"one of {', '.join(map(str, known))}", repr(getattr(self, name))
                )
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise BadValue("TransformerConfig", "pad_token_id", f"one in [0, {self.vocab_size})", self.pad_token_id)
        if self.id2label is not None:
            self.id2label = {int(number): str(label) for number, label in self.id2label.items()}

    @property
    def max_length(self) -> int:
        """Tokens of a sequence, at most."""
        return self.max_position_embeddings - self.position_offset

    @property
    def labels(self) -> dict[int, str]:
        """Names of all classes: those of `id2label`, and LABEL_0, LABEL_1, ... where it has none."""
        return {i: (self.id2label or {}).get(i, f"LABEL_{i}") for i in range(self.num_labels)}

    def to_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON; of a published family in its names."""
        values = asdict(self)
        published = values.pop("published")
        labels = None if self.id2label is None else {str(number): label for number, label in self.id2label.items()}
        if self.model_type is None:
            extra = ("model_type", "problem_type", "embedding_size", "num_hidden_groups", "position_offset")
            for name in (*extra, "pooler_act", "pooler_dropout"):  # engine's own files stay as they were
                if values[name] == getattr(TransformerConfig, name):
                    del values[name]
            return {**published, **values, "id2label": labels}
        written = {**published, **FAMILIES[self.model_type].write(values)}
        for key in ("dtype", "torch_dtype"):  # of the file it came with: in memory and in new files weights are float32
            if key in written:
                written[key] = "float32"
        if self.num_labels != 2 or labels is not None:
            named = self.labels
            written["id2label"] = {str(number): label for number, label in named.items()}
            written["label2id"] = {label: number for number, label in named.items()}
        if self.problem_type is not None:
            written["problem_type"] = self.problem_type
        if self.pooling != "first":
            written["pooling"] = self.pooling
        return written

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """From a dict such as a config.json holds, engine's own or that of a published family (`model_type`).

        Entries that are no fields are kept in `published`. Raises ValueError where vocab_size is missing or the family, or a
        choice of it, is not supported.
        """
        if not isinstance(values, Mapping):
            raise BadType("TransformerConfig", "values", "a dict", type(values).__name__)
        if "vocab_size" not in values:
            raise BadValue("TransformerConfig", "vocab_size", "a number", "none")
        known = {f.name for f in fields(cls)} - {"published"}
        kind = values.get("model_type")
        if kind is not None:
            if kind not in FAMILIES:
                raise BadValue("TransformerConfig", "model_type", f"one of {', '.join(FAMILIES)}", repr(kind))
            chosen, rest = FAMILIES[kind].read(values)
        else:
            chosen = {key: value for key, value in values.items() if key in known}
            rest = {key: value for key, value in values.items() if key not in known}
        labels = chosen.get("id2label")
        if labels is not None and not isinstance(labels, Mapping):
            raise BadType("TransformerConfig", "id2label", "a dict", type(labels).__name__)
        if labels is not None and "num_labels" not in chosen:
            chosen["num_labels"] = max(len(labels), 1)
        rest.pop("architectures", None)
        return cls(**chosen, published=rest)
