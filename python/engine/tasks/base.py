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

__all__ = ["MINIMIZED", "FunctionTask", "Judgement", "Part", "Task", "as_task", "counted_targets"]

MINIMIZED = frozenset({"loss", "mse", "mae", "rmse", "perplexity"})
"""The usual figures of which less is better."""


@dataclass(frozen=True)
class Part:
    """A part of a run's data: `dataset`, which the model sees, and `table`, which it was made from, if there is one."""

    dataset: Any
    table: Any = None


class Judgement(NamedTuple):
    """A finished model on a part of the data. figures: as `report.json` holds them. worst: the samples with the largest errors,
    as a report shows them."""

    figures: dict[str, Any]
    worst: list[dict[str, Any]]


class Task(ABC):
    """What a training minimises, measures and reports.

    `loss` is all that a task must define. Then an evaluation gives the mean loss, and the model with the lowest is kept.

        class Ordinal(Task):
            metric, metrics = "mae", ("loss", "mae")

            def loss(self, model, batch):
                ...

    Attributes:
        metric: the figure of an evaluation that selects the best model, unless the config names another.
        headline: the figure that a report ends with; None: `metric`.
        metrics: all figures of an evaluation; None: any.
        minimize: those of which less is better; of all others more is better.
    """

    metric: str = "loss"
    headline: str | None = None
    metrics: tuple[str, ...] | None = ("loss",)
    minimize: frozenset[str] = MINIMIZED

    @abstractmethod
    def loss(self, model: Module, batch: Any) -> Tensor:
        """The mean loss of a batch, a scalar."""

    def weight(self, batch: Any) -> float:
        """The number that the mean loss of the batch was divided by. Batches of one optimizer step, and of one evaluation, are
        weighed by it."""
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
            raise BadValue("evaluate", "batches", "at least one target", "none")
        return {"loss": total / count}

    def judge(self, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
        """A finished model on data with targets. held_out: whether choices may be made on them, such as a temperature."""
        with evaluating(model):
            return Judgement(dict(self.evaluate(model, in_order(part.dataset, batch_size))), [])

    def settings(self) -> dict[str, Any]:
        """What the loss depends on, fit for JSON. A run is resumed only with the same settings."""
        return {}


class FunctionTask(Task):
    """A plain function `loss(model, batch)`, the mean loss of a batch, as a task."""

    def __init__(self, function: Callable[[Any, Any], Tensor]) -> None:
        self.function = function

    def loss(self, model: Module, batch: Any) -> Tensor:
        return self.function(model, batch)


def as_task(task: Task | Callable[[Any, Any], Tensor]) -> Task:
    """A task as it is; a function `loss(model, batch)` as a `FunctionTask`. Raises TypeError for anything else."""
    if isinstance(task, Task):
        return task
    if isinstance(task, type) or not callable(task):
        got = f"the class {task.__name__}" if isinstance(task, type) else type(task).__name__
        raise BadType("Trainer", "task", "a Task or a function loss(model, batch)", got)
    return FunctionTask(task)


def counted_targets(batch: Any) -> float:
    """The number of a batch's targets: its labels without class numbers of -100; its samples if it has no labels."""
    if getattr(batch, "labels", None) is None:
        return size_of(batch).samples
    numbers = batch.host("labels")
    integers = np.issubdtype(numbers.dtype, np.integer)
    return int((numbers != IGNORE_INDEX).sum()) if integers else len(numbers)
