"""The settings of the tasks that `engine train` knows."""

from __future__ import annotations

from dataclasses import dataclass

from engine.settings import Settings

__all__ = ["TaskConfig"]


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
        label_separator: the text between the labels of a text in "multilabel". In "classification" '' says that each label is one
            name, although it looks like several.
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
