"""Ops whose time is that of their memory traffic: fused sequences against PyTorch's, and against the time that their bytes need.
Real batches fit into the caches; for the comparison with the memory's limit the arrays have 128 MB.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.limits import mix
from bench.protocol import Run, Table
from bench.sides import answer, library, with_backward, without_grad

VOCAB = 30522
LARGE = 128 << 18  # elements of an array of 128 MB


def norm(side: str, rows: int, d: int, p: float, backward: bool) -> Any:
    """layer_norm(residual + dropout(x))"""
    lib, F, randn = library(side)
    x, residual, seed = randn(rows, d), randn(rows, d), randn(rows, d)
    w, b = lib.ones(d), lib.zeros(d)
    if side == "engine":
        forward: Any = lambda: F.dropout_add_layer_norm(x, residual, w, b, p)  # noqa: E731
    else:
        forward = lambda: F.layer_norm(residual + F.dropout(x, p), (d,), w, b)  # noqa: E731
    if not backward:
        return without_grad(lib, forward, p > 0)
    return with_backward([t.requires_grad_() for t in (x, residual, w, b)], forward, seed, p > 0)


def cross_entropy(side: str, rows: int, classes: int) -> Any:
    lib, F, randn = library(side)
    logits = randn(rows, classes).requires_grad_()
    target = lib.from_numpy(np.random.default_rng(0).integers(0, classes, rows))
    return with_backward([logits], lambda: F.cross_entropy(logits, target), None)


def embedding(side: str, tokens: int, d: int) -> Any:
    """Forward and backward of a lookup. Most of the time goes into the table's gradient."""
    lib, F, randn = library(side)
    table, seed = randn(VOCAB, d).requires_grad_(), randn(tokens, d)
    ids = lib.from_numpy(np.random.default_rng(0).integers(0, VOCAB, tokens))
    return with_backward([table], lambda: F.embedding(ids, table), seed)


def gelu(side: str, n: int) -> Any:
    lib, F, randn = library(side)
    x = randn(n)
    return without_grad(lib, lambda: F.gelu(x))


def adamw(side: str, parameters: int) -> Any:
    """The step with the gradient's norm clipped to 1; engine scales the gradients within the step."""
    lib, _, randn = library(side)
    sizes = [parameters // 8] * 8
    weights = [randn(n).requires_grad_() for n in sizes]
    for w in weights:
        w.grad = randn(w.shape[0])
    if side == "engine":
        from engine.nn.utils import get_total_norm
        from engine.optim import AdamW

        optimizer: Any = AdamW(weights, lr=1e-4)

        def step() -> None:
            norm = get_total_norm([w.grad for w in weights]).item()
            optimizer.step(grad_scale=min(1.0, 1.0 / (norm + 1e-6)))
    else:
        optimizer = lib.optim.AdamW(weights, lr=1e-4, fused=True)

        def step() -> None:
            lib.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()

    step()
    return step, answer(*weights)


def run(run: Run) -> list[Table]:
    table = Table("Bound by memory")
    large = 1 << 20 if run.quick else LARGE

    def add(
        label: str,
        task: str,
        reads: int,
        writes: int,
        elements: float,
        least: float | None,
        share: float,
        **arguments: Any,
    ) -> None:
        """reads, writes: arrays of that many elements that the sequence must read and write. share: the share of the memory's limit that is
        asked for, of arrays larger than the caches only."""
        c = run.compare(f"fused:{task}", pairs=7, **arguments)
        floor = 4 * elements * (reads + writes) / run.limits[mix(min(reads, 4), min(writes, 3))] / 1e9
        beyond = elements >= LARGE
        table.add(label, c, share=floor / c.engine, target=least, target_share=share if beyond else None)

    for rows, d in [(1024, 128)] if run.quick else [(4096, 128), (4096, 384), (4096, 768), (LARGE // 384, 384)]:
        for p in (0.0, 0.1):
            label = f"dropout {p} + residual + layer_norm, {rows}x{d}"
            add(
                f"{label}, forward", "norm", 2, 2 if p else 1, rows * d, 2, 1 / 1.3, rows=rows, d=d, p=p, backward=False
            )
            add(f"{label}, forward + backward", "norm", 4, 3, rows * d, 2, 1 / 1.3, rows=rows, d=d, p=p, backward=True)
    for rows, classes in [(256, 77)] if run.quick else [(4096, 77), (1024, VOCAB), (LARGE // VOCAB + 1, VOCAB)]:
        label = f"cross_entropy and its gradient, {rows}x{classes}"
        add(label, "cross_entropy", 1, 1, rows * classes, 2, 1 / 1.3, rows=rows, classes=classes)
    for tokens, d in [(512, 128)] if run.quick else [(512, 128), (4096, 128), (4096, 384), (LARGE // 768, 768)]:
        label = f"embedding forward + backward, {tokens} tokens of {VOCAB}x{d}"
        add(label, "embedding", 2, 2, tokens * d + VOCAB * d / 4, 2, 1 / 1.3, tokens=tokens, d=d)
        c = run.compare("fused:embedding", sides=("engine",), savings=("rows",), pairs=7, tokens=tokens, d=d)
        table.add("the last, its gradient kept as the rows that were read", c)
    for n in [large] if run.quick else [4096 * 1536, LARGE]:
        add(f"gelu, {n} elements", "gelu", 1, 1, n, None, 1 / 1.3, n=n)
    for n in [large] if run.quick else [4_400_000, 22_700_000, LARGE]:
        c = run.compare("fused:adamw", pairs=7, parameters=n)
        floor = 32 * n / run.limits[mix(4, 3)] / 1e9
        table.add(
            f"AdamW with clipping, {n} parameters",
            c,
            share=floor / c.engine,
            target_share=None if run.quick else 1 / 1.2,
        )
    return [table]
