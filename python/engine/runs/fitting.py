"""`fit`: what `engine train` does, for texts and labels that are in memory."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import BadType, require
from engine.inference import Predictor
from engine.models import TransformerConfig
from engine.runs.folder import check_output
from engine.runs.given import Names as Names
from engine.runs.given import given
from engine.runs.plan import AUTOMATIC, DEFAULTS
from engine.runs.start import StartConfig, longest_text
from engine.runs.text import train_text
from engine.runs.textdata import TextData
from engine.serialization import write_text
from engine.suggestions import near, suggestion
from engine.tasks import TaskConfig, task_named
from engine.text.lists import column_of
from engine.train import TrainerConfig

__all__ = ["fit"]

_log = logging.getLogger("engine.runs")

_FEWEST = 5  # texts of which a tenth, rounded, is one
_LONGEST = 128  # tokens of a text, unless the model takes fewer


def fit(
    texts: Any,
    labels: Any = None,
    *,
    text: str | None = None,
    label: str | None = None,
    pairs: Any = None,
    task: str = "classification",
    init: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **settings: Any,
) -> Predictor:
    """Trains a model on texts and labels in memory, with the defaults of `engine train`, and returns its predictor.

        >>> predictor = engine.train.fit(["My card is late", "Top up failed"] * 20, ["card", "top_up"] * 20, init="MiniLM")
        >>> predictor.answer(["Where is my card?"])
        >>> engine.train.fit(frame, text="question", label="intent", output="runs/first")

    Args:
        texts: n strings: a list, a NumPy array, a column of pandas or polars, or one of a `datasets.Dataset`. For "tagging", n lists
            of words. Or a table with the columns `text` and `label`.
        labels: n labels: names or whole numbers. For "multilabel", n lists or sets of names, or columns of 0 and 1: an array or a sparse
            matrix (n, k), or a table, whose columns have names; for "regression", n numbers; for "tagging", n lists of tags.
        text, label: the columns of a table; None: "text" and "label".
        pairs: second texts, n strings, for tasks on pairs; the name of a column of a table.
        task: "classification", "multilabel", "regression" or "tagging".
        init: a published encoder to start from: a folder, or a name on the Hugging Face hub; None: a new model.
        output: the run folder, as `engine train` writes it; OUTPUT-data.jsonl beside it gets the texts. None: nothing is kept.
        overwrite, progress: as in `train_text`.
        settings: the share that is held out to choose the best epoch (validation_fraction: 0.1, but 0 if the texts are too few), and other
            fields of `TrainerConfig` (epochs, lr, batch_size, seed, device), `TaskConfig` (class_weights), `StartConfig`
            (lora_rank), `TextData` (max_length) and `TransformerConfig` (hidden_size).

    The predictor answers with the caller's own labels: 3 for 3, and " a " for " a ", although the name in the run folder is "a". One
    that is opened from the folder answers with names, or with numbers or truth values if all labels were of one such type.

    Raises:
        TypeError: for one string instead of a list, for a text that is not a string, and for a setting with an unknown name.
        ValueError: if there are not as many labels as texts, if a label is missing, and for settings out of range.
    """
    return fit_as(
        Names(), texts, labels, pairs, task, init, settings, text=text, label=label, output=output, overwrite=overwrite,
        progress=progress,
    )  # fmt: skip


def fit_as(
    names: Names,
    texts: Any,
    labels: Any,
    pairs: Any,
    task: str,
    init: str | os.PathLike[str] | None,
    settings: dict[str, Any],
    *,
    text: str | None = None,
    label: str | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Predictor:
    """As `fit`, with errors in the words of another function."""
    kind = task_named(task)
    if labels is None and isinstance(texts, (str, os.PathLike)):
        hint = "engine.text.read_table(path) reads a file: pass its texts and its labels"
        raise BadType("fit", names.texts, "a list of texts, or a table", "one string or path", hint)
    if labels is None or text is not None or label is not None:
        require(labels is None, "fit", "labels", "None, because text= and label= name columns", "labels")
        named = {"text": text or "text", "label": label or "label"} | (
            {"pairs": pairs} if isinstance(pairs, str) else {}
        )
        for name, column in named.items():
            first = next(other for other in named if named[other] == column)
            require(first == name, "fit", name, f"a column other than that of {first}", repr(column))
        columns = {name: column_of("fit", name, texts, column) for name, column in named.items()}
        texts, labels, pairs = columns["text"], columns["label"], columns.get("pairs", pairs)
    require("group_columns" not in settings, "fit", "group_columns", "no columns, as there is no table", "names")
    separator = settings.get("label_separator", TaskConfig.label_separator)
    found = given(task, texts, labels, pairs, separator, names)
    n = len(found.table)
    few = n < _FEWEST or (kind.stratified and len(set(found.table.labels or ())) == n)
    if few and "validation_fraction" not in settings:
        _log.warning("fit: nothing is held out of %d texts, so the model of the last epoch is kept", n)
        settings = {**settings, "validation_fraction": 0.0}
    chosen = _configs(kind, None if init is None else os.fspath(init), settings)
    with tempfile.TemporaryDirectory(prefix="engine-fit-") as place:
        folder = Path(place if output is None else output) / ("run" if output is None else "")
        check_output(folder, overwrite)
        path = folder.with_name(f"{folder.name}-data.jsonl")  # a run that is resumed reads it
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows))
        where: dict[str, Any] = {} if task == "tagging" else {"text_column": "text", "label_column": "label"}
        where |= {} if pairs is None else {"pair_column": "pair"}
        data = TextData((str(path),), **where, **chosen[TextData])
        train_text(
            data,
            TrainerConfig(**chosen[TrainerConfig]),
            folder,
            task=TaskConfig(task, **chosen[TaskConfig]),
            start=StartConfig(sizes=chosen[TransformerConfig], **chosen[StartConfig]),
            automatic=[name for name in AUTOMATIC if name not in settings and name not in kind.defaults],
            overwrite=overwrite,
            progress=progress,
            notify=partial(_log.warning, "fit: %s"),
            tables={str(path): found.table},
            own=found.own,
        )
        predictor = Predictor.from_pretrained(folder, device=chosen[TrainerConfig].get("device"))
        predictor.task.own = found.own
    return predictor


def _configs(kind: Any, init: str | None, settings: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """The settings by the config that has them, with the defaults of the command."""
    homes: dict[str, Any] = {}
    for config in (
        TransformerConfig,
        StartConfig,
        TextData,
        TaskConfig,
        TrainerConfig,
    ):  # the last one that has a name counts
        homes |= {field.name: config for field in fields(config)}
    homes["vocab_size"] = TextData
    homes = {name: home for name, home in homes.items() if name not in ("name", "sizes", "init", "train", "published")}
    chosen: dict[Any, dict[str, Any]] = {
        config: {} for config in (TransformerConfig, StartConfig, TextData, TaskConfig, TrainerConfig)
    }
    for name in settings:
        if name not in homes:
            known = [each.replace("_", "-") for each in homes]
            close = [each.replace("-", "_") for each in near(name, known, "")]
            hint = f"did you mean {' or '.join(close)}?" if close else suggestion(name, known, "").removesuffix(".")
            raise BadType("fit", name, "a setting", "an unknown name", *filter(None, [hint]))
    defaults = {name: values[init is not None] for name, values in DEFAULTS.items() if name != "dropout"}
    defaults |= kind.defaults
    defaults["max_length"] = _LONGEST
    if init is not None:
        defaults |= {"max_length": min(_LONGEST, longest_text(init)), "init": init}
    elif "pooling" not in kind.unused:
        defaults["pooling"] = "max"
    if settings.get("max_steps") is not None:
        del defaults["epochs"]
    defaults = {name: value for name, value in defaults.items() if value is not None}
    homes["init"] = StartConfig
    for name, value in {**{n: v for n, v in defaults.items() if n not in kind.unused}, **settings}.items():
        chosen[homes[name]][name] = value
    return chosen
