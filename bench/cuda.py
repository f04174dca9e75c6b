"""python -m bench.cuda [--quick] [--only products,attention,ops,optimizer,step] [--json FILE]

engine on a CUDA device beside PyTorch on the same one: cuBLAS, scaled_dot_product_attention, fused AdamW, whole steps,
and the same under torch.compile. Each side is a process of its own, samples are interleaved (bench/protocol.py). The
share is of what the card's data sheet says of its tensor cores, or of the bandwidth that engine's own `stream` measures
in the same run. Without a GPU this runs on the simulator (--quick). That shows that it works, but gives no times.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.protocol import Comparison, Run, Table, Worker, has
from bench.sides import answer

PARTS = ("products", "attention", "ops", "optimizer", "step")

# Dense tensor-core rates in TF/s, from NVIDIA's data sheets: (bf16, tf32, float32 without tensor cores).
PEAKS = {
    "A100": (312, 156, 19.5),
    "H100": (989, 494, 67),
    "H200": (989, 494, 67),
    "L4": (121, 60, 30),
    "4090": (165, 83, 83),
}
PRECISIONS = ("highest", "high", "medium")
TOKENS = 4096  # BERT-base: 32 sequences of 128
BASE = [(768, 768), (2304, 768), (3072, 768), (768, 3072)]  # (N, K) of its layers


class Card:
    """A side's device: its library, and tensors on it."""

    def __init__(self, side: str) -> None:
        import numpy as np

        self.engine = side == "engine"
        if self.engine:
            import engine as lib
            from engine.nn import functional as F
        else:
            import torch as lib
            from torch.nn import functional as F
        self.lib: Any = lib
        self.F: Any = F
        self.rng = np.random.default_rng(0)
        self.compile = lib.compile if side == "torch-compile" else lambda f: f

    def randn(self, *shape: int, dtype: str = "float32") -> Any:
        import numpy as np

        t = self.lib.from_numpy(self.rng.standard_normal(shape, np.float32)).to("cuda")
        return t.to(getattr(self.lib, dtype))

    def ids(self, limit: int, *shape: int) -> Any:
        return self.lib.from_numpy(self.rng.integers(0, limit, shape)).to("cuda")

    def repeated(self, task: Any, times: int) -> Any:
        """Calls `task` that many times and waits once: the time of a queue that never runs empty."""

        def run() -> None:
            for _ in range(times):
                task()
            self.lib.cuda.synchronize()

        run()
        return run

    def answer(self, results: list[Any], random: bool) -> dict[str, Any]:
        return answer(*[r.detach().float().cpu() for r in results], random=random, tolerance=0.03)

    def without_grad(self, task: Any, times: int, random: bool = False) -> Any:
        def quiet() -> Any:
            with self.lib.no_grad():
                return task()

        return self.repeated(quiet, times), self.answer([quiet()], random)

    def with_backward(self, inputs: list[Any], forward: Any, seed: Any, times: int, random: bool = False) -> Any:
        def both() -> None:
            forward().backward(seed)
            for x in inputs:
                x.grad = None

        for x in inputs:
            x.requires_grad_()
        y = forward()
        y.backward(seed)
        facts = self.answer([y, *[x.grad for x in inputs]], random)
        for x in inputs:
            x.grad = None
        return self.repeated(both, times), facts


def describe(side: str) -> Any:
    """The device's name and its memory bandwidth: (task, facts)."""
    card = Card(side)
    facts: dict[str, Any] = {"name": card.lib.cuda.get_device_name(0)}
    if card.engine:
        import time

        from engine import _core

        n = 1 << 26 if "cudasim" not in facts["name"] else 1 << 12
        x, y = (_core.empty((n,), _core.float32, 0) for _ in range(2))
        _core.kernels.fill(x, 1.0)
        run = card.repeated(lambda: _core.kernels.stream([x], [y]), 10)
        best = 1e9
        for _ in range(5):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
        facts["stream_gbs"] = 10 * 8 * n / best / 1e9 if "cudasim" not in facts["name"] else None
    return (lambda: None), facts


def product(side: str, kind: str, precision: str, m: int, n: int, k: int, times: int) -> Any:
    card = Card(side)
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    if dtype == "float32":
        card.lib.set_float32_matmul_precision(precision)
    x, w, dy, b = (
        card.randn(m, k, dtype=dtype),
        card.randn(n, k, dtype=dtype),
        card.randn(m, n, dtype=dtype),
        card.randn(n, dtype=dtype),
    )
    F, lib = card.F, card.lib
    if kind == "grouped":  # the rows of 8 experts: one has none, some have many
        ends = [m * part // 64 for part in (1, 23, 24, 33, 38, 38, 61, 64)]
        experts, offs = card.randn(8, n, k, dtype=dtype).transpose(-1, -2), lib.tensor(ends, dtype=lib.int32).to("cuda")
        return card.without_grad(lambda: F.grouped_mm(x, experts, offs=offs), times)
    gelu = (lambda: F.linear_gelu(x, w, b)) if card.engine else card.compile(lambda: F.gelu(F.linear(x, w, b)))
    tasks = {
        "NT": lambda: F.linear(x, w),
        "NN": lambda: lib.matmul(dy, w),
        "TN": lambda: lib.matmul(dy.T, x),
        "gelu": gelu,
    }
    return card.without_grad(tasks[kind], times)


def attention(
    side: str,
    length: int,
    heads: int,
    d: int,
    dtype: str,
    causal: bool,
    p: float,
    backward: bool,
    times: int,
    tokens: int,
) -> Any:
    card = Card(side)
    shape = (max(1, tokens // length), heads, length, d)
    q, k, v, seed = (card.randn(*shape, dtype=dtype) for _ in range(4))
    forward = lambda: card.F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=p)  # noqa: E731
    return (
        card.with_backward([q, k, v], forward, seed, times, p > 0)
        if backward
        else card.without_grad(forward, times, p > 0)
    )


def op(side: str, name: str, rows: int, dim: int, times: int) -> Any:
    """Forward and backward of ops whose time is that of their memory traffic."""
    card = Card(side)
    F = card.F
    x, w, b, seed = card.randn(rows, dim), card.randn(dim), card.randn(dim), card.randn(rows, dim)
    if name == "cross_entropy":
        labels = card.ids(dim, rows)
        return card.with_backward([x], card.compile(lambda: F.cross_entropy(x, labels)), None, times)
    r = card.randn(rows, dim)
    if name == "dropout_add_layer_norm":
        if card.engine:
            forward: Any = lambda: card.lib.dropout_add_layer_norm(x, r, w, b, 0.1)  # noqa: E731
        else:
            forward = card.compile(lambda: F.layer_norm(r + F.dropout(x, 0.1), (dim,), w, b))
        return card.with_backward([x, r, w, b], forward, seed, times, random=True)
    tasks = {
        "layer_norm": lambda: F.layer_norm(x, (dim,), w, b),
        "softmax": lambda: F.softmax(x, -1),
        "gelu": lambda: F.gelu(x),
    }
    return card.with_backward([x, w, b] if name == "layer_norm" else [x], card.compile(tasks[name]), seed, times)


def adamw(side: str, layers: int, dim: int, times: int) -> Any:
    """A step over the parameters of a BERT of that size."""
    card = Card(side)
    shapes = [(30522, dim), (512, dim)] + layers * [
        (3 * dim, dim),
        (dim, dim),
        (4 * dim, dim),
        (dim, 4 * dim),
        (dim,),
        (dim,),
        (dim,),
    ]
    params = [card.randn(*s).requires_grad_() for s in shapes]
    for p in params:
        p.grad = card.lib.ones_like(p)
    options = {} if card.engine else {"fused": True}
    optimizer = card.lib.optim.AdamW(params, lr=1e-4, **options)
    return card.repeated(optimizer.step, times)


def step(side: str, model: str, batch: int, length: int, dropout: float, precision: str, times: int) -> Any:
    """Forward, loss, backward, AdamW. Nothing waits for the device."""
    from bench import step as equal

    card = Card(side)
    lib = card.lib
    ids, labels = card.rng.integers(0, equal.VOCAB, (batch, length)), card.rng.integers(0, equal.LABELS, batch)
    if precision != "bfloat16":
        lib.set_float32_matmul_precision(precision)
    net = equal.build(side, model, dropout, "mean").to("cuda")
    net.train()
    autocast = (
        lib.autocast("cuda", dtype=lib.bfloat16, enabled=precision == "bfloat16")
        if not card.engine
        else lib.autocast(dtype=lib.bfloat16, enabled=precision == "bfloat16")
    )
    if card.engine:
        from engine.text import PackedBatch

        packed = PackedBatch.from_sequences(ids.tolist(), labels=labels.tolist()).to("cuda")
        optimizer: Any = lib.optim.AdamW(net.parameters(), lr=1e-4)
        forward: Any = lambda: card.F.cross_entropy(net(packed), packed.labels)  # noqa: E731
    else:
        torch_ids, torch_labels = lib.from_numpy(ids).to("cuda"), lib.from_numpy(labels).to("cuda")
        optimizer = lib.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
        compiled = card.compile(net)
        forward = lambda: card.F.cross_entropy(compiled(torch_ids, None), torch_labels)  # noqa: E731

    def one() -> None:
        with autocast:
            loss = forward()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    losses = []
    for _ in range(3):
        with autocast:
            losses.append(forward())
        one()
    return card.repeated(one, times), card.answer(losses, dropout > 0)


def run(
    run: Run, parts: list[str], peaks: tuple[float, float, float] | None, bandwidth: float | None
) -> dict[str, Table]:
    quick = run.quick
    times = 1 if quick else 20
    tokens = 144 if quick else TOKENS
    sides = ("engine", "torch", "torch-compile")

    def rate(precision: str) -> float | None:
        return peaks[{"bfloat16": 0, "medium": 0, "high": 1, "highest": 2}[precision]] * 1e12 if peaks else None

    def share(flops: float, seconds: float, precision: str) -> float | None:
        peak = rate(precision)
        return flops / seconds / peak if peak else None

    def moved(bytes: float, seconds: float) -> float | None:
        return bytes / seconds / 1e9 / bandwidth if bandwidth else None

    def compare(task: str, **arguments: Any) -> Comparison:
        """Seconds of one call. A sample is many calls and one wait."""
        c = run.compare(task, times=times, **arguments)
        c.seconds = {side: s / times for side, s in c.seconds.items()}
        return c

    tables: dict[str, Table] = {}
    if "products" in parts:
        table = tables["products"] = Table("Products (PyTorch: cuBLAS)", "us")
        for precision in ("bfloat16",) if quick else ("bfloat16", *PRECISIONS):
            for n, k in BASE[:1] if quick else BASE:
                kinds = ("NT", "NN", "TN", "gelu") + (("grouped",) if precision == "bfloat16" else ())
                for kind in ("NT", "grouped") if quick else kinds:
                    c = compare(
                        "cuda:product",
                        sides=sides if kind == "gelu" else sides[:2],
                        kind=kind,
                        precision=precision,
                        m=tokens,
                        n=n,
                        k=k,
                    )
                    table.add(
                        f"{kind} {tokens}x{n}x{k}, {precision}", c, share=share(2 * tokens * n * k, c.engine, precision)
                    )
    if "attention" in parts:
        table = tables["attention"] = Table("Attention, 12 heads of 64 (PyTorch: SDPA)", "us")
        for length in (72,) if quick else (128, 512, 2048):
            for dtype in ("bfloat16",) if quick else ("bfloat16", "float32"):
                for causal, p in ((False, 0.0),) if quick else ((False, 0.0), (True, 0.0), (False, 0.1)):
                    for backward in (False, True):
                        heads = 1 if quick else 12
                        c = compare(
                            "cuda:attention",
                            sides=sides[:2],
                            length=length,
                            heads=heads,
                            d=64,
                            dtype=dtype,
                            causal=causal,
                            p=p,
                            backward=backward,
                            tokens=tokens,
                        )
                        flops = (14 if backward else 4) * heads * 64 * tokens * length / (2 if causal else 1)
                        what = f"S = {length}, {dtype}{', causal' if causal else ''}, dropout {p}, {'forward + backward' if backward else 'forward'}"
                        table.add(
                            what, c, share=share(flops, c.engine, "bfloat16" if dtype == "bfloat16" else "highest")
                        )
    if "ops" in parts:
        table = tables["ops"] = Table("Bound by memory, forward + backward", "us")
        # The fewest bytes possible: what each direction reads and writes once, in units of the input.
        units = {"layer_norm": 5, "dropout_add_layer_norm": 8, "softmax": 5, "gelu": 5, "cross_entropy": 3}
        for name, unit in units.items():
            rows, dim = (tokens, 1031) if quick else (TOKENS, 30522 if name == "cross_entropy" else 768)
            c = compare("cuda:op", sides=sides, name=name, rows=rows, dim=dim)
            table.add(f"{name} {rows}x{dim}", c, share=moved(unit * rows * dim * 4, c.engine))
    if "optimizer" in parts:
        table = tables["optimizer"] = Table("AdamW, one step over all parameters (PyTorch: fused=True)", "us")
        layers, dim = (1, 8) if quick else (12, 768)
        c = compare("cuda:adamw", sides=sides[:2], layers=layers, dim=dim)
        count = 31034 * dim + layers * (12 * dim * dim + 3 * dim)
        table.add(f"{layers} layers of {dim}", c, share=moved(28 * count, c.engine))
    if "step" in parts:
        from bench.step import MODELS
        from bench.step import flops as step_flops

        table = tables["step"] = Table("Training step, without a wait for the device", "ms")
        for model, batch, length in (
            (("tiny", 2, 72),) if quick else (("minilm6", 32, 128), ("base", 32, 128), ("base", 8, 512))
        ):
            for precision in ("bfloat16",) if quick else ("bfloat16", "high", "highest"):
                for dropout in (0.0,) if quick else (0.0, 0.1):
                    c = compare(
                        "cuda:step",
                        sides=sides,
                        model=model,
                        batch=batch,
                        length=length,
                        dropout=dropout,
                        precision=precision,
                    )
                    layers, d, _, ff = MODELS[model]
                    table.add(
                        f"{model} {batch}x{length}, {precision}, dropout {dropout}",
                        c,
                        share=share(step_flops(layers, d, ff, batch, length), c.engine, precision),
                    )
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small shapes, once each, to see that it works")
    parser.add_argument(
        "--only", default=",".join(PARTS), help=f"parts to run, separated by commas: {', '.join(PARTS)}"
    )
    parser.add_argument("--json", type=Path, default=Path("build/bench-cuda.json"), help="file for the figures")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only: expected some of {', '.join(PARTS)}, got {sorted(unknown)[0]}")
    from engine import cuda

    if not cuda.is_available():
        parser.error("expected a CUDA device, got none (`engine info` tells why)")
    sides = ["engine"]
    if has("torch") and not options.quick:
        sides += ["torch", "torch-compile"]
    workers = [Worker(side, 1) for side in sides]
    report: dict[str, Any] = {"quick": options.quick}
    try:
        facts = workers[0].ask(do="prepare", task="cuda:describe", arguments={}, threads=1)
        report |= facts
        peaks = next((p for key, p in PEAKS.items() if key in facts["name"]), None)
        bandwidth = facts["stream_gbs"]
        stream = f"stream {bandwidth:.0f} GB/s" if bandwidth else "times mean nothing"
        print(f"\n{facts['name']}: {stream}, sides: {', '.join(sides)}")
        for name, table in run(Run(workers, {}, options.quick, 1), parts, peaks, bandwidth).items():
            report[name] = table.data
            print(table, flush=True)
    finally:
        for w in workers:
            w.close()
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
        print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
