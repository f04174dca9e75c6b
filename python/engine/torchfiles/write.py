"""`save`: a file that `torch.load(weights_only=True)` and `engine.load` open. A zip of a pickle and of the bytes of each storage."""

from __future__ import annotations

import os
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext
from typing import IO, Any

import numpy as np

from engine import _core
from engine._core import Array, DType
from engine.device import device as device_class
from engine.dtypes import Size
from engine.errors import BadType, BadValue
from engine.files import replace_file
from engine.nn import Parameter
from engine.tensor import Tensor
from engine.torchfiles.read import DTYPES, LEGACY, STORAGES

__all__ = ["save"]

_STORAGE_OF = {dtype: name for name, dtype in STORAGES.items()}
_NAME_OF = {dtype: name for name, dtype in DTYPES.items()}
_ALIGNMENT = 64
_DEEPEST = 200  # containers in containers


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write tensors in lists, tuples, dicts and sets, with numbers, strings, bytes, None, dtypes and devices.

    The file is the one that PyTorch 1.6 and later write, so `torch.load(f)` opens it. Tensors that share memory share it again when
    they are loaded, and an object that occurs twice is one object again. As in PyTorch, the whole memory that a view looks at is
    written; `x.clone()` makes a view small. A number of NumPy becomes Python's, which `torch.load` takes with weights_only=True. For weights alone `engine.serialization.save_file` (safetensors) is the safer format.

    Args:
        obj: what is written.
        f: a path, which is replaced in one step, or a binary file that can be written.
        pickle_module, pickle_protocol: accepted as PyTorch's, and change nothing: the file has protocol 2, which
            `torch.load(weights_only=True)` asks for.
        _use_new_zipfile_serialization: False: the file that PyTorch before 1.6 wrote and later ones open.

    Raises:
        TypeError: if `obj` holds anything else; nothing is written then. OSError: if the file cannot be written.
    """
    pickle = _Pickle(legacy=not _use_new_zipfile_serialization)
    data = pickle.of(obj)
    if pickle.grown:  # a storage is longer than its first tensor said, which is written already
        pickle = _Pickle(pickle.storages, pickle.numbers, legacy=pickle.legacy)
        data = pickle.of(obj)
    write = _write_legacy if pickle.legacy else _write_zip
    if hasattr(f, "write"):
        write(f, "archive", data, pickle.storages)
        return
    try:
        name = os.fspath(f)
    except TypeError:
        raise BadType("save", "f", "a path or a binary file", type(f).__name__) from None
    folder = os.path.splitext(os.path.basename(str(name)))[0] or "archive"
    replace_file(name, lambda path: write(path, folder, data, pickle.storages), "save")


def _write_legacy(target: Any, folder: str, data: bytes, storages: list[Array]) -> None:
    """A number, a version, facts of the machine, the object, the keys of its storages; then of each its length and its bytes."""
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    keys = [str(key) for key in range(len(storages))]
    with nullcontext(target) if hasattr(target, "write") else open(target, "wb") as file:
        for part in (_Pickle().of(LEGACY), _Pickle().of(1001), _Pickle().of(facts), data, _Pickle().of(keys)):
            file.write(part)
        for array in storages:
            file.write(struct.pack("<q", array.size) + _core.to_bytes(array))


def _write_zip(target: Any, folder: str, data: bytes, storages: list[Array]) -> None:
    records = [
        ("data.pkl", data), (".format_version", b"1"), (".storage_alignment", b"64"), ("byteorder", b"little"),
        *((f"data/{key}", _core.to_bytes(array)) for key, array in enumerate(storages)), ("version", b"3\n"),
    ]  # fmt: skip
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records:
            entry = zipfile.ZipInfo(f"{folder}/{name}", (1980, 1, 1, 0, 0, 0))  # the same object gives the same bytes
            begin = archive.start_dir + 30 + len(entry.filename.encode())
            padding = -(begin + 4) % _ALIGNMENT
            entry.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
            archive.writestr(entry, data)


class _Pickle:
    """Writes pickles of protocol 2. `storages`: the arrays that the pickle refers to by number."""

    def __init__(
        self,
        storages: list[Array] | None = None,
        numbers: dict[tuple[int, int], int] | None = None,
        legacy: bool = False,
    ) -> None:
        self.legacy = legacy
        self.out = bytearray()
        self.memo: dict[int, int] = {}
        self.storages: list[Array] = storages or []
        self.numbers: dict[tuple[int, int], int] = numbers or {}  # by address and dtype: the place in `storages`
        self.grown = False  # whether a storage became longer after it was written
        self.kept: list[Any] = []  # what the memo knows by its address must live on

    def of(self, value: Any) -> bytes:
        self.out += b"\x80\x02"
        self.put(value, "obj", 0)
        self.out += b"."
        return bytes(self.out)

    def put(self, value: Any, path: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise BadValue("save", "obj", f"at most {_DEEPEST} containers in each other", f"more at {path[:40]}...")
        if value is None or isinstance(value, bool):
            self.out += b"N" if value is None else b"\x88" if value else b"\x89"
        elif type(value) is int:
            self.integer(value)
        elif type(value) is float:
            self.out += b"G" + struct.pack(">d", value)
        elif type(value) is str:
            self.text(value)
        elif id(value) in self.memo:
            self.out += b"j" + struct.pack("<I", self.memo[id(value)])
        else:
            self.object(value, path, depth)
            self.remember(value)

    def remember(self, value: Any) -> None:
        self.memo[id(value)] = len(self.kept)
        self.out += b"r" + struct.pack("<I", len(self.kept))
        self.kept.append(value)

    def integer(self, value: int) -> None:
        if -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
            return
        digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        if len(digits) > 255:
            raise BadValue("save", "obj", "integers of at most 254 bytes", f"one of {len(digits)}")
        self.out += b"\x8a" + bytes([len(digits)]) + digits

    def text(self, value: str) -> None:
        encoded = value.encode("utf-8", "surrogatepass")
        self.out += b"X" + struct.pack("<I", len(encoded)) + encoded

    def name(self, module: str, name: str) -> None:
        self.out += f"c{module}\n{name}\n".encode()

    def object(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, Tensor):
            self.tensor(value)
        elif isinstance(value, DType):
            self.name("torch", _NAME_OF[value])
        elif isinstance(value, device_class):
            self.call("torch", "device", *((value.type,) if value.index is None else (value.type, value.index)))
        elif type(value) is bytes:
            self.call("_codecs", "encode", value.decode("latin1"), "latin1")
        elif type(value) is bytearray:
            self.made_of("__builtin__", "bytearray", bytes(value), path, depth)
        elif type(value) is complex:
            self.call("__builtin__", "complex", value.real, value.imag)
        elif type(value) is Size:
            self.made_of("torch", "Size", tuple(value), path, depth)
        elif isinstance(value, np.generic) and value.dtype.kind in "biufU":
            self.put(value.item(), path, depth)
        elif type(value) is Counter:
            self.made_of("collections", "Counter", dict(value), path, depth)
        elif isinstance(value, tuple):
            self.out += b"("
            for i, item in enumerate(value):
                self.put(item, f"{path}[{i}]", depth + 1)
            self.out += b"t"
        elif type(value) is list:
            self.out += b"]"
            self.remember(value)
            self.out += b"("
            for i, item in enumerate(value):
                self.put(item, f"{path}[{i}]", depth + 1)
            self.out += b"e"
        elif type(value) in (dict, OrderedDict):
            self.mapping(value, path, depth)
        elif type(value) is set:
            self.made_of("__builtin__", "set", sorted(value, key=repr), path, depth)
        else:
            expected = (
                "tensors, numbers, strings, bytes, None, lists, tuples, dicts, Counters, sets, dtypes and devices"
            )
            hint = "save its state_dict()" if hasattr(value, "state_dict") else "convert it to one of these"
            raise BadType("save", "obj", expected, f"a {type(value).__name__} at {path}", hint)

    def mapping(self, value: Mapping[Any, Any], path: str, depth: int) -> None:
        if type(value) is dict:
            self.out += b"}"
        else:
            self.call("collections", "OrderedDict")
        self.remember(value)
        self.out += b"("
        for key, item in value.items():
            if not isinstance(key, (str, int, float, complex, bool, bytes, tuple, type(None))):
                raise BadType("save", "obj", "keys that are strings, numbers or tuples", f"{key!r} at {path}")
            self.put(key, f"{path}[{key!r}]", depth + 1)
            self.put(item, f"{path}[{key!r}]", depth + 1)
        self.out += b"u"
        metadata = getattr(value, "_metadata", None)  # of a `state_dict`
        if metadata is not None:
            self.put({"_metadata": metadata}, path, depth + 1)
            self.out += b"b"

    def made_of(self, module: str, name: str, part: Any, path: str, depth: int) -> None:
        """A call of a name with one object."""
        self.name(module, name)
        self.out += b"("
        self.put(part, path, depth + 1)
        self.out += b"tR"

    def call(self, module: str, name: str, *arguments: Any) -> None:
        """A call of a name with strings and numbers."""
        self.name(module, name)
        self.out += b"("
        for argument in arguments:
            self.put(argument, name, 0)
        self.out += b"tR"

    def tensor(self, value: Tensor) -> None:
        parameter = isinstance(value, Parameter)
        if parameter:
            self.name("torch._utils", "_rebuild_parameter")
            self.out += b"("
        array = value._data
        self.name("torch._utils", "_rebuild_tensor_v2")
        self.out += b"(("
        self.text("storage")
        self.name("torch", _STORAGE_OF[array.dtype])
        number, elements = self.storage(array)
        self.text(str(number))
        self.text("cpu" if array.device < 0 else f"cuda:{array.device}")
        self.integer(elements)
        self.out += b"NtQ" if self.legacy else b"tQ"  # no part of another storage
        self.integer(array.offset)
        self.put(tuple(array.shape), "", 0)
        self.put(tuple(array.strides), "", 0)
        self.put(value.requires_grad and not parameter, "", 0)
        self.call("collections", "OrderedDict")
        self.out += b"tR"
        if parameter:
            self.put(value.requires_grad, "", 0)
            self.call("collections", "OrderedDict")
            self.out += b"tR"

    def storage(self, array: Array) -> tuple[int, int]:
        """The number of the storage in the file, and how many elements it has."""
        begin = (array.data_ptr - array.offset * array.dtype.itemsize, array.dtype.code)
        if begin not in self.numbers:
            self.numbers[begin] = len(self.storages)
            self.storages.append(array.as_strided((array.storage_size,), (1,), 0))
        number = self.numbers[begin]
        if self.storages[number].size < array.storage_size:  # tensors made of one NumPy array may differ in length
            self.storages[number] = array.as_strided((array.storage_size,), (1,), 0)
            self.grown = True
        return number, self.storages[number].size
