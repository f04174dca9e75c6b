"""What PyTorch has in `torch.accelerator`. engine's accelerators are CUDA devices, so this is `engine.cuda` by other names."""

from __future__ import annotations

from typing import Any

from engine.cuda import (
    current_device,
    device_count,
    empty_cache,
    is_available,
    max_memory_allocated,
    memory_allocated,
    memory_reserved,
    reset_peak_memory_stats,
    set_device,
    synchronize,
)
from engine.device import device

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device_index",
    "synchronize",
]

current_device_index, set_device_index = current_device, set_device


def current_accelerator(check_available: bool = False) -> Any:
    """`device("cuda")`, or None if there is no CUDA device. Differs from PyTorch, where a build with CUDA names it even on a machine
    without one unless `check_available` is set."""
    return device("cuda") if is_available() else None
