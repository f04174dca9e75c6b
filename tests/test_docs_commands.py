"""The commands of the pages that `test_docs.py` does not run, in the order of each page, on small files of the names that it uses.

Only these are left out: those for a GPU (howto/gpu.md, cuda.md), `--resume`, which needs a run that was interrupted, and lines that are not
of `engine` (pip, docker, make, `python -c`).
"""

from __future__ import annotations

import gzip
import random
import shlex
import shutil
from pathlib import Path

import pytest

from cli_runs import WORDS, run_engine, write_encoder, write_rows
from engine.runs import plan
from engine.tasks import classification
from test_docs import COMMAND, DOCUMENTS, FENCED, RUN

NEEDED = ("tokenizers", "pyarrow", "openpyxl", "onnx", "optuna", "tomli_w", "matplotlib", "tensorboard")
PAGES = {"README.md", "data.md", "finetuning.md", "guide.md", "serving.md"}
WITHOUT = {"gpu.md", "cuda.md"}  # need a GPU
SHORTER = {"search": ("--trials", "2"), "pretrain": ("--max-steps", "2")}


def write_files(folder: Path) -> None:
    """What the pages read."""
    rng = random.Random(0)
    words = [word for text in WORDS["card"] + WORDS["money"] for word in text.split()]
    labels = ("card", "money", "login")
    rows = []
    for label in labels * 160:
        rows.append((" ".join([label, *rng.sample(words, 8)]), label, rng.choice(["app", "mail"])))
    for name, part in (("train", rows[60:]), ("test", rows[:60]), ("questions", rows[:60])):
        write_rows(folder / f"{name}.csv", ("text", "category", "channel"), part)
    pairs = [(text, label) for text, label, _ in rows]
    for name in ("corpus", "wiki", "questions"):
        (folder / f"{name}.txt").write_text("\n\n".join(text for text, _ in pairs[:80]) + "\n")
    write_rows(folder / "few.csv", ("text", "label"), pairs[:40])
    write_rows(folder / "pairs.csv", ("text", "answer", "label"), [(a, f"it is {b}", b) for a, b in pairs[:60]])
    write_rows(folder / "stars.csv", ("text", "stars"), [(text, str(i % 5)) for i, (text, _) in enumerate(pairs[:60])])
    write_rows(
        folder / "movies.csv",
        ("text", "labels"),
        [(a, b if i % 3 else f"{b}|long") for i, (a, b) in enumerate(pairs[:60])],
    )
    switches = [(a, str(i % 2), str(i % 3 // 2), str(i % 5 // 4)) for i, (a, _) in enumerate(pairs[:60])]
    write_rows(folder / "comments.csv", ("text", "toxic", "insult", "threat"), switches)
    tagged = "\n\n".join(
        "\n".join(f"{word} X {tag}" for word, tag in zip(a.split(), ("O", "B-x", "I-x") * 9)) for a, _ in pairs[:40]
    )
    (folder / "words.conll").write_text(tagged + "\n")
    (folder / "train.conll").write_text(tagged.replace(" X ", " ") + "\n")
    rows_of_words = [
        (str(i), word, "O" if j else "B-é") for i, (a, _) in enumerate(pairs[:40]) for j, word in enumerate(a.split())
    ]
    table = "".join(",".join(row) + "\n" for row in [("Sentence #", "Word", "Tag"), *rows_of_words])
    (folder / "ner_dataset.csv").write_text(table, encoding="latin-1")
    (folder / "words.csv").write_text(table.partition("\n")[2])
    (folder / "plain.csv").write_text("".join(f"{b},{a}\n" for a, b in pairs[:60]))
    (folder / "export.txt.csv").write_text("text\tlabel\n" + "".join(f'a "{a}\t{b}\n' for a, b in pairs[:60]))
    (folder / "table.txt").write_text("text\tlabel\n" + "".join(f'"{a}"\t{b}\n' for a, b in pairs[:60]))
    for i, (a, b) in enumerate(pairs[:60]):
        place = folder / "reviews" / ("neg", "pos")[b == "card"]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.txt").write_text(a)
    as_other_files(folder)
    for name in ("MiniLM", "bert-base-uncased"):
        write_encoder(folder / name, max_position_embeddings=512)
    (folder / "settings.toml").write_text(
        'init = "MiniLM"\n[training]\nlr = 3e-4\nepochs = 3\nlayer-wise-lr-decay = 0.9\n'
    )
    (folder / "space.toml").write_text("lr = { low = 1e-5, high = 1e-3, log = true }\nepochs = [2, 3, 4]\n")


def as_other_files(folder: Path) -> None:
    """The tables as Parquet, Excel and compressed."""
    import openpyxl
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.csv.read_csv(folder / "train.csv"), folder / "data.parquet")
    (folder / "test.csv.gz").write_bytes(gzip.compress((folder / "test.csv").read_bytes()))
    book = openpyxl.Workbook()
    for row in (("text",), ("=1+1",), ("where is my card?",)):
        book.active.append(row)
    book.save(folder / "questions.xlsx")


def commands_of(page: Path) -> list[list[str]]:
    """The commands of each block."""
    blocks = [body for kind, body in FENCED.findall(page.read_text(encoding="utf-8")) if not kind]
    return [found for body in blocks if (found := COMMAND.findall(body))]


def test_every_page_with_commands_is_run_somewhere():
    written = {page.name for page in DOCUMENTS if commands_of(page)}
    assert written - RUN - WITHOUT == PAGES


@pytest.mark.parametrize("page", [page for page in DOCUMENTS if page.name in PAGES], ids=lambda page: page.name)
def test_the_commands_of_a_page(page, tmp_path, monkeypatch):
    for module in NEEDED:
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "_STEPS", 20)  # of a fine-tuning
    monkeypatch.setattr(plan, "_LEAST_EPOCHS", 1)
    monkeypatch.setitem(plan.DEFAULTS, "epochs", (1, None))
    monkeypatch.setattr(classification, "trusted_temperature", lambda logits, targets: 1.5)  # for --calibrated
    write_files(tmp_path)
    for block in commands_of(page):
        shutil.rmtree("hub", ignore_errors=True)  # blocks are read one by one, and two may export to one folder
        for command in block:
            name, *given = shlex.split(command.split(" | ")[0], comments=True)
            if "--resume" not in given:
                run_engine(name, *given, *SHORTER.get(name, ()))
