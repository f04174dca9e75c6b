"""Devices: what names one, and how the CUDA backend is loaded when one is first asked for.

In `_core` a device is a number: -1 is the CPU, those of the backend count from 0. Ops hold that number; `device` is what
callers see and say. Where the current CUDA device is meant, it is this thread's (`engine.cuda.set_device`).
"""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.errors import BadState, BadType, BadValue

__all__ = [
    "CPU",
    "cuda_backend",
    "cuda_number",
    "current",
    "device",
    "device_of",
    "number_of",
    "placed",
    "refuse_float64",
    "target",
]


class device:
    """Where a tensor lives: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)` or `device(1)`.

    "cuda" without a number is the current device (`engine.cuda.set_device`). Whether a device is there is asked when it is
    used. Raises ValueError for another type or a negative number.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        kind, given = type, type
        if isinstance(type, int) and not isinstance(type, bool) and index is None:
            kind, index = "cuda", type
        if isinstance(type, str) and ":" in type and index is None:
            kind, _, number = type.partition(":")
            index = int(number) if number.isascii() and number.isdigit() else -1
        if kind != "cpu" and kind != "cuda":
            raise BadValue("device", "type", "'cpu', 'cuda' or one such as 'cuda:0'", repr(given))
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
            raise BadValue("device", "index", "None or a number >= 0", repr(given if index == -1 else index))
        if kind == "cpu" and index not in (None, 0):
            raise BadValue("device", "index", "None or 0 for the CPU", index)
        self.type, self.index = str(kind), index

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (other.type, other.index) == (self.type, self.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)


_device = device  # for functions with a parameter of that name
CPU = device("cpu")
_DEVICES = {-1: CPU}  # by their numbers in `_core`


def device_of(number: int) -> device:
    """The device with that number in `_core`: -1 is the CPU."""
    found = _DEVICES.get(number)
    if found is None:
        found = _DEVICES[number] = device("cuda", number)
    return found


def number_of(device: Any) -> int:
    """The number in `_core` of what a caller names as device; None: the CPU. Loads the CUDA backend where one is meant.

    Raises ValueError for what names no device, RuntimeError where there is no CUDA device."""
    if device is None or device is CPU:
        return -1
    wanted = _device(device)
    return -1 if wanted.type == "cpu" else cuda_number(wanted)


# ---------------------------------------------------------------- the CUDA backend


class _Current(threading.local):
    number = 0


current = _Current()  # `current.number` is the device that "cuda" stands for in this thread


@lru_cache(maxsize=1)
def cuda_backend() -> ModuleType:
    """The extension, registered with `_core`. Raises RuntimeError where this build has none."""
    try:
        module = import_module("engine._cuda")
    except ImportError as error:
        raise BadState(
            "device",
            "type",
            "a build of engine with the CUDA backend",
            "one without it",
            "when it was built, nvcc was not found or ENGINE_CUDA was OFF",
        ) from error
    _core.register_backend(module.backend())
    return module


def cuda_number(device: Any, op: str = "device") -> int:
    """The number of a CUDA device: None, an int, "cuda", "cuda:1" or an `engine.device`. Raises RuntimeError where there is
    no CUDA device at all, ValueError for one that does not exist."""
    if type(device) is not int:
        wanted = _device("cuda" if device is None else device)
        if wanted.type != "cuda":
            raise BadValue(op, "device", "a CUDA device", repr(str(wanted)))
        device = wanted.index
    count = int(cuda_backend().device_count())
    if not count:
        raise BadState("device", "type", "a CUDA device", "none", cuda_backend().why_no_device())
    if device is None:
        return current.number
    if not 0 <= device < count:
        raise BadValue(op, "device", f"a device number below {count}", device)
    return int(device)


# ---------------------------------------------------------------- where arrays go


def refuse_float64(op: str, dtype: DType, number: int) -> None:
    """Raises TypeError where a float64 array would go to a device, on which nothing computes in it."""
    if number >= 0 and dtype is _core.float64:
        raise BadType(op, "dtype", f"one that {device_of(number)} computes in", "float64", "float64 stays on the CPU")


def target(op: str, device: Any, dtype: DType) -> int:
    """`number_of` a factory's device, where `dtype` can live."""
    if device is None:
        return -1
    number = number_of(device)
    refuse_float64(op, dtype, number)
    return number


def placed(array: Array, dtype: DType, number: int, non_blocking: bool = False) -> Array:
    """`array` in that dtype on that device: converted before it moves, unless only the CPU knows the dtype."""
    if array.dtype is not dtype and (array.device == -1 or dtype is not _core.float64):
        array = array.cast(dtype)
    if array.device != number:
        array = array.to_device(number, non_blocking)
    return array.cast(dtype)
