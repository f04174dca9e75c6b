"""How another busy process, a second thread and more tokens change a training step."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from bench.builds import find
from bench.protocol import Comparison, Run, Table, interleave


def busy_neighbour(run: Run, **arguments: Any) -> tuple[Comparison, Comparison]:
    """The step's time on an idle machine, and while another process keeps one core busy."""
    quiet = run.compare("step:prepare", pairs=7, seconds=0.0, **arguments)
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        loaded = interleave(run.sides("engine", "torch"), 3 if run.quick else 7, 0.0)
    finally:
        neighbour.kill()
        neighbour.wait()
    return quiet, loaded


def per_token(side: str, tokens: int) -> Any:
    """Forward and backward, no optimizer, at S = 128."""
    import numpy as np

    from bench.step import LABELS, VOCAB, build
    from engine.nn import functional as F

    PackedBatch = find("PackedBatch")

    rng = np.random.default_rng(0)
    net = build(side, "tiny", 0.0, "mean")
    batch = PackedBatch.from_sequences(
        rng.integers(0, VOCAB, (tokens // 128, 128)).tolist(), labels=rng.integers(0, LABELS, tokens // 128).tolist()
    )
    layers = net.bert.encoder
    x = net.bert.embeddings(net.bert.inputs(batch, None, None)).detach()

    def step() -> None:
        h = F.pool_packed(layers(x, batch.layout), batch.cu_seqlens, "mean")
        F.cross_entropy(net.classifier(h), batch.labels).backward()
        net.zero_grad()

    return step


def run(run: Run) -> list[Table]:
    table = Table("Robustness", "")
    model = "tiny"
    quiet, loaded = busy_neighbour(run, model=model, batch=4 if run.quick else 32, length=128, dropout=0.0)
    for side in quiet.seconds:
        slower = loaded.seconds[side] / quiet.seconds[side]
        own = side == "engine"
        table.note(
            f"{model} step beside a busy process, {side}", f"{slower:.2f} x its quiet time", "<= 1.7 x" if own else "",
            slower <= 1.7 if own else None,
        )  # fmt: skip
    model, batch = ("tiny", 4) if run.quick else ("minilm6", 32)
    if run.threads >= 2:
        seconds = [
            run.compare(
                "step:prepare", sides=("engine",), pairs=5, seconds=0.0, threads=n, model=model, batch=batch,
                length=128, dropout=0.0,
            ).engine
            for n in (1, 2)
        ]  # fmt: skip
        speedup = seconds[0] / seconds[1]
        table.note(f"{model} step, two threads against one", f"{speedup:.2f} x", ">= 1.85 x", speedup >= 1.85)
    counts = (256, 512) if run.quick else (1024, 2048, 4096, 8192, 16384)
    paces = [run.compare("robustness:per_token", sides=("engine",), tokens=n).engine / n for n in counts]
    spread = max(paces) / min(paces) - 1
    figures = ", ".join(f"{n}: {p * 1e6:.2f}" for n, p in zip(counts, paces))
    table.note(
        f"tiny, forward + backward, microseconds a token at S = 128 ({figures})", f"within {spread:.0%}", "<= 15%",
        spread <= 0.15, microseconds=dict(zip(map(str, counts), [p * 1e6 for p in paces])),
    )  # fmt: skip
    return [table]
