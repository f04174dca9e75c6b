"""Does pretraining help if there are few labels? BANKING77 with 10 examples per class, with and without pretraining.

    python examples/pretraining/run.py --output runs/pretraining

A small BERT is pretrained on the 10,003 training questions without their labels, and then fine-tuned on 770 of them. The same
model with random initial weights is trained on the same 770 questions with the same settings. The learning rate of each is chosen
on 770 other training questions. All rates are tested, but only the accuracies of the chosen ones are shown. The script prints
the table in README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import engine
from engine.models import BertForSequenceClassification, TransformerConfig
from engine.runs import pretrain
from engine.serialization import write_text
from engine.tasks import Classification
from engine.tasks.text import encode_texts
from engine.text import Labels, TextDataset, TextTable, Tokenizer, clean_text, read_table
from engine.train import Trainer, TrainerConfig

DATA = Path(__file__).parent.parent / "banking77"
MODEL = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512}
MAX_LENGTH, PER_CLASS = 64, 10
PRETRAINING = TrainerConfig(
    epochs=60, batch_size=None, max_tokens=2048, lr=2e-3, metric="loss", warmup_ratio=0.05, checkpoint_every=0,
)  # fmt: skip
FINE_TUNING = TrainerConfig(epochs=30, batch_size=32)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
POOLING = "mean"


def few(table: TextTable, labels: Labels, parts: int) -> list[np.ndarray]:
    """The rows of `parts` sets of 10 examples per class. No row is in two sets; every call returns the same sets."""
    numbers = table.encode_labels(labels)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(table))
    rows = [order[numbers[order] == label][: parts * PER_CLASS] for label in range(len(labels))]
    return [np.concatenate([r[i * PER_CLASS : (i + 1) * PER_CLASS] for r in rows]) for i in range(parts)]


def accuracy(
    start: Path | None, tokenizer: Tokenizer, sets: list[TextDataset], labels: int, lr: float, seed: int
) -> list[float]:
    """Trains on the first set; returns the accuracy on each of the other sets."""
    engine.manual_seed(seed)
    if start is not None:
        model = BertForSequenceClassification.from_pretrained(start, num_labels=labels, pooling=POOLING)
    else:
        model = BertForSequenceClassification(
            TransformerConfig(
                vocab_size=tokenizer.vocab_size, max_position_embeddings=MAX_LENGTH, type_vocab_size=2, model_type="bert",
                pad_token_id=tokenizer.pad_token_id, num_labels=labels, pooling=POOLING, **MODEL,
            )
        )  # fmt: skip
    trainer = Trainer(model, Classification(), replace(FINE_TUNING, lr=lr, seed=seed), sets[0])
    trainer.train()
    return [trainer.evaluate(part)["accuracy"] for part in sets[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/pretraining"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--no-test", action="store_true", help="do not read the test set, for choosing settings")
    parser.add_argument("--no-progress", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    table, test = read_table(DATA / "train.csv"), read_table(DATA / "test.csv")
    labels = Labels.from_labels(table.labels or [])
    questions = folder / "questions.txt"
    write_text(questions, "".join(f"{clean_text(text)}\n" for text in table.texts))

    def dataset(rows: np.ndarray, of: TextTable, tokenizer: Tokenizer) -> TextDataset:
        numbers = of.encode_labels(labels)
        return encode_texts([of.texts[i] for i in rows], tokenizer, MAX_LENGTH, numbers[rows])

    results: dict[str, dict[float, list[list[float]]]] = {"pretrained": {}, "from scratch": {}}
    start = folder / "pretrained"
    if not (start / "report.json").exists():
        pretrain(
            [questions], start, trainer=PRETRAINING, model=MODEL, vocab_size=4000, max_length=MAX_LENGTH,
            document="line", packing="document", progress=not arguments.no_progress, overwrite=True,
        )  # fmt: skip
    tokenizer = Tokenizer.from_pretrained(start)
    train, held_out = few(table, labels, 2)
    sets = [dataset(train, table, tokenizer), dataset(held_out, table, tokenizer)]
    if not arguments.no_test:
        sets.append(dataset(np.arange(len(test)), test, tokenizer))
    for seed in arguments.seeds:
        for name, runs in results.items():
            for lr in RATES:
                got = accuracy(start if name == "pretrained" else None, tokenizer, sets, len(labels), lr, seed)
                runs.setdefault(lr, []).append(got)
                sys.stderr.write(f"seed {seed}, {name}, lr {lr:g}: held out {got[0]:.4f}\n")
    lines = [
        "| start | lr, chosen on held-out questions | held-out accuracy | test accuracy, seeds | mean |",
        "|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        best = max(runs, key=lambda lr: float(np.mean([got[0] for got in runs[lr]])))
        figures = runs[best]
        tested = [got[1] for got in figures if len(got) > 1]
        lines.append(
            f"| {name} | {best:g} | {np.mean([got[0] for got in figures]):.3f} | "
            f"{', '.join(f'{x:.3f}' for x in tested) or '-'} | {np.mean(tested) if tested else float('nan'):.3f} |"
        )
    write_text(folder / "results.json", json.dumps(results, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
