"""Documents of raw text files, streamed: blocks, lines, whole files, or the texts of JSON Lines."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Literal

from engine.errors import BadType, require
from engine.text.cleaning import clean_text
from engine.text.files import JSON_LINES, DecodeErrors, Line, TextFile, json_kind

__all__ = ["Document", "existing_files", "is_in_part", "read_documents", "read_texts"]

Document = Literal["block", "line", "file"]

_LONGEST = 2**20  # characters: a document that is as long ends with its current line


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
        path: JSON Lines if the name ends with .jsonl, .ndjson or .json, otherwise UTF-8 text; compressed if .gz follows.
        document: the documents of a text: "block", the lines up to an empty one; "line", each line; "file", the whole file.
            In JSON Lines each line is a document.
        text_key: in JSON Lines, the key of the text in each object.
        errors: bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD in their place.
        offset, line: those of an earlier document, to continue after it.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: if a line is damaged; the error names file and line.
    """
    file = TextFile("read_documents", path, hint="errors='replace' reads the file with U+FFFD in place of such bytes")
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
