"""Memory of a training process: peak resident set, growth over ragged batches, page faults in steady state."""

from __future__ import annotations

import resource
from typing import Any

from bench.protocol import Run, Table, Worker

RAGGED = 30  # number of ragged batches


def resident() -> float:
    """Resident MiB of this process now."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize() / 2**20


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def equal(side: str, model: str, batch: int) -> Any:
    """Peak MiB of five steps on equal lengths, and page faults of five more steps."""
    from bench.step import prepare

    step, _ = prepare(side, model, batch, 128, 0.1)  # three of them
    step()
    step()
    peak, before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, faults()
    for _ in range(5):
        step()
    return step, {"peak": peak, "faults": (faults() - before) / 5}


def ragged(side: str, model: str) -> Any:
    """Steps on ragged batches, each seen once, the largest first (a batch larger than all before needs more memory in any library):
    MiB after the third step and after the last, and page faults of the last third."""
    from bench.banking77 import trainer

    batches, step, _ = trainer(side, model, RAGGED, False, False)
    sizes = [(b.input_ids if side == "engine" else b[0]).numel() for b in batches]
    batches.insert(0, batches.pop(sizes.index(max(sizes))))
    third, seen = RAGGED // 3, {}
    for i, batch in enumerate(batches, 1):
        step(batch)
        if i in (3, RAGGED - third, RAGGED):
            seen[i] = (resident(), faults())
    steady = (seen[RAGGED][1] - seen[RAGGED - third][1]) / third
    return (lambda: None), {"early": seen[3][0], "late": seen[RAGGED][0], "faults": steady}


def fresh(run: Run, side: str, task: str, savings: tuple[str, ...] = (), **arguments: Any) -> Any:
    """The facts of a task in a new process, for a process never forgets its peak."""
    worker = Worker(side, run.threads)
    try:
        return worker.ask(
            do="prepare", task=f"memory:{task}", arguments=arguments, threads=run.threads, savings=savings
        )
    finally:
        worker.close()


def run(run: Run) -> list[Table]:
    table = Table("Memory", "")
    model, batch = ("tiny", 4) if run.quick else ("minilm6", 32)
    sides = ["engine", *[s for s in run.peers if s == "torch"]]
    equals = {s: fresh(run, s, "equal", model=model, batch=batch) for s in sides}
    raggeds = {s: fresh(run, s, "ragged", model=model) for s in sides}

    def against(label: str, own: float, theirs: float | None, target: float | None = None) -> None:
        ratio = None if theirs is None else own / theirs
        beside = "" if theirs is None else f", {ratio:.2f} of PyTorch's {theirs:.0f} MiB"
        met = None if ratio is None or target is None else ratio <= target
        table.note(label, f"{own:.0f} MiB{beside}", f"<= {target} x" if target else "", met, mib=[own, theirs])

    theirs = equals["torch"]["peak"] if "torch" in equals else None
    label = f"peak resident set, {model} {batch}x128, dropout 0.1"
    against(label, equals["engine"]["peak"], theirs, 0.5)
    skipping = fresh(run, "engine", "equal", ("rows",), model=model, batch=batch)
    against("the last, skipping embedding rows that were never touched", skipping["peak"], theirs)
    for name, facts in (("equal", equals), ("ragged", raggeds)):
        for side in sides:
            own = side == "engine"
            count = facts[side]["faults"]
            table.note(
                f"page faults a step, {name} lengths, {side}", f"{count:.1f}", "0" if own else "",
                count < 1 if own else None,
            )  # fmt: skip
    for side in sides:
        own = side == "engine"
        growth = raggeds[side]["late"] - raggeds[side]["early"]
        table.note(
            f"growth from step 3 to {RAGGED} of ragged batches, {side}", f"{growth:.1f} MiB", "flat" if own else "",
            growth <= 0.02 * raggeds[side]["early"] if own else None, **raggeds[side],
        )  # fmt: skip
    return [table]
