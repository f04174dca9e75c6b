"""The model card of an exported model: what a stranger should know about it, from the files of its run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.models.pretrained import Pretrained
from engine.serialization import read_json

__all__ = ["model_card"]

_TAGS = {
    "sequence": ("text-classification", "AutoModelForSequenceClassification"),
    "token": ("token-classification", "AutoModelForTokenClassification"),
    "masked": ("fill-mask", "AutoModelForMaskedLM"),
    "base": ("feature-extraction", "AutoModel"),
}
_LABELS_SHOWN = 20


def model_card(run_folder: str | os.PathLike[str], model: Pretrained, dtype: str = "float32") -> str:
    """A README.md with the front matter that the Hugging Face hub reads, from run.json and report.json where these exist.

    Data files are named by their base name and hash, without their folder. The licence is left for the owner to fill in. Raises
    ValueError if a file is damaged.
    """
    paths = [Path(run_folder) / name for name in ("run.json", "report.json")]
    run, report = (read_json(path) if path.is_file() else {} for path in paths)
    tag, kind = _TAGS[model.head]
    c = model.config
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {tag}",
        "tags:",
        "- engine",
        "# license: to be filled in; the terms of the data and of the first encoder decide",
        "---",
        "",
        f"# {model.architecture}",
        "",
        f"Task: {_task_name(run) or tag}. {c.num_hidden_layers} layers of {c.hidden_size}, {c.num_attention_heads} heads, "
        f"vocabulary of {c.vocab_size:,}, {model.num_parameters():,} parameters as {dtype}, texts of at most {c.max_length} "
        "tokens.",
    ]
    if model.head in ("sequence", "token"):
        names = list(c.labels.values())
        shown = ", ".join(f"`{_cell(name)}`" for name in names[:_LABELS_SHOWN])
        lines += ["", f"{len(names)} labels: {shown}{', ...' if len(names) > _LABELS_SHOWN else ''}."]
    lines += [
        "", "## Use", "", "```python", f"from transformers import AutoTokenizer, {kind}", "",
        'tokenizer = AutoTokenizer.from_pretrained("this folder")', f'model = {kind}.from_pretrained("this folder")', "```",
    ]  # fmt: skip
    if run:
        cleaning = "Unicode form NFC, no control characters, single spaces"
        lines += ["", f"The training texts were cleaned ({cleaning}). Clean your texts in the same way."]
    lines += _data(run.get("data") or {}, report.get("data") or {})
    for name, title in (("held_out", "Held out"), ("test", "Test")):
        figures = report.get(name)
        if isinstance(figures, Mapping):
            rows = [(key, _number(value)) for key, value in figures.items() if _is_number(value)]
            lines += ["", f"## {title}", "", *_table(("figure", "value"), rows)]
    trainer = run.get("trainer") or {}
    if trainer:
        rows = [(f"`{key}`", json.dumps(value)) for key, value in trainer.items() if value is not None]
        lines += ["", "## Hyper-parameters", "", *_table(("setting", "value"), rows)]
    environment = report.get("environment") or run.get("environment") or {}
    if environment.get("versions"):
        versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        lines += ["", "## Made with", "", f"{versions}; {environment.get('system', 'system unknown')}."]
    return "\n".join(lines) + "\n"


def _task_name(run: Mapping[str, Any]) -> str:
    task = run.get("task", "")
    return task if isinstance(task, str) else str(task.get("name", ""))  # version 0.1 wrote the name alone


def _data(data: Mapping[str, Any], counts: Mapping[str, Any]) -> list[str]:
    hashes = data.get("sha256") or {}
    if not hashes:
        return []
    rows = [(f"`{_cell(os.path.basename(path))}`", f"`{digest}`") for path, digest in hashes.items()]
    lines = ["", "## Data", "", *_table(("file", "SHA-256"), rows)]
    known = [(key, value) for key, value in counts.items() if _is_number(value)]
    if known:
        lines += ["", "; ".join(f"{key.replace('_', ' ')}: {_number(value)}" for key, value in known) + "."]
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'")


def _table(header: Sequence[str], rows: Sequence[tuple[str, str]]) -> list[str]:
    names = [key if "`" in key else key.replace("_", " ") for key, _ in rows]
    lines = [f"| {name} | {value} |" for name, (_, value) in zip(names, rows)]
    return ["| " + " | ".join(header) + " |", "|---|---|", *lines]
