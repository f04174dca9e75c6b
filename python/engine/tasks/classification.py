"""One label of several for each text, or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.metrics import classification_metrics, softmax
from engine.metrics.evaluation import evaluation
from engine.nn import Module
from engine.nn import functional as F
from engine.tasks.base import Columns, Table, Task
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TextDataset, TextTable

__all__ = ["Classification"]


class Classification(Task):
    """Single-label classification: softmax and cross-entropy."""

    name = "classification"
    metric = "accuracy"
    metrics = ("loss", "accuracy", "macro_f1", "micro_f1", "mcc")

    @classmethod
    def collect(cls, tables: Sequence[Table], columns: Columns) -> Labels:
        labels = Labels.from_labels(label for table in tables for label in table.labels or ())
        if len(labels) < 2:
            raise ValueError(f"[train] labels: expected at least two different ones, got only {labels.names[0]!r}")
        return labels

    def targets(self, table: Table) -> np.ndarray:
        assert isinstance(table, TextTable)
        return table.encode_labels(self.labels)

    def loss(self, model: Module, batch: PackedBatch, label_smoothing: float) -> Tensor:
        labels = self.labels_in(batch)
        return F.cross_entropy(model(batch), labels, self.weights_for(batch), label_smoothing=label_smoothing)

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        return classification_metrics(targets, logits)

    def report(self, table: Table, dataset: TextDataset, logits: np.ndarray, **detail: Any) -> dict[str, Any]:
        return evaluation(self.targets(table), logits, self.labels.names, **detail)

    def answers(self, table: Table, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        answers = []
        for row in softmax(logits):
            best = np.argsort(-row, kind="stable")[:top_k]
            names = self.labels.decode(best)
            answer: dict[str, Any] = {"label": names[0], "probability": round(float(row[best[0]]), 6)}
            if len(names) > 1:
                answer["top"] = [{"label": n, "probability": round(float(row[i]), 6)} for n, i in zip(names, best)]
            answers.append(answer)
        return answers

    def columns(self, answer: Mapping[str, Any]) -> list[str]:
        return [cell for each in answer.get("top", [answer]) for cell in (each["label"], f"{each['probability']:.4f}")]
