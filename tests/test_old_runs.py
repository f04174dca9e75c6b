"""Run folders of version 0.1 predict, evaluate and export as they did; a resume is refused by version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import read_json, run_engine, write_rows
from engine.inference import Predictor
from engine.models import AutoModelForMaskedLM, AutoModelForSequenceClassification, BertForTokenClassification

RUNS = Path(__file__).parent / "runs-0.1"
ANSWERS = read_json(RUNS / "answers.json")


@pytest.mark.parametrize("name", ANSWERS)
def test_predictions_are_the_same(name):
    expected = dict(ANSWERS[name])
    text = expected.pop("text")
    (answer,) = Predictor.from_pretrained(RUNS / name).answer([text])
    for key in ("probability", "probabilities"):
        if key in expected:
            assert answer.pop(key) == pytest.approx(expected.pop(key), abs=1e-4)  # other instruction sets
    assert answer == expected
    assert json.loads(run_engine("predict", RUNS / name, text, "--json"))["text"] == text


def test_the_columns_and_the_separator_that_a_run_was_trained_with_are_kept(tmp_path):
    data = write_rows(tmp_path / "x.csv", ("text", "intent"), [("the card is late", "card"), ("reset it", "login")])
    assert run_engine("evaluate", RUNS / "classification", data).splitlines()[-1].startswith("accuracy ")
    data = write_rows(tmp_path / "y.csv", ("text", "labels"), [("the card is late", "a;b"), ("reset it", "")])
    assert run_engine("evaluate", RUNS / "multilabel", data).splitlines()[-1].startswith("micro F1 ")
    (tmp_path / "z.conll").write_text("fly O\nto O\nberlin B-city\n")
    assert run_engine("evaluate", RUNS / "tagging", tmp_path / "z.conll").splitlines()[-1].startswith("F1 ")


def test_exports(tmp_path):
    run_engine("export", RUNS / "tagging", tmp_path / "tagging")
    run_engine("export", RUNS / "pretraining", tmp_path / "pretraining")
    assert "Task: tagging." in (tmp_path / "tagging/README.md").read_text()
    assert "Task: masked-language-modeling." in (tmp_path / "pretraining/README.md").read_text()
    BertForTokenClassification.from_pretrained(tmp_path / "tagging")
    AutoModelForMaskedLM.from_pretrained(tmp_path / "pretraining")
    AutoModelForSequenceClassification.from_pretrained(RUNS / "classification")


@pytest.mark.parametrize(("name", "command"), [("classification", "train"), ("pretraining", "pretrain")])
def test_a_resume_is_refused_by_version(tmp_path, name, command):
    shutil.copytree(RUNS / name, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    error = run_engine(command, "--resume", tmp_path / "run", code=2)
    assert "expected a run of format 2, got format 1" in error and "0.1.0" in error
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
