"""Random order for splits and loaders, the same on every machine and NumPy version.

NumPy promises the stream of a bit generator, but not that of `Generator.permutation`; so orders are made of raw
Philox output (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by seed and stream.
"""

from __future__ import annotations

import numpy as np

from engine.data._arrays import integer
from engine.errors import require
from engine.random_purposes import Purpose

__all__ = ["LOADER", "SPLIT", "check_seed", "permutation"]


LOADER, SPLIT = Purpose.LOADER, Purpose.SPLIT


def permutation(n: int, seed: int, stream: int = 0, *, purpose: Purpose) -> np.ndarray:
    """A random order of `range(n)`, int64 (n,). Only (seed, stream, purpose) decide it."""
    bits = np.random.Philox(
        key=np.array([seed, stream], dtype=np.uint64), counter=np.array([0, 0, 0, purpose], dtype=np.uint64)
    )
    return np.argsort(bits.random_raw(n), kind="stable").astype(np.int64, copy=False)


def check_seed(op: str, seed: int, argument: str = "seed") -> int:
    """`seed` as an int. Raises ValueError unless it is in [0, 2^64), TypeError unless it is an integer."""
    number = integer(op, argument, seed)
    require(0 <= number < 2**64, op, argument, "a value in [0, 2^64)", number)
    return number
