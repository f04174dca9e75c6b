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

from engine.text.table import TextTable

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

_LABEL = "\0label"  # the key of label values, which no column has: a column may be read as label and as it stands

_csv_limit_lock = threading.Lock()  # csv's limit on a field's size is one setting for the whole process


class _Record(NamedTuple):
    line: int
    cells: list[str]


class _Wanted(NamedTuple):
    """What a caller asked for."""

    text: str | None
    label: str | None
    pair: str | None
    extra: tuple[str, ...] | None  # None: all there are
    read_labels: bool
    empty_labels: bool
    separator: str
    skip_empty_lines: bool


class _Columns(NamedTuple):
    """The columns that are read; None: there is none."""

    text: str
    label: str | None
    pair: str | None
    extra: tuple[str, ...]

    def table(self, source: _Source, lines: list[int], values: dict[str, list[str]]) -> TextTable:
        return TextTable(
            values[self.text],
            None if self.label is None else values[_LABEL],
            self.text,
            self.label,
            source.name,
            lines,
            None if self.pair is None else values[self.pair],
            self.pair,
            {name: values[name] for name in self.extra},
        )


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
    pair_column: str | None = None,
    extra_columns: Sequence[str] | None = (),
    empty_labels: bool = False,
    label_separator: str = "|",
) -> TextTable:
    """Read texts, and labels where there are any, from one file.

    Columns: the first row names them, unless `columns` does (then a first row that repeats those names is taken as
    the header). Without `text_column`, the text is the column with the first name of `TEXT_COLUMNS` that is there,
    and likewise the label with `LABEL_COLUMNS`; of two columns of which one is recognised as the label the other is
    the text, and a lone column is the text where `columns` names it. JSON Lines have one object a line, and
    their keys are the columns. Labels may be numbers there, and become '3'; booleans and NaN are errors. They may be
    arrays of several labels, and become one string with `label_separator` between the names; `split_labels` parts them
    again, and those of a CSV.

    Empty lines are skipped; empty texts are kept; an empty label is an error unless `empty_labels`. Line ends may be LF, CRLF or CR, and
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
        pair_column: name of the column of second texts, for tasks on two; it is never guessed.
        extra_columns: names of further columns to read, such as the groups that metrics are wanted for; none of them is
            guessed to be the text or the label. None: all others. In JSON their values may be strings, numbers, booleans and null, which
            is ''.
        empty_labels: whether a label may be empty: a text with none of several labels.
        label_separator: what stands between the names of several labels.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: on an unknown format, an empty file, a missing column (names those there are), a row with too many
            or too few fields, bytes that are not in the encoding, invalid JSON, an empty label, or one of several
            with the separator in its name (these name the line).
        TypeError: if `path` is neither a path nor a stream.
    """
    source, extension = _load(path, encoding)
    if format is None:
        if extension not in _EXTENSIONS:
            raise source.wrong("format", "'csv', 'tsv', 'jsonl' or 'txt'", f"None for {source.name}")
        format = _EXTENSIONS[extension]
    elif format not in ("csv", "tsv", "jsonl", "txt"):
        raise source.wrong("format", "'csv', 'tsv', 'jsonl' or 'txt'", repr(format))
    for argument, names in (("columns", columns), ("extra_columns", extra_columns)):
        if isinstance(names, str):
            raise TypeError(f"[read_table] {argument}: expected a list of names, got one string")
    if not label_separator:
        raise source.wrong("label_separator", "at least one character", "''")
    if not skip_empty_lines and read_labels and format != "txt":
        raise source.wrong("skip_empty_lines", "True where labels are read", "False")
    if not (source.text.strip() or (source.text and format == "txt" and not skip_empty_lines)):
        raise source.wrong("path", "a table with at least one row", f"the empty file {source.name}")
    if "\0" in source.text:
        line = next(number for number, row in _lines(source.text) if "\0" in row)
        raise source.wrong_line(line, "text", "a NUL character; is it binary, or UTF-16 without a byte-order mark?")
    extra = None if extra_columns is None else tuple(dict.fromkeys(extra_columns))
    wanted = _Wanted(
        text_column, label_column, pair_column, extra, read_labels, empty_labels, label_separator, skip_empty_lines
    )
    if format == "jsonl":
        return _read_jsonl(source, wanted)
    if format == "txt":
        return _read_lines(source, wanted)
    if quoting is None:
        quoting = format == "csv"
    if delimiter is None:
        delimiter = "\t" if format == "tsv" else ("," if columns else _csv_delimiter(source.text))
    elif not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise source.wrong("delimiter", "one character", repr(delimiter))
    return _read_delimited(source, wanted, columns, delimiter, quoting)


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
    source: _Source, wanted: _Wanted, columns: Sequence[str] | None, delimiter: str, quoting: bool
) -> TextTable:
    with _csv_limit_lock:
        limit = csv.field_size_limit(max(len(source.text), 1))  # a field may be as long as the file
        try:
            records = list(_records(source, delimiter, quoting))
        finally:
            csv.field_size_limit(limit)
    first = next((i for i, record in enumerate(records) if record.cells), 0)
    if wanted.skip_empty_lines:
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
    chosen = _choose_columns(source, header, wanted, columns is None)
    if not records:
        raise source.wrong("path", "at least one row below the header", f"none in {source.name}")
    values = {
        name: [record.cells[at] for record in records]
        for name in (chosen.text, chosen.pair, *chosen.extra)
        if name is not None
        for at in (header.index(name),)
    }
    if chosen.label is not None:
        at = header.index(chosen.label)
        values[_LABEL] = [_checked_label(source, record.line, record.cells[at], wanted) for record in records]
    return chosen.table(source, [record.line for record in records], values)


def _checked_label(source: _Source, line: int, label: str, wanted: _Wanted) -> str:
    label = label.strip()
    if not label and not wanted.empty_labels:
        raise source.wrong_line(line, "a label", "an empty field")
    return label


def _choose_columns(source: _Source, header: list[str], wanted: _Wanted, from_file: bool) -> _Columns:
    """The columns to read, those that were not named by the names they usually have."""
    there = ", ".join(map(repr, header)) or "none"
    text, label, pair, asked = wanted[:4]
    extra = asked or ()
    named = [("text_column", text), ("label_column", label if wanted.read_labels else None), ("pair_column", pair)]
    for argument, name in (*named, *(("extra_columns", name) for name in extra)):
        if name is not None and name not in header:
            raise source.wrong(argument, f"one of the columns of {source.name} ({there})", repr(name))
    if not wanted.read_labels:
        # Still found, so that of two columns the other is known to be the text.
        label = label if label in header else None
    if text is not None and text == label:
        raise source.wrong("label_column", "another column than the text's", repr(label))
    if pair is not None and pair in (text, label):
        raise source.wrong("pair_column", "another column than the text's and the label's", repr(pair))
    if label is None:
        label = _first_known(header, LABEL_COLUMNS, {text, pair, *extra})
    if text is None:
        text = _first_known(header, TEXT_COLUMNS, {label, pair, *extra})
        others = [name for name in header if name not in (label, pair, *extra)]
        if text is None and len(others) == 1 and (label is not None or not from_file):
            text = others[0]
    if text is None:
        hint = "; name it with text_column=" + (", or the columns of a file without a header with columns=" * from_file)
        raise source.wrong("text_column", f"a column such as {', '.join(map(repr, TEXT_COLUMNS[:4]))}", there + hint)
    if asked is None:
        extra = tuple(name for name in dict.fromkeys(header) if name not in (text, label, pair))
    chosen = _Columns(text, label if wanted.read_labels else None, pair, extra)
    for name in (chosen.text, chosen.label, chosen.pair, *chosen.extra):
        if name is not None and header.count(name) > 1:
            raise source.wrong("path", f"one column {name!r} in {source.name}", str(header.count(name)))
    return chosen


def _first_known(header: list[str], known: Sequence[str], taken: set[str | None]) -> str | None:
    by_folded = {name.casefold(): name for name in reversed(header) if name not in taken}
    return next((by_folded[name] for name in known if name in by_folded), None)


# --- JSON Lines and plain lines --------------------------------------------------------------------------------------


def _read_jsonl(source: _Source, wanted: _Wanted) -> TextTable:
    records = [
        (line, _json_object(source, line, row) if row.strip() else None)
        for line, row in _lines(source.text)
        if row.strip() or not wanted.skip_empty_lines
    ]
    keys = list(dict.fromkeys(key for _, record in records for key in record or ()))
    chosen = _choose_columns(source, keys, wanted, False)
    texts = [name for name in (chosen.text, chosen.pair) if name is not None]
    names = dict.fromkeys((*texts, *chosen.extra))
    values: dict[str, list[str]] = {name: [] for name in (*names, _LABEL)}
    for line, record in records:
        if record is None:
            for name in names:
                values[name].append("")
            continue
        for key in (chosen.text, chosen.label, *names):
            if key is not None and key not in record:
                raise source.wrong_line(line, f"the key {key!r}", ", ".join(map(repr, record)) or "no keys")
        for name in names:
            read = _json_text if name in texts else _json_cell
            values[name].append(read(source, line, name, record[name]))
        if chosen.label is not None:
            values[_LABEL].append(_json_label(source, line, chosen.label, record[chosen.label], wanted))
    return chosen.table(source, [line for line, _ in records], values)


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


def _json_cell(source: _Source, line: int, name: str, value: object) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()  # as JSON spells it
    if isinstance(value, str):
        return _json_text(source, line, name, value)
    if _is_number(value):
        return str(value)
    raise source.wrong_line(line, f"a string, number, boolean or null at {name!r}", _json_kind(value))


def _json_label(source: _Source, line: int, name: str, value: object, wanted: _Wanted) -> str:
    if isinstance(value, list):
        several = [_json_name(source, line, name, label) for label in value]
        for label in several:
            if not label:
                raise source.wrong_line(line, f"a label at each place of the array at {name!r}", "an empty string")
            if wanted.separator in label:
                expected = f"labels without {wanted.separator!r} (or another label_separator=)"
                raise source.wrong_line(line, expected, repr(label))
        return _checked_label(source, line, wanted.separator.join(several), wanted)
    return _checked_label(source, line, _json_name(source, line, name, value), wanted)


def _json_name(source: _Source, line: int, name: str, value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if _is_number(value):
        return str(value)
    raise source.wrong_line(line, f"a string or number at {name!r}", _json_kind(value))


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))  # bool is a kind of int


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    names = ((bool, "a boolean"), (str, "a string"), (list, "an array"), (dict, "an object"))
    number = "a number that is not finite" if type(value) is float and not math.isfinite(value) else "a number"
    return next((name for kind, name in names if isinstance(value, kind)), number)


def _read_lines(source: _Source, wanted: _Wanted) -> TextTable:
    for argument, name in zip(("text_column", "label_column", "pair_column"), wanted[:3]):
        if name is not None:
            raise source.wrong(argument, "None for a file of plain lines", repr(name))
    if wanted.extra:
        raise source.wrong("extra_columns", "none for a file of plain lines", ", ".join(map(repr, wanted.extra)))
    rows = [(line, row) for line, row in _lines(source.text) if row.strip() or not wanted.skip_empty_lines]
    return TextTable([row for _, row in rows], None, source=source.name, lines=[line for line, _ in rows])
