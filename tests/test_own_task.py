"""A task of one's own (own_task.py) trains, resumes, is judged and reported without a change to the package."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine.runs import Run
from engine.train import Callback, Trainer, TrainerConfig, read_log
from own_task import Grader, Ordinal, Wines

CONFIG = TrainerConfig(epochs=12, batch_size=16, lr=2e-2, checkpoint_every=3, seed=5)


class BreakOff(Callback):
    def on_step_end(self, trainer, loss):
        if trainer.state.step == 40:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def wines(tmp_path_factory) -> str:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 3)).astype(np.float32)
    score = values @ np.array([1.0, -0.5, 0.25], np.float32)
    grades = np.searchsorted(np.quantile(score, [0.2, 0.4, 0.6, 0.8]), score)
    path = tmp_path_factory.mktemp("wines") / "wines.csv"
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows([("acid", "sugar", "salt", "grade"), *([*v, g] for v, g in zip(values, grades))])
    return str(path)


def run(path: str, config: TrainerConfig = CONFIG) -> Run:
    train, test = Wines.read(path).split(0.2, stratify=True)
    train, held_out = train.split(0.2, stratify=True)
    engine.manual_seed(3)
    return Run(Grader(3, 5), Ordinal(5), config, {"train": train, "held_out": held_out, "test": test})


def weights(folder) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_it_is_trained_judged_and_reported(wines, tmp_path):
    report = run(wines).train(tmp_path / "run")
    assert report["test"]["mae"] < 0.35 and report["test"]["samples"] == 60
    assert report == json.loads((tmp_path / "run/report.json").read_text())
    assert (tmp_path / "run/report.md").read_text().splitlines()[-1] == f"test MAE {report['test']['mae']:.4f}"
    evaluations = [r["mae"] for r in read_log(tmp_path / "run/log.jsonl") if r["event"] == "eval"]
    assert report["held_out"]["mae"] == min(evaluations) < max(evaluations)  # less is better, and the best was kept
    page = (tmp_path / "run/report.html").read_text()
    assert "ordinal" in page and "mae" in page.lower()
    about = json.loads((tmp_path / "run/run.json").read_text())
    assert about["kind"] == "own" and about["trainer"]["epochs"] == 12


def test_it_resumes_to_the_same_bits(wines, tmp_path):
    whole = run(wines).train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(wines).train(tmp_path / "broken", callbacks=[BreakOff()])
    assert not (tmp_path / "broken/report.json").exists()
    engine.manual_seed(99)
    resumed = run(wines).resume(tmp_path / "broken")
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert resumed["test"] == whole["test"]
    other = run(wines)
    other.task = Ordinal(6)
    with pytest.raises(ValueError, match="classes: expected 5 as in the checkpoint, got 6"):
        other.resume(tmp_path / "broken")


def test_the_trainer_alone_takes_it(wines, device):
    table = Wines.read(wines)
    engine.manual_seed(3)
    config = replace(CONFIG, epochs=3, checkpoint_every=None, device=device)
    trainer = Trainer(Grader(3, 5), Ordinal(5), config, table, table)
    before = trainer.evaluate(table)["mae"]
    state = trainer.train()
    assert trainer.evaluate(table)["mae"] == state.best_metric < before / 2
    assert state.samples == state.tokens == state.padded_tokens == 900
