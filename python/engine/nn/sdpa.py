"""PyTorch's names for its kernels of attention, `torch.nn.attention`. engine has one kernel, which never keeps the matrix of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from engine.notices import say_once

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(IntEnum):
    """PyTorch's kernels."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """A block in which PyTorch would choose among these kernels. engine says once that it has one, if that is not among them."""
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if SDPBackend.FLASH_ATTENTION not in chosen:
        say_once("engine: sdpa_kernel changes nothing: there is one kernel for attention, as FLASH_ATTENTION")
    yield
