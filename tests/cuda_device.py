"""The CUDA device that tests run on: a GPU where there is one, else the simulator (tests/cudasim), whose checker then
looks at every access. Nothing of either is started in a build without the CUDA backend."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec


def _gpus() -> int:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


@lru_cache(maxsize=1)
def start() -> str | None:
    """Chooses the device; None, or the reason why there is none. To be called before anything opens the driver."""
    if find_spec("engine._cuda") is None:
        return "this build has no CUDA backend: nvcc was not found"
    if "ENGINE_CUDA_DRIVER" not in os.environ and not _gpus():
        from cudasim.build import build

        os.environ["ENGINE_CUDA_DRIVER"] = str(build())
    if on_simulator():
        os.environ["ENGINE_CUDA_CACHE"] = "0"  # each array an allocation of its own, whose limits the checker sees
        os.environ["CUDASIM_LOG"] = "off"  # what it found is asked for after each test
    from engine import cuda

    return None if cuda.is_available() else f"no CUDA device: {cuda.why_unavailable()}"


def on_simulator() -> bool:
    return "cudasim" in os.environ.get("ENGINE_CUDA_DRIVER", "")


@lru_cache(maxsize=1)
def _simulator() -> ctypes.CDLL:
    library = ctypes.CDLL(os.environ["ENGINE_CUDA_DRIVER"])
    for name in ("cudasim_report", "cudasim_counters"):
        getattr(library, name).restype = ctypes.c_size_t
    return library


def _text(call: Callable[..., int]) -> str:
    """What a function of the simulator writes, which says how much that is."""
    size = 1 << 16
    while True:
        text = ctypes.create_string_buffer(size)
        needed = call(text, ctypes.c_size_t(size))
        if needed < size:
            return text.value.decode()
        size = needed + 1


def findings() -> list[dict]:
    """What the checker found since the last call; nothing on a GPU."""
    return json.loads(_text(_simulator().cudasim_report)) if on_simulator() else []


def counters(kernel: str) -> dict:
    """What a kernel did since the last call while CUDASIM_PROFILE was 1, in all, by line and by instruction; nothing of
    a kernel that never ran."""
    text = _text(lambda *buffer: _simulator().cudasim_counters(kernel.encode(), *buffer))
    return json.loads(text) if text else {}
