"""`load`: what `torch.save` wrote. A zip of a pickle and of the bytes of each storage; before PyTorch 1.6, pickles and bytes in a row."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple

from engine import _core
from engine._core import Array, DType
from engine.device import device as device_class
from engine.dtypes import Size
from engine.entries import read_regular
from engine.errors import ArgumentError, BadType, BadValue
from engine.nn import Parameter
from engine.tensor import Tensor
from engine.torchfiles import numpy_values
from engine.torchfiles.places import Place, place_of
from engine.torchfiles.plain import NAMES, STATES
from engine.torchfiles.unpickle import Known, unpickle

__all__ = ["load"]

DTYPES = {
    "float32": _core.float32, "float64": _core.float64, "float16": _core.float16, "bfloat16": _core.bfloat16,
    "int8": _core.int8, "int16": _core.int16, "int32": _core.int32, "int64": _core.int64, "uint8": _core.uint8, "bool": _core.bool,
}  # fmt: skip
STORAGES = {
    "FloatStorage": _core.float32, "DoubleStorage": _core.float64, "HalfStorage": _core.float16, "LongStorage": _core.int64,
    "BFloat16Storage": _core.bfloat16, "IntStorage": _core.int32, "ShortStorage": _core.int16, "CharStorage": _core.int8,
    "ByteStorage": _core.uint8, "BoolStorage": _core.bool,
}  # fmt: skip
_ELSEWHERE = ("ComplexFloatStorage", "ComplexDoubleStorage")
LEGACY = 0x1950A86A20F9469CFC6C  # the number that a file of PyTorch before 1.6 begins with
_MAX_DIMS = 8
_STATES = {**STATES, **numpy_values.STATES}
_MOST_ELEMENTS = 2**48


class _Kind(NamedTuple):
    """The class of a storage, by its name in a file; no dtype: engine does not have it."""

    name: str
    dtype: DType | None


class _Storage(NamedTuple):
    """The elements of a storage, as a flat array; bytes, if its class says nothing of a dtype."""

    data: bytes
    array: Array | None

    def of(self, dtype: DType) -> Array:
        if self.array is not None and self.array.dtype == dtype:
            return self.array
        if len(self.data) % dtype.itemsize:
            raise ValueError("a storage that is no whole number of elements")
        if dtype is _core.bool and self.data.strip(b"\0\1"):
            raise ValueError("a boolean that is neither 0 nor 1")
        return _core.from_bytes(self.data, (len(self.data) // dtype.itemsize,), dtype)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """What `torch.save` or `engine.save` wrote: tensors in lists, tuples, dicts and sets, with numbers, strings and bytes, NumPy's
    numbers and arrays, and an `argparse.Namespace` of these.

    Nothing in the file is executed, whatever `weights_only` says: it may name only what data need. Tensors that shared memory when they
    were saved share it again. float8 and complex tensors are errors, because engine has no such dtypes.

    Args:
        f: a path, or a binary file that can be read.
        map_location: a device for the tensors; None: the CPU, also for tensors that were on another device. Or a dict such as
            {"cuda:1": "cuda:0"}, which says where tensors of one device go, or a function of a storage (a flat Tensor on the CPU) and
            its location ("cuda:1"), which gives the storage in its place, or None for the CPU.
        weights_only, pickle_module, mmap, encoding: accepted as PyTorch's, and change nothing: engine reads the file into memory with
            its own reader of data.

    Raises:
        FileNotFoundError, IsADirectoryError: if there is no such file.
        ValueError: if it is damaged, or holds anything but such data; the error names what else it holds. TypeError: for a dtype that
            engine does not have.
    """
    if not isinstance(encoding, str):
        raise BadType("load", "encoding", "the name of an encoding", type(encoding).__name__)
    place = place_of(map_location)
    data, source = _bytes_of(f)
    objects = _Objects(source, place)
    if data[:4] == b"PK\x03\x04":
        return _zip(data, source, objects)
    return _legacy(data, source, objects)


def _bytes_of(f: Any) -> tuple[bytes, str]:
    if hasattr(f, "read"):
        data = f.read()
        if not isinstance(data, bytes):
            raise BadType("load", "f", "a binary file", type(data).__name__)
        return data, str(getattr(f, "name", "the file"))
    try:
        name = os.fspath(f)
    except TypeError:
        raise BadType("load", "f", "a path or a binary file", type(f).__name__) from None
    return read_regular(name, "load", "f"), str(name)


class _Objects:
    """What names and storages in a file stand for."""

    def __init__(self, source: str, place: Place) -> None:
        self.source, self.place = source, place
        self.read: Callable[[str, int], bytes] = lambda key, count: b""
        self.storages: dict[str, _Storage] = {}
        self.names = {
            **NAMES,
            **numpy_values.NAMES,
            "torch._utils _rebuild_tensor_v2": Known(self.tensor),
            "torch._utils _rebuild_tensor": Known(self.tensor),
            "torch._utils _rebuild_tensor_v3": Known(self.tensor_of_bytes),
            "torch._utils _rebuild_parameter": Known(self.parameter),
            "torch._utils _rebuild_parameter_with_state": Known(self.parameter_with_state),
            "torch._tensor _rebuild_from_type_v2": Known(self.of_type),
            "torch Tensor": Tensor,
            "torch.nn.parameter Parameter": Parameter,
            "torch Size": Known(Size),
            "torch device": Known(device_class),
            "torch.storage UntypedStorage": _Kind("UntypedStorage", _core.uint8),
            **{f"torch {name}": dtype for name, dtype in DTYPES.items()},
            **{f"torch {name}": _Kind(name, dtype) for name, dtype in STORAGES.items()},
            **{f"torch {name}": _Kind(name, None) for name in _ELSEWHERE},
        }

    def storage(self, identity: Any) -> _Storage:
        """identity: ("storage", class, key, location, number of elements), and in old files the part of another storage."""
        _, kind, key, location, count, *part = identity
        if not isinstance(kind, _Kind) or not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise TypeError("a storage")
        if kind.dtype is None:
            have = ", ".join(DTYPES)
            raise BadType(
                "load", "f", f"dtypes {have}", f"a {kind.name} in {self.source}", "convert it in PyTorch first"
            )
        if part and part[0] is not None:
            raise BadValue("load", "f", "storages that are whole", f"a part of another one in {self.source}")
        if key not in self.storages:
            data = self.read(key, count * kind.dtype.itemsize)
            if kind.dtype is _core.bool and data.strip(b"\0\1"):
                raise BadValue("load", "f", f"0 or 1 as each byte of a BoolStorage in {self.source}", "another byte")
            array = _core.from_bytes(data, (count,), kind.dtype)
            self.storages[key] = _Storage(
                data if kind.name == "UntypedStorage" else b"", self.place(array, str(location))
            )
        return self.storages[key]

    def tensor(
        self, storage: _Storage, offset: int, size: Any, stride: Any, requires_grad: bool = False, hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:  # fmt: skip
        return _view(storage.array, offset, size, stride, requires_grad)

    def tensor_of_bytes(
        self, storage: _Storage, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any, dtype: Any,
        metadata: Any = None,
    ) -> Tensor:  # fmt: skip
        if not isinstance(dtype, DType):
            raise TypeError("a dtype")
        return _view(storage.of(dtype), offset, size, stride, requires_grad)

    def parameter(self, data: Tensor, requires_grad: bool, hooks: Any = None) -> Tensor:
        return Parameter(data, requires_grad=bool(requires_grad))

    def parameter_with_state(self, data: Tensor, requires_grad: bool, hooks: Any, state: Any) -> Tensor:
        return _with_attributes(self.parameter(data, requires_grad), state)

    def of_type(self, make: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
        """A tensor that has attributes."""
        if not isinstance(make, Known) or kind not in (Tensor, Parameter) or not isinstance(arguments, tuple):
            raise TypeError("a tensor of another class")
        return _with_attributes(make.make(*arguments), state)


def _with_attributes(tensor: Any, state: Any) -> Tensor:
    """Sets what a user wrote on a tensor. A name that a Tensor has already is an error: a file must not replace a method."""
    if type(tensor) not in (Tensor, Parameter) or not isinstance(state, Mapping):
        raise TypeError("attributes of an object")
    for name, value in state.items():
        if not isinstance(name, str) or name.startswith("_") or hasattr(tensor, name):
            raise TypeError(f"an attribute {name!r} of a tensor")
        setattr(tensor, name, value)
    return tensor


def _view(array: Array | None, offset: int, size: Any, stride: Any, requires_grad: bool) -> Tensor:
    """A tensor of some elements of a flat array. Raises ValueError if it would reach beyond them."""
    numbers = (offset, *size, *stride)
    if array is None or len(size) != len(stride) or len(size) > _MAX_DIMS:
        raise ValueError("a tensor without a storage, or with other dimensions")
    if any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError("negative sizes or strides")
    if math.prod(n for n in size if n) >= _MOST_ELEMENTS or any(n >= _MOST_ELEMENTS for n in stride):
        raise ValueError("sizes or strides that no memory has")
    if all(size) and offset + sum((n - 1) * step for n, step in zip(size, stride)) >= array.size:
        raise ValueError("a tensor beyond its storage")
    if not all(size):
        return Tensor(_core.empty(size, array.dtype, array.device), requires_grad=bool(requires_grad))
    return Tensor(array.as_strided(size, stride, offset), requires_grad=bool(requires_grad))


# --- the two forms of a file -------------------------------------------------------------------------------------------


def _zip(data: bytes, source: str, objects: _Objects) -> Any:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = {info.filename: info for info in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise BadValue("load", "f", "distinct names of entries", f"a name twice in {source}")
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise BadValue("load", "f", "a file of torch.save", f"the zip {source} without a data.pkl")
        folder = pickles[0][: -len("data.pkl")]
        left = len(data)

        def read(name: str) -> bytes:
            nonlocal left
            info = entries[folder + name]
            left -= info.file_size
            if info.compress_type != zipfile.ZIP_STORED or left < 0:
                raise BadValue("load", "f", "entries that are not compressed", f"{info.filename} in {source}")
            return archive.read(info)

        def storage(key: str, count: int) -> bytes:
            found = read(f"data/{key}")
            if len(found) != count:
                raise BadValue(
                    "load", "f", f"{count} bytes in data/{key} of {source}", len(found), "is the file damaged?"
                )
            return found

        if folder + "byteorder" in entries and read("byteorder") != b"little":
            raise BadValue("load", "f", "little-endian numbers", f"others in {source}")
        objects.read = storage
        return _unpickled(read("data.pkl"), objects, 0)[0]
    except ArgumentError:
        raise
    except (
        zipfile.BadZipFile, ArithmeticError, EOFError, KeyError, MemoryError, NotImplementedError, OSError, RuntimeError, ValueError,
        struct.error,
    ) as error:  # fmt: skip
        raise BadValue("load", "f", "a whole file of torch.save", source, str(error)) from None


def _unpickled(data: bytes, objects: _Objects, start: int) -> tuple[Any, int]:
    try:
        return unpickle(data, objects.names, objects.storage, start, objects.source, _STATES)
    except ArgumentError:
        raise
    except ValueError as error:
        raise BadValue("load", "f", "a whole file of torch.save", objects.source, str(error)) from None


def _legacy(data: bytes, source: str, objects: _Objects) -> Any:
    """A number, a version, facts of the machine, the object, the keys of its storages; then for each its length and its bytes."""
    plain = _Objects(source, place_of(None))
    number, at = _first(data, plain, source)
    if number != LEGACY:
        raise BadValue("load", "f", "a file of torch.save", source)
    for _ in range(2):
        _, at = _unpickled(data, plain, at)
    kinds = _Kinds(source)
    _, end = _unpickled(data, kinds, at)  # once to see where the storages begin, and what they hold
    keys, end = _unpickled(data, plain, end)
    found: dict[str, bytes] = dict(_storages(data, end, keys, kinds.sizes, source))

    def read(key: str, count: int) -> bytes:
        if len(found[key]) != count:
            raise BadValue(
                "load", "f", f"{count} bytes in a storage of {source}", len(found[key]), "is the file damaged?"
            )
        return found[key]

    objects.read = read
    return _unpickled(data, objects, at)[0]


def _first(data: bytes, plain: _Objects, source: str) -> tuple[Any, int]:
    if not data:
        raise BadValue("load", "f", "a file of torch.save", f"the empty file {source}")
    try:
        return _unpickled(data, plain, 0)
    except BadValue:
        raise BadValue("load", "f", "a file of torch.save", source, "load_file opens safetensors files") from None


class _Kinds(_Objects):
    """Sees which storages an object has, and makes tensors of none."""

    def __init__(self, source: str) -> None:
        super().__init__(source, place_of(None))
        self.sizes: dict[str, int] = {}
        for name in self.names:
            if "._utils _rebuild" in name or "._tensor _rebuild" in name:
                self.names[name] = Known(lambda *arguments: None)

    def storage(self, identity: Any) -> _Storage:
        _, kind, key, *_ = identity
        if isinstance(kind, _Kind) and kind.dtype is not None:
            self.sizes[key] = kind.dtype.itemsize
        return _Storage(b"", None)


def _storages(data: bytes, at: int, keys: Any, sizes: dict[str, int], source: str) -> Iterator[tuple[str, bytes]]:
    if not isinstance(keys, list):
        raise BadValue("load", "f", "a whole file of torch.save", source)
    for key in keys:
        if key not in sizes or at + 8 > len(data):
            raise BadValue("load", "f", "a whole file of torch.save", f"{source}, damaged at byte {at}")
        size = struct.unpack_from("<q", data, at)[0] * sizes[key]
        at += 8
        if not 0 <= size <= len(data) - at:
            raise BadValue(
                "load", "f", f"{size} bytes of a storage", f"{len(data) - at} in {source}", "is the file damaged?"
            )
        yield key, data[at : at + size]
        at += size
