"""A whole training step: forward, loss, backward and AdamW without clipping, on equal lengths, so that nothing is padded."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from bench.builds import find
from bench.protocol import Run, Table
from bench.sides import answer

# layers, d, heads, ff
MODELS = {
    "tiny": (2, 128, 2, 512),
    "mini": (4, 256, 4, 1024),
    "minilm6": (6, 384, 12, 1536),
    "base": (12, 768, 12, 3072),
}
VOCAB, LABELS = 30522, 77
# Targets, without and with dropout of 0.1.
TARGETS = {"tiny": (1.35, 1.65), "mini": (1.22, 1.4), "minilm6": (1.17, 1.45), "base": (1.05, 1.15)}


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights that depend on a parameter's name and shape only: both sides start from the same numbers."""
    made = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("weight") and len(shape) > 1:
            made[name] = (rng.standard_normal(shape) * 0.02).astype(np.float32)
        else:  # norm weights are 1, biases are 0
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

        PackedBatch = find("PackedBatch")

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
        model_or_compiled = torch.compile(net) if side == "torch-compile" else net

        def step() -> float:
            loss = torch.nn.functional.cross_entropy(model_or_compiled(torch_ids, None), torch_labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return loss.item()

    losses = np.array([step() for _ in range(3)])
    return step, answer(losses, random=dropout > 0, tolerance=1e-3)


def run(run: Run) -> list[Table]:
    table = Table("Training step, equal lengths, mean-pooled")
    for model in ("tiny",) if run.quick else MODELS:
        batch, length = (8 if model == "base" else 32), 128
        for dropout, target in zip((0.0, 0.1), TARGETS[model]):
            task = {"model": model, "batch": batch, "length": length, "dropout": dropout}
            c = run.compare("step:prepare", sides=("engine", "torch", "torch-compile"), pairs=7, seconds=0.0, **task)
            layers, d, _, ff = MODELS[model]
            share = flops(layers, d, ff, batch, length) / c.engine / 1e9 / run.limits["fma_gflops"]
            table.add(f"{model} {batch}x{length}, dropout {dropout}", c, share=share, target=target)
        rows = run.compare("step:prepare", sides=("engine",), savings=("rows",), pairs=7, seconds=0.0, **task)
        table.add("the last, skipping embedding rows that were never touched", rows)
    return [table]
