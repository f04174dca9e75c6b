"""What PyTorch has in `torch.random`: engine's random state, and `fork_rng`, which restores it after a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.ops.generator import default_generator
from engine.ops.random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **kwargs: Any) -> Iterator[None]:
    """A block after which the random state is what it was before. One state serves all devices, so `devices` changes nothing.

    enabled: False leaves the state as the block left it.
    """
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)
