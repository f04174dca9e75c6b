"""Compressed files: gzip, bzip2, xz and Zstandard, as streams of bytes.

What comes out is counted: a small file that unpacks to gigabytes is refused. Text shrinks to a third or a tenth, seldom to less.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from engine.errors import BadValue, not_installed

__all__ = ["check_unpacked", "compression_of", "decompressed", "unpacked_limit", "without_compression"]

_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}
# How files begin. bzip2's mark is longer, because a text may begin with "BZh".
_MARKS = {
    b"\x1f\x8b\x08": "gzip",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_FREE, _MOST = 8 * 2**20, 32  # bytes that any file may unpack to, and further ones for each of its bytes
_DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


def without_compression(name: str) -> str:
    """A file name in lower case without the suffix of a compression: "a.txt" for "A.txt.gz"."""
    name = name.lower()
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def compression_of(name: str, begin: bytes) -> str | None:
    """How a file is compressed, by its name or, if that says nothing, by its first bytes; None: it is not."""
    by_name = (kind for suffix, kind in _SUFFIXES.items() if name.lower().endswith(suffix))
    return next(by_name, None) or next((kind for mark, kind in _MARKS.items() if begin.startswith(mark)), None)


def unpacked_limit(packed: int) -> int:
    """The most bytes that a file of so many bytes may unpack to."""
    return _FREE + _MOST * packed


def check_unpacked(op: str, argument: str, name: str, packed: int, unpacked: int) -> None:
    """Raises ValueError if a file unpacks to more than it may."""
    limit = unpacked_limit(packed)
    if unpacked > limit:
        hint = "if that is right, unpack it first"
        raise BadValue(op, argument, f"at most {limit:,} bytes out of {packed:,} in {name}", "more", hint)


class _Counted(io.RawIOBase):
    """A stream of unpacked bytes that ends with an error if there are too many of them."""

    def __init__(self, contents: Any, packed: int, place: tuple[str, str, str]) -> None:
        self._contents, self._packed, self._place, self._count = contents, packed, place, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._contents.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        self._count = int(self._contents.seek(offset, whence))
        return self._count

    def readinto(self, buffer: Any) -> int:
        count = int(self._contents.readinto(buffer))
        self._count += count
        check_unpacked(*self._place, self._packed, self._count)
        return count


@contextmanager
def decompressed(op: str, argument: str, name: str, data: bytes | None = None) -> Iterator[Any]:
    """A binary stream of a file's contents, decompressed if need be, with `peek`. data: the file's bytes; None: the file is opened.

    Raises ValueError, also while the caller reads, if the compressed data are damaged."""
    whole: Any = None if data is None else io.BytesIO(data)
    with open(name, "rb") if data is None else io.BufferedReader(whole) as raw:
        kind = compression_of(name, raw.peek(16)[:16])
        try:
            packed = _size(raw)
            with _OPENERS[kind](raw) as contents:
                if kind is None or packed is None:  # the size of a pipe is not known
                    yield contents
                else:
                    yield io.BufferedReader(_Counted(contents, packed, (op, argument, name)), 1 << 16)
        except ModuleNotFoundError as error:
            raise not_installed(op, str(error.name), "files") from None
        except OSError as error:
            if not isinstance(error, gzip.BadGzipFile) and (error.errno is not None or kind != "bzip2"):
                raise
            raise BadValue(op, argument, f"a whole {kind} file", name, error) from None
        except _DAMAGES as error:
            raise BadValue(op, argument, f"a whole {kind} file", name, error) from None


def _size(raw: Any) -> int | None:
    """How many bytes a file has; None for a pipe."""
    if not raw.seekable():
        return None
    size = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    return int(size)


class _Zstandard(io.RawIOBase):
    """The contents of a Zstandard file. Raises EOFError if the file ends in the middle of a frame or is damaged."""

    def __init__(self, raw: IO[bytes]) -> None:
        import zstandard

        self._raw, self._new, self._error = raw, zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError
        self._frame: Any = None
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._frame.unused_data if self._frame is not None and self._frame.eof else b""
            data = data or self._raw.read(256)  # these may unpack to 8 MB, all of which the library gives at once
            if not data:
                if self._frame is not None and not self._frame.eof:
                    raise EOFError("it ends too early")
                return 0
            if self._frame is None or self._frame.eof:
                self._frame = self._new()
            try:
                self._ready = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise EOFError(str(error)) from None
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count


@contextmanager
def _as_it_is(raw: Any) -> Iterator[Any]:
    yield raw


_OPENERS: dict[str | None, Callable[[Any], Any]] = {
    None: _as_it_is,
    "gzip": lambda raw: gzip.GzipFile(fileobj=raw),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "Zstandard": lambda raw: io.BufferedReader(_Zstandard(raw)),
}
