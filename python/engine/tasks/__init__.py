"""Tasks: what a training minimises, measures and answers, a file each. `TASKS` names those that `engine train --task` knows."""

from engine.errors import BadValue
from engine.models import TransformerConfig
from engine.tasks.base import MINIMIZED as MINIMIZED
from engine.tasks.base import FunctionTask as FunctionTask
from engine.tasks.base import Judgement as Judgement
from engine.tasks.base import Part as Part
from engine.tasks.base import Task as Task
from engine.tasks.base import as_task as as_task
from engine.tasks.classification import Classification as Classification
from engine.tasks.config import TaskConfig as TaskConfig
from engine.tasks.masked_lm import MaskedLM as MaskedLM
from engine.tasks.masked_lm import evaluate_masked as evaluate_masked
from engine.tasks.multilabel import MultiLabel as MultiLabel
from engine.tasks.regression import Regression as Regression
from engine.tasks.tagging import Tagging as Tagging
from engine.tasks.text import Columns as Columns
from engine.tasks.text import TextTask as TextTask
from engine.tasks.text import names_of as names_of

TASKS: dict[str, type[TextTask]] = {task.name: task for task in (Classification, MultiLabel, Regression, Tagging)}


def task_named(name: str) -> type[TextTask]:
    """The task of that name in `TASKS`. Raises ValueError if there is none."""
    if name not in TASKS:
        raise BadValue("TaskConfig", "name", f"one of {', '.join(TASKS)}", repr(name))
    return TASKS[name]


def task_of(config: TransformerConfig, architecture: str) -> type[TextTask]:
    """The task that a saved model was trained for, by its config and the name of its class. Raises ValueError if there is none."""
    found = next((task for task in reversed(TASKS.values()) if task.opens(config, architecture)), None)
    if found is None:
        raise BadValue(
            "task_of",
            "config",
            f"a model of one of the tasks {', '.join(TASKS)}",
            f"{architecture} with problem_type {config.problem_type!r}",
        )
    return found


__all__ = [
    "MINIMIZED",
    "TASKS",
    "Classification",
    "Columns",
    "FunctionTask",
    "Judgement",
    "MaskedLM",
    "MultiLabel",
    "Part",
    "Regression",
    "Tagging",
    "Task",
    "TaskConfig",
    "TextTask",
    "as_task",
    "evaluate_masked",
    "names_of",
    "task_named",
    "task_of",
]
