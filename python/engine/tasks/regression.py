"""A number for each text, or pair of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.autograd import no_grad
from engine.errors import amount, require
from engine.metrics import regression_evaluation, regression_metrics
from engine.models import TransformerConfig
from engine.nn import Module
from engine.nn import functional as F
from engine.tasks.config import TaskConfig
from engine.tasks.text import Columns, TextTask
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TextDataset, parse_numbers
from engine.text.decimals import decimal_points

__all__ = ["Regression"]


class Regression(TextTask):
    """Regression: the squared error. There are no classes, so it takes neither label smoothing nor class weights.

    A new model of a run begins with the mean of the training labels as its answer, and learns in units of their standard deviation,
    `spread`: its answers are in the labels' own unit, and the losses of its log are those of labels with a variance of 1.
    """

    name = "regression"
    metric = "pearson"
    label_word = ""
    metrics = ("loss", "mse", "rmse", "mae", "r2", "pearson", "spearman")
    problem_type = "regression"
    has_probabilities = False
    spread: float = 1.0  # the unit of the loss and of the head
    unused = TextTask.unused | {"label_smoothing", "class_weights", "top_k", "per_class"}

    def __init__(
        self, labels: Labels | Iterable[str] | None = None, *, transform: Callable[[Any, int], Any] | None = None
    ) -> None:
        super().__init__(labels, transform=transform)
        if self._labels is not None and len(self._labels) != 1:
            self._require_fitting(len(self._labels))

    @classmethod
    def read(cls, path: str, columns: Columns, labelled: bool = True) -> Any:
        """As the other tasks, with points in place of decimal commas. Raises ValueError for several columns of labels."""
        table = super().read(path, columns, labelled)
        if table.labels is None:
            return table
        expected, hint = "one column of numbers", "train one model for each column"
        names = table.label_column
        require(names in table.header, "train", "label_column", expected, f"several: {names}", hint)
        labels, note = decimal_points(table.labels)
        return replace(table, labels=labels, notes=table.notes if note is None else (*table.notes, f"{note}: {path}"))

    def _require_fitting(self, outputs: int) -> None:
        """Raises ValueError for a model that gives several numbers a text."""
        names = "" if self._labels is None or len(self._labels) == 1 else f": {', '.join(self._labels.names)}"
        expected, hint = (
            "a model with one output, a number for each text",
            "engine has no regression of several numbers",
        )
        require(outputs == 1, "Regression", "model", expected, f"{amount(outputs, 'output')}{names}", hint)

    @classmethod
    def from_config(cls, config: TaskConfig, labels: Labels) -> Regression:
        return cls(labels)

    @classmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        return Labels([next((table.label_column for table in tables if table.label_column), "value")])

    @classmethod
    def opens(cls, config: TransformerConfig, architecture: str) -> bool:
        # As in `transformers`, one output without a problem_type is a number: rerankers and similarity models have one.
        return config.problem_type == cls.problem_type or (config.problem_type is None and config.num_labels == 1)

    def head_rows(self, config: TransformerConfig) -> list[int] | None:
        """The one row, whatever its name is, if the head is that of a number."""
        return [0] if config.num_labels == 1 and self.opens(config, "") else None

    def targets(self, table: Any) -> np.ndarray:
        return parse_numbers(table.labels or (), source=table.source, lines=table.lines)

    def begin_head(self, model: Any, targets: np.ndarray) -> None:
        self.spread = float(targets.std(dtype=np.float64)) or 1.0
        with no_grad():
            model.classifier.weight.mul_(self.spread)
            model.classifier.bias.fill_(float(targets.mean(dtype=np.float64)))

    def units(self, model: Any) -> dict[str, float]:
        if self.spread == 1.0:
            return {}
        return dict.fromkeys(("classifier.weight", "classifier.bias"), self.spread)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **({} if self.spread == 1.0 else {"spread": self.spread})}

    def loss(self, model: Module, batch: PackedBatch) -> Tensor:
        outputs, labels = self.outputs(model, batch).squeeze(1), self.labels_in(batch)
        if self.spread == 1.0:
            return F.mse_loss(outputs, labels)
        return F.mse_loss(outputs / self.spread, labels / self.spread)

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        found = regression_metrics(targets, logits)
        return {**found, "loss": found["mse"] / self.spread**2}  # as that of the training, beside which it stands

    def report(self, table: Any, dataset: TextDataset, logits: np.ndarray) -> dict[str, Any]:
        return regression_evaluation(self.targets(table), logits)

    def answers(self, table: Any, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        return [{"value": round(float(row[0]), 6)} for row in logits]

    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        return [f"{answer['value']:.6g}"]

    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"predicted_value": answer["value"]}
