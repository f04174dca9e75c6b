"""The settings of the tasks that `engine train` knows, and which of them take which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from engine.errors import BadValue

__all__ = ["TaskConfig", "refuse_settings"]


@dataclass(frozen=True)
class TaskConfig:
    """A task by name, with its settings. Raises ValueError for values out of range.

    Attributes:
        name: a key of `engine.tasks.TASKS`: "classification" (one label a text), "multilabel" (any number of labels), "regression"
            (a number) or "tagging" (a tag a word).
        label_smoothing: share of the target that is spread over all classes.
        class_weights: "balanced": each class weighs as if all had as many samples; None: each sample weighs the same.
        augment: changes of the training texts, such as "deletion=0.1,swap=0.05,mask=0.1" (see `engine.text.augmentation`).
        token_dropout: share of the tokens that are replaced by the unknown token while training.
        label_separator: the text between the labels of a text in "multilabel".
    """

    name: str = "classification"
    label_smoothing: float = 0.0
    class_weights: str | None = None
    augment: str | None = None
    token_dropout: float = 0.0
    label_separator: str = "|"

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "token_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadValue("TaskConfig", name, "a number in [0, 1]", repr(getattr(self, name)))
        if self.class_weights not in (None, "balanced"):
            raise BadValue("TaskConfig", "class_weights", "None or 'balanced'", repr(self.class_weights))
        if not self.label_separator:
            raise BadValue("TaskConfig", "label_separator", "at least one character", "''")

    def to_dict(self) -> dict[str, Any]:
        """All settings, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TaskConfig:
        """The config of `to_dict`. Raises ValueError for a name that is no setting."""
        unknown = sorted(set(settings) - {field.name for field in fields(cls)})
        if unknown:
            raise BadValue("TaskConfig", "settings", "names of settings", repr(unknown[0]))
        return cls(**settings)


def refuse_settings(task: str, unused: frozenset[str], *configs: Any) -> None:
    """Raises ValueError if a dataclass of settings sets one that the task does not use."""
    for config in configs:
        for field in fields(config):
            value = getattr(config, field.name)
            if field.name in unused and value != field.default:
                raise BadValue(
                    type(config).__name__,
                    field.name,
                    f"no value for the task {task!r}, which does not use it",
                    repr(value),
                )
