"""`fit`: what `engine train` does, for texts and labels that are in memory."""

from __future__ import annotations

import difflib
import json
import logging
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from engine.errors import BadType, BadValue, require
from engine.inference import Predictor
from engine.models import TransformerConfig
from engine.runs.folder import check_output
from engine.runs.plan import AUTOMATIC, DEFAULTS
from engine.runs.start import StartConfig, longest_text
from engine.runs.text import train_text
from engine.runs.textdata import TextData
from engine.serialization import write_text
from engine.tasks import TaskConfig, task_named
from engine.text.lists import column_of, list_of, strings_of
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
        labels: n labels: names or whole numbers. For "multilabel", n lists of names; for "regression", n numbers; for "tagging", n
            lists of tags.
        text, label: the columns of a table; None: "text" and "label".
        pairs: second texts, n strings, for tasks on pairs; the name of a column of a table.
        task: "classification", "multilabel", "regression" or "tagging".
        init: a published encoder to start from: a folder, or a name on the Hugging Face hub; None: a new model.
        output: the run folder, as `engine train` writes it; OUTPUT-data.jsonl beside it gets the texts. None: nothing is kept.
        overwrite, progress: as in `train_text`.
        settings: the share that is held out to choose the best epoch (validation_fraction: 0.1, but 0 if the texts are too few), and other
            fields of `TrainerConfig` (epochs, lr, batch_size, seed, device), `TaskConfig` (class_weights), `StartConfig`
            (lora_rank), `TextData` (max_length) and `TransformerConfig` (hidden_size).

    Raises:
        TypeError: for one string instead of a list, for a text that is not a string, and for a setting with an unknown name.
        ValueError: if there are not as many labels as texts, if a label is missing, and for settings out of range.
    """
    kind = task_named(task)
    if labels is None or text is not None or label is not None:
        require(labels is None, "fit", "labels", "None, because text= and label= name columns", "labels")
        pairs = column_of("fit", "pairs", texts, pairs) if isinstance(pairs, str) else pairs
        texts, labels = (
            column_of("fit", name, texts, column or name) for name, column in (("text", text), ("label", label))
        )
    rows = _rows(task, texts, labels, pairs)
    few = len(rows) < _FEWEST or (kind.stratified and len({row["label"] for row in rows}) == len(rows))
    if few and "validation_fraction" not in settings:
        _log.warning("fit: nothing is held out of %d texts, so the model of the last epoch is kept", len(rows))
        settings["validation_fraction"] = 0.0
    chosen = _configs(kind, None if init is None else os.fspath(init), settings)
    with tempfile.TemporaryDirectory(prefix="engine-fit-") as place:
        folder = Path(place if output is None else output) / ("run" if output is None else "")
        check_output(folder, overwrite)
        path = folder.with_name(f"{folder.name}-data.jsonl")  # a run that is resumed reads it again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        columns: dict[str, Any] = {} if task == "tagging" else {"text_column": "text", "label_column": "label"}
        columns |= {} if pairs is None else {"pair_column": "pair"}
        data = TextData((str(path),), **columns, **chosen[TextData])
        train_text(
            data,
            TrainerConfig(**chosen[TrainerConfig]),
            folder,
            task=TaskConfig(task, **chosen[TaskConfig]),
            start=StartConfig(sizes=chosen[TransformerConfig], **chosen[StartConfig]),
            automatic=[name for name in AUTOMATIC if name not in settings and name not in kind.defaults],
            overwrite=overwrite,
            progress=progress,
        )
        return Predictor.from_pretrained(folder, device=chosen[TrainerConfig].get("device"))


def _rows(task: str, texts: Any, labels: Any, pairs: Any) -> list[dict[str, Any]]:
    """The samples as objects of a JSON Lines file."""
    if task == "tagging":
        words = [strings_of("fit", f"texts[{row}]", each) for row, each in enumerate(list_of("fit", "texts", texts))]
        tags = [strings_of("fit", f"labels[{row}]", each) for row, each in enumerate(list_of("fit", "labels", labels))]
        require(pairs is None, "fit", "pairs", "None, because this task has single texts", "second texts")
        _check_length("labels", tags, len(words))
        return [{"words": a, "tags": b} for a, b in zip(words, tags)]
    given, seconds = strings_of("fit", "texts", texts), pairs if pairs is None else strings_of("fit", "pairs", pairs)
    values = list_of("fit", "labels", labels)
    require(given, "fit", "texts", "at least one text", "none")
    _check_length("labels", values, len(given))
    if task == "multilabel":
        values = [
            [_name(each, row) for each in list_of("fit", f"labels[{row}]", one)] for row, one in enumerate(values)
        ]
    elif task == "regression":
        values = [_number(each, row) for row, each in enumerate(values)]
    else:
        values = [_name(each, row) for row, each in enumerate(values)]
    found: list[dict[str, Any]] = [{"text": a, "label": b} for a, b in zip(given, values)]
    if seconds is not None:
        _check_length("pairs", seconds, len(given))
        found = [{**row, "pair": second} for row, second in zip(found, seconds)]
    return found


def _check_length(argument: str, values: list[Any], texts: int) -> None:
    require(len(values) == texts, "fit", argument, f"{texts}, one for each text", len(values))


def _name(value: Any, row: int) -> str:
    """A label as the name of a class. Raises ValueError for a missing one."""
    missing = is_missing(value) or (isinstance(value, str) and not value.strip())
    require(not missing, "fit", "labels", "a label for each text", f"{value!r} in row {row}")
    require(not isinstance(value, (list, tuple, dict)), "fit", "labels", "one label for each text", f"{value!r} in row {row}",
            "task='multilabel' takes several", error=BadType)  # fmt: skip
    return str(value)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas' NA is neither equal to itself nor not
        return True


def _number(value: Any, row: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadValue("fit", "labels", "numbers", f"{value!r} in row {row}") from None


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
        near = difflib.get_close_matches(name, homes, n=1)
        hints = [f"did you mean {each}?" for each in near]
        require(name in homes, "fit", name, "a setting", "an unknown name", *hints, error=BadType)
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
