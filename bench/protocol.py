"""How figures are taken: each side in a process of its own, samples interleaved, medians of pairwise ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# What a tuned PyTorch on the CPU is given: huge pages, and an allocator that keeps large blocks.
TORCH_ENV = {
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


class Worker:
    """One side: a process that prepares a task and times it when told."""

    def __init__(self, side: str, threads: int) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        env |= {"OMP_NUM_THREADS": str(threads), "ENGINE_NUM_THREADS": str(threads)}
        if side.startswith("torch"):
            env |= TORCH_ENV
        command = [sys.executable, "-m", "bench.worker", side]
        self.side = side
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
        )

    def ask(self, **message: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self.side} process ended (exit code {self.process.wait()}) at {message}")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{self.side}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=30)


@dataclass
class Comparison:
    seconds: dict[str, float]  # the median of each side
    ratio: float | None  # median of peer / engine, pair by pair: above 1, engine is faster
    low: float | None  # the quartiles of those ratios
    high: float | None


def interleave(workers: list[Worker], pairs: int, seconds: float) -> Comparison:
    """Times the prepared task on all workers in turn, `pairs` times, each sample at least `seconds` long."""
    samples: dict[str, list[float]] = {w.side: [] for w in workers}
    for w in workers:
        w.ask(do="time", seconds=seconds)  # warm-up
    for _ in range(pairs):
        for w in workers:
            samples[w.side].append(w.ask(do="time", seconds=seconds))
    medians = {side: statistics.median(s) for side, s in samples.items()}
    peers = [side for side in samples if side != "engine"]
    if "engine" not in samples or not peers:
        return Comparison(medians, None, None, None)
    best = min(peers, key=lambda side: medians[side])
    ratios = sorted(p / e for p, e in zip(samples[best], samples["engine"]))
    return Comparison(medians, statistics.median(ratios), ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4])


def has_torch() -> bool:
    return subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode == 0


def table(title: str, columns: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(r[i]) for r in [columns, *rows]) for i in range(len(columns))]

    def line(r):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([f"\n### {title}\n", line(columns), rule, *map(line, rows)])
