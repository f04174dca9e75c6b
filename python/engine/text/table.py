"""Tables of texts with their labels: cleaning, duplicate removal, splits.

Reading files is in `readers.py`. Nothing here knows tokens or tensors.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, overload

import numpy as np

from engine.data._arrays import integer
from engine.data._random import SPLIT, check_seed, permutation
from engine.text.labels import Labels
from engine.text.markup import strip_markup

__all__ = ["DuplicateReport", "LabelConflict", "TextTable", "clean_text", "remove_duplicates", "train_test_split"]

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

# Characters that show nothing and carry no meaning in a classifier's input: C0 and C1 controls other than white space,
# soft hyphen, zero-width space and word joiner, marks of writing direction, byte-order mark. The zero-width joiners
# U+200C and U+200D stay: emoji and several scripts spell with them.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)
SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str, form: NormalForm | None = "NFC", *, collapse_whitespace: bool = True) -> str:
    """Bring a text into one canonical spelling.

    Lone surrogates become U+FFFD, invisible control and formatting characters go, the text is normalised
    (Unicode Standard Annex #15), and runs of white space of any kind become one space, with none at the ends.
    Cleaning a cleaned text changes nothing.

    Args:
        text: any string.
        form: 'NFC' (default; same appearance), 'NFKC' (also folds full-width letters, ligatures, circled digits: note
            that it turns Chinese full-width punctuation into ASCII), 'NFD', 'NFKD', or None to leave it.
        collapse_whitespace: False keeps white space as it is, line ends included.

    Raises:
        TypeError: if `text` is not a string.
        ValueError: if `form` is none of the above.
    """
    if not isinstance(text, str):
        raise TypeError(f"[clean_text] text: expected a string, got {type(text).__name__}")
    if form not in ("NFC", "NFD", "NFKC", "NFKD", None):
        raise ValueError(f"[clean_text] form: expected 'NFC', 'NFD', 'NFKC', 'NFKD' or None, got {form!r}")
    if not text.isascii():
        text = SURROGATE.sub("\ufffd", text)
    text = INVISIBLE.sub("", text)
    if form is not None and not text.isascii():
        text = unicodedata.normalize(form, text)
    return " ".join(text.split()) if collapse_whitespace else text


@dataclass(frozen=True)
class TextTable:
    """Texts with optional labels, second texts and further columns, as read from one file.

    Attributes:
        texts: n strings.
        labels: n label names, or None.
        text_column: the column the texts came from.
        label_column: the column the labels came from, or None.
        source: the file's name, for messages, or None.
        lines: the line of each row in that file, counted from 1, for messages, or None.
        pairs: n second texts, for tasks on two, or None.
        pair_column: the column the second texts came from, or None.
        columns: further columns by name, n strings each, such as the groups that metrics are wanted for.

    `len(table)` is n; `table[i]` is (text, label or None); a slice gives a table.

    Raises:
        ValueError: if the lists differ in length.
    """

    texts: list[str]
    labels: list[str] | None = None
    text_column: str = "text"
    label_column: str | None = None
    source: str | None = None
    lines: list[int] | None = field(default=None, repr=False)
    pairs: list[str] | None = None
    pair_column: str | None = None
    columns: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lists = {name: getattr(self, name) for name in ("labels", "lines", "pairs")}
        lists |= {f"columns[{name!r}]": values for name, values in self.columns.items()}
        for name, values in lists.items():
            if values is not None and len(values) != len(self.texts):
                raise ValueError(
                    f"[TextTable] {name}: expected {len(self.texts)} entries, one a text, got {len(values)}"
                )
        if self.labels is not None and self.label_column is None:
            object.__setattr__(self, "label_column", "label")
        if self.pairs is not None and self.pair_column is None:
            object.__setattr__(self, "pair_column", "pair")

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str | None]: ...
    @overload
    def __getitem__(self, index: slice) -> TextTable: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str | None] | TextTable:
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.texts[index], None if self.labels is None else self.labels[index]

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        labels: Iterable[str | None] = [None] * len(self) if self.labels is None else self.labels
        return zip(self.texts, labels, strict=True)

    def __repr__(self) -> str:
        labels = "no labels" if self.labels is None else f"{len(set(self.labels))} labels in {self.label_column!r}"
        pairs = "" if self.pairs is None else f", pairs in {self.pair_column!r}"
        columns = f", columns {', '.join(map(repr, self.columns))}" if self.columns else ""
        source = f", source={self.source!r}" if self.source else ""
        return f"TextTable({len(self)} texts in {self.text_column!r}{pairs}, {labels}{columns}{source})"

    def select(self, rows: Iterable[int] | np.ndarray) -> TextTable:
        """The table of the given rows, in the order given.

        Raises:
            IndexError: if a row is not in [0, n).
            TypeError: if one is no integer.
        """
        chosen = [integer("TextTable.select", "rows", row) for row in rows]
        for row in chosen:
            if not 0 <= row < len(self):
                raise IndexError(f"[TextTable.select] rows: expected values in [0, {len(self)}), got {row}")
        return replace(
            self,
            texts=[self.texts[row] for row in chosen],
            labels=None if self.labels is None else [self.labels[row] for row in chosen],
            lines=None if self.lines is None else [self.lines[row] for row in chosen],
            pairs=None if self.pairs is None else [self.pairs[row] for row in chosen],
            columns={name: [values[row] for row in chosen] for name, values in self.columns.items()},
        )

    def clean(self, form: NormalForm | None = "NFC", *, markup: bool = False) -> TextTable:
        """The table with `clean_text` applied to each text and second text; with `markup`, `strip_markup` before it."""

        def cleaned(texts: list[str]) -> list[str]:
            return [clean_text(strip_markup(text) if markup else text, form) for text in texts]

        return replace(self, texts=cleaned(self.texts), pairs=None if self.pairs is None else cleaned(self.pairs))

    def split(self, fraction: float, seed: int = 0, stratify: bool = True) -> tuple[TextTable, TextTable]:
        """Hold out a part: (the rest, the held-out part). See `train_test_split`."""
        return train_test_split(self, fraction, seed=seed, stratify=stratify)

    def label_counts(self) -> dict[str, int]:
        """How often each label stands in the table, by name.

        Raises:
            ValueError: if the table has no labels.
        """
        return dict(sorted(Counter(self._labels("label_counts")).items()))

    def encode_labels(self, labels: Labels) -> np.ndarray:
        """Numbers of this table's labels, int64 (n,).

        Raises:
            ValueError: if the table has no labels, or one is unknown (names the label and its line or row).
        """
        return labels.encode(self._labels("encode_labels"), source=self.source, lines=self.lines)

    def where(self, row: int) -> str:
        """How to name a row in a message: its line and file where they are known."""
        place = f"row {row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{place} of {self.source}" if self.source else place

    def _labels(self, method: str) -> list[str]:
        if self.labels is None:
            raise ValueError(f"[TextTable.{method}] labels: expected a table with labels, got none")
        return self.labels


@dataclass(frozen=True)
class LabelConflict:
    """One text (or pair) that stands under several labels: `labels[i]` is that of row `rows[i]` of the original table."""

    text: str
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    pair: str | None = None


@dataclass(frozen=True)
class DuplicateReport:
    """What `remove_duplicates` found.

    Attributes:
        kept: number of rows kept.
        removed: rows of the original table that were taken out, ascending.
        conflicts: the texts that stood under different labels, in order of first appearance.
    """

    kept: int
    removed: tuple[int, ...]
    conflicts: tuple[LabelConflict, ...]

    def __str__(self) -> str:
        return f"{self.kept} kept, {len(self.removed)} removed, {len(self.conflicts)} texts under several labels"


def remove_duplicates(
    table: TextTable,
    form: NormalForm | None = "NFKC",
    *,
    ignore_case: bool = False,
    on_conflict: Literal["first", "drop", "error"] = "first",
) -> tuple[TextTable, DuplicateReport]:
    """Keep the first of the rows whose texts (and second texts) are equal after `clean_text(text, form)`.

    Kept texts stay as they were: normalisation is for comparison only.

    Args:
        table: the table to go through.
        form: the normal form to compare in.
        ignore_case: compare case-folded texts.
        on_conflict: what to do where equal texts have different labels: 'first' keeps the first row, 'drop' keeps
            none of them, 'error' raises.

    Returns:
        (the table without duplicates, a `DuplicateReport`).

    Raises:
        ValueError: on an unknown `on_conflict`; with 'error' on the first conflict, naming both rows.
    """
    if on_conflict not in ("first", "drop", "error"):
        raise ValueError(f"[remove_duplicates] on_conflict: expected 'first', 'drop' or 'error', got {on_conflict!r}")

    def key(text: str) -> str:
        text = clean_text(text, form)
        return text.casefold() if ignore_case else text

    groups: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(table.texts):
        groups.setdefault((key(text),) if table.pairs is None else (key(text), key(table.pairs[row])), []).append(row)
    kept: list[int] = []
    conflicts: list[LabelConflict] = []
    for rows in groups.values():
        labels = () if table.labels is None else tuple(table.labels[row] for row in rows)
        if len(set(labels)) > 1:
            if on_conflict == "error":
                other = next(i for i, label in enumerate(labels) if label != labels[0])
                raise ValueError(
                    f"[remove_duplicates] table: expected one label for equal texts, got {labels[0]!r} in "
                    f"{table.where(rows[0])} and {labels[other]!r} in {table.where(rows[other])}"
                )
            pair = None if table.pairs is None else table.pairs[rows[0]]
            conflicts.append(LabelConflict(table.texts[rows[0]], labels, tuple(rows), pair))
            if on_conflict == "drop":
                continue
        kept.append(rows[0])
    removed = sorted(set(range(len(table))).difference(kept))
    return table.select(kept), DuplicateReport(len(kept), tuple(removed), tuple(conflicts))


def train_test_split(
    table: TextTable, test_fraction: float = 0.1, seed: int = 0, stratify: bool = True
) -> tuple[TextTable, TextTable]:
    """Split a table into (the rest, a held-out part of `test_fraction` of the rows).

    With `stratify` (and labels) each label is held out in proportion, by largest remainders, and keeps at least one
    row in the rest. Both parts keep the order of the file. The same seed gives the same split on every machine.

    Raises:
        ValueError: if `test_fraction` is not strictly between 0 and 1, or either part would be empty.
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"[train_test_split] test_fraction: expected a value strictly between 0 and 1, got {test_fraction}"
        )
    seed = check_seed("train_test_split", seed)
    held_out = _held_out_rows(len(table), table.labels if stratify else None, test_fraction, seed)
    if not 0 < held_out.sum() < len(table):
        raise ValueError(
            f"[train_test_split] test_fraction: expected two parts of at least one row, got {int(held_out.sum())} of "
            f"{len(table)} rows held out at {test_fraction}" + (" with stratify=True" if stratify else "")
        )
    return table.select(np.flatnonzero(~held_out)), table.select(np.flatnonzero(held_out))


def _held_out_rows(n: int, labels: Sequence[str] | None, fraction: float, seed: int) -> np.ndarray:
    """Which of n rows to hold out, bool (n,)."""
    order = permutation(n, seed, purpose=SPLIT)
    wanted = int(np.floor(n * fraction + 0.5))
    held_out = np.zeros(n, dtype=np.bool_)
    if labels is None:
        held_out[order[:wanted]] = True
        return held_out
    _, classes = np.unique(np.array(labels, dtype=object), return_inverse=True)
    sizes = np.bincount(classes)
    shares = sizes * fraction
    quota = np.floor(shares).astype(np.int64)
    # Hand out what is missing to the largest remainders, ties in random order, never the last row of a class.
    tie_break = permutation(sizes.size, seed, stream=1, purpose=SPLIT)
    by_remainder = tie_break[np.argsort(-(shares - quota)[tie_break], kind="stable")]
    takers = by_remainder[quota[by_remainder] < sizes[by_remainder] - 1]
    quota[takers[: max(wanted - int(quota.sum()), 0)]] += 1
    # The rows of each class in random order; the first `quota` of each are held out.
    by_class = order[np.argsort(classes[order], kind="stable")]
    rank = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held_out[by_class[rank < np.repeat(quota, sizes)]] = True
    return held_out
