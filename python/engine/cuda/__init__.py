"""CUDA devices. The backend is loaded, and the driver opened, only when a program first asks for a device.

All work of a device is queued in the order of the calls, on its default stream. Python waits for it only in `synchronize` and when
numbers are read (`item`, `cpu`, `tolist`, printing). `memory_stats()["host_waits"]` counts these waits.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from engine import _core
from engine.device import cuda_backend, cuda_number, current
from engine.errors import BadState, require
from engine.errors import OutOfMemory as OutOfMemoryError

__all__ = [
    "DeviceProperties",
    "Event",
    "OutOfMemoryError",
    "current_device",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_device",
    "synchronize",
]


# ---------------------------------------------------------------- devices


def device_count() -> int:
    """The number of CUDA devices; 0 without a driver, or in a build without CUDA."""
    try:
        return int(cuda_backend().device_count())
    except RuntimeError:
        return 0


def is_available() -> bool:
    """Whether there is a CUDA device, and this build can use it."""
    return device_count() > 0


def is_bf16_supported() -> bool:
    """Whether kernels compute in bfloat16: True if there is a device."""
    return is_available()


def is_initialized() -> bool:
    """Whether the backend is loaded, which happens when a program first asks for a device."""
    return bool(cuda_backend.cache_info().currsize)


def init() -> None:
    """Does nothing: the backend is loaded when a program first asks for a device."""


def ipc_collect() -> None:
    """Does nothing: memory is not shared between processes."""


def why_unavailable() -> str | None:
    """What is missing, if `is_available()` is False; otherwise None."""
    try:
        return None if device_count() else str(cuda_backend().why_no_device())
    except BadState as error:  # this build has no CUDA backend
        return error.problem()


def current_device() -> int:
    """The number of the device that "cuda" means in this thread: 0 unless `set_device` or `device` said otherwise."""
    return cuda_number(None)


def set_device(device: Any) -> None:
    """Makes "cuda" mean that device in this thread. Raises ValueError if there is no such device."""
    current.number = cuda_number(device, "set_device")


class device:
    """`with engine.cuda.device(1):` makes "cuda" mean that device inside the block."""

    def __init__(self, device: Any) -> None:
        self._number = cuda_number(device, "device")
        self._before: list[int] = []

    def __enter__(self) -> None:
        self._before.append(current.number)
        current.number = self._number

    def __exit__(self, *_: object) -> None:
        current.number = self._before.pop()


class DeviceProperties(NamedTuple):
    """What `get_device_properties` returns."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, compute capability (major, minor), bytes of memory, and number of multiprocessors."""
    return DeviceProperties(**cuda_backend().device_properties(cuda_number(device, "get_device_properties")))


def get_device_name(device: Any = None) -> str:
    """The name of the device, for example 'NVIDIA H100 80GB HBM3'."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability (major, minor), for example (9, 0) for an H100."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def synchronize(device: Any = None) -> None:
    """Waits until all queued work is done. Raises the errors that kernels found, for example IndexError for an index out of range."""
    cuda_backend().synchronize(cuda_number(device, "synchronize"))


def manual_seed(seed: int) -> None:
    """`engine.manual_seed`: one random state serves the CPU and all devices."""
    _core.manual_seed(seed)


manual_seed_all = manual_seed


class Event:
    """A mark in a device's queue. `record()` puts it behind the work that is queued so far.

    enable_timing: whether `elapsed_time` can be asked for. `blocking` and `interprocess` are accepted and change nothing.
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._event = cuda_backend().Event(bool(enable_timing))

    def record(self, stream: None = None) -> None:
        """Marks the current device's queue. A device has only one stream, so `stream` must be None."""
        require(stream is None, "Event.record", "stream", "None", repr(stream), "a device has only one stream")
        self._event.record(cuda_number(None))

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return bool(self._event.query())

    def synchronize(self) -> None:
        """Waits until the work before the mark is done."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds on the device between this event and a later one. The device must have reached both."""
        return float(self._event.elapsed_time(end_event._event))


# ---------------------------------------------------------------- memory


def memory_stats(device: Any = None) -> dict[str, int]:
    """Counters: allocated_bytes and peak_allocated_bytes (in tensors), reserved_bytes and peak_reserved_bytes (taken from the device),
    allocations, segments, and host_waits (how often the host waited for the device)."""
    return dict(cuda_backend().memory_stats(cuda_number(device, "memory_stats")))


def _counted(name: str, device: Any) -> int:
    """One of the counters; 0 if no device is named and there is none, as in PyTorch."""
    return 0 if device is None and not device_count() else memory_stats(device)[name]


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The counters of `memory_stats`, a line each; says so if there is no device. abbreviated changes nothing."""
    if device is None and not device_count():
        return "no CUDA device"
    return "\n".join([f"{name:>22}: {value:,}" for name, value in memory_stats(device).items()])


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors take, rounded up to blocks."""
    return _counted("allocated_bytes", device)


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors took at any time since `reset_peak_memory_stats`."""
    return _counted("peak_allocated_bytes", device)


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the device, for tensors or kept for reuse."""
    return _counted("reserved_bytes", device)


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes taken from the device at any time since `reset_peak_memory_stats`."""
    return _counted("peak_reserved_bytes", device)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Sets the peaks to what is in use now. Without a device there is nothing to set."""
    if device is None and not device_count():
        return
    cuda_backend().reset_peak_memory_stats(cuda_number(device, "reset_peak_memory_stats"))


def empty_cache() -> None:
    """Returns memory that no tensor uses to the devices, and free pinned memory to the system."""
    if cuda_backend.cache_info().currsize:
        for number in range(device_count()):
            cuda_backend().empty_cache(number)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of the device, as its driver counts them."""
    available, total = cuda_backend().mem_get_info(cuda_number(device, "mem_get_info"))
    return int(available), int(total)


def __getattr__(name: str) -> Any:
    if name == "amp":  # it stands above this file, and is loaded when it is asked for
        return import_module("engine.cuda.amp")
    if name in ("get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all"):
        return getattr(import_module("engine.cuda.random"), name)
    raise AttributeError(f"module 'engine.cuda' has no attribute {name!r}")
