"""Files of text tables: `read_table` finds the format, the encoding and the columns of a file or folder.

It gives a `TextTable` whose rows remember their lines. An error in a file is reported with the file's name and the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import IO

from engine.errors import Argument, BadType, require
from engine.text.cleaning import clean_text
from engine.text.files import TextFile
from engine.text.formats import OTHER_ENCODING, FileFormat, format_of, open_file, read_rows
from engine.text.label_columns import indicator_columns, labels_in
from engine.text.table import TextTable
from engine.text.table_columns import LABEL_COLUMNS, TEXT_COLUMNS, Columns, choose_columns
from engine.text.table_rows import Rows

__all__ = ["read_table"]

_NAME = re.compile(r"\s*\w[\w .-]{0,30}\s*")  # of a column


def read_table(
    path: str | os.PathLike[str] | IO[bytes] | IO[str],
    text_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    format: FileFormat | None = None,
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
    label_separator: str | None = "|",
) -> TextTable:
    """Read texts, and labels if there are any, from one file or folder.

    - CSV, TSV and Excel: the first row names the columns, unless `columns` does; then a first row that repeats those names is
      skipped. Later rows that repeat the header are left out. A first line `sep=;` names the delimiter. Of an Excel file the first
      sheet that is not empty is read.
    - JSON: one object on each line, or an array of objects; their keys are the columns.
    - Parquet, Arrow and Feather, also folders of them that `datasets` saved: the names of a `ClassLabel` are the labels.
    - Plain lines (.txt): a text on each line, no labels. If the first begins with `__label__`, lines are in fastText's format.
    - A folder with a sub-folder for each class: each file in it is one text.

    Files may be compressed (.gz, .bz2, .xz, .zst). These columns are read:

    - the text: `text_column`, or the column with the first name of `TEXT_COLUMNS` that is there (see
      `engine.text.table_columns`). If there are two columns, and one is the label, the other is the text. A lone column is
      the text if `columns` names it.
    - the label: `label_column`, or the column with the first name of `LABEL_COLUMNS` that is there. If there is none, columns that
      hold only 0 and 1 are labels, one column each.
    - second texts and further columns: those that `pair_column` and `extra_columns` name.

    Labels are cleaned with `clean_text`, so that two spellings of a character are one; only white space inside them stays. Labels in JSON and Parquet may be strings or
    numbers (3 becomes '3'). Several labels of a text may be an array of these, a list that is spelled as in Python
    ("['a', 'b']"), or a list of 0 and 1. They become one string with `label_separator` between the names, which `split_labels`
    separates, as it does those of a CSV ('a|b').

    Empty lines are skipped; empty texts are kept; an empty label is an error unless `empty_labels` is True. LF, CRLF and CR
    end a line, and quoted CSV fields may contain them. In TSV, quotes are ordinary characters unless `quoting` is True.

    Args:
        path: a path, or an open stream (then `format` is needed).
        text_column: the name of the text column.
        label_column: the name of the label column; or the names of several columns of 0 and 1, as a list or with commas.
        format: 'csv', 'tsv', 'jsonl', 'txt', 'fasttext', 'parquet', 'arrow', 'excel' or 'folder'; None: by the first bytes and the
            extension.
        columns: the names of the columns in order, for a file without a header, such as `("label", "text")`.
        read_labels: False reads no labels, whether there are any or not.
        delimiter: one character between fields; None: a tab in TSV and a comma in CSV, or if the first line has none, another of
            comma, semicolon, tab and bar.
        quoting: whether fields may be in double quotes; None: only in CSV.
        encoding: None: the encoding that the byte-order mark names, or UTF-8 without a mark.
        skip_empty_lines: False keeps empty lines as empty texts, so that rows match lines (those before the header are
            skipped nevertheless). It must be True if labels are read.
        pair_column: the name of the column of second texts, for tasks on pairs of texts.
        extra_columns: the names of further columns to read, such as groups to compare metrics by; None: all others. Values may be
            strings, numbers, booleans and null, which becomes ''; with None they may be anything, and stay as they are.
        empty_labels: whether a label may be empty. A text that may have several labels may also have none.
        label_separator: the string between the names of several labels; None: each text has one label.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder without data.
        ImportError: if the format needs a library of the extra `files`.
        ValueError: if a setting is wrong or the format does not use it, the file is empty, or a column is missing. With the line in
            the message: if a row has too many or too few fields, bytes that are not in the encoding, invalid JSON, a value of another
            type, an empty label, several labels without a separator, or one of several labels contains the separator.
        TypeError: if `path` is neither a path nor a stream, or a list of names is one string.
    """
    op = "read_table"
    file = open_file(op, path, hint=OTHER_ENCODING)
    found = format_of(file, format)
    for argument, names in (("columns", columns), ("extra_columns", extra_columns)):
        require(not isinstance(names, str), op, argument, "a list of names", "one string", error=BadType)
    require(label_separator != "", op, "label_separator", "at least one character", "''")
    rows_may_be_empty = skip_empty_lines or not read_labels or found == "txt"
    require(rows_may_be_empty, op, "skip_empty_lines", "True, because labels are read", "False")
    if delimiter is not None:
        one = isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n'
        require(one, op, "delimiter", "one character, not a quote or a line end", repr(delimiter))
    extra = None if extra_columns is None else tuple(dict.fromkeys(extra_columns))
    named = (label_column,) if isinstance(label_column, str) else tuple(label_column or ())
    known = {name.casefold() for name in (*TEXT_COLUMNS, *LABEL_COLUMNS, text_column, *named) if name}
    rows = read_rows(
        file, found, columns=columns, delimiter=delimiter, quoting=quoting, encoding=encoding,
        skip_empty_lines=skip_empty_lines, known=known,
    )  # fmt: skip
    if columns is not None and rows.lines:
        first = [rows.values(name)[0] for name in dict.fromkeys(rows.header)]
        if all(map(_NAME.fullmatch, first)) and any(clean_text(cell).casefold() in known for cell in first):
            rows.notes.append(
                f"the first row of {file.name} ({','.join(first)}) is read as data, but looks like a header: if it is one, leave out "
                "--columns (columns=None)"
            )
    if len(named) == 1 and named[0] not in rows.header:
        named = tuple(name.strip() for name in named[0].split(","))
    one_label = named[0] if len(named) == 1 else None
    wanted = Columns(text_column, one_label, pair_column, extra, named if len(named) > 1 else ())
    if found == "txt":
        return _plain_lines(file, rows, wanted)
    text_at, label_at, pair_at, extra_at = choose_columns(file, rows.header, wanted, read_labels, rows.named_by_file)
    require(rows.lines, op, "path", "at least one row below the header", f"none in {file.name}")
    labels_at: str | tuple[str, ...] | None = label_at or wanted.labels or None
    if labels_at is None and read_labels:
        labels_at = indicator_columns(rows, (text_at, pair_at, *(extra or ()))) or None
        if labels_at is not None:
            rows.notes.append(
                f"the columns {', '.join(labels_at)} of {file.name} hold 0 and 1, and are taken as labels"
            )
    labels = None
    if labels_at is not None and read_labels:
        labels = labels_in(rows, labels_at, label_separator, empty_labels)
    label_at = ",".join(labels_at) if isinstance(labels_at, tuple) else labels_at
    return TextTable(
        rows.texts(text_at), labels, text_at, None if labels is None else label_at,
        rows.source, rows.lines, None if pair_at is None else rows.texts(pair_at), pair_at,
        {name: rows.as_they_are(name) if extra is None else rows.values(name) for name in extra_at}, tuple(rows.notes),
        tuple(rows.header),
    )  # fmt: skip


def _plain_lines(file: TextFile, rows: Rows, wanted: Columns) -> TextTable:
    hint = ("if the file is a table, name its form with ", Argument("format"))
    for argument, name in zip(("text_column", "label_column", "pair_column"), wanted[:3]):
        require(name is None, file.op, argument, "None, because plain lines have no columns", repr(name), hint)
    names = ", ".join(map(repr, wanted.extra or ()))
    require(not names, file.op, "extra_columns", "no names, because plain lines have no columns", names)
    return TextTable(rows.texts("text"), None, source=rows.source, lines=rows.lines, notes=tuple(rows.notes))
