"""Task: what a training minimises, measures and reports. The Trainer and the runs know this interface and no task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.data import in_order, size_of
from engine.errors import BadType, BadValue, require
from engine.models.forward import evaluating, labels_on_host, run_batches
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tasks.checks import checked_attributes, checked_figures, checked_weight, plain
from engine.tensor import Tensor

__all__ = ["MINIMIZED", "FunctionTask", "Judgement", "Part", "Task", "as_task", "judgement"]

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
        """The figures on held-out batches, numbers by name. The model is in evaluation mode, and nothing is recorded. A figure that
        is NaN is worse than any number."""
        total = count = 0.0
        for batch, loss in run_batches(model, batches, self.loss):
            weight = checked_weight(self, batch)
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
            batches = batches_in_order("Task.judge", "part", part.dataset, batch_size)
            return Judgement(checked_figures(self, self.evaluate(model, batches)), [])

    def chosen(self) -> dict[str, Any]:
        """What `judge` has chosen on held-out data, and answers depend on, for the model's config.json; None: it has not."""
        return {}

    def units(self, model: Module) -> Mapping[str, float]:
        """By the name of a parameter whose values are in another unit than usual: how many times as large they are. Each learns at so
        many times the rate."""
        return {}

    def settings(self) -> dict[str, Any]:
        """What the loss depends on, fit for JSON: finite numbers, strings, lists, mappings. A run can be resumed only with the same
        settings."""
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
        checked_attributes(task)
        return task
    if isinstance(task, (type, Module)) or not callable(task):
        got = f"the class {task.__name__}" if isinstance(task, type) else type(task).__name__
        raise BadType("Trainer", "task", "a Task or a function loss(model, batch)", got)
    return FunctionTask(task)


def judgement(task: Task, model: Module, part: Part, batch_size: int = 128, held_out: bool = False) -> Judgement:
    """`task.judge` of these arguments, with figures and samples that fit JSON, apart from numbers that are not finite.

    Raises TypeError if an own task's method gives anything else."""
    op, found = f"{type(task).__name__}.judge", task.judge(model, part, batch_size, held_out)
    right = isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Mapping)
    require(right, op, "judgement", "Judgement(figures, worst)", type(found).__name__, error=BadType)
    figures, worst = found
    right = isinstance(worst, Iterable) and not isinstance(worst, (str, Mapping))
    require(right, op, "worst", "a list of samples", type(worst).__name__, error=BadType)
    return Judgement(plain(op, "figures", figures), plain(op, "worst", list(worst)))


def counted_targets(batch: Any) -> int:
    """The number of a batch's targets: of its labels that are not the class number -100, or of its samples if it has no labels.

    Labels are a Tensor or an array that is the batch's attribute `labels`."""
    labels = labels_on_host(batch)
    if labels is None:
        return size_of(batch).samples
    return int((labels != IGNORE_INDEX).sum()) if np.issubdtype(labels.dtype, np.integer) else len(labels)


def batches_in_order(op: str, argument: str, data: Any, batch_size: int) -> Any:
    """The batches of a dataset in its order. Loaders and other iterables of batches are returned unchanged. Errors as in
    `check_data`, with `op` and `argument`."""
    check_data(op, argument, data)
    return data if is_list(data) else in_order(data, batch_size)


def is_list(data: Any) -> bool:
    """Whether data are a plain list, tuple or deque, which `check_data` lets through only if its items are batches."""
    return isinstance(data, (list, tuple, deque)) and not hasattr(data, "gather")


def check_data(op: str, argument: str, data: Any) -> None:
    """Raises TypeError unless data are a dataset, a loader or an iterable of batches.

    The items of a plain list could be samples or batches, and nothing would tell a mistake: a structure of Tensors is either. So a
    list is taken only if each item has a `batch_size`, as a `Batch` does. Others say what they are: `DataLoader(samples)` or
    `BatchStream(batches)`.
    """
    iterable = hasattr(data, "__iter__") or (hasattr(data, "__len__") and hasattr(data, "__getitem__"))
    right = iterable and not isinstance(data, (type, str, bytes, Mapping, Tensor, np.ndarray))
    got = f"the class {data.__name__}" if isinstance(data, type) else type(data).__name__
    require(right, op, argument, "a dataset, a loader or batches", got, error=BadType)
    if is_list(data):
        others = (each for each in data if hasattr(each, "num_batches") or not hasattr(each, "batch_size"))
        other = next((type(each).__name__ for each in others), None)
        expected, got = "a dataset, a loader or batches", f"a {type(data).__name__} with {other} in it"
        hint = "its items could be samples or batches: write DataLoader(samples) or BatchStream(batches)"
        require(other is None, op, argument, expected, got, hint, error=BadType)
