"""Fine-tuning with all defaults against two baselines: `python -m bench.defaults --init FOLDER`.

A cell is a data set with some number of texts for each label, chosen by a seed. On each cell `engine train` runs with nothing but
--init, and the accuracy on the whole test set is compared with
    TF-IDF: logistic regression on TF-IDF of words and pairs of words,
    frozen: logistic regression on the embeddings that `SentenceEncoder` gives with the same encoder; with scikit-learn's default for
            C (1), and with C = 10, which suits embeddings better.
Baselines learn from all texts of the cell. They need scikit-learn. Results are appended to a JSON Lines file; cells that are in it
already are not run again.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

Rows = list[tuple[str, str]]

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = {
    "banking77": ("banking77/train.csv", "banking77/test.csv", "category"),
    "snips": ("snips/train.tsv", "snips/test.tsv", "intent"),
    "sms_spam": ("sms_spam/train.csv", "sms_spam/test.csv", "label"),
}
SIZES = (5, 10, 25, 0)  # texts for each label; 0: all
MARGIN = 0.005  # by which a mean of accuracies may be below the better baseline


def read(path: str, label: str) -> Rows:
    with open(EXAMPLES / path, newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream, delimiter="\t" if path.endswith(".tsv") else ",")
        return [(row["text"], row[label]) for row in rows]


def some(rows: Rows, count: int, seed: int) -> Rows:
    """So many rows of each label, chosen at random."""
    chosen: dict[str, Rows] = {}
    for i in np.random.default_rng(seed).permutation(len(rows)).tolist():
        mine = chosen.setdefault(rows[i][1], [])
        if len(mine) < count:
            mine.append(rows[i])
    return [row for mine in chosen.values() for row in mine]


def baselines(train: Rows, test: Rows, init: str) -> dict[str, float]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from engine.inference import SentenceEncoder

    (texts, labels), (asked, truth) = zip(*train), zip(*test)

    def fitted(x: Any, y: Any, c: float = 1.0) -> float:
        return float(LogisticRegression(C=c, max_iter=2000).fit(x, labels).score(y, truth))

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    encoder = SentenceEncoder.from_pretrained(init)
    x, y = (np.asarray(encoder.encode(list(part))) for part in (texts, asked))
    return {
        "tfidf": fitted(words.fit_transform(texts), words.transform(asked)),
        "frozen": fitted(x, y),
        "frozen_c10": fitted(x, y, 10.0),
    }


def defaults(train: Rows, test: Rows, init: str, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as name:
        folder = Path(name)
        for part, rows in (("train", train), ("test", test)):
            with open(folder / f"{part}.csv", "w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([("text", "label"), *rows])
        command = [
            sys.executable,
            "-m",
            "engine.cli",
            "train",
            str(folder / "train.csv"),
            "--test",
            str(folder / "test.csv"),
        ]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--init", init, "--seed", str(seed), "-o", str(folder / "run"), "--no-progress"],
            check=True, capture_output=True,
        )  # fmt: skip
        report = json.loads((folder / "run/report.json").read_text(encoding="utf-8"))
        return {
            "engine": report["test"]["accuracy"], "epochs": report["training"]["epochs"],
            "seconds": time.perf_counter() - started,
        }  # fmt: skip


def cell(name: str, count: int, seed: int, init: str) -> dict[str, Any]:
    train_file, test_file, label = DATA[name]
    train, test = read(train_file, label), read(test_file, label)
    if count:
        train = some(train, count, seed)
    facts = {"data": name, "texts_per_label": count, "seed": seed, "texts": len(train)}
    return {**facts, **defaults(train, test, init, seed), **baselines(train, test, init)}


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    yield "| data | texts a label | texts | seeds | engine, all defaults | TF-IDF | frozen, C = 1 | frozen, C = 10 | epochs | within the margin |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    keys = dict.fromkeys((r["data"], r["texts_per_label"]) for r in results)
    for data, count in keys:
        mine = [r for r in results if (r["data"], r["texts_per_label"]) == (data, count)]
        mean = {k: float(np.mean([r[k] for r in mine])) for k in ("engine", "tfidf", "frozen", "frozen_c10", "epochs")}
        held = mean["engine"] >= max(mean["tfidf"], mean["frozen"]) - MARGIN
        cells = [f"{mean[k]:.4f}" for k in ("engine", "tfidf", "frozen", "frozen_c10")]
        about = f"| {data} | {count or 'all'} | {mine[0]['texts']:,} | {len(mine)} | "
        yield about + " | ".join(cells) + f" | {mean['epochs']:.0f} | {'yes' if held else 'NO'} |"


@click.command()
@click.option("--init", required=True, help="The encoder's folder.")
@click.option("--data", "names", multiple=True, type=click.Choice([*DATA]), help="Data sets (default: all).")
@click.option(
    "--texts", "sizes", multiple=True, type=int, help="Texts for each label; 0: all (default: 5, 10, 25, all)."
)
@click.option("--seeds", default=3, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=Path("build/defaults.jsonl"), show_default=True)
def main(init: str, names: tuple[str, ...], sizes: tuple[int, ...], seeds: int, results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    known = {(r["data"], r["texts_per_label"], r["seed"]) for r in done}
    for seed in range(seeds):
        for count in sizes or SIZES:
            for name in names or DATA:
                if (name, count, seed) in known:
                    continue
                done.append(cell(name, count, seed, init))
                with open(results, "a", encoding="utf-8") as stream:
                    stream.write(json.dumps(done[-1]) + "\n")
                click.echo(json.dumps(done[-1]), err=True)
    click.echo("\n".join(table(sorted(done, key=lambda r: (r["data"], r["texts_per_label"] or 10**9)))))


if __name__ == "__main__":
    main()
