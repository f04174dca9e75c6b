"""`engine search`: one voice in the terminal, data that changed, and what an interruption leaves."""

from __future__ import annotations

import csv
import logging

import pytest

import engine.runs
from cli_runs import _run, run_engine, texts, write_rows

pytest.importorskip("tomli_w")
optuna = pytest.importorskip("optuna")

SIZES = ("--max-length", 24, "--batch-size", 8, "--layers", 1, "--dim", 16, "--heads", 2, "--validation-fraction", 0.25)


@pytest.fixture
def command(tmp_path):
    (tmp_path / "space.toml").write_text("lr = [0.01, 0.02, 0.03]\n")
    data = write_rows(tmp_path / "a.csv", ("text", "label"), texts(2))
    return ("search", tmp_path / "space.toml", data, "-o", tmp_path / "out", "--epochs", 1, *SIZES)


def test_only_our_lines_are_printed(command, caplog):
    before = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    optuna.logging.set_verbosity(logging.INFO)
    try:
        assert run_engine(*command, "--trials", 1).count("trial 0: complete") == 1
        assert optuna.logging.get_verbosity() == logging.INFO  # as it was
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(before)
    assert [record.message for record in caplog.records if record.name.startswith("optuna")] == []


def test_data_that_changed_are_refused(command, tmp_path):
    run_engine(*command, "--trials", 1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.suffix != ".db"}
    with open(tmp_path / "a.csv", "a") as stream:
        stream.write("one more text,card\n")
    error = run_engine(*command, "--trials", 2, code=2)
    assert "DATA: expected" in error and "with which the search in" in error and "began" in error
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.suffix != ".db"} == before


def test_an_interrupted_search_says_how_to_go_on_and_does(command, tmp_path, monkeypatch):
    train_text, calls = engine.runs.train_text, []

    def breaks(*given, **options):
        calls.append(options["output"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_text(*given, **options)

    monkeypatch.setattr(engine.runs, "train_text", breaks)
    out, err = _run([*command, "--trials", 3], 130, b"")
    assert out.count("trial ") == 1 and "interrupted; the same command goes on with the search" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["study.db", "trials.csv", "trials.md"]
    out = run_engine(*command, "--trials", 3)
    assert out.count("trial ") == 2 and "trial 1: complete" in out and "best accuracy" in out
    with open(tmp_path / "out/trials.csv", newline="") as stream:
        assert [row["state"] for row in csv.DictReader(stream)] == ["complete"] * 3
    assert (tmp_path / "out/best.toml").exists() and len(calls) == 4
