"""Which texts a run trains on, how they are cleaned, and how they are split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from engine.errors import Argument, ArgumentError, require
from engine.settings import Settings
from engine.tasks import Columns, TaskConfig, TextTask, task_named
from engine.text import find_problems, remove_problems, strip_markup
from engine.text.label_problems import missing_names, no_classes
from engine.text.quality import KINDS
from engine.text.table_columns import in_words

__all__ = ["TextData"]

_COMPARING = ("leak", "near_leak")  # kinds of problems that need other data than those of the training
# With fewer texts, for each label or in all, those held out would be too few to tell which weights are best.
FEW_TEXTS, FEW_IN_ALL = 40, 200
MARKUP = "markup"  # the only kind that changes texts and keeps their rows


@dataclass(frozen=True)
class TextData(Settings):
    """Which texts to train on, and how they become tokens.

    Attributes:
        train: files or folders of labelled texts, which are joined, in any format of `read_table`; for tags of `read_tagged`.
        validation: a file of held-out texts; None: a part of the training texts is held out.
        validation_fraction: the share that is held out, the same of each label; 0: nothing, and the last weights are kept.
        test: a file that the finished model is evaluated on, once.
        text_column, label_column: names of columns; None: the usual names are looked for.
        tokenizer: a vocab.txt, a tokenizer.json, or a folder with one. None: that of the model to start from; if there is none,
            a WordPiece tokenizer is trained on the training texts.
        vocab_size: the most tokens of a trained tokenizer; None: one for each 35 words of the training texts, from 2,000 to 8,000.
        max_length: the most tokens in a text; longer texts are cut.
        encoding: of all files; None: the one of the byte-order mark, or UTF-8.
        columns: the names of all columns in order, for files without a header.
        delimiter: the character between the fields of CSV and TSV; None: it is recognised.
        quoting: whether fields of CSV and TSV may be in double quotes; None: only in CSV.
        format: the form of all files, as in `read_table`; None: by their contents and names.
        pair_column: the column with the second text, for tasks on two.
        group_columns: a classification's report gives the figures by the values of these columns.
        clean: what to take out of the training texts. Kinds of `find_problems`, such as "duplicate", "near_duplicate",
            "label_conflict", "leak", remove rows. "markup" removes HTML and XML from the texts of all files.
        examples_per_class: train on so many texts of each label only, chosen at random; None: on all.
    """

    train: tuple[str, ...]
    validation: str | None = None
    validation_fraction: float = 0.1
    test: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    max_length: int = 128
    encoding: str | None = None
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    quoting: bool | None = None
    format: str | None = None
    pair_column: str | None = None
    group_columns: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    examples_per_class: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("train", self.train, "at least one file")
        if self.validation is not None:
            self.refuse((Argument("validation"), " has the held-out texts"), "validation_fraction")
        if self.tokenizer is not None:
            self.refuse((Argument("tokenizer"), " has a vocabulary"), "vocab_size")
        self.require("validation_fraction", 0 <= self.validation_fraction < 1, "a number in [0, 1)")
        self.require("max_length", self.max_length >= 3, "at least 3")
        few = self.examples_per_class
        self.require("examples_per_class", few is None or few >= 1, "at least 1")
        for kind in self.clean:
            require(kind in KINDS, "TextData", "clean", f"some of {', '.join(KINDS)}", repr(kind))
        if self.validation is None and not self.validation_fraction and self.test is None:
            reason = "there are no held-out and no test data"
            self.refuse(reason, "group_columns")
            for kind in _COMPARING:
                require(kind not in self.clean, "TextData", "clean", f"kinds without {kind!r}", repr(kind), reason)

    @property
    def files(self) -> list[str]:
        """All files, each once."""
        return list(dict.fromkeys([*self.train, *(path for path in (self.validation, self.test) if path)]))

    def parts_of_samples(self, separator: str = "|") -> Columns:
        """The columns that hold the parts of a sample; separator: between the labels of a text."""
        return Columns(
            self.text_column, self.label_column, self.pair_column, self.group_columns, self.encoding, separator,
            self.columns, self.delimiter, self.quoting, self.format,
        )  # fmt: skip

    def moved(self, places: Mapping[str, str]) -> TextData:
        """The same settings with the present paths of the files: places gives the path of each."""
        return replace(
            self,
            train=tuple(places[path] for path in self.train),
            validation=places[self.validation] if self.validation else None,
            test=places[self.test] if self.test else None,
        )

    def read(
        self, settings: TaskConfig, keep_few: bool = False, tables: Mapping[str, Any] = MappingProxyType({})
    ) -> Parts:
        """Reads all files for a task. keep_few: hold out nothing if the training texts are few. tables: those of files that need not be
        read, by their paths.

        Raises FileNotFoundError or ValueError if something is wrong with a file, and names the file and the line; ValueError for
        settings that the task does not use."""
        kind = task_named(settings.name)
        for config in (self, settings):
            config.refuse(f"the task {kind.name!r} does not use it", *kind.unused)
        columns = self.parts_of_samples(settings.label_separator)
        whole_rows = "missing_label" not in self.clean or kind.several_labels
        training = columns if whole_rows else columns._replace(empty=True)
        found = [tables[path] if path in tables else kind.read(path, training) for path in self.train]
        read = sum(map(len, found))
        found = found if whole_rows else [*map(_labelled, found)]  # before the names of the labels are collected
        unlabelled = read - sum(map(len, found))
        task = kind.from_config(settings, kind.collect(found, columns))
        whole = type(found[0]).concat([*_of_other_columns(self.train, found)])
        parts = {"train": whole}
        if self.validation is not None:
            parts["held_out"] = kind.read(self.validation, columns)
        elif self.validation_fraction and not (keep_few and are_few(self._used(whole), task)):
            try:
                parts["train"], parts["held_out"] = whole.split(self.validation_fraction, stratify=kind.stratified)
            except ArgumentError as error:
                error.relabel("TextData", {"fraction": "validation_fraction"})
                for hint in no_classes(len(whole), sorted({*whole.labels})) if kind.stratified else ():
                    error.add_hint(hint)
                error.add_hint("add texts, or hold nothing out with 0")
                raise
        if self.test is not None:
            parts["test"] = kind.read(self.test, columns)
        cleaning = self._clean(parts, task.separator or None)
        if unlabelled:
            cleaning["missing_label"] = cleaning.get("missing_label", 0) + unlabelled
            cleaning["rows_removed"] = cleaning.get("rows_removed", 0) + unlabelled
        if self.examples_per_class is not None:
            parts["train"] = _few(parts["train"], self.examples_per_class)
        for table in parts.values():
            task.targets(table)  # raises if a label is missing in the training texts
        all_there = cleaning.get("rows_removed", 0) == unlabelled and self.examples_per_class is None
        return Parts(parts, task, cleaning, whole if all_there else parts["train"])

    def _used(self, table: Any) -> int:
        """How many rows of a table are trained on."""
        return len(table) if self.examples_per_class is None else len(_few(table, self.examples_per_class))

    def _clean(self, parts: dict[str, Any], separator: str | None) -> dict[str, Any]:
        """Replaces the tables in `parts` by clean ones. Returns how many texts or rows each kind changed, fit for JSON."""
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
            require(len(parts["train"]), "train", "clean", "kinds that leave at least one training text", "none left")
        return done


def are_few(texts: int, task: TextTask) -> bool:
    """Whether a task on whole texts has too few training texts to hold some out."""
    return "pooling" not in task.unused and texts < max(FEW_TEXTS * len(task.labels), FEW_IN_ALL)


@dataclass
class Parts:
    """The tables of the data by name ("train", and perhaps "held_out" and "test"), with their task.

    cleaning: how many texts or rows each kind of cleaning changed, or {}. labelled: the training texts with those that are held out of
    them; only the training texts, if rows were chosen or removed.
    """

    tables: dict[str, Any]
    task: TextTask
    cleaning: dict[str, Any]
    labelled: Any

    def texts(self) -> list[str]:
        """The training texts, for a tokenizer to learn from."""
        return self.tables["train"].tokenizer_texts()


def _labelled(table: Any) -> Any:
    """The rows whose label is not missing. Raises ValueError if there is none."""
    missing = missing_names(table.labels)
    kept = [row for row, label in enumerate(table.labels) if label not in missing]
    require(kept, "train", "clean", "kinds that leave at least one training text", "none left")
    return table.select(kept)


def _of_other_columns(paths: Sequence[str], tables: Sequence[Any]) -> Iterator[Any]:
    """The tables of files. One that has other columns than the first notes that."""
    for path, table in zip(paths, tables):
        if table.taken != tables[0].taken:
            note = f"columns of {path}: {in_words(table.taken)}; of {paths[0]}: {in_words(tables[0].taken)}"
            table = replace(table, notes=(*table.notes, note))
        yield table


def _few(table: Any, count: int) -> Any:
    """So many rows of each label, chosen at random by a fixed seed, in the table's order."""
    labels = table.strata()
    rows: dict[str, list[int]] = {}
    for row in np.random.default_rng(0).permutation(len(table)).tolist():
        rows.setdefault(labels[row], []).append(row)
    return table.select(sorted(row for chosen in rows.values() for row in chosen[:count]))
