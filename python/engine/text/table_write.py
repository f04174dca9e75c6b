"""Tables are written: CSV, TSV, JSON Lines or Parquet, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import not_installed, require
from engine.files import replace_file
from engine.serialization import finite, write_text
from engine.text.table import TextTable

__all__ = ["WRITTEN", "check_output_format", "write_columns", "write_table"]

WRITTEN = (".csv", ".tsv", ".jsonl", ".parquet")
"""How the names of files end that can be written."""

_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # spreadsheets run cells that begin so


def write_table(table: TextTable, path: str | os.PathLike[str]) -> None:
    """Write a table as a file that `read_table` reads: CSV (RFC 4180, UTF-8), TSV, JSON Lines or Parquet, by the path's ending.

    All columns are written under their names: texts, second texts, labels, further columns. The line numbers of the table's
    own file are not written. A failure leaves no half-written file.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if the path has another ending.
        ImportError: for Parquet, if `pyarrow` is missing (extra `files`).
    """
    write_columns("write_table", table.named_columns(), path)


def check_output_format(op: str, path: str | os.PathLike[str], spreadsheet_safe: bool = False) -> str:
    """How a path ends, in lower case. Raises ValueError for an ending that is not in `WRITTEN`, or for `spreadsheet_safe` without
    CSV or TSV; ImportError if a library is missing."""
    name = os.fspath(path)
    ending = os.path.splitext(name)[1].lower()
    require(ending in WRITTEN, op, "path", f"a name that ends in {', '.join(WRITTEN)}", name)
    right = not spreadsheet_safe or ending in (".csv", ".tsv")
    require(right, op, "spreadsheet_safe", "a file that ends in .csv or .tsv", name)
    if ending == ".parquet":
        _pyarrow(op)
    return ending


def write_columns(
    op: str,
    columns: Mapping[str, Sequence[Any]],
    path: str | os.PathLike[str],
    spreadsheet_safe: bool = False,
    separator: str | None = None,
) -> None:
    """Write columns of any values. CSV and TSV hold lists and mappings as JSON, unless there is a separator for a column of lists.

    In TSV, which has no quotes, tabs and line ends inside a text become spaces.

    Args:
        op: for errors.
        columns: the values by the name of their column, equally many.
        path: a name that ends as one of `WRITTEN`.
        spreadsheet_safe: an apostrophe is put before texts that a spreadsheet would run as a formula.
        separator: stands between the entries of lists in CSV and TSV, in columns in which no entry contains it; None: lists are JSON.

    Raises: as `write_table`.
    """
    ending = check_output_format(op, path, spreadsheet_safe)
    if ending == ".parquet":
        arrow = _pyarrow(op)
        table = arrow.table({name: _of_one_type(arrow, values) for name, values in columns.items()})
        replace_file(path, lambda temporary: arrow.parquet.write_table(table, temporary), op)
        return
    if ending == ".jsonl":
        rows = zip(*columns.values(), strict=True)
        objects = (finite(dict(zip(columns, row))) for row in rows)
        lines = [json.dumps(each, ensure_ascii=False, default=str) + "\n" for each in objects]
        write_text(path, "".join(lines))
        return
    rows = zip(*(_joined(values, separator) for values in columns.values()), strict=True)
    cells = [
        [
            _cell("" if name.isspace() else name, spreadsheet_safe) for name in columns
        ],  # spaces tell unnamed columns apart
        *([_cell(value, spreadsheet_safe) for value in row] for row in rows),
    ]
    if ending == ".tsv":
        write_text(
            path,
            "".join("\t".join(" ".join(cell.splitlines()).replace("\t", " ") for cell in row) + "\n" for row in cells),
        )
        return
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(cells)
    write_text(path, stream.getvalue())


def _joined(values: Sequence[Any], separator: str | None) -> Sequence[Any]:
    """A column whose lists are strings with a separator, if each entry can be told from the others."""
    lists = [value for value in values if isinstance(value, (list, tuple))]
    if not (lists and separator and all(value is None or isinstance(value, (list, tuple)) for value in values)):
        return values
    entries = {(type(each), str(each)) for value in lists for each in value}
    clear = all(kind in (str, int) and name.strip() and separator not in name for kind, name in entries)
    return [None if v is None else separator.join(map(str, v)) for v in values] if clear else values


def _cell(value: Any, spreadsheet_safe: bool) -> str:
    if isinstance(value, str):
        return f"'{value}" if spreadsheet_safe and value.startswith(_FORMULA) else value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _of_one_type(arrow: Any, values: Sequence[Any]) -> Any:
    """A column of Parquet. Values that it cannot hold, such as those of several types and huge integers, and mappings become JSON."""
    try:
        if not any(isinstance(value, Mapping) for value in values):
            return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError):
        pass
    return arrow.array([None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in values])


def _pyarrow(op: str) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise not_installed(op, "pyarrow", "files") from None
    return pyarrow
