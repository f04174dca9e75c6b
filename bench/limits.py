"""The machine's limit: FMA peak and memory bandwidth, measured by engine's own loops in the same run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np


def best(task: Any, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(side: str, quick: bool = False) -> tuple[Any, dict[str, float]]:
    """GF/s on one thread and on all, GB/s of reads and of a triad, on the pool's threads. float32."""
    from engine import _core

    k = _core.kernels
    threads = _core.get_num_threads()
    repeats = 3 if quick else 9
    facts: dict[str, float] = {"threads": threads}
    iterations = 200_000 if quick else 1_000_000
    for label, n in (("fma_gflops_1", 1), ("fma_gflops", threads * 16)):
        rounds = iterations // (1 if n == 1 else 8)
        rate = float(np.asarray(k.fma_peak(n, 10)[1])[0])
        facts[label] = rate * n * rounds / best(lambda n=n, rounds=rounds: k.fma_peak(n, rounds), repeats) / 1e9
    count = (64 if quick else 160) << 18  # 64 or 160 MB an array: beyond the last-level cache
    x, y, z = (_core.empty([count], _core.float32) for _ in range(3))
    for a in (x, y, z):
        k.fill(a, 1.0)
    facts["read_gbs"] = 4 * count / best(lambda: k.stream_read(x, 256), repeats) / 1e9
    facts["triad_gbs"] = 12 * count / best(lambda: k.stream_triad(x, y, 0.5, z), repeats) / 1e9
    return (lambda: None), facts
