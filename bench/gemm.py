"""Dense products at the shapes of real models: NT (y = x W^T), NN (dx = dy W), TN (dW = dy^T x), and the ops that follow them."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from typing import Any

from bench.protocol import Run, Table
from bench.sides import library, with_backward, without_grad

# (N, K): the layers of models of 128, 256, 384 and 768
PAIRS = [
    (128, 128), (384, 128), (512, 128), (128, 512), (256, 256), (768, 256), (384, 384), (1536, 384), (384, 1536),
    (768, 768), (3072, 768), (768, 3072),
]  # fmt: skip
TOKENS = (1024, 4096, 8192, 5003)
FEW = (16, 64, 128, 512)


def product(side: str, kind: str, m: int, n: int, k: int) -> Any:
    lib, F, randn = library(side)
    x, w, dy = randn(m, k), randn(n, k), randn(m, n)
    tasks = {"NT": lambda: F.linear(x, w), "NN": lambda: lib.matmul(dy, w), "TN": lambda: lib.matmul(dy.T, x)}
    return without_grad(lib, tasks[kind])


def layer(side: str, kind: str, m: int, n: int, k: int) -> Any:
    """linear, linear + bias, linear + bias + GELU, forward alone; or the last with its backward."""
    lib, F, randn = library(side)
    x, w, b, dy = randn(m, k), randn(n, k), randn(n), randn(m, n)
    gelu = (lambda: F.linear_gelu(x, w, b)) if side == "engine" else (lambda: F.gelu(F.linear(x, w, b)))
    if kind == "gelu backward":
        inputs = [t.requires_grad_() for t in (x, w, b)]
        return with_backward(inputs, gelu, dy)
    return without_grad(lib, {"plain": lambda: F.linear(x, w), "bias": lambda: F.linear(x, w, b), "gelu": gelu}[kind])


def size_class(n: int, k: int) -> tuple[str, float]:
    least = min(n, k)
    return ("both >= 384", 0.93) if least >= 384 else ("256", 0.90) if least >= 256 else ("128", 0.88)


def run(run: Run) -> list[Table]:
    table = Table("Products", "us")
    summary = Table("Products, by class", "us")
    quick = run.quick
    for threads in (1, 2) if run.threads >= 2 else (1,):
        peak = run.limits["fma_gflops_1"] if threads == 1 else run.limits["fma_gflops"]
        shares, ratios, few = defaultdict(list), [], []
        for m in (1024,) if quick else (*TOKENS, *FEW):
            for n, k in PAIRS[:2] if quick else PAIRS if m in TOKENS else PAIRS[::3]:
                for kind in ("NT", "NN", "TN"):
                    c = run.compare("gemm:product", threads=threads, kind=kind, m=m, n=n, k=k)
                    share = 2 * m * n * k / c.engine / 1e9 / peak
                    small = m in FEW
                    table.add(
                        f"{kind} {m}x{n}x{k}, {threads} thread{'s' * (threads > 1)}", c, share=share,
                        target=1.0 if small else 0.95, target_share=None if small else size_class(n, k)[1],
                    )  # fmt: skip
                    if small:
                        few.append(c.ratio)
                    else:
                        shares[size_class(n, k)].append(share)
                        ratios.append(c.ratio)
        for (name, wanted), found in shares.items():
            summary.note(
                f"share of FMA peak, {name}, {threads} thread(s)",
                f"median {statistics.median(found):.0%}, least {min(found):.0%}",
                f">= {wanted:.0%}",
                min(found) >= wanted,
            )
        known = [r for r in ratios if r]
        if known:
            mean = math.exp(statistics.fmean(map(math.log, known)))
            summary.note(
                f"PyTorch / engine, {threads} thread(s)",
                f"geometric mean {mean:.2f}, least {min(known):.2f}",
                "mean >= 1.02, none below 0.95",
                mean >= 1.02 and min(known) >= 0.95,
            )
        if few and all(few):
            summary.note(
                f"the same, M = 16 to 512, {threads} thread(s)", f"least {min(few):.2f}", ">= 1", min(few) >= 1
            )
    epilogues = Table("Linear layers with bias and GELU", "us")
    m = 512 if quick else 4096
    for n, k in [(512, 128)] if quick else [(512, 128), (1536, 384), (3072, 768)]:
        flops = 2 * m * n * k
        costs = {}
        for kind, target in (("plain", None), ("bias", None), ("gelu", 1.15), ("gelu backward", 1.15)):
            c = run.compare("gemm:layer", kind=kind, m=m, n=n, k=k)
            work = flops * (3 if kind == "gelu backward" else 1)
            share = work / c.engine / 1e9 / run.limits["fma_gflops"]
            epilogues.add(f"{kind} {m}x{n}x{k}", c, share=share, target=target)
            costs[kind] = c.engine
        if k >= 384:
            allowed = 0.05 if k >= 768 else 0.10
            for kind in ("bias", "gelu"):
                cost = costs[kind] / costs["plain"] - 1
                epilogues.note(f"what {kind} adds, K = {k}", f"{cost:.1%}", f"<= {allowed:.0%}", cost <= allowed)
    return [summary, epilogues, table]
