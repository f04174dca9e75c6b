"""A number for each text, or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.metrics import regression_metrics
from engine.metrics.evaluation import regression_evaluation
from engine.nn import Module
from engine.nn import functional as F
from engine.tasks.base import Columns, Table, Task
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TextDataset, TextTable, parse_numbers

__all__ = ["Regression"]


class Regression(Task):
    """Regression: the squared error. label_smoothing and class weights mean nothing here."""

    name = "regression"
    metric = "pearson"
    metrics = ("loss", "mse", "rmse", "mae", "r2", "pearson", "spearman")
    problem_type = "regression"

    @classmethod
    def collect(cls, tables: Sequence[Table], columns: Columns) -> Labels:
        name = next(
            (table.label_column for table in tables if isinstance(table, TextTable) and table.label_column), None
        )
        return Labels([name or "value"])

    def targets(self, table: Table) -> np.ndarray:
        assert isinstance(table, TextTable)
        return parse_numbers(table.labels or (), source=table.source, lines=table.lines)

    def weigh(self, targets: np.ndarray) -> None:
        raise ValueError("[train] class_weights: expected none for a regression, got 'balanced'")

    def loss(self, model: Module, batch: PackedBatch, label_smoothing: float) -> Tensor:
        return F.mse_loss(model(batch).squeeze(1), self.labels_in(batch))

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        figures = regression_metrics(targets, logits)
        return {"loss": figures["mse"], **figures}

    def report(self, table: Table, dataset: TextDataset, logits: np.ndarray, **detail: Any) -> dict[str, Any]:
        figures = regression_evaluation(self.targets(table), logits)
        return {"loss": figures["mse"], **figures}

    def answers(self, table: Table, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        return [{"value": round(float(row[0]), 6)} for row in logits]

    def columns(self, answer: Mapping[str, Any]) -> list[str]:
        return [f"{answer['value']:.6g}"]
