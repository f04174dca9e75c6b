"""Parquet, Arrow and Feather files, and folders of them as `datasets` writes them, through `pyarrow` (the extra `files`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

from engine.data.table import NumberedRows
from engine.entries import inside, parse_json, read_json
from engine.errors import ArgumentError, BadValue, FileMissing, not_installed, require
from engine.settings import shortened
from engine.text.compression import check_unpacked
from engine.text.files import TextFile
from engine.text.table_rows import TypedRows

__all__ = ["ArrowRows", "arrow_files_in"]

_SHARD = re.compile(r"-\d+-of-\d+$|[-_.]?\d+$")
_CELL = 32  # bytes that a cell takes at least, even if the file says of a million that they are equal
_SPLITS = ("train", "validation", "valid", "val", "dev", "test", "eval")


class _DataFile(TypedDict):
    filename: str


class _State(TypedDict):
    """The state.json of a folder that `datasets` saved."""

    _data_files: list[_DataFile]


def _pyarrow(op: str) -> Any:
    try:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise not_installed(op, "pyarrow", "files") from None
    return pyarrow


class ArrowRows(TypedRows):
    """The rows of one or more files of the same columns. Rows are numbered from 0 in each file, as pandas numbers them.

    Numbers of a `ClassLabel` of `datasets` become the names of the classes.

    Args:
        files: the files; they must exist.
        name: what the rows come from, for messages about the whole.
    """

    def __init__(self, files: list[TextFile], name: str) -> None:
        first = files[0]
        arrow = _pyarrow(first.op)
        tables = []
        for file in files:
            file.name = NumberedRows(file.name)
            tables.append(_read(arrow, file))
            if tables[-1].column_names != tables[0].column_names:
                expected = f"the columns {', '.join(tables[0].column_names)} in {file.name}, as in {first.name}"
                raise BadValue(first.op, first.argument, expected, ", ".join(tables[-1].column_names))
        lines = [row for table in tables for row in range(len(table))]
        names = [_class_names(table.schema.metadata) for table in tables]
        whole = first if len(files) == 1 else TextFile.named(first.op, NumberedRows(name), first.argument)

        def column(name: str, missing: bool) -> Iterator[Any]:
            for file, table, classes in zip(files, tables, names):
                values = table.column(name).to_pylist()
                yield from _named(file, name, values, classes[name]) if name in classes else values

        super().__init__(whole, list(tables[0].column_names), lines, column)
        if len(files) > 1:
            self.source = [file.name for file, table in zip(files, tables) for _ in range(len(table))]


def _read(arrow: Any, file: TextFile) -> Any:
    data = file.read_bytes()
    begin, source = data[:6], arrow.BufferReader(data)
    place = file.op, file.argument, file.name, len(data)
    try:
        if begin.startswith(b"PAR1"):
            parquet = arrow.parquet.ParquetFile(source)
            about = parquet.metadata
            groups = [about.row_group(i) for i in range(about.num_row_groups)]
            cells = max(about.num_rows, sum(group.num_rows for group in groups)) * about.num_columns
            check_unpacked(*place, _CELL * cells + sum(group.total_byte_size for group in groups))
            table = parquet.read()
        elif begin == b"ARROW1" or begin.startswith(b"FEA1"):
            table = arrow.feather.read_table(source)
        else:
            table = arrow.ipc.open_stream(source).read_all()
        check_unpacked(*place, _CELL * table.num_rows * table.num_columns + table.nbytes)
        table.validate(full=True)  # otherwise a damaged file's offsets are followed out of its memory
        return table
    except ArgumentError:
        raise
    except (arrow.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise BadValue(file.op, file.argument, "a whole Parquet or Arrow file", file.name, reason) from None


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names of the classes by column, as `datasets` notes them in a file."""
    try:
        features = parse_json((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        inner = feature
        while isinstance(inner, dict) and isinstance(inner.get("feature"), dict):
            inner = inner["feature"]  # a list of classes
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" and isinstance(inner.get("names"), list):
            found[str(name)] = list(map(str, inner["names"]))
    return found


def _named(file: TextFile, column: str, values: Iterable[Any], names: list[str]) -> Iterator[Any]:
    """The values of a column of classes, with names in place of numbers."""

    def name(row: int, value: Any) -> Any:
        if isinstance(value, list):
            return [name(row, each) for each in value]
        if isinstance(value, int) and not 0 <= value < len(names):
            hint = "-1 marks a sample without a label" if value == -1 else "the file is damaged"
            raise file.wrong(row, f"a class from 0 to {len(names) - 1} at {column!r}", str(value), hint)
        return names[value] if isinstance(value, int) else value

    for row, value in enumerate(values):
        yield name(row, value)


def arrow_files_in(op: str, folder: str) -> list[str] | None:
    """The Arrow or Parquet files of a folder that `datasets` saved, or that was downloaded from a hub; None: it is no such folder.

    Raises:
        ValueError: if the folder holds several splits or several data sets: the caller has to name one.
    """
    if os.path.isfile(os.path.join(folder, "dataset_dict.json")):
        splits = [name for name in _names(folder) if os.path.isdir(os.path.join(folder, name))]
        raise _several(op, folder, "splits", [os.path.join(folder, name) for name in splits])
    state = os.path.join(folder, "state.json")
    if os.path.isfile(state):
        names = [each["filename"] for each in read_json(state, op, "path", _State)["_data_files"]]
        for name in names:
            require(inside(name), op, "path", f"names of Arrow files in {state}", shortened(name))
        require(names, op, "path", f"names of Arrow files in {state}", "none")
        paths = [os.path.join(folder, name) for name in names]
        for path in paths:
            require(os.path.isfile(path), op, "path", "an existing file", path, error=FileMissing)
        return paths
    found = [
        os.path.join(parent, name)
        for parent, folders, names in os.walk(folder)
        for name in sorted(names)
        if name.lower().endswith((".parquet", ".arrow")) and "/." not in os.path.join(parent, name)[len(folder) :]
        if os.path.isfile(os.path.join(parent, name))  # no pipe, and no device, which would be read for ever
    ]
    if not found:
        return None
    found.sort()
    others = [name for name in _names(folder) if name.lower().endswith((".csv", ".tsv", ".jsonl", ".xlsx"))]
    if others:
        beside = [os.path.join(folder, name) for name in others]
        raise _several(op, folder, "files of other formats beside Parquet or Arrow", [found[0], *beside])
    groups: dict[tuple[str, str], list[str]] = {}
    for path in found:
        stem = _SHARD.sub("", os.path.splitext(os.path.basename(path))[0])
        groups.setdefault((os.path.dirname(path), stem if stem in _SPLITS else ""), []).append(path)
    if len(groups) > 1:
        raise _several(op, folder, "splits or data sets", [paths[0] for paths in groups.values()])
    return found


def _several(op: str, folder: str, what: str, paths: list[str]) -> BadValue:
    shown = ", ".join(paths[:6])
    return BadValue(op, "path", f"one data set in {folder}", f"several {what}", f"name one of them: {shown}")


def _names(folder: str) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
