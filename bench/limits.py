"""The machine's limits: peak of multiply-adds and memory bandwidth, measured by engine's own loops in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

# Arrays read and arrays written: a sum; GELU; a sum of two; a fused norm and its backward; AdamW (three of its four in place).
MIXES = ((1, 0), (1, 1), (2, 1), (2, 2), (4, 3))


def best(task: Any, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def mix(reads: int, writes: int) -> str:
    return f"gbs_{reads}r{writes}w"


def measure(side: str, quick: bool = False) -> tuple[Any, dict[str, float]]:
    """GF/s on one thread and on all; GB/s of each mix of reads and writes, on the pool's threads. float32."""
    from engine import _core

    k = _core.kernels
    threads = _core.get_num_threads()
    repeats = 3 if quick else 15
    facts: dict[str, float] = {"threads": threads}
    iterations = 200_000 if quick else 1_000_000
    for label, n in (("fma_gflops_1", 1), ("fma_gflops", threads * 16)):
        rounds = iterations // (1 if n == 1 else 8)
        rate = float(np.asarray(k.fma_peak(n, 10)[1])[0])
        facts[label] = rate * n * rounds / best(lambda n=n, rounds=rounds: k.fma_peak(n, rounds), repeats) / 1e9
    count = (8 if quick else 128) << 18  # arrays of 128 MB, four times the size of a last-level cache of 32 MB
    arrays = [_core.empty([count], _core.float32) for _ in range(4)]
    for a in arrays:
        k.fill(a, 0.0)
    for reads, writes in MIXES:
        # AdamW writes what it has read; the others write elsewhere.
        to = arrays[:writes] if reads == 4 else arrays[4 - writes :]
        seconds = best(lambda r=reads, to=to: k.stream(arrays[:r], to), repeats)
        facts[mix(reads, writes)] = 4 * count * (reads + writes) / seconds / 1e9
    return (lambda: None), facts
