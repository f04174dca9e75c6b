"""Reads and writes tensors as safetensors files, through the library's interface for bytes (its NumPy interface lacks bfloat16).

`save_file` and `load_file` have the names and arguments of `safetensors.torch`. A reader finds the old file or the new file, never a part
of one (`engine.files`). Links stay links, and modes are kept.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

import safetensors

from engine import _core
from engine.entries import parse_json, read_json, read_regular, refuse_pointer
from engine.errors import ArgumentError, BadFile, BadType, BadValue, FileMissing, require
from engine.files import replace_file
from engine.notices import say_once
from engine.settings import Between, checked
from engine.tensor import Tensor

__all__ = [
    "add_safe_globals",
    "finite",
    "held_by",
    "load_file",
    "read_json",
    "safe_globals",
    "save_file",
    "write_json",
    "write_text",
]

_DTYPES = {
    "F32": _core.float32, "F64": _core.float64, "I32": _core.int32, "I64": _core.int64, "I16": _core.int16,
    "I8": _core.int8, "U8": _core.uint8, "BOOL": _core.bool, "BF16": _core.bfloat16, "F16": _core.float16,
}  # fmt: skip

_MAX_DIMS = 8


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Changes nothing, and says so once: `engine.load` makes tensors, numbers, strings and collections of them, and no other objects."""
    say_once("engine: add_safe_globals and safe_globals change nothing: engine.load makes no objects of other classes")


@contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """A block in which `add_safe_globals` holds: it changes nothing, too."""
    add_safe_globals(safe_globals)
    yield


def save_file(
    tensors: Mapping[str, Tensor], filename: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors by name.

    Args:
        tensors: names and tensors, of any dtype and strides.
        filename: the file. An existing file is replaced in one step, and its mode is kept. A link stays a link to the new file.
        metadata: strings by name, for the header of the file.

    Raises:
        TypeError: if a name is not a string, or a value not a Tensor (in metadata: not a string).
        OSError: if the file cannot be written; an existing file stays as it was.
    """
    notes = None if metadata is None else _by_name("metadata", metadata, str, "a string")
    arrays = {
        name: tensor._data.contiguous() for name, tensor in _by_name("tensors", tensors, Tensor, "a Tensor").items()
    }
    spec: Any = getattr(safetensors, "TensorSpec", None)
    if spec is not None:  # since 0.8: the address of the bytes, which `arrays` keeps alive
        views = {
            name: spec(dtype=a.dtype.name, shape=list(a.shape), data_ptr=a.data_ptr, data_len=a.size * a.dtype.itemsize)
            for name, a in arrays.items()
        }
    else:
        views = {
            name: {"dtype": a.dtype.name, "shape": list(a.shape), "data": _core.to_bytes(a)}
            for name, a in arrays.items()
        }

    def write(path: str) -> None:
        try:
            safetensors.serialize_file(views, path, notes)
        except safetensors.SafetensorError as error:  # names and values were checked, so it is the disk
            name, reason = os.fspath(filename), str(error)
            raise BadFile("save_file", "filename", "a file that can be written", name, reason) from None

    replace_file(filename, write, "save_file")


def _by_name(argument: str, values: Mapping[str, Any], kind: type, expected: str) -> dict[str, Any]:
    """The values, checked: each has a name and is of that kind."""
    if not isinstance(values, Mapping):
        raise BadType("save_file", argument, "a mapping from names to values", type(values).__name__)
    for name, value in values.items():
        require(isinstance(name, str), "save_file", argument, "names that are strings", repr(name), error=BadType)
        got = type(value).__name__
        require(isinstance(value, kind), "save_file", argument, f"{expected} under {name!r}", got, error=BadType)
    return dict(values)


def load_file(filename: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads tensors by name; they are on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        IsADirectoryError: if it is a folder.
        ValueError: if it is not a complete safetensors file, or if it holds a dtype that engine does not have.
    """
    name = os.fspath(filename)
    data = read_regular(name, "load_file", "filename")
    _check_header("load_file", "filename", name, data[:8], lambda size: data[8 : 8 + size])
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise BadValue("load_file", "filename", "a safetensors file", name, str(error)) from None
    tensors = {}
    for key, entry in entries:
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            got = f"{entry['dtype']} for {key!r} in {name}"
            raise BadValue("load_file", "filename", f"tensors of the dtypes {', '.join(_DTYPES)}", got)
        if len(entry["shape"]) > _MAX_DIMS:
            got = f"{len(entry['shape'])} of {key!r} in {name}"
            raise BadValue("load_file", "filename", f"at most {_MAX_DIMS} dimensions", got)
        if dtype is _core.bool and entry["data"].strip(b"\0\1"):
            raise BadValue("load_file", "filename", f"0 or 1 as each byte of {key!r}, a BOOL in {name}", "another byte")
        tensors[key] = Tensor(_core.from_bytes(entry["data"], entry["shape"], dtype))
    return tensors


class _Described(TypedDict):
    """What the header of a safetensors file says of a tensor."""

    dtype: str
    shape: list[Annotated[int, Between(0)]]
    data_offsets: list[Annotated[int, Between(0)]]


def held_by(filename: str | os.PathLike[str], op: str, argument: str) -> tuple[int, int]:
    """(the number of elements, the number of tensors) in a safetensors file, by its header and its size. Errors name the call `op` and
    its `argument`."""
    name = os.fspath(filename)
    if not os.path.isfile(name):
        raise FileMissing(op, argument, "an existing file", name)
    with open(name, "rb") as stream:
        found = _check_header(op, argument, name, stream.read(8), stream.read)
    numbers = sum(math.prod(each["shape"]) for each in found.values())
    return min(numbers, os.path.getsize(name)), len(found)


def _check_header(
    op: str, argument: str, name: str, length: bytes, read: Callable[[int], bytes]
) -> dict[str, _Described]:
    """The tensors in a header, which is strict JSON: the library takes the last of two entries of one name. What it checks itself, such
    as that the bytes of all tensors fill the file, is not repeated here."""
    refuse_pointer(op, argument, name, length)
    size = int.from_bytes(length, "little")
    header = read(size) if len(length) == 8 and size < 2**31 else b""
    try:
        if not header or len(header) != size:
            raise ValueError("its header is not complete")
        found = checked(op, "", dict[str, Any], parse_json(header))
        found.pop("__metadata__", None)
        return checked(op, "", dict[str, _Described], found)
    except ArgumentError as error:
        reason = f"expected {error.expected} as {error.argument!r}, got {error.got}"
        raise BadValue(op, argument, "a safetensors file", name, reason) from None
    except ValueError as error:
        raise BadValue(op, argument, "a safetensors file", name, str(error)) from None


def write_text(filename: str | os.PathLike[str], text: str) -> None:
    """Writes a text file as UTF-8, complete or not at all."""

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)

    replace_file(filename, write, "write_text")


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any] | list[Any]) -> None:
    """Writes a JSON object or array, complete or not at all. Infinite numbers and NaN become null."""
    write_text(path, json.dumps(finite(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """A tree of mappings and lists with None for infinite numbers and NaN, which JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, (list, tuple)) else value
