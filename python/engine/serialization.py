"""Tensors to and from safetensors files, through the library's byte-level interface (its NumPy one lacks bfloat16).

`save_file` and `load_file` have the names and arguments of `safetensors.torch`. Files are written beside their place
and moved there, so that a reader finds the old file or the new one, never a part; links and modes stay.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import safetensors

from engine import _core
from engine.errors import BadFile, BadType, BadValue, FileMissing, IsFolder
from engine.tensor import Tensor

__all__ = ["load_file", "read_json", "replace_file", "save_file", "write_json", "write_text"]

_DTYPES = {
    "F32": _core.float32, "F64": _core.float64, "I32": _core.int32, "I64": _core.int64, "U8": _core.uint8,
    "BOOL": _core.bool, "BF16": _core.bfloat16, "F16": _core.float16,
}  # fmt: skip


def save_file(
    tensors: Mapping[str, Tensor], filename: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name.

    Args:
        tensors: names and tensors of any dtype and strides.
        filename: the file; replaced in one step where it exists, its mode kept. A link stays, the file it names changes.
        metadata: strings to keep in the header.

    Raises:
        TypeError: if a name is not a string, or a value not a Tensor.
        OSError: if the file cannot be written; what was there stays.
    """
    notes = None if metadata is None else _by_name("metadata", metadata)
    for name, note in (notes or {}).items():
        if not isinstance(note, str):
            raise BadType("save_file", "metadata", f"a string under {name!r}", type(note).__name__)
    arrays = {}
    for name, tensor in _by_name("tensors", tensors).items():
        if not isinstance(tensor, Tensor):
            raise BadType("save_file", "tensors", f"a Tensor under {name!r}", type(tensor).__name__)
        arrays[name] = tensor._data.contiguous()
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
        except safetensors.SafetensorError as error:  # the names and values are good: it is the disk
            raise BadFile(
                "save_file", "filename", "a file that can be written", os.fspath(filename), str(error)
            ) from None

    replace_file(filename, write, "save_file")


def _by_name(argument: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise BadType("save_file", argument, "a mapping from names to values", type(values).__name__)
    for name in values:
        if not isinstance(name, str):
            raise BadType("save_file", argument, "names that are strings", repr(name))
    return dict(values)


def load_file(filename: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read tensors by name.

    Raises:
        FileNotFoundError: if there is no such file; IsADirectoryError: if it is a folder.
        ValueError: if it is not a whole safetensors file, or holds a dtype that engine lacks.
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
            raise BadValue(
                "load_file", "filename", f"dtypes {', '.join(_DTYPES)}", f"{entry['dtype']} for {key!r} in {name}"
            )
        tensors[key] = Tensor(_core.from_bytes(entry["data"], entry["shape"], dtype))
    return tensors


def write_text(filename: str | os.PathLike[str], text: str) -> None:
    """Write a text file as UTF-8, complete or not at all."""

    def write(path: str) -> None:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)

    replace_file(filename, write, "write_text")


def replace_file(filename: str | os.PathLike[str], write: Callable[[str], None], op: str = "replace_file") -> None:
    """Let `write(path)` make a file beside `filename`, bring it to the disk, and move it into place in one step.

    A link is followed, and the mode of a file that is there kept. Raises OSError, worded for `op`, where something other
    than a file is there (a folder, a pipe, a device).
    """
    name = os.fspath(filename)
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:  # a new one gets what open() would give it
        mask = os.umask(0)
        os.umask(mask)
        mode = stat.S_IFREG | 0o666 & ~mask
    if not stat.S_ISREG(mode):
        kind, what = (IsFolder, "the folder") if stat.S_ISDIR(mode) else (BadFile, "the pipe, socket or device")
        raise kind(op, "filename", "a regular file or a new name", f"{what} {name}")
    target = os.path.realpath(name)
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None  # the class follows errno
    os.close(handle)
    try:
        write(temporary)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, stat.S_IMODE(mode))  # mkstemp keeps files private
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def read_json(path: str | os.PathLike[str], op: str = "read_json", argument: str = "path", kind: type = dict) -> Any:
    """The object in a JSON file, or the array for `kind=list`. Messages name the call `op` and its argument.

    Raises FileNotFoundError, or ValueError where the file holds anything else.
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
    """Write a JSON object or array, complete or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")
