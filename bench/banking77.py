"""Real text: samples a second on BANKING77, batches of 32, dropout 0.1, first-token pooling.

engine trains on random batches, packed, with all its savings; PyTorch on the same batches padded to their longest (what the
default collator does), or on batches bucketed by length. "Same work" gives engine the padding as if it were text. The rows
below show what each saving brings to engine alone. All sides train on the same samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.builds import find
from bench.protocol import Run, Table
from bench.sides import answer
from bench.step import build

TARGETS = {"tiny": 5.5, "mini": 4.3, "minilm6": 3.7}
ALL = ("last", "rows")
STAGES: dict[str, tuple[bool, tuple[str, ...]]] = {  # padded, savings
    "padded": (True, ()),
    "packed": (False, ()),
    "and of the last layer only what the loss reads": (False, ("last",)),
    "and of the embeddings only rows that were touched": (False, ALL),
}
EXAMPLE = Path(__file__).parent.parent / "examples" / "banking77"


def batches(count: int, bucketed: bool) -> list[tuple[list[list[int]], list[int]]]:
    """`count` batches of 32 tokenized questions."""
    Labels, Tokenizer, read_table = (find(name) for name in ("Labels", "Tokenizer", "read_table"))

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


def trainer(side: str, model: str, count: int, bucketed: bool, padded: bool) -> tuple[list[Any], Any, dict[str, Any]]:
    """(batches, a step on one of them, the logits of the first, to compare). padded: engine computes padding as if it were text."""
    net = build(side, model, 0.1, "first")
    data = batches(count, bucketed)
    if side == "engine":
        import engine

        PackedBatch = find("PackedBatch")

        if padded:
            data = [([s + [0] * (max(map(len, ids)) - len(s)) for s in ids], labels) for ids, labels in data]

        made: list[Any] = [PackedBatch.from_sequences(ids, labels=labels) for ids, labels in data]
        optimizer: Any = engine.optim.AdamW(net.parameters(), lr=1e-4)

        def step(batch: Any) -> None:
            loss = engine.nn.functional.cross_entropy(net(batch), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        logits = net.eval()(made[0])
    else:
        import torch

        made = []
        for ids, labels in data:
            longest = max(map(len, ids))
            array = torch.zeros(len(ids), longest, dtype=torch.int64)
            mask = torch.zeros(len(ids), longest, dtype=torch.bool)
            for row, sequence in enumerate(ids):
                array[row, : len(sequence)] = torch.tensor(sequence)
                mask[row, : len(sequence)] = True
            made.append((array, mask, torch.tensor(labels)))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

        def step(batch: Any) -> None:
            array, mask, target = batch
            loss = torch.nn.functional.cross_entropy(net(array, mask), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        logits = net.eval()(*made[0][:2])
    net.train()
    # With padding that counts as text, or with other batches, the logits differ.
    return made, step, {} if padded or bucketed else answer(logits)


def prepare(side: str, model: str, count: int, bucketed: bool = False, padded: bool = False) -> Any:
    """A task that trains on all batches once."""
    data, step, facts = trainer(side, model, count, bucketed, padded)

    def epoch() -> None:
        for batch in data:
            step(batch)

    return epoch, facts


def add(
    run: Run,
    table: Table,
    model: str,
    label: str,
    sides: tuple[str, ...] = ("engine", "torch"),
    target: float | None = None,
    bucketed: bool = False,
    padded: bool = False,
    savings: tuple[str, ...] = ALL,
) -> None:
    """A row. bucketed: PyTorch's batches are grouped by length; padded: engine computes padding as if it were text."""
    count = 4 if run.quick else {"tiny": 20, "mini": 8, "minilm6": 4}[model]
    c = run.compare(
        "banking77:prepare", sides=sides, pairs=7, seconds=0.0, model=model, count=count, savings=savings,
        per_side={"engine": {"padded": padded}, "torch": {"bucketed": bucketed}},
    )  # fmt: skip
    table.add(f"{model}: {label}", c, count=32 * count, target=target)


def run(run: Run) -> list[Table]:
    table = Table("BANKING77, dropout 0.1, batches of 32: samples a second", "/s")
    for model in ("tiny",) if run.quick else ("tiny", "mini", "minilm6"):
        if not run.against:  # these rows differ only in what PyTorch does
            add(run, table, model, "PyTorch on random batches", target=TARGETS[model])
            add(run, table, model, "PyTorch on batches bucketed by length", bucketed=True)
            add(run, table, model, "the same work: both compute the padding", padded=True, savings=())
        for label, (padded, savings) in STAGES.items():
            add(run, table, model, f"engine, {label}", ("engine",), padded=padded, savings=savings)
    return [table]
