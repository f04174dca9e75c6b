"""Reads and writes tensors as safetensors files, through the library's interface for bytes (its NumPy interface lacks bfloat16).

`save_file` and `load_file` have the names and arguments of `safetensors.torch`. A reader finds the old file or the new file, never a part
of one (`engine.files`). Links stay links, and modes are kept.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import safetensors

from engine import _core
from engine.errors import BadFile, BadType, BadValue, FileMissing, IsFolder, require
from engine.files import replace_file
from engine.tensor import Tensor

__all__ = ["finite", "load_file", "read_json", "save_file", "write_json", "write_text"]

_DTYPES = {
    "F32": _core.float32, "F64": _core.float64, "I32": _core.int32, "I64": _core.int64, "I16": _core.int16,
    "I8": _core.int8, "U8": _core.uint8, "BOOL": _core.bool, "BF16": _core.bfloat16, "F16": _core.float16,
}  # fmt: skip


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
    try:
        with open(name, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise FileMissing("load_file", "filename", "an existing file", name) from None
    except IsADirectoryError:
        raise IsFolder("load_file", "filename", "a file", f"the folder {name}") from None
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
        tensors[key] = Tensor(_core.from_bytes(entry["data"], entry["shape"], dtype))
    return tensors


def write_text(filename: str | os.PathLike[str], text: str) -> None:
    """Writes a text file as UTF-8, complete or not at all."""

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)

    replace_file(filename, write, "write_text")


def read_json(path: str | os.PathLike[str], op: str = "read_json", argument: str = "path", kind: type = dict) -> Any:
    """The object in a JSON file, or with `kind=list` the array. Errors name the call `op` and its `argument`.

    Raises FileNotFoundError if there is no such file, and ValueError if it holds anything else.
    """
    name = os.fspath(path)
    try:
        with open(name, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        raise FileMissing(op, argument, "an existing file", name) from None
    except (ValueError, RecursionError) as error:
        raise BadValue(op, argument, "JSON", name, str(error)) from None
    if not isinstance(value, kind):
        expected = "array" if kind is list else "object"
        raise BadValue(op, argument, f"a JSON {expected}", f"{type(value).__name__} in {name}")
    return value


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
