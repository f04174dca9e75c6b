"""Which texts a run trains on, how they are cleaned, and the parts that they make."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.errors import BadValue
from engine.tasks import Columns, TaskConfig, TextTask, task_named
from engine.tasks.config import refuse_settings
from engine.text import find_problems, remove_problems, strip_markup
from engine.text.quality import KINDS

__all__ = ["Parts", "TextData"]

MARKUP = "markup"  # taken out of texts; the rows stay


@dataclass(frozen=True)
class TextData:
    """Which texts to train on, and how they become tokens.

    Attributes:
        train: files of labelled texts (CSV, TSV, JSONL; for tags CoNLL columns, JSONL or a folder), taken together.
        validation: a file of held-out texts; None: `validation_fraction` of the training texts, equally of each label.
        validation_fraction: 0 holds out nothing; then the last weights are kept.
        test: a file to evaluate the finished model on, once.
        text_column, label_column: None: found by their names.
        encoding: of all files; None: by their byte-order marks, and UTF-8 without one.
        tokenizer: a vocab.txt, a tokenizer.json, or a folder with one; None: that of the model to start from, and without
            one WordPiece trained on the training texts.
        vocab_size: of a trained tokenizer, at most.
        max_length: tokens after which texts are cut.
        pair_column: a column with a second text, for tasks on two.
        group_columns: columns by whose values the report compares the figures of a classification.
        clean: what to take out of the training texts: kinds of `find_problems`, such as "duplicate", "near_duplicate",
            "label_conflict", "leak", whose rows go; "markup" takes HTML and XML out of the texts of all files.
        examples_per_class: classify from that many texts of each label alone, the first of a random order; None: all.
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
    pair_column: str | None = None
    group_columns: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    examples_per_class: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "train", tuple(os.fspath(path) for path in self.train))
        for name in ("group_columns", "clean"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows no tuples
        if not self.train:
            raise BadValue("TextData", "train", "at least one file", "none")
        if self.validation is not None and self.validation_fraction != TextData.validation_fraction:
            raise BadValue("TextData", "validation_fraction", "no value beside validation", self.validation_fraction)
        if self.tokenizer is not None and self.vocab_size != TextData.vocab_size:
            raise BadValue("TextData", "vocab_size", "no value beside tokenizer, which has its own", self.vocab_size)
        if not 0 <= self.validation_fraction < 1:
            raise BadValue("TextData", "validation_fraction", "a number in [0, 1)", self.validation_fraction)
        if self.max_length < 3:
            raise BadValue("TextData", "max_length", "at least 3", self.max_length)
        if self.examples_per_class is not None and self.examples_per_class < 1:
            raise BadValue("TextData", "examples_per_class", "at least 1", self.examples_per_class)
        for kind in self.clean:
            if kind not in KINDS:
                raise BadValue("TextData", "clean", f"of {', '.join(KINDS)}", repr(kind))

    @property
    def files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys([*self.train, *(path for path in (self.validation, self.test) if path)]))

    def columns(self, separator: str = "|") -> Columns:
        """The columns that hold the parts of a sample; separator: between the labels of a text."""
        return Columns(
            self.text_column, self.label_column, self.pair_column, self.group_columns, self.encoding, separator
        )  # fmt: skip

    def moved(self, places: Mapping[str, str]) -> TextData:
        """The same with files where they now lie."""
        return replace(
            self,
            train=tuple(places[path] for path in self.train),
            validation=places[self.validation] if self.validation else None,
            test=places[self.test] if self.test else None,
        )

    def read(self, settings: TaskConfig) -> Parts:
        """Reads all files for a task.

        Raises FileNotFoundError or ValueError, naming file and line, if something is wrong with them; ValueError for settings that
        the task does not use."""
        kind = task_named(settings.name)
        refuse_settings(kind.name, kind.unused, self, settings)
        columns = self.columns(settings.label_separator)
        tables = [kind.read(path, columns) for path in self.train]
        task = kind.from_config(settings, kind.collect(tables, columns))
        whole = type(tables[0]).concat(tables)
        parts = {"train": whole}
        if self.validation is not None:
            parts["held_out"] = kind.read(self.validation, columns)
        elif self.validation_fraction:
            parts["train"], parts["held_out"] = whole.split(self.validation_fraction, stratify=kind.stratified)
        if self.test is not None:
            parts["test"] = kind.read(self.test, columns)
        cleaning = self._clean(parts, task.separator or None)
        if self.examples_per_class is not None:
            parts["train"] = _few(parts["train"], self.examples_per_class)
        for table in parts.values():
            task.targets(table)  # a label that training does not have is named now
        return Parts(parts, task, cleaning)

    def _clean(self, parts: dict[str, Any], separator: str | None) -> dict[str, Any]:
        """Cleans the tables in place of the old ones; what was done, fit for JSON."""
        done: dict[str, Any] = {}
        if MARKUP in self.clean:
            for name, table in parts.items():
                parts[name] = table.map_texts(strip_markup)
                done[MARKUP] = done.get(MARKUP, 0) + sum(a != b for a, b in zip(parts[name].texts, table.texts))
        kinds: Any = [kind for kind in self.clean if kind != MARKUP]
        if kinds:
            others = {name: table for name, table in parts.items() if name != "train"}
            report = find_problems(parts["train"], others or None, label_separator=separator)
            parts["train"], removed = remove_problems(parts["train"], report, kinds)
            done.update({kind: len(report.of(kind)) for kind in kinds})
            done["rows_removed"] = len(removed)
            if not len(parts["train"]):
                raise BadValue("train", "clean", "texts to be left", "none")
        return done


@dataclass
class Parts:
    """The parts of the data by name ("train", and "held_out", "test" if there are such), with their task.

    cleaning: what was taken out, by kind, or {}.
    """

    tables: dict[str, Any]
    task: TextTask
    cleaning: dict[str, Any]

    def texts(self) -> list[str]:
        """The training texts, for a tokenizer to learn from."""
        return self.tables["train"].tokenizer_texts()


def _few(table: Any, count: int) -> Any:
    """That many rows of each label, chosen at random by a fixed seed, in the table's order."""
    labels = table.strata()
    assert labels is not None
    taken: dict[str, int] = {}
    rows = []
    for row in np.random.default_rng(0).permutation(len(table)).tolist():
        label = labels[row]
        if taken.get(label, 0) < count:
            taken[label] = taken.get(label, 0) + 1
            rows.append(row)
    return table.select(sorted(rows))
