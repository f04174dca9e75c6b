"""The rows of a table's file, read by columns: cells of text (CSV, TSV, spreadsheets) or typed values (JSON, Parquet, Arrow)."""

from __future__ import annotations

import csv
import io
import math
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import dropwhile, islice
from typing import Any

from engine.data.table import Source, place_of
from engine.errors import Argument, BadValue, amount
from engine.text.cleaning import SURROGATE, clean_text
from engine.text.files import TextFile, json_kind, numbered_lines

__all__ = ["CellRows", "DelimitedRows", "JsonRows", "Record", "Rows", "TypedRows", "delimiter_of"]

_csv_limit_lock = threading.Lock()  # the csv module has one limit on the size of a field, for the whole process

Record = tuple[int, list[str]]
"""The line where a row begins, and its cells; none for an empty line."""

_DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_LINE = re.compile(r'"?sep=(.)"?(?=[\r\n])', re.IGNORECASE)
_NO_QUOTES = ("if quotes are ordinary characters in this file, use ", Argument("quoting=False"))
_WITH_QUOTES = ("if fields are in quotes, use ", Argument("quoting=True"))


class Rows(ABC):
    """Rows by columns.

    Attributes:
        header: the names of the columns.
        lines: the line (of a file without lines: the row) in which each row begins.
        source: as in a `Table`.
        named_by_file: whether the names come from the file's first row.
        notes: what was left out or looks wrong, a sentence each.
    """

    header: list[str]
    lines: list[int]
    source: Source
    named_by_file = False

    def __init__(self, file: TextFile) -> None:
        self.file, self.source = file, file.name
        self.notes: list[str] = []

    def wrong(self, row: int, expected: str, got: str, *hints: Any) -> BadValue:
        """The error about a row, which names its file and its line."""
        place = place_of(row, self.source, self.lines)
        return BadValue(self.file.op, self.file.argument, f"{expected} in {place}", got, *hints)

    @abstractmethod
    def texts(self, name: str) -> list[str]:
        """A column of texts."""

    @abstractmethod
    def values(self, name: str) -> list[str]:
        """A column of values as strings."""

    @abstractmethod
    def as_they_are(self, name: str) -> list[Any]:
        """A column of values with their types; None where there is none."""

    @abstractmethod
    def labels(self, name: str) -> list[str | list[str]]:
        """A column of labels: strings, or lists of them."""


class CellRows(Rows):
    """Rows of cells of text.

    Args:
        file: the file, for messages.
        records: its lines.
        columns: the names of the columns, for a file without a header; None: the first row names them.
        skip_empty_lines: False keeps them as rows of empty cells, and keeps rows that repeat the header.
        hints: for the error about a row of another length. longer: more of them, for a row that is too long.

    Raises:
        ValueError: if a row has another number of cells than the header; the error names the line.
    """

    def __init__(
        self,
        file: TextFile,
        records: list[Record],
        columns: Sequence[str] | None,
        skip_empty_lines: bool,
        *hints: Any,
        longer: tuple[str, ...] = (),
    ) -> None:
        super().__init__(file)
        self.named_by_file = columns is None
        if skip_empty_lines:
            records = [(line, cells) for line, cells in records if cells]
        elif columns is None:  # empty lines may come before the header
            records = list(dropwhile(lambda record: not record[1], records))
        named = [clean_text(name) for _, cells in records[:1] for name in cells]
        self.header = named if columns is None else [clean_text(name) for name in columns]
        if sorted(named) == sorted(self.header):  # a header, perhaps with the columns in another order
            self.header = named
            records = records[1:]
        if columns is not None:
            shown = ",".join(self.header)
            hints = (
                *hints,
                ("the columns are those of ", Argument("columns"), f" ({shown}), given here or to the training"),
            )
        for line, cells in records:
            if cells and len(cells) != len(self.header):
                more = longer if len(cells) > len(self.header) else ()
                raise file.wrong(line, amount(len(self.header), "column"), str(len(cells)), *hints, *more)
        if skip_empty_lines and len(self.header) > 1:
            records = self._without_headers(file, records)
        self.lines = [line for line, _ in records]
        self.header = _unnamed_apart(self.header)
        self._cells = [cells or [""] * len(self.header) for _, cells in records]

    def _without_headers(self, file: TextFile, records: list[Record]) -> list[Record]:
        """The records without those that repeat the header, as joined files have them."""
        kept = [record for record in records if self._cleaned(record) != self.header]
        count = len(records) - len(kept)
        if count:
            first = next(line for line, cells in records if self._cleaned((line, cells)) == self.header)
            repeat, were = ("repeat", "were") if count > 1 else ("repeats", "was")
            place = place_of(0, file.name, [first])
            self.notes.append(
                f"{amount(count, 'row')} {repeat} the header and {were} left out: {place}{' and later' * (count > 1)}"
            )
        return kept

    def _cleaned(self, record: Record) -> list[str]:
        cells = record[1]
        # Most rows differ from the header in their first cell, so the others are not looked at.
        return [*map(clean_text, cells)] if clean_text(cells[0][:200]) == self.header[0] else []

    def values(self, name: str) -> list[str]:
        at = self.header.index(name)
        return [cells[at] for cells in self._cells]

    def texts(self, name: str) -> list[str]:
        return self.values(name)

    def as_they_are(self, name: str) -> list[Any]:
        return list(self.values(name))

    def labels(self, name: str) -> list[str | list[str]]:
        return list(self.values(name))


def _unnamed_apart(header: list[str]) -> list[str]:
    """The names of the columns, with spaces for those without a name, so that several of these are several columns."""
    unnamed = [at for at, name in enumerate(header) if not name]
    return [name or " " * unnamed.index(at) for at, name in enumerate(header)]


class DelimitedRows(CellRows):
    """The rows of CSV or TSV.

    Args:
        file, text: the file and its contents. A first line such as `sep=;` names the delimiter.
        columns, skip_empty_lines: as in `CellRows`.
        delimiter: the character between fields; None: `usual`, or another that the first line has instead.
        usual: the format's delimiter.
        quoting: whether fields may be in double quotes; None: unless they are separated by tabs.

    Raises:
        ValueError: if quotes are invalid, or as `CellRows`.
    """

    def __init__(
        self,
        file: TextFile,
        text: str,
        columns: Sequence[str] | None,
        delimiter: str | None,
        quoting: bool | None,
        skip_empty_lines: bool,
        usual: str = ",",
        known: Iterable[str] = (),
    ) -> None:
        named = _DELIMITER_LINE.match(text)
        if named is not None:  # its line stays, as an empty one, so that the numbers of lines are right
            text, delimiter = text[named.end() :], delimiter or named[1]
        delimiter = delimiter or delimiter_of(text, usual, columns, known)
        others = [other for other in _DELIMITERS if other != delimiter and other in _first_line(text)]
        asked, quoting = quoting, usual == "," if quoting is None else quoting
        hints: list[Any] = []
        if '"' in text:
            hints = [_NO_QUOTES] if quoting else [_WITH_QUOTES]
        if others:
            hints.append(
                ("if fields are separated by ", " or ".join(map(repr, others)), ", use ", Argument("delimiter"))
            )
        with _csv_limit_lock:
            limit = csv.field_size_limit(max(len(text), 1))  # a field may be as long as the file
            try:
                records = list(_quoted(file, text, delimiter, hints) if quoting else _unquoted(text, delimiter))
            finally:
                csv.field_size_limit(limit)
        if named is not None:
            records = records[1:]
        in_quotes = f"a field with {_spelled(delimiter)} inside is written in double quotes"
        super().__init__(file, records, columns, skip_empty_lines, *hints, longer=(in_quotes,) if quoting else ())
        if quoting:
            self._note_swallowed(file, records, delimiter)
        elif asked is None:
            self._note_quoted(file, records)

    def _note_quoted(self, file: TextFile, records: list[Record]) -> None:
        """Notes fields in quotes, which nobody asked to read as such."""
        found = [line for line, cells in records if any(len(c) > 1 and c[0] == c[-1] == '"' for c in cells)]
        if found:
            place = f"{place_of(0, file.name, found[:1])}{' and in later rows' * (len(found) > 1)}"
            self.notes.append(
                f"there are fields in quotes in {place}; in TSV quotes are ordinary characters; --quotes (quoting=True) takes them off"
            )

    def _note_swallowed(self, file: TextFile, records: list[Record], delimiter: str) -> None:
        """Notes quoted fields that hold lines which look like rows: probably a stray quote has swallowed them."""
        n = len(self.header)
        found = [] if n < 2 else [(line, rows) for line, cells in records if (rows := _swallowed(cells, n, delimiter))]
        if found:
            line, rows = found[0]
            several = f" (and {len(found) - 1:,} more such fields)" if len(found) > 1 else ""
            self.notes.append(
                f"the quoted field that begins in {place_of(0, file.name, [line])} holds {rows:,} line {'ends' if rows > 1 else 'end'}, and its lines look "
                f"like rows{several}: a stray quote may have swallowed them; --no-quotes (quoting=False) reads quotes as "
                "ordinary characters"
            )


def _swallowed(cells: list[str], n: int, delimiter: str) -> int:
    """How many line ends the fields of a row hold, if the lines before each look like whole rows; otherwise 0."""
    for at, cell in enumerate(cells):
        *begun, last = cell.splitlines() if "\n" in cell or "\r" in cell else [""]
        counts = [line.count(delimiter) + 1 for line in begun]
        if len(begun) == 1 and f"{delimiter} " in begun[0]:  # a sentence with a comma before its line end
            continue
        if begun and at + counts[0] == n and all(count == n for count in counts[1:]) and last.count(delimiter) < n:
            return len(begun)
    return 0


def delimiter_of(text: str, usual: str = ",", columns: Sequence[str] | None = None, known: Iterable[str] = ()) -> str:
    """The delimiter of a table: the first of `usual`, comma, semicolon, tab and bar that fits its first line.

    columns: the names of the columns of a file without a header: the first lines must have as many fields. known: names of columns, in lower
    case; a delimiter that gives one of them fits best.
    """
    line = _first_line(text)
    candidates = [each for each in dict.fromkeys((usual, *_DELIMITERS)) if each in line]
    if columns is not None:
        several = [row for _, row in islice(numbered_lines(text), 20) if row.strip()]
        # Texts often have commas, so rarer characters come first. Commas inside of quotes count, too: if no delimiter fits all lines,
        # the first line decides.
        for lines, order in ((several, candidates[::-1]), ([line], candidates)):
            for each in order:
                if all(row.count(each) + 1 == len(columns) for row in lines):
                    return each
        return usual
    names = set(known)
    fields = {each: {clean_text(name.strip('"')).casefold() for name in line.split(each)} for each in candidates}
    best = next((each for each in candidates if names & fields[each]), None)
    return best or (candidates[0] if candidates else usual)


def _spelled(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else repr(delimiter)


def _first_line(text: str) -> str:
    return next((line for _, line in numbered_lines(text) if line.strip()), "")


def _unquoted(text: str, delimiter: str) -> Iterator[Record]:
    for line, row in numbered_lines(text):
        yield line, row.split(delimiter) if row.strip() else []


def _quoted(file: TextFile, text: str, delimiter: str, hints: list[Any]) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            blank = len(cells) == 1 and cells[0].isspace()  # a quoted empty field is a row, [""]
            yield begin, [] if blank else cells
            begin = reader.line_num + 1
    except csv.Error as error:
        if "end of data" in str(error):
            expected, got = "a second quote for the field that begins with a quote", "none until the end of the file"
            raise file.wrong(begin, expected, got, *hints) from None
        if "expected after" in str(error):
            expected, got = (
                f"{_spelled(delimiter)} or the end of the line after the quote that ends a field",
                "other characters",
            )
            several = reader.line_num - begin
            more = [f"the row ends in line {reader.line_num}"] if several else []
            twice = 'a quote inside a field in quotes is written twice: ""'
            raise file.wrong(begin, expected, got, *more, twice, *hints) from None
        raise file.wrong(begin, "valid CSV", str(error), *hints) from None


class TypedRows(Rows):
    """Rows of typed values.

    Args:
        file: the file, for messages.
        header, lines: as in `Rows`.
        column: `column(name, may_lack)` gives the values of a column, `EMPTY` in an empty line and, if rows may lack the column,
            where one does.

    Raises:
        ValueError: by a method, if a value has a wrong type. The error names the line.
    """

    EMPTY: Any = object()

    def __init__(
        self, file: TextFile, header: list[str], lines: list[int], column: Callable[[str, bool], Iterable[Any]]
    ) -> None:
        super().__init__(file)
        self.header, self.lines, self._values = header, lines, column

    def texts(self, name: str) -> list[str]:
        """The strings of a column."""
        return self._column(name, self._text)

    def values(self, name: str) -> list[str]:
        """The strings, numbers, booleans (spelled as in JSON) and nulls (which become '') of a column."""
        return self._column(name, self._value)

    def labels(self, name: str) -> list[str | list[str]]:
        """The labels of a column: strings, numbers, booleans, null (which is no label), or arrays of strings and numbers."""

        def label(row: int, name: str, value: object) -> str | list[str]:
            if value is None or isinstance(value, bool):
                return self._value(row, name, value)
            if not isinstance(value, list):
                return self._label(row, name, value)
            several = [self._label(row, name, each) for each in value]
            if "" in several:
                raise self.wrong(row, f"non-empty labels in the array at {name!r}", "an empty string")
            return several

        return self._column(name, label)

    def as_they_are(self, name: str) -> list[Any]:
        return [None if value is self.EMPTY else value for value in self._values(name, True)]

    def _column(self, name: str, convert: Callable[[int, str, object], Any]) -> list[Any]:
        values = enumerate(self._values(name, False))
        return ["" if value is self.EMPTY else convert(row, name, value) for row, value in values]

    def _text(self, row: int, name: str, value: object, expected: str = "a string") -> str:
        if not isinstance(value, str):
            raise self.wrong(row, f"{expected} at {name!r}", json_kind(value))
        if SURROGATE.search(value):
            raise self.wrong(row, f"valid Unicode at {name!r}", "half of a surrogate pair")
        return value

    def _value(self, row: int, name: str, value: object) -> str:
        if value is None or isinstance(value, bool):
            return "" if value is None else str(value).lower()
        return str(value) if _is_number(value) else self._text(row, name, value, "a string, number, boolean or null")

    def _label(self, row: int, name: str, value: object) -> str:
        return str(value) if _is_number(value) else self._text(row, name, value, "a string or number").strip()


class JsonRows(TypedRows):
    """The rows of JSON: objects, and the line in which each begins; None for an empty line."""

    def __init__(self, file: TextFile, records: list[tuple[int, dict[str, Any] | None]]) -> None:
        def column(name: str, missing: bool) -> Iterator[Any]:
            for line, record in records:
                if record is None or (missing and name not in record):
                    yield self.EMPTY
                else:
                    yield file.json_value(record, line, name)[1]

        header = list(dict.fromkeys(key for _, record in records for key in record or ()))
        super().__init__(file, header, [line for line, _ in records], column)


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))  # bool is a kind of int
