"""The settings of the tasks that `engine train` knows; and what all dataclasses of settings have in common."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from engine.errors import ArgumentError, BadType, BadValue, Hint, require

__all__ = ["TaskConfig"]

Self = TypeVar("Self", bound="Settings")


@dataclass(frozen=True)
class Settings:
    """The base of dataclasses of settings: it checks them, and takes them to JSON and back.

    Lists may be given for tuples, and paths for strings, because JSON has neither tuples nor paths.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if str(field.type).startswith("tuple"):
                several = isinstance(value, Iterable) and not isinstance(value, str)
                self.require(field.name, several, "a list", BadType)
                value = tuple(map(_without_path, value))
            object.__setattr__(self, field.name, _without_path(value))

    def require(self, name: str, right: object, expected: str, error: type[ArgumentError] = BadValue) -> None:
        """Raises the error about the setting `name` unless `right` is true."""
        require(right, type(self).__name__, name, expected, repr(getattr(self, name)), error=error)

    def refuse(self, reason: Hint, *names: str) -> None:
        """Raises ValueError if one of the settings of those names was changed, although nothing would read it. reason: why."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in names and value != field.default:
                raise BadValue(type(self).__name__, field.name, "no value", repr(value), reason)

    def to_dict(self) -> dict[str, Any]:
        """All settings, fit for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[Self], settings: Mapping[str, Any]) -> Self:
        """The settings of `to_dict`. Raises ValueError for a name that is not a setting."""
        unknown = sorted(set(settings) - {field.name for field in fields(cls)})
        require(not unknown, cls.__name__, "settings", "names of settings", ", ".join(map(repr, unknown)))
        return cls(**settings)


def _without_path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


@dataclass(frozen=True)
class TaskConfig(Settings):
    """A task by name, with its settings. Raises ValueError for values out of range.

    Attributes:
        name: a key of `engine.tasks.TASKS`: "classification" (one label a text), "multilabel" (any number of labels), "regression"
            (a number) or "tagging" (a tag a word).
        label_smoothing: share of the target that is spread over all classes.
        class_weights: "balanced": each class weighs as if all had as many samples; None: each sample weighs the same.
        augment: changes of the training texts, such as "deletion=0.1,swap=0.05,mask=0.1" (see `engine.text.augmentation`).
        token_dropout: share of the tokens that are replaced by the unknown token during training.
        label_separator: the text between the labels of a text in "multilabel".
    """

    name: str = "classification"
    label_smoothing: float = 0.0
    class_weights: str | None = None
    augment: str | None = None
    token_dropout: float = 0.0
    label_separator: str = "|"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("label_smoothing", "token_dropout"):
            self.require(name, 0 <= getattr(self, name) <= 1, "a number in [0, 1]")
        self.require("class_weights", self.class_weights in (None, "balanced"), "None or 'balanced'")
        self.require("label_separator", self.label_separator, "at least one character")
