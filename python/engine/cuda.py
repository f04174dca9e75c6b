"""CUDA devices. Nothing here is loaded, and no driver is opened, before something asks for a device."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from engine import _core

__all__ = ["device_count", "is_available"]


@lru_cache(maxsize=1)
def _module() -> ModuleType:
    """The extension, registered with `_core`. Raises RuntimeError where this build has none."""
    try:
        from engine import _cuda
    except ImportError as error:
        raise RuntimeError(
            "[cuda] device: expected a build with the CUDA backend, got one without (nvcc was not found when it was built)"
        ) from error
    _core.register_backend(_cuda.backend())
    return _cuda


def device_count() -> int:
    """The number of CUDA devices; 0 without a driver, or in a build without CUDA."""
    try:
        return int(_module().device_count())
    except RuntimeError:
        return 0


def is_available() -> bool:
    """Whether there is a CUDA device, and this build can use it."""
    return device_count() > 0
