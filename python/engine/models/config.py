"""The sizes and choices of a transformer encoder, by the names that `transformers` uses for BERT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["TransformerConfig"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")
POOLING = ("first", "mean", "max")


@dataclass
class TransformerConfig:
    """What a model is built from. Raises ValueError or TypeError for values that make no model.

    vocab_size, max_position_embeddings, type_vocab_size: rows of the embedding tables; type_vocab_size 0: no token types.
    pooling: what a classifier reads: "first" token, "mean" or "max" over a sequence. pooler: a Linear and tanh behind it, as in
        BERT. classifier_dropout: default hidden_dropout_prob.
    norm_first: normalise before each part (pre-LN) rather than after it; then a last normalisation follows the layers.
    pad_token_id: the id whose embedding starts as zeros and gets no gradient; None: no such id.
    id2label: names of the classes, kept with the model.
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

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
        for name, least in [
            *((name, 1) for name in sizes),
            ("num_hidden_layers", 0),
            ("type_vocab_size", 0),
            ("num_labels", 1),
        ]:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"[TransformerConfig] {name}: expected an integer, got {value!r}")
            if not least <= value < 2**31:
                raise ValueError(f"[TransformerConfig] {name}: expected a number in [{least}, 2^31), got {value}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"[TransformerConfig] hidden_size: expected a multiple of num_attention_heads "
                f"({self.num_attention_heads}), got {self.hidden_size}"
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            if value is None and name == "classifier_dropout":
                continue
            if not isinstance(value, int | float):
                raise TypeError(f"[TransformerConfig] {name}: expected a number, got {value!r}")
            if not 0 <= value < 1:
                raise ValueError(f"[TransformerConfig] {name}: expected a probability in [0, 1), got {value}")
        for name in ("layer_norm_eps", "initializer_range"):
            if not isinstance(getattr(self, name), int | float) or not getattr(self, name) >= 0:
                raise ValueError(f"[TransformerConfig] {name}: expected a number >= 0, got {getattr(self, name)!r}")
        for name, known in (("hidden_act", ACTIVATIONS), ("pooling", POOLING)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"[TransformerConfig] {name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"[TransformerConfig] pad_token_id: expected one in [0, {self.vocab_size}), got {self.pad_token_id}"
            )
        if self.id2label is not None:
            self.id2label = {int(number): str(label) for number, label in self.id2label.items()}

    def to_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON."""
        values = asdict(self)
        if self.id2label is not None:
            values["id2label"] = {str(number): label for number, label in self.id2label.items()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """From a dict such as a config.json holds; keys of other programs are passed over.

        Raises ValueError where vocab_size is missing.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"[TransformerConfig] values: expected a dict, got {type(values).__name__}")
        if "vocab_size" not in values:
            raise ValueError("[TransformerConfig] vocab_size: expected a number, got none")
        known = {f.name for f in fields(cls)}
        chosen = {key: value for key, value in values.items() if key in known}
        labels = chosen.get("id2label")
        if labels is not None and "num_labels" not in chosen:
            chosen["num_labels"] = len(labels)
        return cls(**chosen)
