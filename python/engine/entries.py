"""What files of settings hold: JSON, read strictly and checked key by key, so that no reader trusts a type.

A reader says what it reads of a file as a TypedDict. Other entries stay as they are:

    class Adapter(TypedDict, total=False):
        r: Annotated[int, Between(1)]
        modules_to_save: list[str] | None

    values = read_json(path, "load_lora", "directory", Adapter)

Strict means: no object has a key twice, no number is NaN or infinite, text is valid Unicode, there are at most 100 levels. A file may
be a link to a file, as in the caches of the Hugging Face hub, but not a pipe or a device, which could be read for ever.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from typing import Any, TypeVar, overload

from engine.errors import ArgumentError, BadFile, BadValue, FileMissing, IsFolder
from engine.settings import checked, shortened

__all__ = ["as_kind", "check_tree", "decode_row", "inside", "parse_json", "read_json", "read_regular", "refuse_pointer"]

T = TypeVar("T")

_LEVELS = 100
_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # perhaps with its other half


@overload
def read_json(path: str | os.PathLike[str], op: str = ..., argument: str = ...) -> dict[str, Any]: ...
@overload
def read_json(path: str | os.PathLike[str], op: str, argument: str, kind: type[T]) -> T: ...
def read_json(
    path: str | os.PathLike[str], op: str = "read_json", argument: str = "path", kind: Any = dict
) -> Any:  # fmt: skip
    """The object in a JSON file, or what `kind` says: `list[...]`, or a TypedDict. Errors name the call `op` and its `argument`.

    Raises FileNotFoundError if there is no such file, and ValueError, which names the file and the key, if it holds anything else.
    """
    name = os.fspath(path)
    try:
        value = parse_json(read_regular(name, op, argument))
    except ArgumentError:
        raise
    except ValueError as error:
        raise BadValue(op, argument, "JSON", name, str(error)) from None
    return as_kind(value, kind, name, op, argument)


def as_kind(value: Any, kind: Any, name: str, op: str, argument: str) -> Any:
    """A value that was read from the file `name`, checked as in `read_json`."""
    try:
        return checked(op, "", kind, value)
    except ArgumentError as error:
        if not error.argument:
            expected = "array" if kind is list or getattr(kind, "__origin__", None) is list else "object"
            raise BadValue(op, argument, f"a JSON {expected}", f"{type(value).__name__} in {name}") from None
        expected = f"{error.expected} as {error.argument!r} in {name}"
        raise BadValue(op, argument, expected, error.got, *error.hints) from None


def read_regular(path: str | os.PathLike[str], op: str, argument: str) -> bytes:
    """The bytes of a file. Raises FileNotFoundError if there is none, IsADirectoryError for a folder, and OSError for a pipe, a socket
    or a device."""
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise BadFile(op, argument, "a file", f"the pipe, socket or device {name}")
        with open(name, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise FileMissing(op, argument, "an existing file", name) from None
    except IsADirectoryError:
        raise IsFolder(op, argument, "a file", f"the folder {name}") from None
    except (ArgumentError, PermissionError):
        raise
    except (OSError, ValueError) as error:  # a name that is too long or has a NUL, a link to itself
        raise BadFile(op, argument, "a file that can be read", shortened(name), error) from None
    refuse_pointer(op, argument, name, data[: len(_GIT_LFS)])
    return data


def refuse_pointer(op: str, argument: str, name: str, start: bytes) -> None:
    """Raises ValueError if a file, of which `start` are the first bytes (8 are enough), is only a pointer of Git LFS."""
    if len(start) >= 8 and start[: len(_GIT_LFS)] == _GIT_LFS[: len(start)]:
        hint = "`git lfs pull` in its repository fetches the contents"
        raise BadValue(op, argument, "a file with its contents", f"{name}, which is a pointer of Git LFS", hint)


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, whose message is the reason, if the text is not strict JSON."""
    try:
        given = text.decode() if isinstance(text, bytes) else text
        value = _DECODER.decode(given)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"more than {_LEVELS} levels") from None
    check_tree(value)
    if _HALF_PAIR.search(given):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair, which is no character") from None
    return value


def decode_row(text: str, at: int = 0) -> tuple[Any, int]:
    """The JSON value of a row of data that begins at a place, and where it ends. Data may hold NaN: who reads a column checks its
    numbers. Raises ValueError for anything else that `parse_json` refuses."""
    try:
        value, end = _ROWS.raw_decode(text, at)
    except RecursionError:
        raise ValueError(f"more than {_LEVELS} levels") from None
    if text.count("[", at, end) + text.count("{", at, end) > _LEVELS:
        check_tree(value)
    return value, end


def check_tree(value: Any) -> None:
    """Raises ValueError if dicts and lists are nested deeper than any file of settings needs: code that follows them would overflow its
    stack."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(_LEVELS):
        if not level:
            return
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (dict, list))
        ]
    if level:
        raise ValueError(f"more than {_LEVELS} levels")


def inside(name: str) -> bool:
    """Whether a name that a file gives is that of a file or folder in the same folder: not a path, and not the folder itself."""
    plain = os.path.basename(name) == name and name not in ("", ".", "..") and "\0" not in name and "\\" not in name
    return plain and len(name.encode("utf-8", "replace")) <= 255


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the key {shortened(counts.most_common(1)[0][0])} is there twice")
    return found


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text}, which JSON does not have")


_ROWS = json.JSONDecoder(object_pairs_hook=_object)
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)
