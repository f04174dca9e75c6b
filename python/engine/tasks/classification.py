"""One label of several for each text, or pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.errors import require
from engine.metrics import classification_metrics, evaluation, softmax, trusted_temperature, worst_examples
from engine.models import TransformerConfig
from engine.nn import Module
from engine.nn import functional as F
from engine.tasks.base import Judgement, Part
from engine.tasks.text import Columns, TextTask
from engine.tensor import Tensor
from engine.text import Labels, PackedBatch, TextDataset
from engine.text.label_columns import refuse_combinations
from engine.text.label_problems import label_remarks

__all__ = ["Classification"]

_UNEQUAL = 10  # so many times as many texts


class Classification(TextTask):
    """Single-label classification: softmax and cross-entropy.

    Labels that seem to be several ('a|b' beside 'a' and 'b') are refused, unless the label separator is ''. `judge` fits `temperature`
    on held-out data. A report also gives the figures by the values of the columns `groups`.
    """

    name = "classification"
    metric = "accuracy"
    metrics = ("loss", "accuracy", "macro_f1", "micro_f1", "mcc")
    unused = frozenset({"threshold"})
    stratified = True

    @classmethod
    def collect(cls, tables: Sequence[Any], columns: Columns) -> Labels:
        labels = Labels.from_labels(label for table in tables for label in table.labels or ())
        require(
            len(labels) >= 2, "train", "labels", "at least two different labels", f"only {', '.join(labels.names)!r}"
        )
        right = columns.separator in ("|", "")
        expected = "'', so that each label is one name, or no value, because a text has one label"
        require(right, "TaskConfig", "label_separator", expected, repr(columns.separator))
        if columns.separator:
            refuse_combinations("train", tables)
        return labels

    def targets(self, table: Any) -> np.ndarray:
        return table.encode_labels(self.labels)

    def remarks(self, table: Any) -> list[str]:
        said = label_remarks(table, [(label,) for label in table.labels])
        counts = table.label_counts()
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        if self.class_weights is None and counts[most] >= _UNEQUAL * counts[least]:
            said.append(
                f"classes are unequal: {most!r} has {counts[most]:,} texts ({counts[most] / len(table):.0%}), {least!r} has "
                f"{counts[least]:,}; --class-weights balanced and --metric macro_f1 make rare classes count"
            )
        return said

    def loss(self, model: Module, batch: PackedBatch) -> Tensor:
        labels = self.labels_in(batch)
        return F.cross_entropy(
            self.outputs(model, batch), labels, self.weights_for(batch), label_smoothing=self.label_smoothing
        )

    def figures(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        return classification_metrics(targets, logits)

    def judge(self, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
        logits = self.logits(model, part.dataset, batch_size)
        targets = self.targets(part.table)
        if held_out:
            self.temperature = trusted_temperature(logits, targets)
        worst = worst_examples(self.texts(part.table), targets, logits, self.labels.names)
        found = [{**example, "where": part.table.where(example["index"])} for example in worst]
        return Judgement(self.report(part.table, part.dataset, logits), found)

    def report(self, table: Any, dataset: TextDataset, logits: np.ndarray) -> dict[str, Any]:
        groups = {name: table.columns[name] for name in self.groups}
        return evaluation(
            self.targets(table), logits, self.labels.names, detail=True, temperature=self.temperature, groups=groups
        )

    def answers(self, table: Any, dataset: TextDataset, logits: np.ndarray, top_k: int = 1) -> list[dict[str, Any]]:
        answers = []
        for row in softmax(logits):
            best = np.argsort(-row, kind="stable")[:top_k]
            top = [{"label": self.called(i), "probability": round(float(row[i]), 6)} for i in best]
            answers.append({**top[0], "top": top} if len(top) > 1 else top[0])
        return answers

    def cells(self, answer: Mapping[str, Any]) -> list[str]:
        return [
            cell for each in answer.get("top", [answer]) for cell in (str(each["label"]), f"{each['probability']:.4f}")
        ]

    def row(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for place, each in enumerate(answer.get("top", [answer]), start=1):
            ending = "" if place == 1 else f"_{place}"
            row |= {f"predicted_label{ending}": each["label"], f"probability{ending}": each["probability"]}
        return row

    @classmethod
    def opens(cls, config: TransformerConfig, architecture: str) -> bool:
        return config.problem_type in (None, "single_label_classification")
