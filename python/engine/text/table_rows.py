"""The rows of a table's file (CSV, TSV or JSON Lines), read by columns."""

from __future__ import annotations

import csv
import io
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import dropwhile

from engine.errors import Argument
from engine.text.cleaning import SURROGATE
from engine.text.files import TextFile, json_kind, numbered_lines

__all__ = ["DelimitedRows", "JsonRows", "delimiter_of"]

_csv_limit_lock = threading.Lock()  # the csv module has one limit on the size of a field, for the whole process


_Record = tuple[int, list[str]]  # the line where a row begins, and its fields; none for an empty line


class DelimitedRows:
    """The rows of CSV or TSV.

    Args:
        file, text: the file and its contents.
        columns: the names of the columns, for a file without a header; None: the first row names them.
        delimiter: the character between fields.
        quoting: whether fields may be in double quotes.
        skip_empty_lines: False keeps them as rows of empty fields.

    Attributes:
        header: the names of the columns.
        lines: the line in which each row begins.

    Raises:
        ValueError: if quotes are invalid, or a row has another number of fields than the header; the error names the line.
    """

    def __init__(
        self,
        file: TextFile,
        text: str,
        columns: Sequence[str] | None,
        delimiter: str,
        quoting: bool,
        skip_empty_lines: bool,
    ) -> None:
        with _csv_limit_lock:
            limit = csv.field_size_limit(max(len(text), 1))  # a field may be as long as the file
            try:
                records = list(_quoted(file, text, delimiter) if quoting else _unquoted(text, delimiter))
            finally:
                csv.field_size_limit(limit)
        if skip_empty_lines:
            records = [(line, cells) for line, cells in records if cells]
        elif columns is None:  # empty lines may come before the header
            records = list(dropwhile(lambda record: not record[1], records))
        named = [name.strip() for _, cells in records[:1] for name in cells]
        self.header = named if columns is None else [name.strip() for name in columns]
        if named == self.header:
            records = records[1:]
        self.lines = [line for line, _ in records]
        self._cells = [cells or [""] * len(self.header) for _, cells in records]
        for line, cells in zip(self.lines, self._cells):
            if len(cells) != len(self.header):
                raise file.wrong(line, f"{len(self.header)} columns", str(len(cells)))

    def values(self, name: str) -> list[str]:
        """The fields of a column."""
        at = self.header.index(name)
        return [cells[at] for cells in self._cells]

    texts = values

    def labels(self, name: str, separator: str) -> list[str]:
        """The fields of a column of labels, without white space around them."""
        return [label.strip() for label in self.values(name)]


def delimiter_of(text: str) -> str:
    """The delimiter of CSV: a comma, or a semicolon if the header has semicolons and no comma."""
    header = next((line for _, line in numbered_lines(text) if line.strip()), "")
    return ";" if ";" in header and "," not in header else ","


def _unquoted(text: str, delimiter: str) -> Iterator[_Record]:
    for line, row in numbered_lines(text):
        yield line, row.split(delimiter) if row.strip() else []


def _quoted(file: TextFile, text: str, delimiter: str) -> Iterator[_Record]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            blank = len(cells) == 1 and cells[0].isspace()  # a quoted empty field is a row, [""]
            yield begin, [] if blank else cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise file.wrong(begin, "valid CSV", str(error)) from None


class JsonRows:
    """The rows of JSON Lines: one object in each line.

    Args:
        file, text: the file and its contents.
        skip_empty_lines: False keeps them as rows of empty values.

    Attributes:
        header: the keys of all objects.
        lines: the line of each row.

    Raises:
        ValueError: if a line is not an object; by a method, if a value has another type. The error names the line.
    """

    def __init__(self, file: TextFile, text: str, skip_empty_lines: bool) -> None:
        rows = [(line, row) for line, row in numbered_lines(text) if row.strip() or not skip_empty_lines]
        self.lines = [line for line, _ in rows]
        self._file = file
        self._records = [file.json_object(row, line) if row.strip() else None for line, row in rows]
        self.header = list(dict.fromkeys(key for record in self._records for key in record or ()))

    def texts(self, name: str) -> list[str]:
        """The strings at a key."""
        return self._column(name, self._text)

    def values(self, name: str) -> list[str]:
        """The strings, numbers, booleans (spelled as in JSON) and nulls (which become '') at a key."""
        return self._column(name, self._value)

    def labels(self, name: str, separator: str) -> list[str]:
        """The labels at a key: strings, numbers, or arrays of these, whose elements are joined by the separator."""

        def label(line: int, name: str, value: object) -> str:
            if not isinstance(value, list):
                return self._label(line, name, value)
            several = [self._label(line, name, each) for each in value]
            if "" in several:
                raise self._file.wrong(line, f"non-empty labels in the array at {name!r}", "an empty string")
            for each in several:
                if separator in each:
                    hint = ("pass another ", Argument("label_separator"))
                    raise self._file.wrong(line, f"labels without the separator {separator!r}", repr(each), hint)
            return separator.join(several)

        return self._column(name, label)

    def _column(self, name: str, convert: Callable[[int, str, object], str]) -> list[str]:
        column = []
        for line, record in zip(self.lines, self._records):
            column.append("" if record is None else convert(line, *self._file.json_value(record, line, name)))
        return column

    def _text(self, line: int, name: str, value: object, expected: str = "a string") -> str:
        if not isinstance(value, str):
            raise self._file.wrong(line, f"{expected} at {name!r}", json_kind(value))
        if SURROGATE.search(value):
            raise self._file.wrong(line, f"valid Unicode at {name!r}", "half of a surrogate pair")
        return value

    def _value(self, line: int, name: str, value: object) -> str:
        if value is None or isinstance(value, bool):
            return "" if value is None else str(value).lower()
        return str(value) if _is_number(value) else self._text(line, name, value, "a string, number, boolean or null")

    def _label(self, line: int, name: str, value: object) -> str:
        return str(value) if _is_number(value) else self._text(line, name, value, "a string or number").strip()


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))  # bool is a kind of int
