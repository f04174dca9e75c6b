"""From files of labelled texts to a trained classifier, a run folder and a report: what `engine train` does.

The run folder holds
    run.json             data and their hashes, settings, versions, seed
    config.json, model.safetensors, tokenizer.json, tokenizer_config.json    the best model, as other libraries open it
    log.jsonl            a line each `log_every` steps, evaluation and epoch
    checkpoints/         what is needed to go on
    report.json, report.md, curves.png
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.data import Labels, TextDataset, TextTable, Tokenizer, read_table
from engine.models import TransformerClassifier, TransformerConfig
from engine.serialization import write_text
from engine.tensor import number_of
from engine.train.augment import TokenDropout
from engine.train.callbacks import Callback, read_log
from engine.train.checkpoint import write_json
from engine.train.classifier import TextClassifier, encode_texts
from engine.train.config import TrainerConfig
from engine.train.report import environment, evaluation, format_report, peak_memory_bytes, plot_curves
from engine.train.runfolder import (
    FORMAT,
    check_output,
    find_file,
    load_tokenizer,
    locked,
    read_run,
    remove_run,
    sha256_of,
)
from engine.train.trainer import Trainer

__all__ = ["TextData", "read_run", "resume_text_classifier", "train_text_classifier"]


@dataclass(frozen=True)
class TextData:
    """Which texts to train on, and how they become tokens.

    Attributes:
        train: files of labelled texts (CSV, TSV, JSONL), taken together.
        validation: a file of held-out texts; None: `validation_fraction` of the training texts, equally of each label.
        validation_fraction: 0 holds out nothing; then the last weights are kept.
        test: a file to evaluate the finished model on, once.
        text_column, label_column: None: found by their names.
        encoding: of all files; None: by their byte-order marks, and UTF-8 without one.
        tokenizer: a vocab.txt, a tokenizer.json, or a folder with one; None: WordPiece trained on the training texts.
        vocab_size: of a trained tokenizer, at most.
        max_length: tokens after which texts are cut.
    """

    train: tuple[str, ...]
    validation: str | None = None
    validation_fraction: float = 0.1
    test: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    tokenizer: str | None = None
    vocab_size: int = 8000
    max_length: int = 128
    encoding: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", tuple(os.fspath(path) for path in self.train))
        if not self.train:
            raise ValueError("[TextData] train: expected at least one file, got none")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(
                f"[TextData] validation_fraction: expected a number in [0, 1), got {self.validation_fraction}"
            )
        if self.max_length < 3:
            raise ValueError(f"[TextData] max_length: expected at least 3, got {self.max_length}")

    @property
    def files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys([*self.train, *(path for path in (self.validation, self.test) if path)]))


class _Part(NamedTuple):
    """Texts and label numbers of one part of the data."""

    texts: list[str]
    labels: np.ndarray


def train_text_classifier(
    data: TextData,
    trainer: TrainerConfig,
    output: str | os.PathLike[str],
    *,
    model: Mapping[str, Any] | None = None,
    progress: bool = False,
    overwrite: bool = False,
    callbacks: tuple[Callback, ...] = (),
) -> dict[str, Any]:
    """Train a classifier from scratch, evaluate it, and write the run folder.

    Args:
        data: the texts.
        trainer: the settings of the training.
        output: the run folder; must be new, or empty.
        model: fields of `TransformerConfig`, without those that the data decide (vocab_size, num_labels, ...).
        progress: show a progress bar on standard error.
        overwrite: remove an earlier run in `output` first.
        callbacks: for the `Trainer`.

    Returns:
        The report, as in report.json.

    Raises:
        FileNotFoundError, ValueError: on files that are missing, empty, damaged or lack a column, on labels that only held-out
            or test files have, and on settings out of range; nothing is written then.
        FileExistsError: if `output` is not empty.
        BlockingIOError: if another training works in `output`.
    """
    folder = Path(output)
    tables, labels = _read(data)
    check_output(folder, overwrite)
    tokenizer = (
        load_tokenizer(data.tokenizer) if data.tokenizer else Tokenizer.train(tables["train"].texts, data.vocab_size)
    )
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=data.max_length,
        num_labels=len(labels),
        id2label=dict(enumerate(labels.names)),
        pad_token_id=tokenizer.pad_token_id,
        **(model or {}),
    )
    run = {
        "format": FORMAT,
        "task": "text-classification",
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": trainer.seed,
        "data": {
            **asdict(data),
            "train": list(data.train),
            "sha256": {path: sha256_of(path) for path in data.files},
            "absolute": {path: os.path.abspath(path) for path in data.files},  # to resume from another folder
        },
        "model": config.to_dict(),
        "trainer": trainer.to_dict(),
        "environment": environment(),
    }
    if trainer.device is not None:
        number_of(trainer.device)  # refused before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        check_output(folder, overwrite)  # again: another training may have begun here in the meantime
        if overwrite:
            remove_run(folder)
        tokenizer.save(folder)
        write_json(folder / "config.json", {"architectures": ["TransformerClassifier"], **config.to_dict()})
        write_json(folder / "run.json", run)
        return _train(folder, tables, tokenizer, config, trainer, progress, False, callbacks)


def resume_text_classifier(
    output: str | os.PathLike[str], *, progress: bool = False, callbacks: tuple[Callback, ...] = ()
) -> dict[str, Any]:
    """Go on with a run that was broken off, from its last checkpoint; the result has the bits of an uninterrupted run.

    Raises:
        FileNotFoundError, ValueError: if the folder is no run, or a data file is gone or has changed.
        BlockingIOError: if another training works in the folder.
    """
    folder = Path(output)
    run = read_run(folder)
    try:
        settings = dict(run["data"])
        hashes, absolute = settings.pop("sha256"), settings.pop("absolute", {})
        data = TextData(**settings)
        trainer = TrainerConfig.from_dict(run["trainer"])
        config = TransformerConfig.from_dict(run["model"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"[resume] output: expected a whole run.json in {folder}, got one that lacks {error}"
        ) from None
    with locked(folder):
        found = {path: find_file(path, absolute.get(path, path), hashes.get(path)) for path in data.files}
        data = replace(
            data,
            train=tuple(found[path] for path in data.train),
            validation=found[data.validation] if data.validation else None,
            test=found[data.test] if data.test else None,
        )
        tables, _ = _read(data)
        return _train(folder, tables, Tokenizer.from_pretrained(folder), config, trainer, progress, True, callbacks)


# --- the parts of a run ----------------------------------------------------------------------------------------------


def _read(data: TextData) -> tuple[dict[str, _Part], Labels]:
    """The parts of the data by name ("train", and "held_out", "test" where there are), and the labels."""
    tables = [_labelled(path, data) for path in data.train]
    labels = Labels.from_labels(label for table in tables for label in table.labels or ())
    if len(labels) < 2:
        raise ValueError(f"[train] labels: expected at least two different ones, got only {labels.names[0]!r}")
    whole = TextTable([t for table in tables for t in table.texts], [n for table in tables for n in table.labels or ()])
    parts = {"train": whole}
    if data.validation is not None:
        parts["held_out"] = _labelled(data.validation, data)
    elif data.validation_fraction:
        parts["train"], parts["held_out"] = whole.split(data.validation_fraction)
    if data.test is not None:
        parts["test"] = _labelled(data.test, data)
    return {name: _Part(table.texts, table.encode_labels(labels)) for name, table in parts.items()}, labels


def _labelled(path: str, data: TextData) -> TextTable:
    table = read_table(path, data.text_column, data.label_column, encoding=data.encoding)
    if table.labels is None:
        raise ValueError(
            f"[train] label_column: expected a column of labels in {path}, got none; name it with label_column="
        )
    return table


def _train(
    folder: Path,
    parts: Mapping[str, _Part],
    tokenizer: Tokenizer,
    config: TransformerConfig,
    settings: TrainerConfig,
    progress: bool,
    resume: bool,
    callbacks: tuple[Callback, ...],
) -> dict[str, Any]:
    import engine

    started = time.perf_counter()
    engine.manual_seed(settings.seed)  # the initial weights
    model = TransformerClassifier(config)

    def dataset(part: _Part) -> TextDataset:
        return encode_texts(part.texts, tokenizer, config.max_position_embeddings, part.labels)

    trainer = Trainer(
        model,
        settings,
        dataset(parts["train"]),
        dataset(parts["held_out"]) if "held_out" in parts else None,
        output=folder,
        progress=progress,
        callbacks=callbacks,
        transform=_token_dropout(settings, tokenizer),
    )
    state = trainer.train(resume)
    classifier = TextClassifier(model, tokenizer)
    report: dict[str, Any] = {
        "seed": settings.seed,
        "data": {
            "train_samples": len(parts["train"].texts),
            "held_out_samples": len(parts["held_out"].texts) if "held_out" in parts else 0,
            "labels": len(classifier.labels),
        },
        "model": {
            "layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "heads": config.num_attention_heads,
            "vocab_size": config.vocab_size,
            "parameters": model.num_parameters(),
        },
        "training": {
            "epochs": state.epoch,
            "steps": state.step,
            "seconds": state.seconds,
            "tokens": state.tokens,
            "tokens_per_second": state.tokens / max(state.seconds, 1e-9),
            "samples_per_second": state.samples / max(state.seconds, 1e-9),
            "padding_saved": 1 - state.tokens / max(state.padded_tokens, 1),
            "best_step": state.best_step,
        },
    }
    for name in ("held_out", "test"):
        if name in parts:
            logits = classifier.logits(parts[name].texts, settings.eval_batch_size)
            report[name] = evaluation(parts[name].labels, logits, classifier.labels.names)
    stats = engine._core.memory_stats()
    report["memory"] = {
        "peak_resident_bytes": peak_memory_bytes(),
        "peak_array_bytes": stats["peak_allocated_bytes"],
    }
    report["environment"] = environment(trainer.device)
    try:
        report["curves"] = plot_curves(read_log(folder / "log.jsonl"), folder / "curves.png").name
    except ImportError:
        report["curves"] = None  # the report's figures need no picture
    report["wall_seconds"] = time.perf_counter() - started
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", format_report(report))
    return report


def _token_dropout(settings: TrainerConfig, tokenizer: Tokenizer) -> TokenDropout | None:
    if not settings.token_dropout:
        return None
    if tokenizer.unk_token_id is None:
        raise ValueError("[train] token_dropout: expected a tokenizer with an unknown token, got one without")
    special = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    return TokenDropout(
        settings.token_dropout, tokenizer.unk_token_id, [i for i in special if i is not None], settings.seed
    )
