"""Tasks: what a training run teaches, a file each. `TASKS` names them as `engine train --task` does."""

from engine.models import TransformerConfig
from engine.tasks.base import Columns as Columns
from engine.tasks.base import Table as Table
from engine.tasks.base import Task as Task
from engine.tasks.base import encode_texts as encode_texts
from engine.tasks.base import names_of as names_of
from engine.tasks.classification import Classification as Classification
from engine.tasks.masked import evaluate_masked as evaluate_masked
from engine.tasks.multilabel import MultiLabel as MultiLabel
from engine.tasks.regression import Regression as Regression
from engine.tasks.tagging import Tagging as Tagging

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
    "evaluate_masked",
    "names_of",
    "task_of",
]
