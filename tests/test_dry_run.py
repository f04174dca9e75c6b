"""`engine train --dry-run` and `text_plan`: the plan of a training without the training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import engine
from cli_runs import SCRATCH, TUNED, notes_of, run_engine, write_encoder, write_texts
from engine.runs import StartConfig, TextData, text_plan, train_text
from engine.train import TrainerConfig


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "train.csv", copies=6)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def plan_lines(text: str) -> list[str]:
    """The lines without the cost, which is measured anew each time."""
    return [line for line in text.splitlines() if not line.startswith("cost: ")]


def test_the_plan_is_the_one_of_the_training_and_nothing_is_written(table, tmp_path, monkeypatch):
    write_encoder(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    before = files(tmp_path)
    out = run_engine("train", table, "--init", tmp_path / "encoder", *TUNED, "--dry-run")
    assert files(tmp_path) == before
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["data", "lengths", "plan", "plan", "plan", "cost"]
    assert lines[0] == "data: 72 training texts, 3 labels; columns: text 'text', label 'intent'"
    assert "1 epoch, 9 steps; learning rate 0.01" in lines[2]
    assert "of training on" in lines[-1] and lines[-1].endswith("MiB of memory")

    said: list[str] = []
    data, trainer = TextData((str(table),), max_length=24), TrainerConfig(epochs=1, batch_size=8, lr=0.01)
    start = StartConfig(init=str(tmp_path / "encoder"))
    train_text(data, trainer, tmp_path / "run", start=start, announce=said.append)
    assert plan_lines(text_plan(data, trainer, start=start)) == plan_lines(said[0])


def test_a_plan_draws_no_random_numbers_for_what_follows(table, tmp_path):
    data, trainer = TextData((str(table),), max_length=24), TrainerConfig(epochs=1, batch_size=8)
    start = StartConfig(sizes={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    train_text(data, trainer, tmp_path / "first", start=start)
    text_plan(data, trainer, start=start)
    train_text(data, trainer, tmp_path / "second", start=start)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


def test_notices_come_with_the_plan(tmp_path):
    table = write_texts(tmp_path / "long.csv", copies=6)
    notes = notes_of("train", table, *SCRATCH, "--max-length", 4, "--dry-run")
    assert len(notes) == 2 and all(note.startswith("note: ") and "were cut" in note for note in notes)
    said: list[str] = []
    text_plan(TextData((str(table),), max_length=4), TrainerConfig(epochs=1), notify=said.append)
    assert said and "cut" in said[0]


def test_errors_are_those_of_a_training(table, tmp_path):
    run_engine("train", table, *SCRATCH, "-o", tmp_path / "run")
    assert "--output: expected a new folder" in run_engine(
        "train", table, *SCRATCH, "-o", tmp_path / "run", "--dry-run", code=2
    )
    before = files(tmp_path / "run")
    run_engine("train", table, *SCRATCH, "-o", tmp_path / "run", "--overwrite", "--dry-run")
    assert files(tmp_path / "run") == before  # the earlier run is still there
    assert "--dry-run cannot be combined with --resume" in run_engine(
        "train", "--resume", tmp_path / "run", "--dry-run", code=2
    )
    assert "Missing argument 'DATA'" in run_engine("train", "--dry-run", code=2)
    assert "--lr: expected a finite number >= 0" in run_engine("train", table, "--lr", -1, "--dry-run", code=2)
    with pytest.raises(ValueError, match=r"\[train\] automatic: expected some of .*, got 'speed'"):
        text_plan(TextData((str(table),)), TrainerConfig(), automatic=("speed",))


def test_the_plan_of_a_gpu_waits_for_it_and_counts_its_memory(table, cuda, monkeypatch):
    waits: list[str] = []
    synchronize = engine.cuda.synchronize
    monkeypatch.setattr(engine.cuda, "synchronize", lambda device: (waits.append(str(device)), synchronize(device)))
    start = StartConfig(sizes={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    trainer = TrainerConfig(epochs=1, batch_size=4, device=cuda)
    cost = text_plan(TextData((str(table),), max_length=8), trainer, start=start).splitlines()[-1]
    assert waits == ["cuda:0", "cuda:0"]
    assert re.fullmatch(r"cost: .* of training on cuda:0, up to \d+ MiB of its memory", cost)
