"""Compressed files: gzip, bzip2, xz and Zstandard, as streams of bytes."""

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

__all__ = ["compression_of", "decompressed", "without_compression"]

_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}
# How files begin. bzip2's mark is longer, because a text may begin with "BZh".
_MARKS = {
    b"\x1f\x8b\x08": "gzip",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)


def without_compression(name: str) -> str:
    """A file name in lower case without the suffix of a compression: "a.txt" for "A.txt.gz"."""
    name = name.lower()
    return next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)


def compression_of(name: str, begin: bytes) -> str | None:
    """How a file is compressed, by its name or, if that says nothing, by its first bytes; None: it is not."""
    by_name = (kind for suffix, kind in _SUFFIXES.items() if name.lower().endswith(suffix))
    return next(by_name, None) or next((kind for mark, kind in _MARKS.items() if begin.startswith(mark)), None)


@contextmanager
def decompressed(op: str, argument: str, name: str, data: bytes | None = None) -> Iterator[Any]:
    """A binary stream of a file's contents, decompressed if need be, with `peek`. data: the file's bytes; None: the file is opened.

    Raises ValueError, also while the caller reads, if the compressed data are damaged."""
    whole: Any = None if data is None else io.BytesIO(data)
    with open(name, "rb") if data is None else io.BufferedReader(whole) as raw:
        kind = compression_of(name, raw.peek(16)[:16])
        try:
            with _OPENERS[kind](raw) as contents:
                yield contents
        except ModuleNotFoundError as error:
            raise not_installed(op, str(error.name), "files") from None
        except OSError as error:
            if not isinstance(error, gzip.BadGzipFile) and (error.errno is not None or kind != "bzip2"):
                raise
            raise BadValue(op, argument, f"a whole {kind} file", name, error) from None
        except _DAMAGES as error:
            raise BadValue(op, argument, f"a whole {kind} file", name, error) from None


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
            data = data or self._raw.read(1 << 16)
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
