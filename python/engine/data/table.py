"""Tables: the rows of a data set, held as columns, before they become tokens, pictures or numbers in a `Dataset`.

`Table` is the base of `TextTable` and `TaggedTable`, and can be that of your own tables. It knows no modality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np

from engine.data._arrays import integers_below
from engine.data._random import SPLIT, check_seed, permutation
from engine.errors import Argument, BadValue, amount, require
from engine.layout import ranges

__all__ = ["Elements", "NumberedRows", "NumberedTexts", "Source", "Table", "place_of"]

_SEEN = 3  # a class of so many rows has one in both parts of a split

Row = TypeVar("Row")
Self = TypeVar("Self", bound="Table[Any]")


class NumberedRows(str):
    """The name of a file that has no lines, such as a Parquet file. Messages say "row 7" of it instead of "line 7"."""

    __slots__ = ()
    word = "row"


class NumberedTexts(NumberedRows):
    """The name of what holds whole texts. Messages say "text 7" of it."""

    __slots__ = ()
    word = "text"


class Elements(NumberedRows):
    """The name of an argument whose elements are the rows. Messages say "texts[7]" of it."""

    __slots__ = ()


Source = str | list[str] | None
"""The name of the file that rows come from; a list has one name for each row; None: it is not known."""


class Table(Generic[Row]):
    """Rows held as columns. A subclass is a dataclass that names its columns:

        >>> @dataclass(frozen=True)
        ... class Readings(Table):
        ...     per_row = ("values", "grades")
        ...     values: np.ndarray  # (n, 4)
        ...     grades: list[int] | None = None

    `len(table)` is the number of rows, n; `table[i]` is one row (see `row`); a slice gives a table.

    Attributes:
        per_row: the names of the fields that hold one entry for each row. A field is a list, an array, a dictionary of
            these, or None if the table lacks the column. The first field is always there.
        source: the name of the file that the rows come from, for messages; a list has the name for each row; or None.
        lines: the line of each row in its file, counted from 1, for messages, or None.
        notes: what reading has left out or guessed, a sentence each. A table of several has those of all.

    Raises:
        ValueError: if the columns differ in length.
    """

    per_row: ClassVar[tuple[str, ...]]
    source: Source = None
    lines: list[int] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns: dict[str, Any] = {}
        for name in self.per_row:
            column = getattr(self, name)
            columns |= {f"{name}[{k!r}]": c for k, c in column.items()} if isinstance(column, dict) else {name: column}
        if isinstance(self.source, list):
            columns["source"] = self.source
        for name, column in columns.items():
            if column is not None and len(column) != len(self):
                raise BadValue(
                    type(self).__name__, name, f"{amount(len(self), 'entry', 'entries')}, one for each row", len(column)
                )

    def __len__(self) -> int:
        return len(getattr(self, self.per_row[0]))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self: Self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.select(range(len(self))[index]) if isinstance(index, slice) else self.row(index)

    def __iter__(self) -> Iterator[Row]:
        return (self.row(index) for index in range(len(self)))

    def row(self, index: int) -> Row:
        """One row: a tuple of its entries in the columns of `per_row`, None for a missing column."""
        columns: Any = (getattr(self, name) for name in self.per_row)
        return tuple(None if column is None else column[index] for column in columns)  # type: ignore[return-value]

    def strata(self) -> Sequence[Any] | None:
        """The class of each row, for `split`. None: rows have no class."""
        return None

    def where(self, row: int) -> str:
        """The name of a row in messages: its line and file, if they are known."""
        return place_of(row, self.source, self.lines)

    def select(self: Self, rows: Iterable[int] | np.ndarray) -> Self:
        """The table of the given rows, in the order given.

        Raises:
            IndexError: if a row is not in [0, n).
            TypeError: if a row is not an integer.
        """
        chosen = integers_below(f"{type(self).__name__}.select", "rows", rows, len(self))
        columns = {name: _taken(getattr(self, name), chosen) for name in self.per_row}
        if isinstance(self.source, list):
            columns["source"] = _taken(self.source, chosen)
        return replace(self, **columns)  # type: ignore[type-var]

    def split(self: Self, fraction: float, seed: int = 0, stratify: bool = True) -> tuple[Self, Self]:
        """Hold out rows at random: (the rest, the held-out rows), both in the order of the table.

        If rows have classes (see `strata`) and `stratify` is True, the same share of each class is held out, rounded by
        largest remainders, and at least one row of each class stays in the rest. A class of at least three rows that would hold
        out none holds out one, instead of the class that holds out the most, if that has several. The same seed gives the same
        split on every machine.

        Args:
            fraction: the share of the rows to hold out.
            seed: decides which rows are held out.
            stratify: False ignores the classes.

        Raises:
            ValueError: if `fraction` is not strictly between 0 and 1, or either part would be empty.
        """
        op = f"{type(self).__name__}.split"
        require(0.0 < fraction < 1.0, op, "fraction", "a value strictly between 0 and 1", fraction)
        classes = self.strata() if stratify else None
        held_out = _held_out_rows(len(self), classes, fraction, check_seed(op, seed))
        got = f"{held_out.sum()} of {amount(len(self), 'row')} held out at {fraction}"
        hints: tuple[Any, ...] = ()
        if classes is not None:
            single = sum(count == 1 for count in Counter(classes).values())
            hints = ((Argument("stratify"), "True keeps a row of each class in the rest"),)
            if single:
                hints += (f"{single} of {len({*classes})} classes have a single row, which cannot be held out",)
        two_parts = 0 < held_out.sum() < len(self)
        require(two_parts, op, "fraction", "two parts of at least one row each", got, *hints)
        return self.select(np.flatnonzero(~held_out)), self.select(np.flatnonzero(held_out))

    @classmethod
    def concat(cls: type[Self], tables: Sequence[Self]) -> Self:
        """One table of the rows of several. A column that one of the tables lacks is left out.

        `source` becomes a list with the file of each row. If a table lacks its source or its lines, both become None.

        Raises:
            ValueError: if there is no table.
        """
        require(tables, f"{cls.__name__}.concat", "tables", "at least one table", "none")
        if len(tables) == 1:
            return tables[0]
        columns = {name: _joined([getattr(table, name) for table in tables]) for name in cls.per_row}
        places: dict[str, Any] = {}
        if all(table.source and table.lines is not None for table in tables):
            places["source"] = [name for table in tables for name in _sources(table)]
        elif any(table.source or table.lines is not None for table in tables):
            places = {"source": None, "lines": None}
        if any(table.notes for table in tables):
            places["notes"] = tuple(dict.fromkeys(note for table in tables for note in table.notes))
        return replace(tables[0], **{**columns, **places})  # type: ignore[type-var]


def place_of(row: int, source: Source, lines: Sequence[int] | None) -> str:
    """The name of a row in messages: "line 7 of a.csv", "texts[7]", or "row 5" if the lines are not known."""
    name = source[row] if isinstance(source, list) else source
    if isinstance(name, Elements):
        return f"{name}[{row if lines is None else lines[row]}]"
    word = name.word if isinstance(name, NumberedRows) else "row" if lines is None else "line"
    place = f"{word} {row if lines is None else lines[row]}"
    return f"{place} of {name}" if name else place


def _sources(table: Table[Any]) -> list[str]:
    """The name of each row's file."""
    return table.source if isinstance(table.source, list) else [table.source or ""] * len(table)


def _taken(column: Any, rows: list[int]) -> Any:
    if isinstance(column, dict):
        return {name: _taken(values, rows) for name, values in column.items()}
    if column is None or isinstance(column, np.ndarray):
        return None if column is None else column[rows]
    return [column[row] for row in rows]


def _joined(columns: Sequence[Any]) -> Any:
    if any(column is None for column in columns):
        return None
    if isinstance(columns[0], dict):
        names = [name for name in columns[0] if all(name in column for column in columns)]
        return {name: _joined([column[name] for column in columns]) for name in names}
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return [value for column in columns for value in column]


def _held_out_rows(n: int, classes: Sequence[Any] | None, fraction: float, seed: int) -> np.ndarray:
    """Which of n rows to hold out, bool (n,)."""
    order = permutation(n, seed, purpose=SPLIT)
    wanted = int(np.floor(n * fraction + 0.5))
    held_out = np.zeros(n, dtype=np.bool_)
    if classes is None:
        held_out[order[:wanted]] = True
        return held_out
    _, numbers = np.unique(np.array(classes, dtype=object), return_inverse=True)
    sizes = np.bincount(numbers)
    shares = sizes * fraction
    quota = np.floor(shares).astype(np.int64)
    # The rows that are still missing go to the largest remainders, ties in random order; no class gives its last row.
    tie_break = permutation(sizes.size, seed, stream=1, purpose=SPLIT)
    by_remainder = tie_break[np.argsort(-(shares - quota)[tie_break], kind="stable")]
    takers = by_remainder[quota[by_remainder] < sizes[by_remainder] - 1]
    quota[takers[: max(wanted - int(quota.sum()), 0)]] += 1
    for rare in np.flatnonzero(
        (quota == 0) & (sizes >= _SEEN)
    ):  # instead of a row of the class that holds out the most
        most = int(quota.argmax())
        if quota[most] < 2:
            break
        quota[most] -= 1
        quota[rare] = 1
    # The rows of each class in random order; the first `quota` of each are held out.
    by_class = order[np.argsort(numbers[order], kind="stable")]
    rank = ranges(np.zeros_like(sizes), sizes)
    held_out[by_class[rank < np.repeat(quota, sizes)]] = True
    return held_out
