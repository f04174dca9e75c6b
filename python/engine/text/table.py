"""TextTable: texts with their labels, second texts and further columns. `read_table` reads one from a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.data.table import Source, Table
from engine.errors import BadValue, amount
from engine.text.cleaning import NormalForm, clean_text
from engine.text.labels import Labels
from engine.text.markup import strip_markup
from engine.text.table_columns import TakenColumns

__all__ = ["TextTable", "train_test_split"]


@dataclass(frozen=True)
class TextTable(Table[tuple[str, str | None]]):
    """Texts with optional labels, second texts and further columns, as read from one file.

    Attributes:
        texts: n strings.
        labels: n label names, or None.
        text_column: the column that the texts came from.
        label_column: the column that the labels came from, or None.
        source: the file's name, or a list of the name of each row's file, for messages, or None.
        lines: the line of each row in its file, counted from 1, for messages, or None.
        pairs: n second texts, for tasks on pairs of texts, or None.
        pair_column: the column that the second texts came from, or None.
        columns: further columns by name, n values each (strings, if they were named), such as groups to compare metrics by.
        notes: what reading has left out or guessed, a sentence each.
        header: the names of all columns of the file in their order.

    `len(table)` is n; `table[i]` is (text, label or None); a slice gives a table. `select`, `split`, `where` and `concat` are
    those of `engine.data.Table`.

    Raises:
        ValueError: if the lists differ in length.
    """

    per_row = ("texts", "labels", "lines", "pairs", "columns")

    texts: list[str]
    labels: list[str] | None = None
    text_column: str = "text"
    label_column: str | None = None
    source: Source = None
    lines: list[int] | None = field(default=None, repr=False)
    pairs: list[str] | None = None
    pair_column: str | None = None
    columns: dict[str, list[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    header: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is not None and self.label_column is None:
            object.__setattr__(self, "label_column", "label")
        if self.pairs is not None and self.pair_column is None:
            object.__setattr__(self, "pair_column", "pair")

    def __repr__(self) -> str:
        labels = (
            "no labels" if self.labels is None else f"{amount(len(set(self.labels)), 'label')} in {self.label_column!r}"
        )
        pairs = "" if self.pairs is None else f", pairs in {self.pair_column!r}"
        columns = f", columns {', '.join(map(repr, self.columns))}" if self.columns else ""
        source = f", source={self.source!r}" if isinstance(self.source, str) and self.source else ""
        return f"TextTable({amount(len(self), 'text')} in {self.text_column!r}{pairs}, {labels}{columns}{source})"

    @property
    def taken(self) -> TakenColumns:
        """The columns of the file that were read, by what they hold."""
        names = {"text": self.text_column, "pair": self.pair_column, "label": self.label_column}
        return {what: name for what, name in names.items() if name is not None}

    def row(self, index: int) -> tuple[str, str | None]:
        """(text, label or None)."""
        return self.texts[index], None if self.labels is None else self.labels[index]

    def parts(self, row: int) -> tuple[str, ...]:
        """(text,), or (text, second text) if the table has second texts."""
        return (self.texts[row],) if self.pairs is None else (self.texts[row], self.pairs[row])

    def strata(self) -> list[str] | None:
        """The labels."""
        return self.labels

    def tokenizer_texts(self) -> list[str]:
        """All texts, the second ones included, for a tokenizer to learn from."""
        return [*self.texts, *(self.pairs or ())]

    def map_texts(self, change: Callable[[str], str]) -> TextTable:
        """The table with `change` applied to each text and second text."""
        pairs = None if self.pairs is None else list(map(change, self.pairs))
        return replace(self, texts=list(map(change, self.texts)), pairs=pairs)

    def clean(self, form: NormalForm | None = "NFC", *, markup: bool = False) -> TextTable:
        """The table with `clean_text` applied to each text and second text; with `markup`, `strip_markup` before it."""
        return self.map_texts(lambda text: clean_text(strip_markup(text) if markup else text, form))

    def named_columns(self) -> dict[str, list[Any]]:
        """All columns by name, in the order of the file: texts, second texts, labels, further columns."""
        named = {self.text_column: self.texts, self.pair_column: self.pairs, self.label_column: self.labels}
        columns = {str(name): values for name, values in named.items() if values is not None}
        columns |= {name: values for name, values in self.columns.items() if name not in named}
        order = {name: place for place, name in enumerate(self.header)}
        return dict(sorted(columns.items(), key=lambda column: order.get(column[0], len(order))))

    def label_counts(self) -> dict[str, int]:
        """How often each label occurs in the table, by name.

        Raises:
            ValueError: if the table has no labels.
        """
        return dict(sorted(Counter(self._labels("label_counts")).items()))

    def encode_labels(self, labels: Labels) -> np.ndarray:
        """The numbers of this table's labels, int64 (n,).

        Raises:
            ValueError: if the table has no labels, or an unknown one; the error names the label and its line or row.
        """
        return labels.encode(self._labels("encode_labels"), source=self.source, lines=self.lines)

    def _labels(self, method: str) -> list[str]:
        if self.labels is None:
            raise BadValue(f"TextTable.{method}", "labels", "a table with labels", "a table without labels")
        return self.labels


def train_test_split(
    table: TextTable, test_fraction: float = 0.1, seed: int = 0, stratify: bool = True
) -> tuple[TextTable, TextTable]:
    """`table.split(test_fraction, seed, stratify)`: the same, by scikit-learn's name."""
    return table.split(test_fraction, seed, stratify)
