"""What the tasks have in common: how a table becomes a dataset, a loss, figures and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from engine.models import AutoModelForSequenceClassification, TransformerConfig
from engine.nn import Module
from engine.ops.factory import from_numpy
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TaggedTable, TextDataset, TextTable, Tokenizer, clean_text, read_table

__all__ = ["Columns", "Table", "Task", "encode_texts"]

Table = TextTable | TaggedTable


class Columns(NamedTuple):
    """Where in a file the parts of a sample are; None: found by their names."""

    text: str | None = None
    label: str | None = None
    pair: str | None = None
    extra: tuple[str, ...] = ()
    encoding: str | None = None
    separator: str = "|"


class Task(ABC):
    """One kind of task; its subclasses say what the labels are, what is minimised and what is measured.

    Attributes:
        labels: names of the classes, or of the one number of a regression.
        class_weights: (num_labels,), a factor for each class in the loss, or None; see `weigh`.

    A new task is a subclass, and a line in `engine/train/tasks/__init__.py`.
    """

    name: ClassVar[str]
    metric: ClassVar[str]  # what selects the best model
    metrics: ClassVar[tuple[str, ...]]  # all the figures that can
    problem_type: ClassVar[str | None] = None  # in config.json
    auto: ClassVar[Any] = AutoModelForSequenceClassification
    evaluate: Callable[[Module, Iterable[PackedBatch]], Mapping[str, float]] | None = None  # `evaluate_fn` of a Trainer

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.class_weights: Tensor | None = None

    # --- data

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Table:
        """The table in a file. Raises ValueError where labels are wanted and there are none."""
        table = read_table(
            path, columns.text, columns.label, encoding=columns.encoding, read_labels=labelled,
            pair_column=columns.pair, extra_columns=columns.extra, **cls._reading(columns),
        )  # fmt: skip
        if labelled and not any(text.strip() for text in table.texts):
            raise ValueError(
                f"[train] text_column: expected texts in the column {table.text_column!r} of {path}, got {len(table)} empty ones; "
                "name another with text_column="
            )
        if labelled and table.labels is None:
            raise ValueError(
                f"[train] label_column: expected a column of labels in {path}, got none; name it with label_column="
            )
        return table

    @classmethod
    def _reading(cls, columns: Columns) -> dict[str, Any]:
        """Further arguments of `read_table`."""
        return {}

    @classmethod
    @abstractmethod
    def collect(cls, tables: Sequence[Table], columns: Columns) -> Labels:
        """The names of the labels in the training tables."""

    @abstractmethod
    def targets(self, table: Table) -> np.ndarray:
        """Labels as numbers, a row a sample."""

    def dataset(self, table: Table, tokenizer: Tokenizer, max_length: int) -> TextDataset:
        """The samples as tokens, with targets where the table has labels."""
        assert isinstance(table, TextTable)
        targets = None if table.labels is None else self.targets(table)
        return encode_texts(table.texts, tokenizer, max_length, targets, table.pairs)

    def bare(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Table:
        """A table of texts without labels."""
        return TextTable(list(texts), pairs=None if pairs is None else list(pairs))

    def texts(self, table: Table) -> list[str]:
        """The text of each sample, to show."""
        assert isinstance(table, TextTable)
        return table.texts if table.pairs is None else [f"{a} ‖ {b}" for a, b in zip(table.texts, table.pairs)]

    # --- training

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the model's config."""
        named = dict(enumerate(self.labels.names))
        return {"num_labels": len(self.labels), "id2label": named, "problem_type": self.problem_type}

    def weigh(self, targets: np.ndarray) -> None:
        """Balance the classes: each weighs in the loss as if all had as many samples (scikit-learn's "balanced")."""
        numbers = targets[targets >= 0]
        counts = np.bincount(numbers, minlength=len(self.labels))
        weights = numbers.size / (len(self.labels) * np.maximum(counts, 1))
        self.class_weights = from_numpy(weights.astype(np.float32))

    @staticmethod
    def labels_in(batch: PackedBatch) -> Tensor:
        """A training batch's labels. Raises ValueError where it has none."""
        if batch.labels is None:
            raise ValueError("[Trainer] train_data: expected batches with labels, got one without")
        return batch.labels

    @abstractmethod
    def loss(self, model: Module, batch: PackedBatch, label_smoothing: float) -> Tensor:
        """The loss of a batch, a scalar: `compute_loss` of a Trainer."""

    def batch_weight(self, batch: PackedBatch) -> float:
        """What the mean loss of a batch was divided by, to weigh accumulated batches."""
        self.labels_in(batch)
        labels = batch.host("labels")
        if not np.issubdtype(labels.dtype, np.integer):
            return len(labels)
        counted = labels[labels >= 0]
        if self.class_weights is None:
            return counted.size
        return float(self.class_weights.numpy().astype(np.float64)[counted].sum())

    def weights_for(self, batch: PackedBatch) -> Tensor | None:
        """The class weights where the batch is. The task keeps them on the host, which needs them for `batch_weight`."""
        return None if self.class_weights is None else self.class_weights.to(batch.device)

    # --- judging

    @abstractmethod
    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The figures of an evaluation: `metrics` of a Trainer."""

    @abstractmethod
    def report(self, table: Table, dataset: TextDataset, logits: np.ndarray, **detail: Any) -> dict[str, Any]:
        """An evaluation as `report.json` holds it. detail: temperature, detail (pictures' numbers), groups."""

    @abstractmethod
    def answers(self, table: Table, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        """What the model says of each sample, fit for JSON."""

    @abstractmethod
    def columns(self, answer: Mapping[str, Any]) -> list[str]:
        """The same for people: cells of a line."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.labels == self.labels

    def __hash__(self) -> int:
        return hash((self.name, self.labels))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.labels!r})"


def names_of(config: TransformerConfig) -> Labels:
    """The names of a model's classes. Raises ValueError where there are none, or not one for each."""
    names = config.id2label or {}
    if sorted(names) != list(range(config.num_labels)):
        raise ValueError(
            f"[TextClassifier] model: expected names of {config.num_labels} labels in its config (id2label), "
            f"got {len(names)}"
        )
    return Labels(names[i] for i in range(len(names)))


def encode_texts(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    max_length: int,
    labels: Sequence[int] | np.ndarray | None = None,
    pairs: Iterable[str] | None = None,
) -> TextDataset:
    """Texts cleaned, tokenized and cut to `max_length` tokens: the one way that training and prediction share."""
    second = None if pairs is None else [clean_text(text) for text in pairs]
    return TextDataset.from_texts([clean_text(text) for text in texts], tokenizer, labels, max_length, second)
