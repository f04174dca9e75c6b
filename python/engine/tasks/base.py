"""Task: what a training minimises, measures and reports. The Trainer and the runs know this interface and no task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.data import in_order, size_of
from engine.errors import BadType, BadValue
from engine.models.forward import evaluating, run_batches
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tensor import Tensor

__all__ = ["MINIMIZED", "FunctionTask", "Judgement", "Part", "Task", "as_task"]

MINIMIZED = frozenset({"loss", "mse", "mae", "rmse", "perplexity"})
"""The usual figures that are better when lower."""


@dataclass(frozen=True)
class Part:
    """A part of a run's data: `dataset` is what the model sees, `table` what it was made from, if there is one."""

    dataset: Any
    table: Any = None


class Judgement(NamedTuple):
    """How good a finished model is on a part of the data. figures: as `report.json` holds them. worst: the samples with the
    largest errors, as a report shows them."""

    figures: dict[str, Any]
    worst: list[dict[str, Any]]


class Task(ABC):
    """What a training minimises, measures and reports.

    A task must define `loss`. If it defines nothing else, an evaluation gives the mean loss, and the model with the lowest is kept.

        class Ordinal(Task):
            metric, metrics = "mae", ("loss", "mae")

            def loss(self, model, batch):
                ...

    Attributes:
        metric: the figure of an evaluation that selects the best model, unless the config names another.
        headline: the figure that a report ends with; None: `metric`.
        metrics: the names of all figures of an evaluation; None: not known before the first one.
        minimize: the figures that are better when lower; all others are better when higher.
    """

    metric: str = "loss"
    headline: str | None = None
    metrics: tuple[str, ...] | None = ("loss",)
    minimize: frozenset[str] = MINIMIZED

    @abstractmethod
    def loss(self, model: Module, batch: Any) -> Tensor:
        """The mean loss of a batch, a scalar."""

    def weight(self, batch: Any) -> float:
        """The number by which `loss` divided the sum over the batch. Means over several batches are weighted by it."""
        return counted_targets(batch)

    def transform(self, batch: Any, number: int) -> Any:
        """Changes a training batch; `number` counts the batches of the run from 0. A resumed run must see the same change."""
        return batch

    def evaluate(self, model: Module, batches: Iterable[Any]) -> Mapping[str, float]:
        """The figures on held-out batches. The model is in evaluation mode, and nothing is recorded."""
        total = count = 0.0
        for batch, loss in run_batches(model, batches, self.loss):
            weight = float(self.weight(batch))
            if weight:
                total += weight * float(loss.item())
                count += weight
        if not count:
            raise BadValue("Trainer.evaluate", "data", "at least one target", "none")
        return {"loss": total / count}

    def judge(self, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
        """How good a finished model is on data with targets. held_out: whether choices may be made on these data, such as that of a
        temperature."""
        with evaluating(model):
            return Judgement(dict(self.evaluate(model, in_order(part.dataset, batch_size))), [])

    def settings(self) -> dict[str, Any]:
        """What the loss depends on, fit for JSON. A run can be resumed only with the same settings."""
        return {}


class FunctionTask(Task):
    """A task made of a function `loss(model, batch)`, which gives the mean loss of a batch."""

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        self.function = function

    def loss(self, model: Module, batch: Any) -> Tensor:
        return self.function(model, batch)


def as_task(task: Task | Callable[[Any, Any], Tensor]) -> Task:
    """A task unchanged, or a function `loss(model, batch)` as a `FunctionTask`. Raises TypeError for anything else."""
    if isinstance(task, Task):
        return task
    if isinstance(task, type) or not callable(task):
        got = f"the class {task.__name__}" if isinstance(task, type) else type(task).__name__
        raise BadType("Trainer", "task", "a Task or a function loss(model, batch)", got)
    return FunctionTask(task)


def counted_targets(batch: Any) -> float:
    """The number of a batch's targets: of its labels that are not the class number -100, or of its samples if it has no labels."""
    if getattr(batch, "labels", None) is None:
        return size_of(batch).samples
    labels = batch.host("labels")
    return int((labels != IGNORE_INDEX).sum()) if np.issubdtype(labels.dtype, np.integer) else len(labels)
