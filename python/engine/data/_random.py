"""Random order for splits and loaders, the same on every machine and NumPy version.

NumPy promises the stream of a bit generator, but not that of `Generator.permutation`; so orders are made from raw
Philox output (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by seed and stream.
"""

from __future__ import annotations

import numpy as np

from engine.errors import BadType, BadValue
from engine.random_purposes import Purpose

__all__ = ["LOADER", "SPLIT", "check_seed", "permutation"]


LOADER, SPLIT = Purpose.LOADER, Purpose.SPLIT


def permutation(n: int, seed: int, stream: int = 0, *, purpose: Purpose) -> np.ndarray:
    """A random order of `range(n)`, int64 (n,), decided by (seed, stream, purpose) alone."""
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    bits = np.random.Philox(
        key=np.array([seed, stream], dtype=np.uint64), counter=np.array([0, 0, 0, purpose], dtype=np.uint64)
    )
    return np.argsort(bits.random_raw(n), kind="stable").astype(np.int64, copy=False)


def check_seed(op: str, seed: int, argument: str = "seed") -> int:
    """Return `seed` as an int; raise ValueError unless it is in [0, 2**64), TypeError unless it is an integer."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise BadType(op, argument, "an integer", type(seed).__name__)
    if not 0 <= seed < 2**64:
        raise BadValue(op, argument, "a value in [0, 2**64)", seed)
    return int(seed)
