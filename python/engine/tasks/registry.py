"""The tasks that `engine train --task` knows, by name."""

from __future__ import annotations

from engine.errors import BadValue, require
from engine.models import TransformerConfig
from engine.tasks.classification import Classification
from engine.tasks.multilabel import MultiLabel
from engine.tasks.regression import Regression
from engine.tasks.tagging import Tagging
from engine.tasks.text import TextTask

__all__ = ["TASKS", "task_named", "task_of"]

TASKS: dict[str, type[TextTask]] = {task.name: task for task in (Classification, MultiLabel, Regression, Tagging)}


def task_named(name: str) -> type[TextTask]:
    """The task of that name in `TASKS`. Raises ValueError if there is none."""
    require(name in TASKS, "TaskConfig", "name", f"one of {', '.join(TASKS)}", repr(name))
    return TASKS[name]


def task_of(config: TransformerConfig, architecture: str) -> type[TextTask]:
    """The task that a saved model was trained for, by its config and the name of its class. Raises ValueError if there is none."""
    for task in reversed(TASKS.values()):
        if task.opens(config, architecture):
            return task
    expected, got = f"a model for {', '.join(TASKS)}", f"{architecture} with problem_type {config.problem_type!r}"
    raise BadValue("task_of", "config", expected, got)
