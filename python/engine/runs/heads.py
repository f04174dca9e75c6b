"""The head of a published model for the labels of a task: its rows follow the names of the labels.

A head of the same labels in another order, or of more labels, gives its rows to the labels of the same names. A head that lacks one
of the labels is replaced by a new one, and a warning in the log (`engine.runs`) says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine import nn, no_grad
from engine.inference.predictor import architecture_of
from engine.models import TransformerConfig
from engine.models.families import HEADS
from engine.models.pretrained import read_config
from engine.models.transformer import init_weights

__all__ = ["brings_head", "published_model"]

_log = logging.getLogger("engine.runs")


def brings_head(folder: str) -> bool:
    """Whether a folder has a head for whole texts, which fits only the pooling that it was trained with."""
    return architecture_of(folder, "train", "init").endswith((HEADS["sequence"], "TransformerClassifier"))


def published_model(folder: str, task: Any, sizes: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The model in a folder with a head for the task, and the names of the weights that got initial values: those of parts that the
    folder does not have, and of a head of other labels. sizes: fields of the config to change."""
    published = read_config(folder, "train")
    rows = _rows(folder, task, published) if task.new_head else None
    if rows is not None and rows != list(range(published.num_labels)):
        model, info = task.auto.from_pretrained(folder, output_loading_info=True, **sizes)
        old = model.classifier
        with no_grad():
            model.classifier = _new_head(model, len(rows))
            for mine, theirs in zip(model.classifier.parameters(), old.parameters()):
                mine.copy_(theirs[rows])
        model.config = replace(model.config, **task.fields)
        return model.eval(), info.missing_keys
    model, info = task.auto.from_pretrained(
        folder, ignore_mismatched_sizes=task.new_head, output_loading_info=True, **{**sizes, **task.fields}
    )
    new = info.missing_keys + info.mismatched_keys
    if task.new_head and rows is None:
        names = [model.published_name(f"classifier.{name}") for name, _ in model.classifier.named_parameters()]
        if not set(names) <= set(info.missing_keys):  # the folder has a head
            if not set(names) & set(new):  # of the same shape, so it was read
                model.classifier = _new_head(model, model.config.num_labels)
                new += names
            theirs, mine = ", ".join(published.labels.values()), ", ".join(task.labels.names)
            _log.warning("train: a new head for the labels %s, because that of %s has others: %s", mine, folder, theirs)
    return model.eval(), new


def _rows(folder: str, task: Any, published: TransformerConfig) -> list[int] | None:
    """The row of each label in the folder's head; None: it has other labels, or answers another kind of question."""
    kind, name = HEADS[task.auto.published.head], architecture_of(folder, "train", "init")
    same = not name or name.endswith((kind, "TransformerClassifier"))
    return task.head_rows(published) if same else None


def _new_head(model: Any, labels: int) -> nn.Linear:
    """A projection to so many labels with initial values, on the model's device."""
    head = nn.Linear(model.config.hidden_size, labels)
    init_weights(head, model.config.initializer_range)
    return head.to(model.classifier.weight.device)
