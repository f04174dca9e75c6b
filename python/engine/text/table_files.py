"""Files of text tables: CSV (RFC 4180), TSV, JSON Lines and plain lines are read, CSV is written.

`read_table` reads the whole file, finds its encoding and columns, and gives a `TextTable` whose rows remember their lines.
An error in the file is reported with the file's name and the line.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import IO, Literal

from engine.errors import Argument, BadType, BadValue, require
from engine.serialization import write_text
from engine.text.files import JSON_LINES, TextFile, numbered_lines
from engine.text.table import TextTable
from engine.text.table_columns import Columns, choose_columns
from engine.text.table_rows import DelimitedRows, JsonRows, delimiter_of

__all__ = ["read_table", "write_table"]

TableFormat = Literal["csv", "tsv", "jsonl", "txt"]

_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "txt", **dict.fromkeys(JSON_LINES, "jsonl"),
}  # fmt: skip


def read_table(
    path: str | os.PathLike[str] | IO[bytes] | IO[str],
    text_column: str | None = None,
    label_column: str | None = None,
    format: TableFormat | None = None,
    *,
    columns: Sequence[str] | None = None,
    read_labels: bool = True,
    delimiter: str | None = None,
    quoting: bool | None = None,
    encoding: str | None = None,
    skip_empty_lines: bool = True,
    pair_column: str | None = None,
    extra_columns: Sequence[str] | None = (),
    empty_labels: bool = False,
    label_separator: str = "|",
) -> TextTable:
    """Read texts, and labels if there are any, from one file.

    The first row names the columns, unless `columns` does; then a first row that repeats those names is skipped. In JSON
    Lines, with one object in each line, the keys are the columns. These columns are read:

    - the text: `text_column`, or the column with the first name of `TEXT_COLUMNS` that is there (see
      `engine.text.table_columns`). If there are two columns, and one is the label, the other is the text. A lone column is
      the text if `columns` names it.
    - the label: `label_column`, or the column with the first name of `LABEL_COLUMNS` that is there.
    - second texts and further columns: those that `pair_column` and `extra_columns` name.

    Labels in JSON may be strings or numbers (3 becomes '3'), or arrays of these, which become one string with
    `label_separator` between the names. `split_labels` separates such strings, those of a CSV too.

    Empty lines are skipped; empty texts are kept; an empty label is an error unless `empty_labels` is True. LF, CRLF and CR
    end a line, and quoted CSV fields may contain them. In TSV, quotes are ordinary characters unless `quoting` is True. A
    'txt' file has one text in each line and no labels.

    Args:
        path: a file's path, or an open stream (then `format` is needed).
        text_column: the name of the text column.
        label_column: the name of the label column.
        format: 'csv', 'tsv', 'jsonl' or 'txt'; None: by the file's extension.
        columns: the names of the columns in order, for a file without a header, such as `("label", "text")`.
        read_labels: False reads no labels, whether there are any or not.
        delimiter: one character between fields; None: a tab in TSV; in CSV a comma, or a semicolon if the header has
            semicolons and no comma.
        quoting: whether fields may be in double quotes; None: only in CSV.
        encoding: None: the encoding that the byte-order mark names, or UTF-8 without a mark.
        skip_empty_lines: False keeps empty lines as empty texts, so that rows match lines (those before the header are
            skipped nevertheless). It must be True if labels are read.
        pair_column: the name of the column of second texts, for tasks on pairs of texts.
        extra_columns: the names of further columns to read, such as groups to compare metrics by; None: all others. In JSON
            their values may be strings, numbers, booleans and null, which becomes ''.
        empty_labels: whether a label may be empty. A text that may have several labels may also have none.
        label_separator: the string between the names of several labels.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: if a setting is wrong, the file is empty or a column is missing. With the line in the message: if a row
            has too many or too few fields, bytes that are not in the encoding, invalid JSON, a value of another type, an
            empty label, or one of several labels contains the separator.
        TypeError: if `path` is neither a path nor a stream, or a list of names is one string.
    """
    op = "read_table"
    file = TextFile(op, path, hint=("pass ", Argument("encoding"), " if the file has another encoding"))
    found = _FORMATS.get(file.extension) if format is None else format
    if found not in ("csv", "tsv", "jsonl", "txt"):
        if format is None:
            expected = f"a file that ends in {', '.join(_FORMATS)}"
            raise BadValue(op, "path", expected, file.name, ("or name its form with ", Argument("format")))
        raise BadValue(op, "format", "'csv', 'tsv', 'jsonl' or 'txt'", repr(format))
    for argument, names in (("columns", columns), ("extra_columns", extra_columns)):
        require(not isinstance(names, str), op, argument, "a list of names", "one string", error=BadType)
    require(label_separator, op, "label_separator", "at least one character", "''")
    rows_may_be_empty = skip_empty_lines or not read_labels or found == "txt"
    require(rows_may_be_empty, op, "skip_empty_lines", "True, because labels are read", "False")
    if delimiter is not None:
        one = isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n'
        require(one, op, "delimiter", "one character, not a quote or a line end", repr(delimiter))
    text = file.read(encoding)
    rows_exist = text.strip() or (text and found == "txt" and not skip_empty_lines)
    require(rows_exist, op, "path", "a table with at least one row", f"the empty file {file.name}")
    extra = None if extra_columns is None else tuple(dict.fromkeys(extra_columns))
    wanted = Columns(text_column, label_column, pair_column, extra)
    if found == "txt":
        return _plain_lines(file, text, wanted, skip_empty_lines)
    rows: DelimitedRows | JsonRows
    if found == "jsonl":
        rows = JsonRows(file, text, skip_empty_lines)
    else:
        usual = "\t" if found == "tsv" else "," if columns else delimiter_of(text)
        quotes = found == "csv" if quoting is None else quoting
        rows = DelimitedRows(file, text, columns, delimiter or usual, quotes, skip_empty_lines)
    text_at, label_at, pair_at, extra_at = choose_columns(
        file, rows.header, wanted, read_labels, found != "jsonl" and columns is None
    )
    require(rows.lines, op, "path", "at least one row below the header", f"none in {file.name}")
    labels = None if label_at is None else rows.labels(label_at, label_separator)
    if labels is not None and "" in labels and not empty_labels:
        raise file.wrong(rows.lines[labels.index("")], "a label", "an empty field")
    return TextTable(
        rows.texts(text_at), labels, text_at, label_at, file.name, rows.lines,
        None if pair_at is None else rows.texts(pair_at), pair_at, {name: rows.values(name) for name in extra_at},
    )  # fmt: skip


def _plain_lines(file: TextFile, text: str, wanted: Columns, skip_empty_lines: bool) -> TextTable:
    for argument, name in zip(("text_column", "label_column", "pair_column"), wanted[:3]):
        require(name is None, file.op, argument, "None, because plain lines have no columns", repr(name))
    names = ", ".join(map(repr, wanted.extra or ()))
    require(not names, file.op, "extra_columns", "no names, because plain lines have no columns", names)
    rows = [(line, row) for line, row in numbered_lines(text) if row.strip() or not skip_empty_lines]
    return TextTable([row for _, row in rows], None, source=file.name, lines=[line for line, _ in rows])


def write_table(table: TextTable, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV (RFC 4180, UTF-8) that `read_table` reads.

    All columns are written under their names: texts, second texts, labels, further columns. The line numbers of the table's
    own file are not written. A failure leaves no half-written file.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if the path does not end in .csv.
    """
    name = os.fspath(path)
    require(name.lower().endswith(".csv"), "write_table", "path", "a name that ends in .csv", name)
    named = {table.text_column: table.texts, table.pair_column: table.pairs, table.label_column: table.labels}
    columns = {name: values for name, values in named.items() if values is not None}
    columns |= {name: values for name, values in table.columns.items() if name not in named}
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([columns, *zip(*columns.values(), strict=True)])
    write_text(path, stream.getvalue())
