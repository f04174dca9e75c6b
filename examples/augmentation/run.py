"""How augmentation and cleaning change the test accuracy on BANKING77: several seeds with and without, everything else the same.

    python examples/augmentation/run.py                      # from scratch, on all training texts
    python examples/augmentation/run.py --init DIR --examples-per-class 10 --epochs 20

The settings are those of the other examples. Nothing was tuned for any row.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from engine.runs import StartConfig, TextData, train_text
from engine.tasks import TaskConfig
from engine.train import TrainerConfig

DATA = Path(__file__).parent.parent / "banking77"
SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "pooling": "max",
}
ROWS: tuple[tuple[str | None, tuple[str, ...]], ...] = (
    (None, ()), ("mask=0.1", ()), ("deletion=0.1", ()), ("swap=0.1", ()), ("deletion=0.1,mask=0.1", ()),
    (None, ("duplicate", "near_duplicate")), (None, ("label_conflict",)), (None, ("leak", "near_leak")),
)  # fmt: skip


def accuracy(augment: str | None, clean: tuple[str, ...], seed: int, o: argparse.Namespace) -> float:
    start = StartConfig(init=o.init) if o.init else StartConfig(sizes=SIZES)
    data = TextData(
        (str(DATA / "train.csv"),), validation_fraction=0.0, test=str(DATA / "test.csv"),
        examples_per_class=o.examples_per_class, clean=clean, **({} if o.init else {"vocab_size": 4000}),
    )  # fmt: skip
    settings = TrainerConfig(
        epochs=o.epochs or (4 if o.init else 8), lr=2e-4 if o.init else 2e-3, seed=seed, checkpoint_every=0,
    )  # fmt: skip
    task = TaskConfig("classification", label_smoothing=0.0 if o.init else 0.1, augment=augment)
    with tempfile.TemporaryDirectory() as folder:
        report = train_text(data, settings, Path(folder) / "run", task=task, start=start)
    return float(report["test"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", help="a published encoder to start from (default: train from scratch)")
    parser.add_argument("--examples-per-class", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    o = parser.parse_args()
    print("| change | test accuracy, mean (each seed) |\n|---|---|", flush=True)
    for augment, clean in ROWS:
        if clean and o.examples_per_class:
            continue  # cleaning first would change which examples are drawn
        found = [accuracy(augment, clean, seed, o) for seed in range(o.seeds)]
        shown = ", ".join(f"{a:.4f}" for a in found)
        print(
            f"| {augment or ', '.join(('without', *clean)) if augment or clean else 'none'} | {statistics.mean(found):.4f} ({shown}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
