"""Objects that lie about themselves, for `hostile_calls.py`: indices, arrays, sequences, and DLPack's capsules."""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Any

__all__ = ["CAPSULES", "Array", "DLPack", "Hostile", "Index", "Sequence", "capsule"]


class Hostile(Exception):
    """Raised by the objects below: what a caller's own object raises may pass."""


class Index:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        if self.value is None:
            raise Hostile("__index__")
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value!r})"


class Array:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __array__(self, *_: Any, **__: Any) -> Any:
        if self.value is None:
            raise Hostile("__array__")
        return self.value

    def __repr__(self) -> str:
        return f"Array({self.value!r})"


class _Tensor(ctypes.Structure):
    """DLPack's `DLManagedTensor`: a DLTensor, a context, a deleter."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device", ctypes.c_int32), ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
    ]  # fmt: skip


_MEMORY = (ctypes.c_float * 16)()
# What a DLPack capsule can lie about, as far as its reader can see it.
CAPSULES: dict[str, dict[str, Any]] = {
    "product beyond 64 bits": {"shape": (2**32, 2**32)}, "product of 2^60": {"shape": (2**30, 2**30), "strides": (0, 0)},
    "product beyond 64 bits beside 0": {"shape": (2**40, 0, 2**40)}, "a negative size": {"shape": (-1, 2)}, "no sizes": {"shape": None, "ndim": 2},
    "the smallest size": {"shape": (-(2**63), 2)}, "steps beyond 64 bits": {"shape": (3, 3), "strides": (2**62, 2**62)},
    "negative steps": {"shape": (3, 3), "strides": (-3, 1)}, "nine dimensions": {"shape": (1,) * 9}, "dimensions of 2^31 - 1": {"ndim": 2**31 - 1},
    "negative dimensions": {"ndim": -1}, "no memory": {"data": None}, "other bits": {"bits": 7}, "lanes": {"lanes": 4}, "other code": {"code": 200},
    "other device": {"device_type": 99}, "a device of CUDA": {"device_type": 2, "device": -1}, "between elements": {"offset": 2},
}  # fmt: skip


def capsule(shape: tuple[int, ...] | None = (2, 2), strides: tuple[int, ...] | None = None, **lies: Any) -> Any:
    """A DLPack capsule whose fields are as given, by default a right one of floats. Nothing frees it."""
    sizes = (ctypes.c_int64 * len(shape))(*shape) if shape is not None else None
    steps = (ctypes.c_int64 * len(strides))(*strides) if strides is not None else None
    fields = {
        "data": ctypes.addressof(_MEMORY),
        "device_type": 1,
        "ndim": len(shape or ()),
        "code": 2,
        "bits": 32,
        "lanes": 1,
        **lies,
    }
    made = _Tensor(shape=sizes, strides=steps, **fields)
    _kept.append((made, sizes, steps))
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(ctypes.addressof(made), b"dltensor", None)


_kept: deque[Any] = deque(maxlen=1000)  # what a capsule points to must outlive it


class DLPack:
    def __init__(self, value: Any, device: Any = (1, 0)) -> None:
        self.value, self.device = value, device

    def __dlpack_device__(self) -> Any:
        if self.device is Hostile:
            raise Hostile("__dlpack_device__")
        return self.device

    def __dlpack__(self, **_: Any) -> Any:
        if self.value is None:
            raise Hostile("__dlpack__")
        return capsule(**CAPSULES[self.value]) if self.value in CAPSULES else self.value

    def __repr__(self) -> str:
        return f"DLPack({self.value!r}, {self.device!r})"


class Sequence:
    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        raise Hostile("__getitem__")

    def __repr__(self) -> str:
        return f"Sequence({self.length})"
