"""The random state under the names of CUDA: one state serves the CPU and all devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.cuda import device_count
from engine.ops.random import get_rng_state as _state
from engine.ops.random import set_rng_state as _set_state

__all__ = ["get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all"]


def get_rng_state(device: Any = None) -> Any:
    """`engine.get_rng_state`, whatever the device."""
    return _state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """`engine.set_rng_state`, whatever the device."""
    _set_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The one random state, as many times as there are devices."""
    return [_state() for _ in range(device_count())]


def set_rng_state_all(new_states: Sequence[Any]) -> None:
    """Restores the first of these states; without any, nothing."""
    for state in new_states[:1]:
        _set_state(state)
