"""Memory of a training process: peak resident set, growth over ragged batches, page faults in steady state."""

from __future__ import annotations

import resource
from typing import Any

from bench.protocol import Run, Table, Worker


def resident() -> float:
    """MiB now."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize() / 2**20


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def equal(side: str, model: str, batch: int) -> Any:
    """Steps on equal lengths: peak MiB and, from the fourth step on, page faults a step."""
    from bench.step import prepare

    step, _ = prepare(side, model, batch, 128, 0.1)
    before = faults()
    for _ in range(5):
        step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return step, {"peak": peak, "faults": (faults() - before) / 5}


def ragged(side: str, model: str, count: int) -> Any:
    """Epochs of ragged batches: MiB after 3 batches, and after all of them three times."""
    from bench.banking77 import prepare

    few, many = prepare(side, model, 3), prepare(side, model, count)
    few()
    many()
    early, before = resident(), faults()
    many()
    many()
    return many, {"early": early, "late": resident(), "faults": (faults() - before) / (2 * count)}


def run(run: Run) -> list[Table]:
    table = Table("Memory")
    model, batch = ("tiny", 4) if run.quick else ("minilm6", 32)
    found: dict[str, dict[str, Any]] = {}
    for side in ["engine", *[s for s in run.peers if s == "torch"]]:
        found[side] = {}
        for task, arguments in (("equal", {"model": model, "batch": batch}), ("ragged", {"model": model, "count": 4})):
            worker = Worker(side, run.threads)  # a fresh process: a peak is for ever
            try:
                found[side] |= {
                    f"{task} {k}": v
                    for k, v in worker.ask(
                        do="prepare", task=f"memory:{task}", arguments=arguments, threads=run.threads
                    ).items()
                }
            finally:
                worker.close()
    own, torch = found["engine"], found.get("torch")
    ratio = own["equal peak"] / torch["equal peak"] if torch else None
    beside = f", {ratio:.2f} of PyTorch's {torch['equal peak']:.0f} MiB" if torch and ratio else ""
    table.note(
        f"peak resident set, {model} {batch}x128, dropout 0.1", f"{own['equal peak']:.0f} MiB{beside}", "<= 0.5 x",
        None if ratio is None else ratio <= 0.5, sides=found,
    )  # fmt: skip
    growth = own["ragged late"] - own["ragged early"]
    table.note("growth over ragged batches in steady state", f"{growth:.1f} MiB", "0", growth < 1)
    for kind in ("equal", "ragged"):
        beside = f" (PyTorch {torch[f'{kind} faults']:.0f})" if torch else ""
        count = own[f"{kind} faults"]
        table.note(f"page faults a step, {kind} lengths", f"{count:.1f}{beside}", "0", count < 1)
    return [table]
