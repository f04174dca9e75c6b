"""Any number of labels for each text, also none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import require
from engine.metrics import best_threshold, multilabel_decisions, multilabel_evaluation, multilabel_metrics
from engine.models import TransformerConfig
from engine.nn import Module
from engine.nn import functional as F
from engine.ops.factory import from_numpy
from engine.settings import checked
from engine.tasks.base import Judgement, Part
from engine.tasks.config import TaskConfig
from engine.tasks.text import Columns, TextTask
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TextDataset, split_labels
from engine.text.label_columns import refuse_combinations
from engine.text.label_problems import label_remarks

__all__ = ["MultiLabel"]


class MultiLabel(TextTask):
    """Multi-label classification: a sigmoid and binary cross-entropy for each label.

    In a file the labels of a text are one field with a `separator` between them, a list, or columns of 0 and 1. label_smoothing moves
    targets towards 1/2. class_weights are factors of the positive part of the loss (`pos_weight`). Balanced ones are, for each
    label, the number of texts without it divided by the number of texts with it.

    Attributes:
        threshold: a text gets the labels whose probability is at least this, in (0, 1). `judge` chooses it on held-out data: the one
            with the best micro F1. 0.5 before.
    """

    name = "multilabel"
    metric = "micro_f1"
    metrics = ("loss", "subset_accuracy", "macro_f1", "micro_f1", "mean_average_precision")
    problem_type = "multi_label_classification"
    unused = frozenset({"group_columns", "examples_per_class"})
    several_labels = True
    threshold: float = 0.5
    _chosen: float | None = None

    def __init__(self, labels: Labels | Iterable[str] | None = None, separator: str = "|", **options: Any) -> None:
        super().__init__(labels, **options)
        self.separator = checked("MultiLabel", "separator", str, separator)
        require(separator, "MultiLabel", "separator", "at least one character", "''")

    @property
    def between(self) -> str:  # type: ignore[override]
        """What separates the labels of a text in a field."""
        return self.separator

    @classmethod
    def from_config(cls, config: TaskConfig, labels: Labels) -> MultiLabel:
        return cls(labels, config.label_separator, label_smoothing=config.label_smoothing)

    @classmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        labels = Labels.from_labels(
            name for table in tables for names in _sets(table, columns.separator) for name in names
        )
        require(len(labels), "train", "labels", "at least one text with a label", "none")
        refuse_combinations("train", tables, columns.separator)
        return labels

    def targets(self, table: Any) -> np.ndarray:
        return self.labels.encode_many(_sets(table, self.separator), source=table.source, lines=table.lines)

    def remarks(self, table: Any) -> list[str]:
        return label_remarks(table, _sets(table, self.separator))

    def balance(self, targets: np.ndarray) -> None:
        positives = targets.sum(0)
        ratio = (len(targets) - positives) / np.maximum(positives, 1)
        self.class_weights = from_numpy(ratio.astype(np.float32))

    def loss(self, model: Module, batch: PackedBatch) -> Tensor:
        target = self.labels_in(batch)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(
            self.outputs(model, batch), target, pos_weight=self.weights_for(batch)
        )

    def decisions(self, logits: np.ndarray) -> np.ndarray:
        """Which labels a text gets, bool (n, num_labels), from its logits."""
        return multilabel_decisions(logits, self.threshold)

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        return multilabel_metrics(targets, logits, self.threshold)

    def judge(self, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
        logits = self.logits(model, part.dataset, batch_size)
        if not held_out:
            return Judgement(self.report(part.table, part.dataset, logits), [])
        targets = self.targets(part.table)
        self.threshold = self._chosen = best_threshold(targets, logits)
        half = multilabel_metrics(targets, logits)["micro_f1"]
        said = (
            f"A text gets the labels with a probability of at least {self._chosen:g}, which was chosen on the held-out texts. "
            f"With 0.5, their micro F1 is {half:.4f}."
        )
        return Judgement({**self.report(part.table, part.dataset, logits), "remarks": [said]}, [])

    def chosen(self) -> dict[str, Any]:
        return {**super().chosen(), "threshold": self._chosen}

    @classmethod
    def of_model(cls, config: TransformerConfig) -> MultiLabel:
        task = super().of_model(config)
        threshold = config.published.get("threshold")
        if threshold is not None:
            right = isinstance(threshold, int | float) and 0 < threshold < 1
            require(right, "MultiLabel", "threshold", "a number in (0, 1) in config.json", repr(threshold))
            task.threshold = float(threshold)
        return task

    def report(self, table: Any, dataset: TextDataset, logits: np.ndarray) -> dict[str, Any]:
        return multilabel_evaluation(self.targets(table), logits, self.labels.names, self.threshold)

    def answers(self, table: Any, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        answers = []
        logits = logits.astype(np.float64)
        for row, held in zip(1 / (1 + np.exp(-logits)), self.decisions(logits)):
            shown = np.argsort(-row, kind="stable")[: max(top_k, int(held.sum()))]
            probabilities = {self.called(i): round(float(row[i]), 6) for i in shown}
            answers.append({"labels": [self.called(i) for i in shown if held[i]], "probabilities": probabilities})
        return answers

    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        chosen = [f"{answer['probabilities'][name]:.4f}" for name in answer["labels"]]
        return [self.separator.join(map(str, answer["labels"])), self.separator.join(chosen)]

    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"predicted_labels": answer["labels"], "probabilities": answer["probabilities"]}


def _sets(table: Any, separator: str) -> list[tuple[str, ...]]:
    return split_labels(table.labels or (), separator, source=table.source, lines=table.lines)
