"""The model card of an exported model: what a stranger should know about it, from the files of its run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import amount
from engine.models import TransformerClassifier
from engine.models.pretrained import Pretrained
from engine.report.words import figure_name, is_number, visible
from engine.serialization import read_json

__all__ = ["head_of", "model_card"]

_TAGS = {
    "sequence": ("text-classification", "AutoModelForSequenceClassification"),
    "token": ("token-classification", "AutoModelForTokenClassification"),
    "masked": ("fill-mask", "AutoModelForMaskedLM"),
    "base": ("feature-extraction", "AutoModel"),
}
_LABELS_SHOWN = 20
_CLEANED = (
    "The training texts were cleaned: Unicode form NFC, no control characters, single spaces. "
    "Clean your texts in the same way."
)


def head_of(model: Pretrained) -> str:
    """What stands on the encoder, a key of `families.HEADS`: also for engine's own models, whose classes name none."""
    return model.head or ("sequence" if isinstance(model, TransformerClassifier) else "base")


def model_card(
    run_folder: str | os.PathLike[str],
    model: Pretrained,
    dtype: str = "float32",
    *,
    library: str = "transformers",
    tag: str | None = None,
    use: Sequence[str] | None = None,
) -> str:
    """A README.md with the front matter that the Hugging Face hub reads, from run.json and report.json if they exist.

    Data files are named by their base name and hash, without their folder. The licence is left for the owner to fill in. Raises
    ValueError if a file is damaged.

    Args:
        run_folder: where run.json and report.json may be.
        model: what was exported. dtype: that of its weights.
        library: what opens the files. tag: what the model does, by the hub's name; None: as its head says.
        use: the lines of the section "Use"; None: those for `transformers`.
    """
    paths = [Path(run_folder) / name for name in ("run.json", "report.json")]
    run, report = (read_json(path) if path.is_file() else {} for path in paths)
    head = head_of(model)
    usual, kind = _TAGS[head]
    tag = tag or usual
    c, task = model.config, run.get("task", "")
    task = task if isinstance(task, str) else str(task.get("name", ""))  # version 0.1 wrote the name alone
    lines = [
        "---",
        f"library_name: {library}",
        f"pipeline_tag: {tag}",
        "tags:",
        "- engine",
        "# license: to be filled in; it depends on the terms of the data and of the encoder that training started from",
        "---",
        "",
        f"# {model.architecture}",
        "",
        f"Task: {task or tag}. {c.num_hidden_layers} layers of {c.hidden_size}, {c.num_attention_heads} heads, "
        f"vocabulary of {c.vocab_size:,}, {model.num_parameters():,} parameters as {dtype}, texts of at most {c.max_length} "
        "tokens.",
    ]
    if head in ("sequence", "token"):
        names = [f"`{_cell(name)}`" for name in c.labels.values()]
        more = ", and more" if len(names) > _LABELS_SHOWN else ""
        lines += ["", f"{amount(len(names), 'label')}: {', '.join(names[:_LABELS_SHOWN])}{more}."]
    program = [
        "```python", f"from transformers import AutoTokenizer, {kind}", "",
        'tokenizer = AutoTokenizer.from_pretrained("this folder")', f'model = {kind}.from_pretrained("this folder")', "```",
    ]  # fmt: skip
    lines += ["", "## Use", "", *(program if use is None else use)]
    if run:
        lines += ["", _CLEANED]
    hashes = (run.get("data") or {}).get("sha256") or {}
    files = ((f"`{_cell(os.path.basename(path))}`", f"`{digest}`") for path, digest in hashes.items())
    lines += _section("Data", ("file", "SHA-256"), files)
    counts = _numbers(report.get("data") or {})
    if hashes and counts:
        lines += ["", "; ".join(f"{name}: {value}" for name, value in counts) + "."]
    for key, title in (("held_out", "Held out"), ("test", "Test")):
        lines += _section(title, ("figure", "value"), _numbers(report.get(key) or {}))
    settings = (run.get("trainer") or {}).items()
    rows = ((f"`{key}`", json.dumps(value)) for key, value in settings if value is not None)
    lines += _section("Hyper-parameters", ("setting", "value"), rows)
    environment = report.get("environment") or run.get("environment") or {}
    if environment.get("versions"):
        versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        lines += ["", "## Made with", "", f"{versions}; {environment.get('system', 'system unknown')}."]
    return "\n".join(lines) + "\n"


def _section(title: str, header: tuple[str, str], rows: Iterable[tuple[str, str]]) -> list[str]:
    """The lines of a section with a table; none without rows."""
    lines = [f"| {name} | {value} |" for name, value in rows]
    return ["", f"## {title}", "", f"| {' | '.join(header)} |", "|---|---|", *lines] if lines else []


def _numbers(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, number) of the figures that are numbers, as a reader sees them."""
    return [
        (figure_name(key), f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
        for key, value in figures.items()
        if is_number(value)
    ]


def _cell(text: str) -> str:
    return visible(" ".join(str(text).split())).replace("|", "\\|").replace("`", "'")
