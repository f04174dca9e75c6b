"""TextClassifier: a model with its tokenizer and labels, from texts to labels with probabilities."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data import DataLoader, Labels, TextDataset, TextTable, Tokenizer, clean_text
from engine.models import TransformerClassifier
from engine.train.metrics import softmax
from engine.train.trainer import compute_logits

__all__ = ["Prediction", "TextClassifier"]


@dataclass(frozen=True)
class Prediction:
    """The most probable labels of a text, most probable first, with their probabilities."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[0]

    @property
    def probability(self) -> float:
        """The probability of `label`."""
        return self.probabilities[0]


class TextClassifier:
    """Classifies texts.

        >>> classifier = TextClassifier.from_pretrained("runs/banking77")
        >>> classifier.predict(["My card has not arrived yet"])[0].label
        'card_arrival'

    Args:
        model: gives logits; its config names the labels (`id2label`).
        tokenizer: makes ids of cleaned texts (see `clean_text`); texts are cut to the model's length.

    Raises:
        ValueError: if the config names no labels, or fewer than the model has.
    """

    def __init__(self, model: TransformerClassifier, tokenizer: Tokenizer) -> None:
        names = model.config.id2label or {}
        if sorted(names) != list(range(model.config.num_labels)):
            raise ValueError(
                f"[TextClassifier] model: expected names of {model.config.num_labels} labels in its config (id2label), "
                f"got {len(names)}"
            )
        if tokenizer.vocab_size > model.config.vocab_size:
            raise ValueError(
                f"[TextClassifier] tokenizer: expected at most the model's {model.config.vocab_size} tokens, "
                f"got {tokenizer.vocab_size}"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.labels = Labels(names[i] for i in range(len(names)))

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], *, device: Any = None) -> TextClassifier:
        """Open the folder of a training run, or of `save_pretrained`; device: where the model is to be (None: the CPU).

        Raises:
            FileNotFoundError: if the folder or a file in it is missing; ValueError: if a file is damaged.
        """
        if not os.path.isdir(directory):
            raise FileNotFoundError(
                f"[TextClassifier] directory: expected an existing folder, got {os.fspath(directory)}"
            )
        model = TransformerClassifier.from_pretrained(directory)
        if device is not None:
            model.to(device)
        return cls(model, Tokenizer.from_pretrained(directory))

    def to(self, device: Any) -> TextClassifier:
        """Moves the model."""
        self.model.to(device)
        return self

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        self.model.save_pretrained(directory)
        self.tokenizer.save(directory)

    def dataset(self, texts: Iterable[str], labels: np.ndarray | None = None) -> TextDataset:
        """Texts cleaned and tokenized."""
        return encode_texts(texts, self.tokenizer, self.model.config.max_position_embeddings, labels)

    def logits(self, texts: Iterable[str], batch_size: int = 128) -> np.ndarray:
        """Logits (n, num_labels), float32, in the order of the texts."""
        dataset = self.dataset(texts)
        if not len(dataset):
            return np.zeros((0, len(self.labels)), np.float32)
        return compute_logits(self.model, DataLoader(dataset, batch_size))[0]

    def predict(self, texts: Iterable[str], top_k: int = 1, batch_size: int = 128) -> list[Prediction]:
        """The `top_k` most probable labels of each text. Raises ValueError if top_k is below 1."""
        if top_k < 1:
            raise ValueError(f"[TextClassifier.predict] top_k: expected at least 1, got {top_k}")
        predictions = []
        for row in softmax(self.logits(texts, batch_size)):
            best = np.argsort(-row, kind="stable")[:top_k]
            predictions.append(Prediction(tuple(self.labels.decode(best)), tuple(float(row[i]) for i in best)))
        return predictions

    def evaluate(self, table: TextTable, batch_size: int = 128) -> tuple[np.ndarray, np.ndarray]:
        """(labels (n,), logits (n, num_labels)) of a table, for the functions of `engine.train.metrics`.

        Raises:
            ValueError: if the table has no labels, or one that the model does not know (names its line).
        """
        return table.encode_labels(self.labels), self.logits(table.texts, batch_size)


def encode_texts(
    texts: Iterable[str], tokenizer: Tokenizer, max_length: int, labels: Sequence[int] | np.ndarray | None = None
) -> TextDataset:
    """Texts cleaned, tokenized and cut to `max_length` tokens: the one way that training and prediction share."""
    return TextDataset.from_texts([clean_text(text) for text in texts], tokenizer, labels, max_length)
