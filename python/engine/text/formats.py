"""The one door to files of data: which format a file or folder has, and its rows.

The contents decide where they can: Parquet, Arrow and Excel files and compressed files are known by their first bytes, whatever
their names. Otherwise the name decides.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Literal, get_args

from engine.errors import Argument, BadValue, require
from engine.text.arrow_files import ArrowRows, arrow_files_in
from engine.text.class_folders import FolderRows
from engine.text.cleaning import clean_text
from engine.text.files import JSON_LINES, TextFile, numbered_lines
from engine.text.json_files import read_json_rows
from engine.text.spreadsheets import read_spreadsheet
from engine.text.table_rows import DelimitedRows, Rows

__all__ = [
    "DELIMITED",
    "ENDINGS",
    "OTHER_ENCODING",
    "FileFormat",
    "format_of",
    "marked_format",
    "open_file",
    "read_rows",
    "table_form",
]

FileFormat = Literal["csv", "tsv", "jsonl", "txt", "fasttext", "parquet", "arrow", "excel", "folder"]

DELIMITED = ("csv", "tsv", "excel")
"""The formats whose columns are named by their first row."""

ENDINGS: dict[str, FileFormat] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "txt", **dict.fromkeys(JSON_LINES, "jsonl"),
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".xlsx": "excel", ".xlsm": "excel",
}  # fmt: skip

OTHER_ENCODING = ("name its encoding with ", Argument("encoding"), ", such as cp1252 for files from Windows or Excel")
"""What to do about a file that is not UTF-8."""

_MARKS: dict[bytes, FileFormat] = {
    b"PAR1": "parquet", b"ARROW1": "arrow", b"FEA1": "arrow", b"\xff\xff\xff\xff": "arrow", b"PK\x03\x04": "excel",
}  # fmt: skip
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_SPAN_TAG = re.compile(r"O|[BIESLU]-\S+")
_FASTTEXT = re.compile(r"(?<!\S)__label__(\S+)\s*")


def open_file(op: str, path: Any, argument: str = "path", hint: Any = "save the file as UTF-8") -> TextFile:
    """The file or stream, or the name of a folder. Raises FileNotFoundError if there is nothing."""
    if isinstance(path, (str, os.PathLike)) and os.path.isdir(path):
        return TextFile.named(op, os.fspath(path), argument)
    return TextFile(op, path, argument, hint)


_TAGGED = ("conll", "conllu", "bio", "iob", "iob2", "bioes")


def format_of(file: TextFile, given: str | None = None) -> FileFormat:
    """The format of a file or folder. given: by the caller.

    Raises:
        ValueError: if the format is unknown, or one that cannot be read.
    """
    known = get_args(FileFormat)
    require(given is None or given in known, file.op, "format", ", ".join(map(repr, known)), repr(given))
    if given is not None or os.path.isdir(file.name):
        return given or "folder"  # type: ignore[return-value]
    marked = marked_format(file)
    if marked is not None:
        return marked
    found = ENDINGS.get(file.extension)
    if found in (None, "txt") and file.begin().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"__label__"):
        return "fasttext"
    if found is None:
        expected, hint = f"a file that ends in {', '.join(ENDINGS)}", ("or name its form with ", Argument("format"))
        tagged = ["--task tagging reads CoNLL files (engine.text.read_tagged)"] * (
            file.extension.lstrip(".") in _TAGGED
        )
        raise BadValue(file.op, file.argument, expected, file.name, *tagged, hint)
    return found


def marked_format(file: TextFile) -> FileFormat | None:
    """The format that a file's first bytes say; None: they say nothing. Raises ValueError for an Excel file of the old kind."""
    begin = file.begin()
    if begin.startswith(_OLD_EXCEL):
        raise BadValue(
            file.op, file.argument, "an Excel file (.xlsx)", f"the old format in {file.name}", "save it as .xlsx"
        )
    marked = next((name for mark, name in _MARKS.items() if begin.startswith(mark)), None)
    if marked == "excel" and ENDINGS.get(file.extension) != "excel" and not _is_excel(file):
        raise BadValue(file.op, file.argument, "a file of data", f"a zip archive, {file.name}", "unpack it")
    return marked


def _is_excel(file: TextFile) -> bool:
    """Whether a zip archive is an Excel file, which is one, too."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
            return "[Content_Types].xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read_rows(
    file: TextFile,
    format: FileFormat,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    quoting: bool | None = None,
    encoding: str | None = None,
    skip_empty_lines: bool = True,
    known: Iterable[str] = (),
) -> Rows:
    """The rows of a file or folder.

    Args:
        columns, delimiter, quoting, encoding, skip_empty_lines: as in `read_table`.
        known: names of columns in lower case, which help to find the delimiter.

    Raises:
        ValueError: as `read_table`; also for a setting that the format does not use.
    """
    for argument, value, formats in (
        ("columns", columns, DELIMITED), ("delimiter", delimiter, DELIMITED[:2]), ("quoting", quoting, DELIMITED[:2]),
        ("encoding", encoding, ("csv", "tsv", "jsonl", "txt", "fasttext", "folder")),
    ):  # fmt: skip
        used = value is None or format in formats
        require(used, file.op, argument, f"None, because files of the format {format!r} do not use it", repr(value))
    if format == "folder":
        files = arrow_files_in(file.op, file.name)
        if files is None:
            return FolderRows(file.op, file.name, encoding, OTHER_ENCODING)
        require(encoding is None, file.op, "encoding", "None, because Arrow files do not use it", repr(encoding))
        return ArrowRows([TextFile(file.op, path) for path in files], file.name)
    if format == "excel":
        return read_spreadsheet(file, columns, skip_empty_lines)
    if format in ("parquet", "arrow"):
        return ArrowRows([file], file.name)
    text = file.read(encoding)
    rows_exist = text.strip() or (text and format == "txt" and not skip_empty_lines)
    require(rows_exist, file.op, "path", "a table with at least one row", f"the empty file {file.name}")
    if format == "jsonl":
        return read_json_rows(file, text, skip_empty_lines)
    if format in ("csv", "tsv"):
        usual = "\t" if format == "tsv" else ","
        return DelimitedRows(file, text, columns, delimiter, quoting, skip_empty_lines, usual, known)
    rows = _LineRows(file, text, format == "fasttext", skip_empty_lines)
    form = table_form(text, known) if format == "txt" else None
    if form is not None:
        rows.notes.append(
            f"{file.name} is read as a text on each line, but its first line looks like the header of a table; if it is one, use "
            f"--format {form} (format={form!r})"
        )
    elif format == "txt" and _is_tagged(text):
        rows.notes.append(
            f"{file.name} is read as a text on each line, but it looks like a CoNLL file, with a word and its tag on each line; if it is "
            "one, use --task tagging (engine.text.read_tagged), or for predictions --format conll"
        )
    return rows


def table_form(text: str, known: Iterable[str]) -> FileFormat | None:
    """Whether a text looks like CSV or TSV: its first line has a usual name of a column, and the next ones have as many fields."""
    lines = [line for _, line in islice(numbered_lines(text[:100_000]), 20) if line.strip()]
    for delimiter in ("\t", ",", ";", "|") if lines else ():
        names = {clean_text(name.strip('"')).casefold() for name in lines[0].split(delimiter)}
        even = len({line.count(delimiter) for line in lines}) == 1 or delimiter == "\t"
        if len(names) > 1 and names & {*known} and even:
            return "tsv" if delimiter == "\t" else "csv"
    return None


def _is_tagged(text: str) -> bool:
    """Whether a text looks like CoNLL: an empty line after some lines, and on each other line as many words, of which the last is a tag."""
    lines = [line for _, line in islice(numbered_lines(text[:100_000]), 1000)]
    cells = [line.split() for line in lines if line.strip() and not line.startswith("-DOCSTART-")]
    even = len({len(each) for each in cells}) == 1 and len(cells[0]) > 1
    return even and len(cells) < len(lines) and all(_SPAN_TAG.fullmatch(each[-1]) for each in cells)


class _LineRows(Rows):
    """A text on each line, the column 'text'. labelled: in fastText's format, with labels (`__label__name`) in the column 'label'."""

    def __init__(self, file: TextFile, text: str, labelled: bool, skip_empty_lines: bool) -> None:
        super().__init__(file)
        rows = [(line, row) for line, row in numbered_lines(text) if row.strip() or not skip_empty_lines]
        self.lines = [line for line, _ in rows]
        self.header = ["text", "label"] if labelled else ["text"]
        self._texts = [_FASTTEXT.sub("", row) if labelled else row for _, row in rows]
        self._labels: list[str | list[str]] = []
        for _, row in rows if labelled else ():
            names = _FASTTEXT.findall(row)
            self._labels.append(names if len(names) != 1 else names[0])

    def texts(self, name: str) -> list[str]:
        return self.values(name)

    def values(self, name: str) -> list[str]:
        return (
            self._texts
            if name == "text"
            else [" ".join([name] if isinstance(name, str) else name) for name in self._labels]
        )

    def as_they_are(self, name: str) -> list[Any]:
        return list(self.values(name))

    def labels(self, name: str) -> list[str | list[str]]:
        return self._labels
