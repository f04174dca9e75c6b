"""The sizes and settings of a transformer encoder, by the names that `transformers` uses for BERT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from engine.errors import Argument, BadType, BadValue, require
from engine.models.families import FAMILIES, family_of
from engine.settings import Between, checked, shortened

__all__ = ["TransformerConfig"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")
POOLING = ("first", "mean", "max")
PROBLEMS = ("single_label_classification", "multi_label_classification", "regression")

_OP = "TransformerConfig"
_SIZE = Annotated[int, Between(1, 2**31 - 1)]
_COUNT = Annotated[int, Between(0, 2**31 - 1)]
_KINDS: dict[str, Any] = {
    **dict.fromkeys(
        ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings", "num_labels"), _SIZE
    ),
    **dict.fromkeys(("type_vocab_size", "position_offset"), _COUNT),
    **dict.fromkeys(("embedding_size", "num_hidden_groups"), _SIZE | None),
    "num_hidden_layers": Annotated[int, Between(0, 4096)],  # layers may share their weights, so files do not bound their number
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range"), float),
    **dict.fromkeys(("norm_first", "pooler", "pooler_dropout"), bool),
    **dict.fromkeys(("pooling", "hidden_act", "pooler_act"), str),
    **dict.fromkeys(("problem_type", "model_type"), str | None),
    "classifier_dropout": float | None, "pad_token_id": int | None, "published": dict,
}  # fmt: skip
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "hidden_act": ACTIVATIONS, "pooler_act": ACTIVATIONS, "pooling": POOLING, "problem_type": (None, *PROBLEMS),
    "model_type": (None, *FAMILIES),
}  # fmt: skip
# Fields that are written to config.json only if they differ from the default: engine's own files of 0.1 do not have them.
_NEWER = (
    "model_type", "problem_type", "embedding_size", "num_hidden_groups", "position_offset", "pooler_act", "pooler_dropout",
)  # fmt: skip


@dataclass
class TransformerConfig:
    """What a model is built from. Raises ValueError or TypeError for values of which no model can be built.

    vocab_size, max_position_embeddings, type_vocab_size: rows of the embedding tables; type_vocab_size 0: no token types.
    pooling: what a classifier reads: "first" token, "mean" or "max" over a sequence. pooler: whether a Linear and an activation follow
        the pooling, as in BERT. classifier_dropout: None: as hidden_dropout_prob.
    norm_first: normalise before each part (pre-LN) rather than after it; then a last normalisation follows the layers.
    pad_token_id: the id whose embedding starts as zeros and gets no gradient; None: there is no such id.
    id2label: names of the classes, kept with the model.
    problem_type: what a classifier's logits mean, by the names of `transformers`: "single_label_classification",
        "multi_label_classification" or "regression"; None: a single label.
    model_type: the published family with whose config.json and weight names the model is saved ("bert", "distilbert", "roberta",
        "xlm-roberta", "camembert", "electra", "albert"); None: engine's own format.
    embedding_size: width of the embedding tables, if a projection to hidden_size follows them (ELECTRA, ALBERT); None: hidden_size.
    num_hidden_groups: how many layers have weights; the others share them (ALBERT). None: all layers.
    position_offset: the row of the position table that the first token of a sequence gets (RoBERTa: pad_token_id + 1).
    pooler_act, pooler_dropout: the pooler's activation, and whether dropout comes before it (ELECTRA, RoBERTa).
    published: other entries of the config.json that the model came with; they are written back.
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
        for name, kind in _KINDS.items():
            setattr(self, name, checked(_OP, name, kind, getattr(self, name)))
        heads, size = self.num_attention_heads, self.hidden_size
        hint = (Argument("num_attention_heads"), f" is {heads}")
        require(size % heads == 0, _OP, "hidden_size", "a multiple of the number of attention heads", size, hint)
        for name in _PROBABILITIES:
            value = getattr(self, name)
            require(value is None or 0 <= value < 1, _OP, name, "a probability in [0, 1)", value)
        for name in ("layer_norm_eps", "initializer_range"):
            value = getattr(self, name)
            require(0 <= value < math.inf, _OP, name, "a finite number >= 0", repr(value))
        limit, offset = self.max_position_embeddings, self.position_offset
        require(offset < limit, _OP, "position_offset", f"less than max_position_embeddings ({limit})", offset)
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            require(value in known, _OP, name, f"one of {', '.join(map(str, known))}", repr(value))
        pad = self.pad_token_id
        inside = pad is None or 0 <= pad < self.vocab_size
        require(inside, _OP, "pad_token_id", f"None or a number in [0, {self.vocab_size})", pad)
        if self.id2label is not None:
            self.id2label = _label_names(self.id2label)

    @property
    def max_length(self) -> int:
        """The most tokens that a sequence may have."""
        return self.max_position_embeddings - self.position_offset

    @property
    def labels(self) -> dict[int, str]:
        """The names of all classes: those in `id2label`; a class that has none is called LABEL_0, LABEL_1, ... by its number."""
        return {i: (self.id2label or {}).get(i, f"LABEL_{i}") for i in range(self.num_labels)}

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; for a published family by the names in its config.json."""
        values = asdict(self)
        published = values.pop("published")
        names = None if self.id2label is None else {str(number): label for number, label in self.id2label.items()}
        if self.model_type is None:
            unchanged = {name for name in _NEWER if values[name] == getattr(TransformerConfig, name)}
            written = {name: value for name, value in values.items() if name not in unchanged}
            return {**published, **written, "id2label": names}
        written = {**published, **FAMILIES[self.model_type].write(values)}
        for key in ("dtype", "torch_dtype"):  # weights are float32 now, whatever they were in the file that was read
            if key in written:
                written[key] = "float32"
        if self.num_labels != 2 or names is not None:
            written["id2label"] = {str(number): label for number, label in self.labels.items()}
            written["label2id"] = {label: number for number, label in self.labels.items()}
        for name in ("problem_type", "pooling"):
            if values[name] != getattr(TransformerConfig, name):
                written[name] = values[name]
        return written

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """Reads the entries of a config.json, engine's own or that of a published family (`model_type`).

        Entries that are not fields are kept in `published`. Raises ValueError if vocab_size is missing, or if the family or one of its
        settings is not supported.
        """
        require(isinstance(values, Mapping), _OP, "values", "a dict", type(values).__name__, error=BadType)
        require("vocab_size" in values, _OP, "vocab_size", "a number", "none")
        kind = values.get("model_type")
        require(
            kind is None or isinstance(kind, str), _OP, "model_type", f"one of {', '.join(FAMILIES)}", shortened(kind)
        )
        checked(_OP, "architectures", list[str] | None, values.get("architectures"))
        if (
            kind is None and (kind := family_of(values.get("architectures"))) is not None
        ):  # files of 2019 name only the class
            values = {**values, "model_type": kind}
        require(kind is None or kind in FAMILIES, _OP, "model_type", f"one of {', '.join(FAMILIES)}", repr(kind))
        if kind is None:
            known = {f.name for f in fields(cls)} - {"published"}
            chosen = {key: value for key, value in values.items() if key in known}
            rest = {key: value for key, value in values.items() if key not in known}
        else:
            chosen, rest = FAMILIES[kind].read(values)
        labels = chosen.get("id2label")
        if labels is not None:
            require(isinstance(labels, Mapping), _OP, "id2label", "a dict", type(labels).__name__, error=BadType)
            chosen.setdefault("num_labels", max(len(labels), 1))
        rest.pop("architectures", None)
        return cls(**chosen, published=rest)


def _label_names(names: Any) -> dict[int, str]:
    """The names of classes by number; JSON has numbers as strings. Two spellings of one number ("1" and "01") are an error."""
    require(isinstance(names, Mapping), _OP, "id2label", "a dict", type(names).__name__, error=BadType)
    found: dict[int, str] = {}
    for given, name in names.items():
        text = str(given)
        right = text.isascii() and text.isdecimal() and len(text) < 11 and (text == "0" or text[0] != "0")
        if not right or isinstance(given, bool):
            raise BadValue(_OP, "id2label", "numbers of classes", shortened(given))
        if not isinstance(name, (str, int, float)):
            raise BadType(_OP, f"id2label[{text}]", "a string", shortened(name))
        found[int(text)] = str(name)
    return found
