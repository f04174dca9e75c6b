"""Writing text tables."""

from __future__ import annotations

import csv
import io
import os

from engine.serialization import write_text
from engine.text.table import TextTable

__all__ = ["write_table"]


def write_table(table: TextTable, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV (RFC 4180, UTF-8) that `read_table` reads: texts, second texts, labels, further columns, under the names
    that they have; whole or not at all. Lines of the old file are not kept.

    Raises OSError where the file cannot be written, ValueError for a path that does not end in .csv.
    """
    if not os.fspath(path).lower().endswith(".csv"):
        raise ValueError(f"[write_table] path: expected a name that ends in .csv, got {os.fspath(path)}")
    columns: dict[str, list[str]] = {table.text_column: table.texts}
    if table.pairs is not None:
        columns[table.pair_column or "pair"] = table.pairs
    if table.labels is not None:
        columns[table.label_column or "label"] = table.labels
    for name, values in table.columns.items():
        columns.setdefault(name, values)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, stream.getvalue())
