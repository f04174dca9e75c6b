"""TextClassifier: gives texts labels with probabilities, by a model with its tokenizer and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine.errors import BadType, require
from engine.inference.predictor import Predictor
from engine.metrics import softmax
from engine.models.pretrained import Pretrained
from engine.tasks import TextTask, task_of
from engine.tasks.text import encode_texts
from engine.text import Labels, TextDataset, TextTable, Tokenizer

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


class TextClassifier(Predictor):
    """Gives each text one label: a `Predictor` for classification.

    >>> classifier = TextClassifier.from_pretrained("runs/banking77")
    >>> classifier.predict(["My card has not arrived yet"])[0].label
    'card_arrival'
    """

    labels: Labels

    def __init__(self, model: Pretrained, tokenizer: Tokenizer, task: TextTask | None = None) -> None:
        found = task_of(model.config, model.architecture) if task is None else type(task)
        require(
            found.stratified,
            "TextClassifier",
            "model",
            "a model that gives each text one label",
            f"one for {found.name}",
            "Predictor opens it",
        )
        super().__init__(model, tokenizer, task)

    def dataset(self, texts: Iterable[str], labels: np.ndarray | None = None) -> TextDataset:
        """The texts cleaned and tokenized; labels: their class numbers, int64 (n,), or None."""
        return encode_texts(texts, self.tokenizer, self.max_length, labels)

    def logits(self, texts: Iterable[str], batch_size: int = 128) -> np.ndarray:
        """Logits (n, num_labels), float32, in the order of the texts. Raises TypeError if `texts` is one string."""
        given = type(texts).__name__
        require(
            not isinstance(texts, (str, bytes)), "TextClassifier", "texts", "a list of strings", given, error=BadType
        )
        return self.dataset_logits(self.dataset(texts), batch_size)

    def predict(self, texts: Iterable[str], top_k: int = 1, batch_size: int = 128) -> list[Prediction]:
        """The `top_k` most probable labels of each text. Raises ValueError if top_k is below 1."""
        require(top_k >= 1, "TextClassifier.predict", "top_k", "at least 1", top_k)
        predictions = []
        for row in softmax(self.logits(texts, batch_size) / np.float32(self.temperature)):
            best = np.argsort(-row, kind="stable")[:top_k]
            predictions.append(Prediction(tuple(self.labels.decode(best)), tuple(float(row[i]) for i in best)))
        return predictions

    def evaluate(self, table: TextTable, batch_size: int = 128) -> tuple[np.ndarray, np.ndarray]:
        """(labels (n,), logits (n, num_labels)) of a table, for the functions of `engine.metrics`.

        Raises:
            ValueError: if the table has no labels, or a label that the model does not know (the message names its line).
        """
        return table.encode_labels(self.labels), self.dataset_logits(self.encode(table), batch_size)
