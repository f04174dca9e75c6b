"""How figures are measured: each side in its own process, samples interleaved, medians of pairwise ratios."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.sides import agree

ROOT = Path(__file__).parent.parent

# Settings of a well-tuned PyTorch on the CPU: huge pages, and an allocator that keeps large blocks.
TORCH_ENV = {
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


class Worker:
    """One side: a process that prepares a task and measures its time on request. packages: a folder with another build of engine,
    which this process imports. Its tasks are those of the side "engine".
    """

    def __init__(self, side: str, threads: int, packages: Path | None = None) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        env |= {"OMP_NUM_THREADS": str(threads), "ENGINE_NUM_THREADS": str(threads)}
        if side.startswith("torch"):
            env |= TORCH_ENV
        if packages:
            env["PYTHONPATH"] = str(packages)
        self.side, self.env = side, env
        self.tasks = "engine" if packages else side
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "bench.worker", self.tasks]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.env, cwd=ROOT
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
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        self.process.wait(timeout=30)


@dataclass
class Comparison:
    """Median seconds of each side, and for each peer the ratios peer / engine, pair by pair: above 1, engine is faster."""

    seconds: dict[str, float]
    pairs: dict[str, list[float]]
    facts: dict[str, Any] = field(default_factory=dict)  # what the tasks reported, by side
    failures: dict[str, str] = field(default_factory=dict)  # errors of the peers that were left out
    again: Comparison | None = None  # the same, measured again in fresh processes

    @property
    def ratios(self) -> dict[str, tuple[float, float, float]]:
        """For each peer the median of its ratios, and their quartiles."""
        found = {}
        for side, pairs in self.pairs.items():
            r = sorted(pairs)
            found[side] = (statistics.median(r), r[len(r) // 4], r[(3 * len(r)) // 4])
        return found

    @property
    def engine(self) -> float:
        return self.seconds["engine"]

    @property
    def peer(self) -> str | None:
        """The fastest peer, which engine is compared with."""
        return min(self.pairs, key=lambda side: self.seconds[side], default=None)

    @property
    def ratio(self) -> float | None:
        return self.ratios[self.peer][0] if self.peer else None


# Rest between samples: idle threads of the last side may still spin, on the cores that the next side needs.
REST = 0.03


def interleave(workers: list[Worker], pairs: int, seconds: float, rest: float | None = None) -> Comparison:
    """Measures the prepared task on all workers in turn, `pairs` times, after a rest. Each sample takes at least `seconds`."""
    samples: dict[str, list[float]] = {w.side: [] for w in workers}
    for w in workers:
        w.ask(do="time", seconds=seconds)  # warm-up
    for _ in range(pairs):
        for w in workers:
            time.sleep(REST if rest is None else rest)
            samples[w.side].append(w.ask(do="time", seconds=seconds))
    ratios = {side: [p / e for p, e in zip(samples[side], samples["engine"])] for side in samples.keys() - {"engine"}}
    return Comparison({side: statistics.median(s) for side, s in samples.items()}, ratios)


@dataclass
class Run:
    """What each part of the benchmark gets: the workers and the settings of the run."""

    workers: list[Worker]
    limits: dict[str, float]
    quick: bool
    threads: int
    against: bool = False  # whether the peer is another build of engine (`bench.against`)

    @property
    def peers(self) -> list[str]:
        return [w.side for w in self.workers if w.side != "engine"]

    def sides(self, *names: str) -> list[Worker]:
        """Those of these sides that are there. "engine" means both builds, if there are two."""
        return [w for w in self.workers if w.tasks in names]

    def compare(
        self,
        task: str,
        *,
        sides: tuple[str, ...] = ("engine", "torch"),
        pairs: int = 9,
        seconds: float = 0.03,
        threads: int | None = None,
        savings: tuple[str, ...] = (),
        rest: float | None = None,
        per_side: dict[str, dict[str, Any]] | None = None,
        **arguments: Any,
    ) -> Comparison:
        """Prepares module:function on each side that is there, compares the answers, and measures the time. A peer that fails is left
        out, with a message on standard error and in `failures`. A wrong answer raises AssertionError.

        savings: work that engine may leave out (`library.allow`). per_side: arguments of one side that differ."""
        workers = self.sides(*sides)
        facts, failures = {}, {}
        for w in workers:
            given = arguments | (per_side or {}).get(w.tasks, {})
            message = {"task": task, "arguments": given, "threads": threads or self.threads, "savings": savings}
            try:
                facts[w.side] = w.ask(do="prepare", **message)
            except (RuntimeError, OSError) as error:
                if w.side == "engine":
                    raise
                failures[w.side] = str(error)
                print(f"{task} {given}: without {w.side}: {error}", file=sys.stderr)
        workers = [w for w in workers if w.side in facts]
        for w in workers:  # compares the answers before it measures
            agree(facts["engine"], facts[w.side])
        c = interleave(workers, 3 if self.quick else pairs, min(seconds, 0.01) if self.quick else seconds, rest)
        c.facts, c.failures = facts, failures
        return c


@dataclass
class Table:
    """The rows of one part: engine and its fastest peer, the share of the machine's limit, and the targets."""

    title: str
    unit: str = "ms"  # "us", "ms", "/s" for rates of `count` things, or "" if the notes say the unit
    rows: list[list[str]] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[tuple[str, Comparison, float]] = field(default_factory=list)  # label, times, count

    def add(
        self,
        label: str,
        c: Comparison,
        *,
        count: float = 1,
        share: float | None = None,
        target: float | None = None,
        target_share: float | None = None,
        target_seconds: float | None = None,
    ) -> None:
        """target: the lowest ratio that is asked for; target_share: the lowest share of the limit; target_seconds: the longest time."""
        self.comparisons.append((label, c, count))
        wanted, met = [], []
        if target is not None:
            wanted.append(f">= {target:.3g} x")
            if c.ratio is not None:
                met.append(c.ratio >= target)
        if target_share is not None:
            wanted.append(f">= {target_share:.0%}")
            if share is not None:
                met.append(share >= target_share)
        if target_seconds is not None:
            wanted.append(f"<= {target_seconds * 1e3:.3g} ms")
            met.append(c.engine <= target_seconds)
        peer = c.peer
        theirs = f"{self.figure(c.seconds[peer], count)} {peer if peer != 'torch' else ''}".strip() if peer else "-"
        ratio = "{:.2f} ({:.2f}-{:.2f})".format(*c.ratios[peer]) if peer else "-"
        verdict = "-" if not met else "yes" if all(met) else "NO"
        self.rows.append(
            [label, self.figure(c.engine, count), theirs, ratio, f"{share:.0%}" if share else "-",
             ", ".join(wanted) or "-", verdict]
        )  # fmt: skip
        self.data.append(
            {"name": label, "seconds": c.seconds, "ratios": c.ratios, "share_of_limit": share, "target": target,
             "target_share": target_share, "target_seconds": target_seconds, "met": verdict}
        )  # fmt: skip

    def figure(self, seconds: float, count: float) -> str:
        """Seconds in the table's unit; for a rate, the seconds of `count` things."""
        if self.unit == "/s":
            return f"{count / seconds:.0f}"
        value = seconds * (1e6 if self.unit == "us" else 1e3)
        return f"{value:.0f}" if value >= 1e4 else f"{value:.4g}"

    def note(self, label: str, value: str, target: str = "", met: bool | None = None, **facts: Any) -> None:
        """A row with one figure that does not compare times."""
        verdict = "-" if met is None else "yes" if met else "NO"
        self.rows.append([label, value, "-", "-", "-", target or "-", verdict])
        self.data.append({"name": label, "value": value, "target": target, "met": verdict, **facts})

    def __str__(self) -> str:
        sides = [f"{side} {self.unit}".strip() for side in ("engine", "PyTorch")]
        columns = ["", *sides, "engine is faster by", "of limit", "target", "met"]
        return f"\n### {self.title}\n\n{layout(columns, self.rows)}"


def layout(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, the first column flush left and the others flush right."""
    widths = [max(len(r[i]) for r in [columns, *rows]) for i in range(len(columns))]

    def line(r: list[str]) -> str:
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |"

    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([line(columns), rule, *map(line, rows)])


def has(package: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True).returncode == 0
