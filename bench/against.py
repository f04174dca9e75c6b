"""Another build of engine as the peer: `python -m bench --against WHEEL`.

The wheel is installed into a temporary folder. A worker that imports
engine from there takes turns with a worker that imports engine from here. Both do the same tasks of `bench`, so that only the
builds differ.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.protocol import Comparison, Run, Table, Worker, layout

SIDE = "other build"
DEFAULT = ("step", "finetune", "small")
PARTS = ("ops", "gemm", "attention", "fused", "banking77", "inference", *DEFAULT)
SHORT_PAIRS = 25


@contextmanager
def installed(wheel: Path) -> Iterator[Path]:
    """A folder with the wheel's packages; it is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*command, "--target", folder, str(wheel)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"--against: expected a wheel that pip can install, got {wheel}:\n{done.stderr.strip()}")
        yield Path(folder)


def build(side: str) -> Any:
    """A worker's task that tells which engine the worker imported."""
    import engine

    facts = {"version": engine.__version__, "path": str(engine.__file__), "isa": engine.get_cpu_isa()}
    return (lambda: None), facts


def facts(workers: Sequence[Worker], threads: int, folder: Path) -> dict[str, Any]:
    """Version and path of the two builds, by side. Raises RuntimeError if the peer is not the one in `folder`."""
    found = {w.side: w.ask(do="prepare", task="against:build", threads=threads) for w in workers}
    inside = {side: Path(f["path"]).is_relative_to(folder) for side, f in found.items()}
    if inside != {"engine": False, SIDE: True}:
        paths = ", ".join(f"{side}: {f['path']}" for side, f in found.items())
        raise RuntimeError(f"--against: expected engine from {folder} in the worker of the {SIDE} only, got {paths}")
    return found


# ---------------------------------------------------------------- whether they differ


def interval(ratios: Sequence[float]) -> tuple[float, float] | None:
    """The two ratios between which the median lies with at least 95 % confidence, by the sign test; None if there are too few."""
    r, n = sorted(ratios), len(ratios)
    dropped, outside = 0, 1 / 2**n
    while 2 * outside <= 0.05:
        dropped += 1
        outside += math.comb(n, dropped) / 2**n
    return (r[dropped - 1], r[n - dropped]) if dropped else None


def widest(spreads: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The spread that covers several spreads."""
    known = [s for s in spreads if s]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def verdict(spread: tuple[float, float] | None) -> str:
    """ "faster", "SLOWER" or "within noise" for ours, by the spread of theirs / ours."""
    if spread is None:
        return "too few pairs"
    return "faster" if spread[0] > 1 else "SLOWER" if spread[1] < 1 else "within noise"


# ---------------------------------------------------------------- the run


@dataclass
class Count(Run):
    """A run that only counts its comparisons."""

    against: bool = True
    count: int = 0

    def compare(self, task: str, **_: Any) -> Comparison:
        self.count += 1
        return Comparison({"engine": 1.0, SIDE: 1.0}, {SIDE: [1.0]})


@dataclass
class Against(Run):
    """A run with two builds. It says on standard error what it does and how long that takes."""

    against: bool = True
    total: int = 0  # number of comparisons
    done: int = 0
    start: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> None:
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.start) / self.done * (self.total - self.done)
            left = f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"
        print(f"{self.done + 1} of {self.total}{left}: {what}", file=sys.stderr, flush=True)

    def compare(self, task: str, *, pairs: int = 9, seconds: float = 0.03, **rest: Any) -> Comparison:
        """As `Run.compare`. If the builds seem to differ, it measures again in fresh processes: the places in
        memory that a process happens to get may favour one side for as long as it runs."""
        what = " ".join([task, *[f"{name}={value}" for name, value in rest.items() if name != "per_side"]])
        self.say(what)
        if seconds:  # longer samples, for two builds differ only a little
            pairs = max(pairs, SHORT_PAIRS)
        first = super().compare(task, pairs=pairs, seconds=seconds, **rest)
        if SIDE in first.pairs and verdict(interval(first.pairs[SIDE])) in ("faster", "SLOWER"):
            self.say(f"{what}: it seems to differ, again in fresh processes")
            for w in self.workers:
                w.close()
                w.start()
            first.again = super().compare(task, pairs=pairs, seconds=seconds, **rest)
        self.done += 1
        return first


def compared(table: Table) -> tuple[str, list[dict[str, Any]]]:
    """The rows of a table whose peer is another build, as text and as data."""
    rows, data = [], []
    for label, c, count in table.comparisons:
        row: dict[str, Any] = {"name": label, "seconds": c.seconds}
        runs = [c, c.again] if c.again else [c]
        failures = [r.failures[SIDE] for r in runs if SIDE in r.failures]
        if failures:
            row |= {"verdict": "failed", "failure": failures[0]}
            theirs = ["-", "-", "-", f"failed: {failures[0]}"]
        else:
            pairs = [ratio for r in runs for ratio in r.pairs[SIDE]]
            ratio, spread = statistics.median(pairs), widest(interval(r.pairs[SIDE]) for r in runs)
            row |= {"pairs": pairs, "ratio": ratio, "spread": spread, "verdict": verdict(spread)}
            between = "{:.3f}-{:.3f}".format(*spread) if spread else "-"
            theirs = [table.figure(c.seconds[SIDE], count), f"{ratio:.3f}", between, row["verdict"]]
        rows.append([label, table.figure(c.engine, count), *theirs])
        data.append(row)
    columns = ["", f"ours {table.unit}", f"theirs {table.unit}", "their time / ours", "spread", "ours is"]
    return f"\n### {table.title}\n\n{layout(columns, rows)}", data


def measure(wheel: Path, parts: Sequence[str], *, quick: bool, threads: int, report: dict[str, Any]) -> bool:
    """Prints the tables of these parts and adds them to `report`. Returns whether all rows ran with the other build."""
    good = True
    with installed(wheel) as folder:
        workers = [Worker("engine", threads), Worker(SIDE, threads, folder)]
        try:
            builds = facts(workers, threads, folder)
            report |= {"against": wheel.name, "builds": builds}
            ours, theirs = builds["engine"], builds[SIDE]
            print(f"\n{report['machine']}, {threads} threads, load average {os.getloadavg()[0]:.1f}")
            print(f"ours:   engine {ours['version']} in {Path(ours['path']).parent}, {ours['isa']}")
            print(f"theirs: engine {theirs['version']} of {wheel}, {theirs['isa']}", flush=True)
            print("measuring the machine's limits", file=sys.stderr, flush=True)
            limits = workers[0].ask(do="prepare", task="limits:measure", arguments={"quick": True}, threads=threads)
            counted = Count([], limits, quick, threads)
            for part in parts:
                import_module(f"bench.{part}").run(counted)
            run = Against(workers, limits, quick, threads, total=counted.count)
            for part in parts:
                report[part] = {}
                for table in import_module(f"bench.{part}").run(run):
                    if table.comparisons:
                        text, report[part][table.title] = compared(table)
                        print(text, flush=True)
                        good = good and all(row["verdict"] != "failed" for row in report[part][table.title])
        finally:
            for w in workers:
                w.close()
    return good
