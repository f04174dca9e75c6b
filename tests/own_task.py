"""A task and its data in one file outside of the package: ordinal regression on a table of numbers. No text, no tokens.

The grade of a wine (0 to 4) follows from its measurements. Grades have an order, so each is learned as "is it above k?" for
every k (Frank & Hall 2001), and judged by the mean distance from the true grade.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import engine
from engine import nn
from engine.data import Batch, Table
from engine.models.forward import run_batches
from engine.nn import functional as F
from engine.tasks import Judgement, Task


@dataclass
class Wines(Table):
    """Measurements (n, features) and grades, 0 to 4, one a wine. `gather` makes it a dataset, too."""

    values: np.ndarray
    grades: list[int]
    per_row: ClassVar[tuple[str, ...]] = ("values", "grades")

    @classmethod
    def read(cls, path: str) -> Wines:
        with open(path, newline="", encoding="utf-8") as stream:
            _, *rows = csv.reader(stream)
        return cls(np.array([row[:-1] for row in rows], np.float32), [int(row[-1]) for row in rows])

    def strata(self) -> list[str]:
        return [str(grade) for grade in self.grades]

    def gather(self, rows: np.ndarray) -> Batch:
        return Batch({"values": self.values[rows], "labels": np.array(self.grades)[rows]})


class Grader(nn.Module):
    """Logits (batch, classes - 1): whether a wine's grade is above 0, above 1, ..."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.hidden, self.out, self.dropout = nn.Linear(features, 16), nn.Linear(16, classes - 1), nn.Dropout(0.1)

    def forward(self, batch: Batch) -> engine.Tensor:
        return self.out(self.dropout(F.gelu(self.hidden(batch.values))))


class Ordinal(Task):
    """Grades with an order."""

    metric, metrics = "mae", ("mae", "accuracy")

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def loss(self, model: nn.Module, batch: Batch) -> engine.Tensor:
        steps = engine.arange(self.classes - 1, device=batch.device)
        above = (batch.labels.unsqueeze(1) > steps).float()
        return F.binary_cross_entropy_with_logits(model(batch), above)

    def evaluate(self, model: nn.Module, batches: Any) -> dict[str, float]:
        guesses, grades = [], []
        for batch, logits in run_batches(model, batches):
            guesses.append((logits.cpu().numpy() > 0).sum(1))
            grades.append(batch.host("labels"))
        distance = np.abs(np.concatenate(guesses) - np.concatenate(grades))
        return {"mae": float(distance.mean()), "accuracy": float((distance == 0).mean())}

    def judge(self, model: nn.Module, part: Any, batch_size: int = 128, held_out: bool = False) -> Judgement:
        figures, _ = super().judge(model, part, batch_size, held_out)
        return Judgement({"samples": len(part.dataset), **figures}, [])

    def settings(self) -> dict[str, Any]:
        return {"name": "ordinal", "classes": self.classes}
