"""Tasks: what a training run teaches, a file each. `TASKS` names them as `engine train --task` does."""

from engine.models import TransformerConfig
from engine.train.tasks.base import Columns as Columns
from engine.train.tasks.base import Table as Table
from engine.train.tasks.base import Task as Task
from engine.train.tasks.base import encode_texts as encode_texts
from engine.train.tasks.base import names_of as names_of
from engine.train.tasks.classification import Classification as Classification
from engine.train.tasks.multilabel import MultiLabel as MultiLabel
from engine.train.tasks.regression import Regression as Regression
from engine.train.tasks.tagging import Tagging as Tagging

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, MultiLabel, Regression, Tagging)}


def task_of(config: TransformerConfig, architecture: str) -> Task:
    """The task that a saved model was trained for, by its class and `problem_type`.

    Raises ValueError where its config does not name its labels.
    """
    labels = names_of(config)
    if architecture.endswith("ForTokenClassification"):
        return Tagging(labels)
    kinds: tuple[type[Task], ...] = (MultiLabel, Regression)
    return next((kind(labels) for kind in kinds if kind.problem_type == config.problem_type), Classification(labels))


__all__ = [
    "TASKS",
    "Classification",
    "Columns",
    "MultiLabel",
    "Regression",
    "Table",
    "Tagging",
    "Task",
    "encode_texts",
    "names_of",
    "task_of",
]
