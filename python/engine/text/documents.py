"""Documents of raw text files, streamed: blocks, lines, whole files, or the texts of JSON Lines; and the texts of tables."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Literal

from engine.errors import BadType, require
from engine.text.cleaning import clean_text
from engine.text.files import JSON_LINES, DecodeErrors, Line, TextFile, extension_of, json_kind
from engine.text.formats import ENDINGS, marked_format
from engine.text.table_files import read_table

__all__ = ["Document", "existing_files", "has_rows", "is_in_part", "read_documents", "read_texts"]

Document = Literal["block", "line", "file"]

_LONGEST = 2**20  # characters: a document that is as long ends with its current line


def has_rows(name: str) -> bool:
    """Whether each row of a file is a document, by its name: JSON Lines, and the tables that `read_table` reads."""
    return ENDINGS.get(extension_of(name), "txt") != "txt"


def read_documents(
    path: str | os.PathLike[str],
    document: Document = "block",
    *,
    text_key: str = "text",
    errors: DecodeErrors = "strict",
    offset: int = 0,
    line: int = 0,
) -> Iterator[Line]:
    """The documents of a file in its order, as (text, bytes read, lines read). Only one document is in memory at a time.

    A document longer than a million characters is cut at the end of a line.

    Args:
        path: JSON Lines if the name ends with .jsonl, .ndjson or .json; a table (CSV, TSV, Excel, Parquet, Arrow, an array in JSON),
            which is read whole; otherwise UTF-8 text. It may be compressed (.gz, .bz2, .xz, .zst).
        document: the documents of a text: "block", the lines up to an empty one; "line", each line; "file", the whole file.
            In JSON Lines and tables each row is a document.
        text_key: in JSON Lines, the key of the text in each object; in tables its column, if it is there.
        errors: bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD in their place.
        offset, line: those of an earlier document, to continue after it.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: if a line is damaged; the error names file and line.
    """
    file = TextFile("read_documents", path, hint="errors='replace' reads the file with U+FFFD in place of such bytes")
    if marked_format(file) or (has_rows(file.name) and file.extension not in JSON_LINES) or _is_array(file):
        table = read_table(path, None if text_key == "text" else text_key, read_labels=False)
        for place in range(offset, len(table)):
            yield Line(table.texts[place], place + 1, table.lines[place] if table.lines else place + 1)
        return
    lines = file.stream(errors, offset, line)
    if file.extension in JSON_LINES:
        for row, end, number in lines:
            if row.strip():
                _, text = file.json_value(file.json_object(row, number), number, text_key)
                if not isinstance(text, str):
                    raise file.wrong(number, f"a string at {text_key!r}", json_kind(text))
                yield Line(text, end, number)
        return
    parts: list[str] = []
    length = 0
    for text, end, number in lines:
        parts.append(text)
        length += len(text)
        if document == "line" or length >= _LONGEST or (document == "block" and not text.strip()):
            yield Line("".join(parts), end, number)
            parts, length = [], 0
    if parts:
        yield Line("".join(parts), end, number)


def _is_array(file: TextFile) -> bool:
    return file.extension == ".json" and file.begin().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def read_texts(
    paths: Iterable[str | os.PathLike[str]],
    document: Document = "block",
    *,
    text_key: str = "text",
    errors: DecodeErrors = "strict",
    part: tuple[float, float] = (0.0, 1.0),
) -> Iterator[str]:
    """The documents of files in their order, cleaned, without blank ones. These are the texts of a `TextCorpus`, for example for
    training a tokenizer. Arguments and errors as there."""
    for path in existing_files("read_texts", paths):
        for found in read_documents(path, document, text_key=text_key, errors=errors):
            text = clean_text(found.text)
            if text and is_in_part(text, part):
                yield text


def is_in_part(text: str, part: tuple[float, float]) -> bool:
    """Whether the hash of a text, in [0, 1), is in [part[0], part[1])."""
    if part == (0.0, 1.0):
        return True
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return part[0] <= int.from_bytes(digest, "big") / 2**48 < part[1]


def existing_files(op: str, paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The names of files. Raises FileNotFoundError or IsADirectoryError unless each is a file, ValueError if there is none."""
    is_list = not isinstance(paths, (str, bytes, os.PathLike))
    require(is_list, op, "paths", "a list of files", f"one {type(paths).__name__}", error=BadType)
    names = [TextFile(op, path, "paths").name for path in paths]
    require(names, op, "paths", "at least one file", "none")
    return names
