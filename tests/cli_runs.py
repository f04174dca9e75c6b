"""What the tests of the command share: the command in this process, and files that a stranger may have."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import engine
from engine.cli import main
from engine.models import BertModel, TransformerConfig
from engine.text import Tokenizer

WORDS = {
    "card": ["my card has not arrived", "where is the new card", "the card is late again", "card still not here"],
    "money": ["the transfer failed", "money is missing from my account", "why was money taken", "transfer is pending"],
    "login": ["I forgot the password", "cannot sign in to the app", "reset my password please", "the app says locked"],
}
CHINESE = ["我的卡还没有到", "转账失败了", "我忘记了密码"]

TUNED = ("--max-length", "24", "--epochs", "1", "--batch-size", "8", "--lr", "0.01", "--no-progress")
SCRATCH = (*TUNED, "--layers", "1", "--dim", "16", "--heads", "2")


def without_plan(err: str) -> str:
    """Standard error without what a training says before its first step."""
    return re.sub(r"^(data|lengths|plan|cost): .*\n", "", err, flags=re.M)


def without_notes(err: str) -> str:
    """Standard error without notes on the data, which come before an error."""
    return re.sub(r"^note: .*\n", "", err, flags=re.M)


def _run(arguments: Sequence[Any], code: int, stdin: bytes) -> tuple[str, str]:
    """Standard output and standard error of the command, run in this process; of the latter not the plan of a training."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(a) for a in arguments])
                got: Any = 0
            except SystemExit as error:
                got = error.code or 0
    finally:
        sys.stdin = before
    assert got == code, f"{arguments}\n{out.getvalue()}\n{err.getvalue()}"
    return out.getvalue(), without_plan(err.getvalue())


def run_engine(*arguments: Any, code: int = 0, stdin: bytes = b"") -> str:
    """Standard output of the command; with code 2 its one line on standard error."""
    out, line = _run(arguments, code, stdin)
    if code == 2:
        line = without_notes(line)
        assert not out and line.startswith("engine") and line.count("\n") == 1 and line.endswith("\n"), line
    return out if code == 0 else line


def notes_of(*arguments: Any) -> list[str]:
    """What the command says on standard error, a line each."""
    return _run(arguments, 0, b"")[1].splitlines()


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def texts(copies: int = 2) -> list[tuple[str, str]]:
    """(text, label) of three classes, all different."""
    ends = ("hello", "thanks", "please", "now", "today", "again")
    return [(f"{text}, {ends[i]}", label) for i in range(copies) for label in WORDS for text in WORDS[label]]


def write_texts(path: Path, copies: int = 2, header: Sequence[str] = ("text", "intent")) -> Path:
    return write_rows(path, header, texts(copies))


def tagged(copies: int = 3) -> list[tuple[list[str], list[str]]]:
    """Sentences with BIO tags."""
    cities = (("new", "york"), ("berlin",), ("上海",))
    rows = []
    for i in range(copies):
        for city in cities:
            words = ["fly", "to", *city, "on", ("monday", "friday", "sunday")[i % 3]]
            rows.append((words, ["O", "O", "B-city", *["I-city"] * (len(city) - 1), "O", "B-day"]))
            rows.append((["play", "a", "song", "in", *city], ["O"] * 4 + ["B-city", *["I-city"] * (len(city) - 1)]))
    return rows


def write_conll(path: Path, copies: int = 3) -> Path:
    lines = ["\n".join(f"{w} {t}" for w, t in zip(words, tags)) for words, tags in tagged(copies)]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_encoder(folder: Path, **sizes: Any) -> Path:
    """A tiny published encoder with its tokenizer, as a stranger downloads one."""
    corpus = [text for text, _ in texts(6)] + [" ".join(words) for words, _ in tagged()]
    tokenizer = Tokenizer.train(corpus, vocab_size=300)
    given = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32, "max_position_embeddings": 32}
    given |= {"type_vocab_size": 2, "model_type": "bert", "num_attention_heads": 2, **sizes}
    engine.manual_seed(1)
    model = BertModel(TransformerConfig(vocab_size=tokenizer.vocab_size, **given))
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def read_json(path: Path) -> Any:
    """Its value; NaN and Infinity, which are no JSON, are errors."""

    def strange(name: str) -> Any:
        raise ValueError(f"{name} in {path}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=strange)
