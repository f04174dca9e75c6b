"""Excel files, through `openpyxl` (the extra `files`). A cell is read as the text that a CSV of the sheet would have."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from engine.data.table import NumberedRows
from engine.errors import ArgumentError, BadValue, not_installed
from engine.text.compression import check_unpacked
from engine.text.files import TextFile
from engine.text.table_rows import CellRows, Record

__all__ = ["read_spreadsheet"]


def read_spreadsheet(file: TextFile, columns: Sequence[str] | None, skip_empty_lines: bool) -> CellRows:
    """The rows of the first sheet that is not empty. Rows have the numbers that Excel shows. Errors name them.

    Raises:
        ImportError: if `openpyxl` is missing; ValueError: if the file is no Excel file, or as `CellRows`.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise not_installed(file.op, "openpyxl", "files") from None
    file.name = NumberedRows(file.name)
    data = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(file.op, file.argument, file.name, len(data), sum(i.file_size for i in archive.infolist()))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # rows are as wide as their cells, and not as the file claims
        sheets = {sheet.title: _records(sheet) for sheet in book.worksheets}
    except ArgumentError:
        raise
    except Exception as error:  # openpyxl lets out whatever its parts raise for damaged files
        raise BadValue(file.op, file.argument, "an Excel file (.xlsx)", file.name, error) from None
    filled = {title: records for title, records in sheets.items() if any(cells for _, cells in records)}
    title, records = next(iter(filled.items()), ("", []))
    if not records:
        raise BadValue(file.op, file.argument, "a table with at least one row", f"the empty file {file.name}")
    width = max(max(len(cells) for _, cells in records), len(columns or ()))
    header = next(cells for _, cells in records if cells)
    width = len(columns) if columns else len(header)
    # Cells at the end of a row may be missing in the file.
    padded = [(row, cells + [""] * (width - len(cells)) if cells else []) for row, cells in records]
    rows = CellRows(file, padded, columns, skip_empty_lines)
    others = [repr(name) for name in filled if name != title]
    if others:
        rows.notes.append(f"only the sheet {title!r} of {file.name} is read, not {', '.join(others)}")
    return rows


def _records(sheet: Any) -> list[Record]:
    """The numbers and the cells of a sheet's rows, without empty cells at their ends; the empty rows at the end are left out."""
    records: list[Record] = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = [_text(value) for value in values]
        while cells and not cells[-1].strip():
            cells.pop()
        records.append((number, cells))
    while records and not records[-1][1]:
        records.pop()
    return records


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if isinstance(value, (date, datetime, time)) else str(value)
