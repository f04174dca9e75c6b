"""Devices: their names, and the loading of the CUDA backend when a program first asks for one.

In `_core` a device is a number: -1 is the CPU, and CUDA devices count from 0. Ops use that number; callers see and give a `device`.
Each thread has its own current CUDA device (`engine.cuda.set_device`).
"""

from __future__ import annotations

from _thread import _local
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
    "set_default_device",
    "target",
]


class device:
    """The place of a tensor: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)` or `device(1)`.

    "cuda" without a number is the current device (`engine.cuda.set_device`). Whether the device exists is checked when it is used.
    Raises ValueError for another type or a negative number.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        given = type
        if isinstance(type, device):
            index, type = type.index, type.type
        elif isinstance(type, int) and not isinstance(type, bool) and index is None:
            index, type = type, "cuda"
        elif isinstance(type, str) and ":" in type and index is None:
            type, _, number = type.partition(":")
            index = int(number) if number.isascii() and number.isdigit() else -1
        if not isinstance(type, str) or (type != "cpu" and type != "cuda"):
            raise BadValue(
                "device", "type", "'cpu', 'cuda', or a CUDA device with its number, as 'cuda:0'", repr(given)
            )
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
            raise BadValue("device", "index", "None or a number >= 0", repr(given if index == -1 else index))
        if type == "cpu" and index not in (None, 0):
            raise BadValue("device", "index", "None or 0 for the CPU", index)
        self.type, self.index = str(type), index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (other.type, other.index) == (self.type, self.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        """`with device("cpu"):` changes nothing, because new tensors go to the CPU. Raises ValueError for another device."""
        _default(self, "device", "type")
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _default(wanted: Any, op: str, argument: str) -> None:
    """Raises ValueError for a device that new tensors cannot go to unless a call names it."""
    if wanted is not None and device(wanted).type != "cpu":
        hint = "pass device= to the calls that make tensors, or move a module with .to(device)"
        raise BadValue(op, argument, "the CPU, where new tensors go", repr(str(device(wanted))), hint)


def set_default_device(device: Any) -> None:
    """Accepts the CPU and None, and changes nothing: new tensors go to the CPU unless a call says device=.

    Raises ValueError for another device: not all functions of this library could follow it.
    """
    _default(device, "set_default_device", "device")


_device = device  # for functions with a parameter of that name
CPU = device("cpu")
_DEVICES = {-1: CPU}  # by number in `_core`


def device_of(number: int) -> device:
    """The device with that number in `_core`: -1 is the CPU."""
    found = _DEVICES.get(number)
    if found is None:
        found = _DEVICES[number] = device("cuda", number)
    return found


def number_of(device: Any) -> int:
    """The number in `_core` of the device that a caller names; None: the CPU. For a CUDA device the backend is loaded.

    Raises ValueError for a name or number of no device, RuntimeError if there is no CUDA device.
    """
    if device is None or device is CPU:
        return -1
    wanted = _device(device)
    return -1 if wanted.type == "cpu" else cuda_number(wanted)


# ---------------------------------------------------------------- the CUDA backend


class _Current(_local):
    number = 0


current = _Current()  # `current.number` is the device that "cuda" means in this thread


@lru_cache(maxsize=1)
def cuda_backend() -> ModuleType:
    """The CUDA extension, registered with `_core`. Raises RuntimeError if this build does not have it."""
    try:
        module = import_module("engine._cuda")
    except ImportError as error:
        hint = "when it was built, nvcc was not found or ENGINE_CUDA was OFF"
        raise BadState("device", "type", "a build of engine with the CUDA backend", "one without it", hint) from error
    _core.register_backend(module.backend())
    return module


def cuda_number(device: Any, op: str = "device") -> int:
    """The number of a CUDA device, named by an int, "cuda", "cuda:1" or an `engine.device`; None: the current one.

    Raises RuntimeError if there is no CUDA device at all, ValueError if this one does not exist.
    """
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
    """Raises TypeError if a float64 array would go to a CUDA device: its kernels do not compute in float64."""
    if number >= 0 and dtype is _core.float64:
        raise BadType(op, "dtype", f"one that {device_of(number)} computes in", "float64", "float64 stays on the CPU")


def target(op: str, device: Any, dtype: DType) -> int:
    """The number of the device that a factory was given. Raises TypeError if the device does not compute in `dtype`."""
    if device is None:
        return -1
    number = number_of(device)
    refuse_float64(op, dtype, number)
    return number


def placed(array: Array, dtype: DType, number: int, non_blocking: bool = False) -> Array:
    """`array` in that dtype on that device. It is converted before it moves, except from a device to float64, which only the CPU has."""
    if array.dtype is not dtype and (array.device == -1 or dtype is not _core.float64):
        array = array.cast(dtype)
    if array.device != number:
        array = array.to_device(number, non_blocking)
    return array.cast(dtype)
