"""Files of text tables: CSV (RFC 4180), TSV, JSON Lines and plain lines are read, CSV is written.

`read_table` reads the whole file, finds its encoding and columns, and gives a `TextTable` whose rows remember their
lines. Whatever is wrong with the file is one error that names the file and the line.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import IO, Literal

from engine.errors import Argument, BadType, BadValue
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
    """Read texts, and labels where there are any, from one file.

    The first row names the columns, unless `columns` does (a first row that repeats those names is still taken as the
    header). In JSON Lines, with one object in each line, the keys are the columns. The columns that are read:

    - the text: `text_column`, or the column with the first name of `TEXT_COLUMNS` that is there (see
      `engine.text.table_columns`). Of two columns, one of which is the label, the other is the text. A lone column is
      the text where `columns` names it.
    - the label: `label_column`, or the column with the first name of `LABEL_COLUMNS` that is there.
    - second texts and further columns only where `pair_column` and `extra_columns` name them.

    Labels in JSON may be strings or numbers (3 becomes '3'), or arrays of these, which become one string with
    `label_separator` between the names. `split_labels` separates them again, and those of a CSV.

    Empty lines are skipped; empty texts are kept; an empty label is an error unless `empty_labels`. LF, CRLF and CR end
    a line, and quoted CSV fields may contain them. In TSV, quotes are ordinary characters unless `quoting=True`. A
    `txt` file has one text in each line and no labels.

    Args:
        path: a file's path, or an open stream (then `format` is needed).
        text_column: the name of the text column.
        label_column: the name of the label column.
        format: 'csv', 'tsv', 'jsonl' or 'txt'; None: by the file's extension.
        columns: the names of the columns in order, for a file without a header, such as `("label", "text")`.
        read_labels: False reads no labels; it does not matter then whether there are any.
        delimiter: one character between fields; None: a tab in TSV; in CSV a comma, or a semicolon where the header
            has semicolons and no comma.
        quoting: whether fields may stand in double quotes; None: in CSV only.
        encoding: None: what the byte-order mark says; UTF-8 without a mark.
        skip_empty_lines: False keeps empty lines as empty texts, so that rows match lines (those before the header are
            skipped all the same). Not possible where labels are read.
        pair_column: the name of the column of second texts, for tasks on pairs of texts.
        extra_columns: the names of further columns to read, such as groups to compare metrics by; None: all others. In
            JSON their values may be strings, numbers, booleans and null, which becomes ''.
        empty_labels: whether a label may be empty, as that of a text with none of several labels.
        label_separator: the string between the names of several labels.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: on an unknown format, an empty file, or a missing column (names those there are); and, naming the
            line, on a row with too many or too few fields, bytes that are not in the encoding, invalid JSON, values of
            another type, an empty label, or one of several labels that contains the separator.
        TypeError: if `path` is neither a path nor a stream, or a list of names is one string.
    """
    op = "read_table"
    file = TextFile(op, path, hint=("pass ", Argument("encoding"), " if the file has another encoding"))
    found = _FORMATS.get(file.extension) if format is None else format
    if found not in ("csv", "tsv", "jsonl", "txt"):
        got = f"None for {file.name}" if format is None else repr(format)
        raise BadValue(op, "format", "'csv', 'tsv', 'jsonl' or 'txt'", got)
    for argument, names in (("columns", columns), ("extra_columns", extra_columns)):
        if isinstance(names, str):
            raise BadType(op, argument, "a list of names", "one string")
    if not label_separator:
        raise BadValue(op, "label_separator", "at least one character", "''")
    if not skip_empty_lines and read_labels and found != "txt":
        raise BadValue(op, "skip_empty_lines", "True where labels are read", "False")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n'):
        raise BadValue(op, "delimiter", "one character", repr(delimiter))
    text = file.read(encoding)
    if not (text.strip() or (text and found == "txt" and not skip_empty_lines)):
        raise BadValue(op, "path", "a table with at least one row", f"the empty file {file.name}")
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
    if not rows.lines:
        raise BadValue(op, "path", "at least one row below the header", f"none in {file.name}")
    labels = None if label_at is None else rows.labels(label_at, label_separator)
    if labels is not None and "" in labels and not empty_labels:
        raise file.wrong(rows.lines[labels.index("")], "a label", "an empty field")
    return TextTable(
        rows.texts(text_at), labels, text_at, label_at, file.name, rows.lines,
        None if pair_at is None else rows.texts(pair_at), pair_at, {name: rows.values(name) for name in extra_at},
    )  # fmt: skip


def _plain_lines(file: TextFile, text: str, wanted: Columns, skip_empty_lines: bool) -> TextTable:
    for argument, name in zip(("text_column", "label_column", "pair_column"), wanted[:3]):
        if name is not None:
            raise BadValue(file.op, argument, "None for a file of plain lines", repr(name))
    if wanted.extra:
        got = ", ".join(map(repr, wanted.extra))
        raise BadValue(file.op, "extra_columns", "none for a file of plain lines", got)
    rows = [(line, row) for line, row in numbered_lines(text) if row.strip() or not skip_empty_lines]
    return TextTable([row for _, row in rows], None, source=file.name, lines=[line for line, _ in rows])


def write_table(table: TextTable, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV (RFC 4180, UTF-8) that `read_table` reads.

    The columns keep their names: texts, second texts, labels, further columns. The file is complete or not there. The
    line numbers of the table's own file are not written.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if the path does not end in .csv.
    """
    if not os.fspath(path).lower().endswith(".csv"):
        raise BadValue("write_table", "path", "a name that ends in .csv", os.fspath(path))
    named = {table.text_column: table.texts, table.pair_column: table.pairs, table.label_column: table.labels}
    columns = {name: values for name, values in named.items() if values is not None}
    columns |= {name: values for name, values in table.columns.items() if name not in named}
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([columns, *zip(*columns.values(), strict=True)])
    write_text(path, stream.getvalue())
