"""Real text: samples a second on BANKING77, batches of 32, dropout 0.1, first-token pooling.

Rows: PyTorch with random batches padded to the longest (what the default collator does), PyTorch with batches bucketed by
length, and engine on the same random batches, packed. All sides train on the same samples in the same order of batches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.protocol import Worker, interleave, table
from bench.step import LABELS, build

EXAMPLE = Path(__file__).parent.parent / "examples" / "banking77"


def batches(count: int, bucketed: bool) -> list[tuple[list[list[int]], list[int]]]:
    """`count` batches of 32 tokenized questions."""
    from engine.data import Labels, Tokenizer, read_table

    data = read_table(EXAMPLE / "train.csv")
    tokenizer = Tokenizer.train(data.texts, vocab_size=8000)
    ids = tokenizer.encode_batch(data.texts, max_length=128)
    labels = Labels.from_labels(data.labels).encode(data.labels)
    order = np.random.default_rng(0).permutation(len(ids))[: 32 * count]
    if bucketed:
        order = order[np.argsort([len(ids[i]) for i in order], kind="stable")]
    groups = [order[i : i + 32] for i in range(0, len(order), 32)]
    np.random.default_rng(1).shuffle(groups)
    return [([list(ids[i]) for i in g], [int(labels[i]) for i in g]) for g in groups]


def prepare(side: str, model: str, count: int, bucketed: bool) -> Any:
    """A task that trains on all batches once."""
    net = build(side, model, 0.1, "first")
    net.train()
    data = batches(count, bucketed)
    if side == "engine":
        import engine
        from engine.data import PackedBatch

        packed = [PackedBatch.from_sequences(ids, labels=labels) for ids, labels in data]
        optimizer: Any = engine.optim.AdamW(net.parameters(), lr=1e-4)

        def epoch() -> None:
            for batch in packed:
                loss = engine.nn.functional.cross_entropy(net(batch), batch.labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    else:
        import torch

        padded = []
        for ids, labels in data:
            longest = max(map(len, ids))
            array = torch.zeros(len(ids), longest, dtype=torch.int64)
            mask = torch.zeros(len(ids), longest, dtype=torch.bool)
            for row, sequence in enumerate(ids):
                array[row, : len(sequence)] = torch.tensor(sequence)
                mask[row, : len(sequence)] = True
            padded.append((array, mask, torch.tensor(labels)))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

        def epoch() -> None:
            for array, mask, target in padded:
                loss = torch.nn.functional.cross_entropy(net(array, mask), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()

    assert LABELS == 77
    return epoch


def run(workers: list[Worker], limits: dict[str, float], quick: bool) -> tuple[list[dict[str, Any]], str]:
    results, rows = [], []
    for model in ("tiny",) if quick else ("tiny", "mini", "minilm6"):
        for peer in ("random", "bucketed"):
            if peer == "bucketed" and len(workers) == 1:
                continue
            count = {"tiny": 20, "mini": 8, "minilm6": 4}[model]
            for w in workers:
                arguments = {"model": model, "count": count, "bucketed": peer == "bucketed" and w.side != "engine"}
                w.ask(do="prepare", task="banking77:prepare", arguments=arguments)
            c = interleave(workers, 3 if quick else 7, 0.0)
            rate = {side: 32 * count / s for side, s in c.seconds.items()}
            label = f"{model}, PyTorch on {peer} batches" if len(workers) > 1 else model
            results.append({"name": label, "samples_per_second": rate, "ratio": c.ratio, "low": c.low, "high": c.high})
            rows.append(
                [
                    label,
                    f"{rate['engine']:.0f}",
                    f"{rate['torch']:.0f}" if "torch" in rate else "-",
                    f"{c.ratio:.2f} ({c.low:.2f}-{c.high:.2f})" if c.ratio and c.low and c.high else "-",
                ]
            )
    return results, table("BANKING77, samples a second", ["model", "engine", "PyTorch", "engine / PyTorch"], rows)
