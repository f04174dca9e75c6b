"""Fine-tuning MiniLM (6 layers of 384) on BANKING77, SNIPS' intents and SNIPS' slots, beside `transformers` on PyTorch.

A step is all that a training loop does: the batch made from token ids, forward, loss, backward, clipping, AdamW, schedule; dropout
0.1. Both sides train on the same texts in the same order from the same weights. engine takes them as they come, packed; PyTorch
pads each batch to its longest text, at random (what the default collator does) or after grouping by length.

    python -m bench --only finetune                    # times and memory
    python -m bench.finetune accuracy --side torch     # whole runs: a JSON line each
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bench import finetune_data as data
from bench.protocol import Comparison, Run, Table, Worker
from bench.sides import answer

ALL = ("last", "rows")
# Targets: how many times as fast as PyTorch on random batches, and which share of its memory.
TARGETS, MEMORY = {"banking77": 3.5, "snips-intent": 2.0, "snips-slots": 2.0}, 0.5
MEMORY_STEPS = 60


def build(side: str, task: data.Task, **options: Any) -> Any:
    """A `Side` of that library."""
    library = "engine" if side == "engine" else "torch"
    folder = data.checkpoint(os.environ.get("ENGINE_BENCH_CHECKPOINT"))
    return import_module(f"bench.finetune_{library}").Side(task, folder, **options)


def load(name: str, validate: bool = False) -> data.Task:
    return data.load(name, data.checkpoint(os.environ.get("ENGINE_BENCH_CHECKPOINT")), validate)


def prepare(side: str, name: str, count: int, bucketed: bool = False, padding: bool = False) -> Any:
    """A worker's task that trains on `count` batches of the fine-tuning task of that name. bucketed: the same texts, grouped by length."""
    given = load(name)
    batches = data.batches(given, seed=0, epoch=0)[:count]
    if bucketed:
        texts = np.concatenate(batches)
        texts = texts[np.argsort([len(given.train.ids[i]) for i in texts], kind="stable")]
        batches = np.split(texts, count)
        np.random.default_rng(1).shuffle(batches)  # type: ignore[arg-type]
    options = {"padding": True} if padding else {}

    # The answer is the losses of three steps without dropout. With other batches, or padding as text, it differs.
    facts = {}
    if not bucketed and not padding:
        plain = build(side, given, dropout=0.0)
        facts = answer(np.array([plain.step(rows) for rows in batches[:3]]), tolerance=1e-3)
    trained = build(side, given, **options)

    def train() -> None:
        for rows in batches:
            trained.step(rows)

    return train, facts


def flops(name: str, count: int, padding: bool) -> float:
    """Multiply-adds x 2 of the products that engine does for `count` batches: forward and twice that backward, attention included;
    of the last layer only what the loss reads. padding: every batch is a rectangle, and all of it is computed."""
    given = load(name)
    layers, d, ff = 6, 384, 1536
    total = 0.0
    for rows in data.batches(given, seed=0, epoch=0)[:count]:
        lengths = np.array([len(given.train.ids[i]) for i in rows], float)
        if padding:
            lengths = np.full(len(rows), lengths.max())
        read = lengths  # rows of the last layer that are read, by text
        if not padding:
            labels = [given.train.labels[i] for i in rows]
            read = (
                np.array([(x != data.IGNORED).sum() for x in labels], float) if given.per_token else np.ones(len(rows))
            )
        whole = lengths.sum() * (4 * d * d + 2 * d * ff) + 2 * d * (lengths**2).sum()
        last = lengths.sum() * 2 * d * d + read.sum() * (2 * d * d + 2 * d * ff) + 2 * d * (lengths * read).sum()
        total += 6.0 * ((layers - 1) * whole + last)
    return total


def memory(side: str, task: str, steps: int) -> Any:
    """Peak MiB of a process that loads the weights, trains on random batches and predicts."""
    given = load(task)
    trained = build(side, given)
    for rows in data.batches(given, seed=0, epoch=0)[:steps]:
        trained.step(rows)
    trained.predict(given.test)
    return (lambda: None), {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def peak(run: Run, side: str, task: str, savings: tuple[str, ...]) -> float:
    """`memory` in a process of its own."""
    worker = Worker(side, run.threads)
    given = {"task": task, "steps": MEMORY_STEPS}
    try:
        facts = worker.ask(do="prepare", task="finetune:memory", arguments=given, threads=run.threads, savings=savings)
        return float(facts["peak"])
    finally:
        worker.close()


def missing() -> str | None:
    """What this part needs."""
    try:
        import_module("tokenizers")
        data.checkpoint(os.environ.get("ENGINE_BENCH_CHECKPOINT"))
    except (ImportError, FileNotFoundError) as error:
        return str(error)
    return None


def run(run: Run) -> list[Table]:
    speed, resident = Table("Fine-tuning MiniLM, batches of 32: samples a second", "/s"), Table("Its memory", "")
    reason = missing()
    if reason:
        speed.note("left out", reason)
        return [speed]
    count = 2 if run.quick else 16

    def compare(task: str, ours: dict[str, bool], theirs: dict[str, bool], savings: tuple[str, ...]) -> Comparison:
        return run.compare(
            "finetune:prepare", name=task, count=count, pairs=7, seconds=0.0, savings=savings,
            per_side={"engine": ours, "torch": theirs},
        )  # fmt: skip

    for task, target in TARGETS.items():
        if run.quick and task != "banking77":
            continue
        limit = run.limits["fma_gflops"] * 1e9
        c = compare(task, {}, {}, ALL)
        share = flops(task, count, False) / c.engine / limit
        label = f"{task}: packed" if run.against else f"{task}: PyTorch on random batches"
        speed.add(label, c, count=32 * count, share=share, target=target)
        if run.quick:
            continue
        if not run.against:  # this row differs from the one above only in what PyTorch does
            c = compare(task, {}, {"bucketed": True}, ALL)
            share = flops(task, count, False) / c.engine / limit
            speed.add(f"{task}: PyTorch on batches grouped by length", c, count=32 * count, share=share)
        c = compare(task, {"padding": True}, {}, ())
        share = flops(task, count, True) / c.engine / limit
        speed.add(f"{task}: the same work: both compute the padding", c, count=32 * count, share=share)
        if run.against:
            continue
        own = peak(run, "engine", task, ALL)
        theirs = peak(run, "torch", task, ()) if "torch" in c.seconds else None
        beside = f", {own / theirs:.2f} of PyTorch's {theirs:.0f} MiB" if theirs else ""
        met = own / theirs <= MEMORY if theirs else None
        resident.note(
            f"{task}: peak resident set of {MEMORY_STEPS} steps and the test", f"{own:.0f} MiB{beside}",
            f"<= {MEMORY} x", met, mib=[own, theirs],
        )  # fmt: skip
    return [speed] if run.quick else [speed, resident]


def train(side: str, task: data.Task, seed: int, parts: int) -> dict[str, Any]:
    """A whole run: the score on the test, the loss of each step, seconds of the loop."""
    trained = build(side, task, seed=seed)
    losses, start = [], time.perf_counter()
    for epoch in range(task.recipe.epochs):
        for rows in data.batches(task, seed, epoch):
            losses.append(trained.step(rows, parts))
    seconds = time.perf_counter() - start
    return {
        "side": side, "task": task.name, "seed": seed, "score": data.score(task, trained.predict(task.test)),
        "measure": "span F1" if task.per_token else "accuracy", "recipe": dataclasses.asdict(task.recipe),
        "seconds": round(seconds, 1), "parts": parts, "losses": [round(x, 5) for x in losses],
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.finetune")
    parser.add_argument("mode", choices=["accuracy"])
    parser.add_argument("--side", choices=["engine", "torch"], required=True)
    parser.add_argument(
        "--task", choices=list(data.RECIPES), action="append", help="a task; may be repeated (default: all)"
    )
    parser.add_argument("--seed", type=int, action="append", help="a seed; may be repeated (default: 0, 1, 2)")
    parser.add_argument("--threads", type=int, default=0, help="number of CPU threads; 0: the library's default")
    parser.add_argument(
        "--parts",
        type=int,
        default=1,
        help="PyTorch only: compute each batch in this many parts, to save padding; the times then mean nothing",
    )
    parser.add_argument("--validate", action="store_true", help="score on validation data instead of test data")
    parser.add_argument("--lr", type=float, help="learning rate (default: the recipe's)")
    parser.add_argument("--epochs", type=int, help="number of epochs (default: the recipe's)")
    parser.add_argument("--json", type=Path, help="file to append the lines to (default: standard output only)")
    o = parser.parse_args()
    if o.threads:
        from bench.worker import set_threads

        set_threads(o.side, o.threads)
    for name in o.task or data.RECIPES:
        changed = {key: value for key, value in (("lr", o.lr), ("epochs", o.epochs)) if value is not None}
        task = load(name, o.validate)
        task = dataclasses.replace(task, recipe=dataclasses.replace(task.recipe, **changed))
        for seed in o.seed or (0, 1, 2):
            line = train(o.side, task, seed, o.parts) | {"validate": o.validate}
            if o.json:
                with o.json.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
            print(json.dumps({key: value for key, value in line.items() if key != "losses"}), flush=True)


if __name__ == "__main__":
    main()
