"""Files of text: from a path or a stream to numbered lines. Every reader of this room decodes here.

`TextFile.read` gives a whole file in any encoding. `TextFile.stream` gives the lines of a UTF-8 file of any size. Either may
be compressed. LF, CRLF and CR end a line; Unicode's other separators do not.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from engine.data.table import place_of
from engine.entries import decode_row, refuse_pointer
from engine.errors import Argument, BadFile, BadType, BadValue, FileMissing, Hint, IsFolder, require
from engine.text.compression import decompressed, without_compression

__all__ = ["JSON_LINES", "DecodeErrors", "Line", "TextFile", "either", "json_kind", "numbered_lines"]

DecodeErrors = Literal["strict", "replace"]

# The longest marks first: UTF-32's little-endian mark begins with UTF-16's.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# A byte-order mark at the beginning of a line that is not the first: somebody joined files.
_INNER_MARK = re.compile("(?<=[\r\n])\ufeff")

_BLANKS = " \t\r\n"

JSON_LINES = (".jsonl", ".ndjson", ".json")
"""The extensions of JSON Lines files."""


class Line(NamedTuple):
    """A line with its end, or a document of several: its text, and the file's bytes and lines up to its end."""

    text: str
    offset: int
    line: int


def extension_of(name: str) -> str:
    """A file name's extension in lower case, before that of a compression: ".txt" for "A.TXT.gz"."""
    return os.path.splitext(without_compression(name))[1]


class TextFile:
    """A file of text, and its name in messages: "[op] argument: expected valid CSV in line 3 of a.csv, got ...".

    Args:
        op, argument: the call, and the name of the argument that holds the path.
        path: a path, or an open stream (for `read` only).
        hint: what the user can do about a file that is not UTF-8.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder; OSError: if it is a pipe.
        TypeError: if `path` is neither a path nor a stream.
    """

    def __init__(self, op: str, path: Any, argument: str = "path", hint: Hint = "save the file as UTF-8") -> None:
        self.op, self.argument, self.hint = op, argument, hint
        self._stream = path if hasattr(path, "read") else None
        if self._stream is not None:
            name = getattr(path, "name", None)
            self.name = name if isinstance(name, str) else "the stream"
            return
        try:
            self.name = os.fsdecode(path)
        except TypeError:
            raise BadType(op, argument, "a path or a stream", type(path).__name__) from None
        require(not os.path.isdir(self.name), op, argument, "a file", f"the folder {self.name}", error=IsFolder)
        require(os.path.exists(self.name), op, argument, "an existing file", self.name, error=FileMissing)
        pipe, once = stat.S_ISFIFO(os.stat(self.name).st_mode), "a pipe can be read only once: write it to a file first"
        require(not pipe, op, argument, "a file", f"the pipe {self.name}", once, error=BadFile)

    @classmethod
    def named(cls, op: str, name: str, argument: str = "path") -> TextFile:
        """A name in messages, of a folder for example, which is not read."""
        file = cls.__new__(cls)
        file.op, file.argument, file.hint, file.name, file._stream = op, argument, "", name, None
        return file

    @property
    def extension(self) -> str:
        """`extension_of` the name."""
        return extension_of(self.name)

    def wrong(self, line: int, expected: str, got: str, *hints: Hint) -> BadValue:
        """The error about a line of the file."""
        return BadValue(self.op, self.argument, f"{expected} in {place_of(0, self.name, [line])}", got, *hints)

    def read_bytes(self) -> Any:
        """The whole contents, decompressed; a string if the stream gives strings.

        Raises:
            ValueError: if the file is compressed and damaged.
        """
        data = None if self._stream is None else self._stream.read()
        if isinstance(data, str):
            return data
        with decompressed(self.op, self.argument, self.name, data) as stream:
            return stream.read()

    def begin(self) -> bytes:
        """The first bytes, decompressed; none of a stream. Raises ValueError if the file is only a pointer of Git LFS."""
        if self._stream is not None:
            return b""
        with decompressed(self.op, self.argument, self.name) as stream:
            start = bytes(stream.peek(64)[:64])
        refuse_pointer(self.op, self.argument, self.name, start)
        return start

    def read(self, encoding: str | None = None, inner_marks: bool = False) -> str:
        """The whole text, without a byte-order mark.

        Args:
            encoding: None: the encoding that the byte-order mark names, or UTF-8 without a mark.
            inner_marks: whether byte-order marks at the beginning of later lines, which joined files have, stay.

        Raises:
            ValueError: if the encoding is unknown, or the file has bytes that are not in the encoding, or a NUL character.
        """
        data = self.read_bytes()
        text = (data if isinstance(data, str) else self._decoded(data, encoding)).removeprefix("\ufeff")
        if not inner_marks and "\ufeff" in text:
            text = _INNER_MARK.sub("", text)
        if "\0" in text:
            line = _last_line(text[: text.index("\0")])
            name = "utf-16-be" if text.startswith("\0") else "utf-16-le"
            hint = ("if it is UTF-16 without a byte-order mark, use ", Argument("encoding"), f" {name}")
            raise self.wrong(line, "text", "a NUL character", "is the file binary?", hint)
        return text

    def _decoded(self, data: bytes, encoding: str | None) -> str:
        encoding = encoding or _encoding_of(data) or "utf-8"
        try:
            return data.decode(encoding)
        except LookupError:
            raise BadValue(self.op, "encoding", "a known encoding", repr(encoding)) from None
        except UnicodeDecodeError as error:
            # `error.object` is `data`, but some codecs have removed the mark.
            line = _last_line(error.object[: error.start].decode(encoding, errors="ignore"))
            raise self._undecodable("UTF-8" if encoding.startswith("utf-8") else encoding, line, error) from None

    def _undecodable(self, encoding: str, line: int, error: UnicodeDecodeError) -> ValueError:
        return self.wrong(line, encoding, f"byte 0x{error.object[error.start]:02x}", self.hint)

    def stream(self, errors: DecodeErrors = "strict", offset: int = 0, line: int = 0) -> Iterator[Line]:
        """The lines of a UTF-8 file in turn, without byte-order marks at their beginning.

        Args:
            errors: bytes that are not UTF-8: "strict" raises, "replace" puts U+FFFD in their place.
            offset, line: those of an earlier line, to continue after it.

        Raises:
            ValueError: if the file has bytes that are not UTF-8, or is compressed and damaged.
        """
        with decompressed(self.op, self.argument, self.name) as stream:
            mark = _encoding_of(stream.peek(4)) or "utf-8"
            if mark != "utf-8":
                raise self.wrong(1, "UTF-8", f"the byte-order mark of {mark.upper()}", "save the file as UTF-8")
            _skip(stream, offset)
            # A byte that is not UTF-8 becomes half of a surrogate pair, which `encode` turns into that byte again.
            with io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="") as lines:
                for text in lines:
                    raw = text.encode("utf-8", "surrogateescape")
                    offset, line = offset + len(raw), line + 1
                    if not text.isascii():
                        try:
                            text = raw.decode("utf-8", errors).removeprefix("\ufeff")
                        except UnicodeDecodeError as error:
                            raise self._undecodable("UTF-8", line, error) from None
                    yield Line(text, offset, line)

    def json_object(self, row: str, line: int) -> dict[str, Any]:
        """The object in a line of JSON Lines.

        Raises:
            ValueError: if the line is anything else.
        """
        try:
            given = row.rstrip("\r\n")  # json's messages would count a line end as a line
            value, end = decode_row(given, len(given) - len(given.lstrip(_BLANKS)))
            if given[end:].strip(_BLANKS):
                raise json.JSONDecodeError("Extra data", given, end)
        except ValueError as error:
            reason = f"{error.msg} in column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise self.wrong(line, "a JSON object", f"invalid JSON ({reason})") from None
        if not isinstance(value, dict):
            raise self.wrong(line, "a JSON object", json_kind(value))
        return value

    def json_value(self, record: dict[str, Any], line: int, *keys: str) -> tuple[str, Any]:
        """The first of the keys that a line's object has, and its value.

        Raises:
            ValueError: if it has none of them.
        """
        for key in keys:
            if key in record:
                return key, record[key]
        raise self.wrong(line, f"the key {either(keys)}", ", ".join(map(repr, record)) or "no keys")


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text without their ends, counted from 1."""
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        yield number, line.removesuffix("\n")


def either(names: Iterable[str]) -> str:
    """Names in a message: "'a' or 'b'"."""
    return " or ".join(map(repr, names))


def json_kind(value: object) -> str:
    """The kind of a JSON value, for messages."""
    kinds = {type(None): "null", bool: "a boolean", str: "a string", list: "an array", dict: "an object"}
    number = "a number that is not finite" if type(value) is float and not math.isfinite(value) else "a number"
    return kinds.get(type(value), number)


def _encoding_of(data: bytes) -> str | None:
    """The encoding that a byte-order mark names, or None without a mark."""
    return next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), None)


def _skip(stream: Any, offset: int) -> None:
    """Moves a stream from its beginning to an offset."""
    if stream.seekable():
        stream.seek(offset)
    else:
        while offset and (data := stream.read(min(offset, 1 << 20))):
            offset -= len(data)


def _last_line(text: str) -> int:
    """The number of the line in which a text ends."""
    return text.count("\n") + text.count("\r") - text.count("\r\n") + 1
