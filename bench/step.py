"""A whole training step: forward, loss, backward, clipping-free AdamW, on equal lengths, where padding plays no part."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from bench.protocol import Worker, interleave, table

# layers, d, heads, ff
MODELS = {
    "tiny": (2, 128, 2, 512),
    "mini": (4, 256, 4, 1024),
    "minilm6": (6, 384, 12, 1536),
    "base": (12, 768, 12, 3072),
}
VOCAB, LABELS = 30522, 77


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights that depend on a parameter's name and shape only: both sides start from the same numbers."""
    made = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("weight") and len(shape) > 1:
            made[name] = (rng.standard_normal(shape) * 0.02).astype(np.float32)
        else:  # a norm's weight is 1, every bias 0
            made[name] = np.full(shape, float(name.endswith("weight")), np.float32)
    return made


def parameter_shapes(layers: int, d: int, ff: int) -> dict[str, tuple[int, ...]]:
    """The names of `bench.torch_model`."""
    shapes: dict[str, tuple[int, ...]] = {
        "words.weight": (VOCAB, d),
        "positions.weight": (512, d),
        "norm.weight": (d,),
        "norm.bias": (d,),
    }
    for i in range(layers):
        for name, shape in {
            "qkv.weight": (3 * d, d), "qkv.bias": (3 * d,), "out.weight": (d, d), "out.bias": (d,),
            "norm1.weight": (d,), "norm1.bias": (d,), "norm2.weight": (d,), "norm2.bias": (d,),
            "up.weight": (ff, d), "up.bias": (ff,), "down.weight": (d, ff), "down.bias": (d,),
        }.items():  # fmt: skip
            shapes[f"layers.{i}.{name}"] = shape
    return shapes | {"classifier.weight": (LABELS, d), "classifier.bias": (LABELS,)}


def flops(layers: int, d: int, ff: int, batch: int, length: int) -> float:
    """Multiply-adds x 2 of the products of a step: forward and twice that backward, attention included."""
    return 6.0 * layers * batch * length * (4 * d * d + 2 * d * ff + 2 * length * d)


def build(side: str, model: str, dropout: float, pooling: str) -> Any:
    layers, d, heads, ff = MODELS[model]
    start = weights(parameter_shapes(layers, d, ff))
    if side == "engine":
        from bench import engine_model

        return engine_model.build(VOCAB, layers, d, heads, ff, LABELS, dropout, pooling, start)
    from bench import torch_model

    made = torch_model.Classifier(VOCAB, layers, d, heads, ff, LABELS, dropout, pooling)
    torch_model.load(made, start)
    return made


def prepare(side: str, model: str, batch: int, length: int, dropout: float) -> Any:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCAB, (batch, length))
    labels = rng.integers(0, LABELS, batch)
    net = build(side, model, dropout, "mean")
    net.train()
    if side == "engine":
        import engine
        from engine.data import PackedBatch

        packed = PackedBatch.from_sequences(ids.tolist(), labels=labels.tolist())
        optimizer: Any = engine.optim.AdamW(net.parameters(), lr=1e-4)

        def step() -> float:
            loss = engine.nn.functional.cross_entropy(net(packed), packed.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()
    else:
        import torch

        torch_ids, torch_labels = torch.from_numpy(ids), torch.from_numpy(labels)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
        run = torch.compile(net) if side == "torch-compile" else net

        def step() -> float:
            loss = torch.nn.functional.cross_entropy(run(torch_ids, None), torch_labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return loss.item()

    return step, {"losses": [step() for _ in range(3)]}


def run(workers: list[Worker], limits: dict[str, float], quick: bool) -> tuple[list[dict[str, Any]], str]:
    cases = [("tiny", 32, 128, p) for p in (0.0, 0.1)]
    if not quick:
        cases += [(m, 32, 128, p) for m in ("mini", "minilm6") for p in (0.0, 0.1)] + [
            ("base", 8, 128, p) for p in (0.0, 0.1)
        ]
    results, rows = [], []
    for model, batch, length, dropout in cases:
        losses = {}
        for w in workers:
            arguments = {"model": model, "batch": batch, "length": length, "dropout": dropout}
            losses[w.side] = w.ask(do="prepare", task="step:prepare", arguments=arguments)["losses"]
        if "torch" in losses and dropout == 0:  # the answer before the time
            np.testing.assert_allclose(losses["engine"], losses["torch"], rtol=1e-3)
        c = interleave(workers, 3 if quick else 7, 0.0)
        layers, d, _, ff = MODELS[model]
        rate = flops(layers, d, ff, batch, length) / c.seconds["engine"] / 1e9
        label = f"{model} {batch}x{length}, dropout {dropout}"
        results.append(
            {
                "name": label,
                "seconds": c.seconds,
                "ratio": c.ratio,
                "low": c.low,
                "high": c.high,
                "gflops": rate,
                "losses": losses,
            }
        )
        rows.append(
            [
                label,
                f"{c.seconds['engine'] * 1e3:.1f}",
                f"{c.seconds['torch'] * 1e3:.1f}" if "torch" in c.seconds else "-",
                f"{c.ratio:.2f} ({c.low:.2f}-{c.high:.2f})" if c.ratio and c.low and c.high else "-",
                f"{rate:.0f}",
                f"{rate / limits['fma_gflops']:.0%}",
            ]
        )
    return results, table(
        "Training step", ["model", "engine ms", "PyTorch ms", "PyTorch / engine", "GF/s", "share of FMA peak"], rows
    )
