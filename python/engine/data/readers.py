"""Reading text tables: CSV (RFC 4180), TSV, JSON Lines, and plain lines.

One door, `read_table`. It reads the whole file, finds out its encoding and columns, and gives a `TextTable` whose rows
remember their lines. Whatever is wrong with the file is one error that names the file and the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal, NamedTuple

from engine.data.text import TextTable

__all__ = ["LABEL_COLUMNS", "TEXT_COLUMNS", "read_table"]

TableFormat = Literal["csv", "tsv", "jsonl", "txt"]

TEXT_COLUMNS = (
    "text", "sentence", "question", "utterance", "query", "review", "message", "content", "document", "comment",
    "tweet", "title", "body", "input", "文本", "句子", "内容",
)  # fmt: skip
"""Names under which the text column is looked for, in order of preference, in any case."""

LABEL_COLUMNS = (
    "label", "category", "intent", "class", "target", "sentiment", "topic", "labels", "tag", "y", "标签", "类别",
)  # fmt: skip
"""Names under which the label column is looked for, in order of preference, in any case."""

_EXTENSIONS: dict[str, TableFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".txt": "txt",
}  # fmt: skip

# The longest marks first: UTF-32's little-endian mark opens with UTF-16's.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_csv_limit_lock = threading.Lock()  # csv's limit on a field's size is one setting for the whole process


class _Record(NamedTuple):
    line: int
    cells: list[str]


class _Source(NamedTuple):
    """The text of one file, and how messages name it."""

    name: str
    text: str

    def wrong(self, argument: str, expected: str, got: str) -> ValueError:
        return ValueError(f"[read_table] {argument}: expected {expected}, got {got}")

    def wrong_line(self, line: int, expected: str, got: str) -> ValueError:
        return self.wrong("path", f"{expected} in line {line} of {self.name}", got)


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
) -> TextTable:
    """Read texts, and labels where there are any, from one file.

    Columns: the first row names them, unless `columns` does (then a first row that repeats those names is taken as
    the header). Without `text_column`, the text is the column with the first name of `TEXT_COLUMNS` that is there,
    and likewise the label with `LABEL_COLUMNS`; of two columns of which one is recognised as the label the other is
    the text, and a lone column is the text where `columns` names it. JSON Lines have one object a line, and
    their keys are the columns. Labels may be numbers there, and become '3'; booleans and NaN are errors.

    Empty lines are skipped; empty texts are kept; an empty label is an error. Line ends may be LF, CRLF or CR, and
    quoted CSV fields may contain them. In TSV, quotes are ordinary characters unless `quoting=True`. A `txt` file has
    one text a line and no labels.

    Args:
        path: a file's path, or an open stream (then `format` is needed).
        text_column: name of the text column.
        label_column: name of the label column.
        format: 'csv', 'tsv', 'jsonl' or 'txt'; None: by the file's extension.
        columns: column names in order, for a file without a header, such as `("label", "text")`.
        read_labels: False reads texts only, and does not mind what labels are there.
        delimiter: one character between fields; None: a tab in TSV, in CSV a comma, or a semicolon where the header
            has semicolons and no comma.
        quoting: whether fields may stand in double quotes; None: in CSV only.
        encoding: None: what the byte-order mark says, and UTF-8 without one.
        skip_empty_lines: False keeps them as empty texts, so that rows match lines (a header comes first all the same);
            without labels only.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: on an unknown format, an empty file, a missing column (names those there are), a row with too many
            or too few fields, bytes that are not in the encoding, invalid JSON or an empty label (these name the
            line).
        TypeError: if `path` is neither a path nor a stream.
    """
    source, extension = _load(path, encoding)
    if format is None:
        if extension not in _EXTENSIONS:
            raise source.wrong("format", "'csv', 'tsv', 'jsonl' or 'txt'", f"None for {source.name}")
        format = _EXTENSIONS[extension]
    elif format not in ("csv", "tsv", "jsonl", "txt"):
        raise source.wrong("format", "'csv', 'tsv', 'jsonl' or 'txt'", repr(format))
    if isinstance(columns, str):
        raise TypeError("[read_table] columns: expected a list of names, got one string")
    if not skip_empty_lines and read_labels and format != "txt":
        raise source.wrong("skip_empty_lines", "True where labels are read", "False")
    if not (source.text.strip() or (source.text and format == "txt" and not skip_empty_lines)):
        raise source.wrong("path", "a table with at least one row", f"the empty file {source.name}")
    if "\0" in source.text:
        line = next(number for number, row in _lines(source.text) if "\0" in row)
        raise source.wrong_line(line, "text", "a NUL character; is it binary, or UTF-16 without a byte-order mark?")
    if format == "jsonl":
        return _read_jsonl(source, text_column, label_column, read_labels, skip_empty_lines)
    if format == "txt":
        return _read_lines(source, text_column, label_column, skip_empty_lines)
    if quoting is None:
        quoting = format == "csv"
    if delimiter is None:
        delimiter = "\t" if format == "tsv" else ("," if columns else _csv_delimiter(source.text))
    elif not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise source.wrong("delimiter", "one character", repr(delimiter))
    return _read_delimited(
        source, text_column, label_column, read_labels, columns, delimiter, quoting, skip_empty_lines
    )


# --- bytes and lines -------------------------------------------------------------------------------------------------


def _load(path: Any, encoding: str | None) -> tuple[_Source, str]:
    """The decoded text of a path or stream, and the path's extension in lower case."""
    if hasattr(path, "read"):
        data = path.read()
        name = getattr(path, "name", None)
        name = name if isinstance(name, str) else "the stream"
    else:
        try:
            name = os.fsdecode(path)
        except TypeError:
            raise TypeError(f"[read_table] path: expected a path or a stream, got {type(path).__name__}") from None
        if os.path.isdir(name):
            raise IsADirectoryError(f"[read_table] path: expected a file, got the folder {name}")
        try:
            with open(name, "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            raise FileNotFoundError(f"[read_table] path: expected an existing file, got {name}") from None
    extension = os.path.splitext(name)[1].lower()
    if isinstance(data, str):
        return _Source(name, data.removeprefix("\ufeff")), extension
    return _Source(name, _decode(name, data, encoding)), extension


def _decode(name: str, data: bytes, encoding: str | None) -> str:
    if encoding is None:
        encoding = next((codec for mark, codec in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"[read_table] encoding: expected a known encoding, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        # Count line ends as they stand before the error, in the characters that could be decoded.
        before = error.object[: error.start].decode(encoding, errors="ignore")
        line = before.count("\n") + before.count("\r") - before.count("\r\n") + 1
        shown = "UTF-8" if encoding.startswith("utf-8") else encoding
        raise ValueError(
            f"[read_table] path: expected {shown} in line {line} of {name}, got byte 0x{error.object[error.start]:02x} "
            f"({error.reason}); pass encoding= if the file is in another one"
        ) from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends. Unlike str.splitlines, only LF, CRLF and CR end a line."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.rstrip("\n")


# --- CSV and TSV -----------------------------------------------------------------------------------------------------


def _csv_delimiter(text: str) -> str:
    header = next((line for _, line in _lines(text) if line.strip()), "")
    return ";" if ";" in header and "," not in header else ","


def _records(source: _Source, delimiter: str, quoting: bool) -> Iterator[_Record]:
    """Rows, each with the line it begins in; an empty line has no cells."""
    if not quoting:
        for line, row in _lines(source.text):
            yield _Record(line, row.split(delimiter) if row.strip() else [])
        return
    reader = csv.reader(io.StringIO(source.text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise source.wrong_line(begin, "valid CSV", str(error)) from None
        blank = len(cells) == 1 and cells[0].isspace()  # a quoted empty field is a row, [""]
        yield _Record(begin, [] if blank else cells)


def _read_delimited(
    source: _Source,
    text_column: str | None,
    label_column: str | None,
    read_labels: bool,
    columns: Sequence[str] | None,
    delimiter: str,
    quoting: bool,
    skip_empty_lines: bool,
) -> TextTable:
    with _csv_limit_lock:
        limit = csv.field_size_limit(max(len(source.text), 1))  # a field may be as long as the file
        try:
            records = list(_records(source, delimiter, quoting))
        finally:
            csv.field_size_limit(limit)
    first = next((i for i, record in enumerate(records) if record.cells), 0)
    if skip_empty_lines:
        records = [record for record in records if record.cells]
    elif columns is None:
        records = records[first:]  # a header may come after empty lines
    header = [name.strip() for name in (records[0].cells if columns is None else columns)]
    if columns is None or [name.strip() for name in records[0].cells] == header:
        records = records[1:]
    records = [record if record.cells else _Record(record.line, [""] * len(header)) for record in records]
    for record in records:
        if len(record.cells) != len(header):
            raise source.wrong_line(record.line, f"{len(header)} columns", str(len(record.cells)))
    text_name, label_name = _choose_columns(source, header, text_column, label_column, read_labels, columns is None)
    if not records:
        raise source.wrong("path", "at least one row below the header", f"none in {source.name}")
    text_at = header.index(text_name)
    texts = [record.cells[text_at] for record in records]
    lines = [record.line for record in records]
    labels = None
    if label_name is not None:
        label_at = header.index(label_name)
        labels = [_checked_label(source, record.line, record.cells[label_at]) for record in records]
    return TextTable(texts, labels, text_name, label_name, source.name, lines)


def _checked_label(source: _Source, line: int, label: str) -> str:
    label = label.strip()
    if not label:
        raise source.wrong_line(line, "a label", "an empty field")
    return label


def _choose_columns(
    source: _Source,
    header: list[str],
    text_column: str | None,
    label_column: str | None,
    read_labels: bool,
    from_file: bool,
) -> tuple[str, str | None]:
    """Names of the text column and of the label column (None: there is none)."""
    there = ", ".join(map(repr, header)) or "none"
    for argument, name in (("text_column", text_column), ("label_column", label_column if read_labels else None)):
        if name is not None and name not in header:
            raise source.wrong(argument, f"one of the columns of {source.name} ({there})", repr(name))
    if not read_labels:
        # Still found, so that of two columns the other is known to be the text.
        label_column = label_column if label_column in header else None
    if text_column is not None and text_column == label_column:
        raise source.wrong("label_column", "another column than the text's", repr(label_column))
    if label_column is None:
        label_column = _first_known(header, LABEL_COLUMNS, text_column)
    if text_column is None:
        text_column = _first_known(header, TEXT_COLUMNS, label_column)
        others = [name for name in header if name != label_column]
        if text_column is None and len(others) == 1 and (label_column is not None or not from_file):
            text_column = others[0]
    if text_column is None:
        hint = "; name it with text_column=" + (", or the columns of a file without a header with columns=" * from_file)
        raise source.wrong("text_column", f"a column such as {', '.join(map(repr, TEXT_COLUMNS[:4]))}", there + hint)
    chosen = (text_column, label_column) if read_labels and label_column is not None else (text_column,)
    for name in chosen:
        if header.count(name) > 1:
            raise source.wrong("path", f"one column {name!r} in {source.name}", str(header.count(name)))
    return text_column, label_column if read_labels else None


def _first_known(header: list[str], known: Sequence[str], taken: str | None) -> str | None:
    by_folded = {name.casefold(): name for name in reversed(header) if name != taken}
    return next((by_folded[name] for name in known if name in by_folded), None)


# --- JSON Lines and plain lines --------------------------------------------------------------------------------------


def _read_jsonl(
    source: _Source, text_column: str | None, label_column: str | None, read_labels: bool, skip_empty_lines: bool
) -> TextTable:
    records = [
        (line, _json_object(source, line, row) if row.strip() else None)
        for line, row in _lines(source.text)
        if row.strip() or not skip_empty_lines
    ]
    keys = list(dict.fromkeys(key for _, record in records for key in record or ()))
    text_name, label_name = _choose_columns(source, keys, text_column, label_column, read_labels, False)
    texts: list[str] = []
    labels: list[str] = []
    for line, record in records:
        if record is None:
            texts.append("")
            continue
        for name in (text_name, label_name):
            if name is not None and name not in record:
                raise source.wrong_line(line, f"the key {name!r}", ", ".join(map(repr, record)) or "no keys")
        texts.append(_json_text(source, line, text_name, record[text_name]))
        if label_name is not None:
            labels.append(_json_label(source, line, label_name, record[label_name]))
    lines = [line for line, _ in records]
    return TextTable(texts, labels if label_name is not None else None, text_name, label_name, source.name, lines)


def _json_object(source: _Source, line: int, row: str) -> dict[str, Any]:
    try:
        record = json.loads(row)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} in column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise source.wrong_line(line, "a JSON object", f"invalid JSON ({reason})") from None
    if not isinstance(record, dict):
        raise source.wrong_line(line, "a JSON object", _json_kind(record))
    return record


def _json_text(source: _Source, line: int, name: str, value: object) -> str:
    if not isinstance(value, str):
        raise source.wrong_line(line, f"a string at {name!r}", _json_kind(value))
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise source.wrong_line(line, f"valid Unicode at {name!r}", "half of a surrogate pair")
    return value


def _json_label(source: _Source, line: int, name: str, value: object) -> str:
    if isinstance(value, str):
        return _checked_label(source, line, value)
    if type(value) is int or (type(value) is float and math.isfinite(value)):  # bool is a kind of int
        return str(value)
    raise source.wrong_line(line, f"a string or number at {name!r}", _json_kind(value))


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (str, "a string"), (list, "an array"), (dict, "an object"))
    number = "a number that is not finite" if type(value) is float and not math.isfinite(value) else "a number"
    return next((name for kind, name in names if isinstance(value, kind)), number)


def _read_lines(
    source: _Source, text_column: str | None, label_column: str | None, skip_empty_lines: bool
) -> TextTable:
    for argument, name in (("text_column", text_column), ("label_column", label_column)):
        if name is not None:
            raise source.wrong(argument, "None for a file of plain lines", repr(name))
    rows = [(line, row) for line, row in _lines(source.text) if row.strip() or not skip_empty_lines]
    return TextTable([row for _, row in rows], None, source=source.name, lines=[line for line, _ in rows])
