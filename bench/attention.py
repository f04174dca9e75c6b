"""Attention: rectangles of equal lengths against PyTorch's scaled_dot_product_attention, and ragged batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.protocol import Run, Table
from bench.sides import library, with_backward, without_grad

TOKENS, HEADS = 8192, 6


def rectangle(side: str, length: int, d: int, p: float, backward: bool) -> Any:
    """(batch, heads, length, d) on both sides."""
    lib, F, randn = library(side)
    shape = (max(1, TOKENS // length), HEADS, length, d)
    q, k, v, seed = (randn(*shape) for _ in range(4))
    forward = lambda: F.scaled_dot_product_attention(q, k, v, dropout_p=p)  # noqa: E731
    if not backward:
        return without_grad(lib, forward, p > 0)
    return with_backward([t.requires_grad_() for t in (q, k, v)], forward, seed, p > 0)


def ragged(side: str, lengths: list[int], d: int, backward: bool) -> Any:
    """engine packs the sequences; PyTorch pads them to the longest, under a mask."""
    lib, F, randn = library(side)
    tensors = [randn(sum(lengths), HEADS, d) for _ in range(4)]
    if side == "engine":
        q, k, v, seed = tensors
        view: Any = lambda t: t  # noqa: E731
        cu = lib.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        forward: Any = lambda: F.attention(q, k, v, cu)  # noqa: E731
    else:
        real = lib.arange(max(lengths))[None] < lib.tensor(lengths)[:, None]
        q, k, v, seed = (lib.zeros(len(lengths), HEADS, max(lengths), d) for _ in range(4))
        for padded, packed in zip((q, k, v, seed), tensors):
            padded.transpose(1, 2)[real] = packed
        view, mask = (lambda t: t.transpose(1, 2)[real]), real[:, None, None]
        forward = lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # noqa: E731
    if not backward:
        return without_grad(lib, forward, view=view)
    return with_backward([t.requires_grad_() for t in (q, k, v)], forward, seed, view=view)


def flops(lengths: list[int], d: int, backward: bool) -> float:
    """Two matrix products forward, five backward (one computes the scores again)."""
    return (14 if backward else 4) * HEADS * d * float(sum(n * n for n in lengths))


def run(run: Run) -> list[Table]:
    table, packed = Table("Attention, equal lengths", "us"), Table("Attention, ragged batches", "us")
    peak = run.limits["fma_gflops"] * 1e9
    for length in (32,) if run.quick else (8, 32, 128, 512, 2048):
        for d in (32,) if run.quick else (32, 64):
            for p in (0.0, 0.1):
                for backward in (False, True):
                    c = run.compare("attention:rectangle", length=length, d=d, p=p, backward=backward, pairs=7)
                    label = f"S = {length}, d = {d}, dropout {p}, {'forward + backward' if backward else 'forward'}"
                    share = flops([length] * max(1, TOKENS // length), d, backward) / c.engine / peak
                    table.add(label, c, share=share, target=4 if p else 1.5)
    rng = np.random.default_rng(0)
    for longest in (64,) if run.quick else (64, 256, 1024):
        lengths = [int(n) for n in rng.integers(4, longest + 1, max(2, 2 * TOKENS // longest))]
        even = round((sum(n * n for n in lengths) / len(lengths)) ** 0.5)
        for backward in (False, True):
            c = run.compare("attention:ragged", lengths=lengths, d=32, backward=backward, pairs=7)
            share = flops(lengths, 32, backward) / c.engine / peak
            what = "forward + backward" if backward else "forward"
            packed.add(f"lengths 4 to {longest}, {what}", c, share=share, target=1.5)
            same = run.compare(
                "attention:ragged", sides=("engine",), lengths=[even] * len(lengths), d=32, backward=backward, pairs=7
            )
            pace = c.engine / sum(n * n for n in lengths) / (same.engine / (even * even * len(lengths)))
            packed.note(
                f"time over the sum of squares, against equal lengths of {even}, {what}",
                f"{pace:.2f}",
                "<= 1.25",
                pace <= 1.25,
            )
    return [table, packed]
