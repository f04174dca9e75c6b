"""A task of one's own (own_task.py) trains, resumes, is judged and reported without a change to the package."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.runs import Run
from engine.train import Callback, Trainer, TrainerConfig, read_log
from own_task import Grader, Ordinal, Wines

OLD_RUN = Path(__file__).parent / "runs-0.1/classification"
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
        run(wines).train(tmp_path / "broken", callbacks=[BreakOff()], keep_checkpoints=True)
    assert not (tmp_path / "broken/report.json").exists()
    engine.manual_seed(99)
    resumed = run(wines).resume(tmp_path / "broken")
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    assert resumed["test"] == whole["test"]
    other = run(wines)
    other.task = Ordinal(6)
    with pytest.raises(ValueError, match="classes: expected 5 as in the checkpoint, got 6"):
        other.resume(tmp_path / "broken")


def everything(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_resume_refuses_other_runs_and_writes_nothing(wines, tmp_path):
    quick = replace(CONFIG, epochs=1, checkpoint_every=0)
    run(wines, quick).train(tmp_path / "finished")

    class Early(Callback):
        def on_step_end(self, trainer, loss):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(wines, quick).train(tmp_path / "broken", callbacks=[Early()])
    shutil.copytree(OLD_RUN, tmp_path / "old")
    shutil.copytree(tmp_path / "broken", tmp_path / "text")
    about = json.loads((tmp_path / "text/run.json").read_text())
    (tmp_path / "text/run.json").write_text(json.dumps({**about, "kind": "text"}))
    (tmp_path / "empty").mkdir()
    before = everything(tmp_path)
    for name, config, error, message in [
        ("finished", quick, ValueError, "expected a run that was interrupted, got the finished run"),
        ("broken", replace(quick, lr=1e-3), ValueError, r"\[resume\] trainer.lr: expected 0.02, as in the run.json of"),
        ("old", quick, ValueError, "expected a run of format 2, got format 1"),
        ("text", quick, ValueError, r"expected a run of the kind own, got 'text' \(engine train --resume resumes it\)"),
        ("empty", quick, FileNotFoundError, "expected a run folder with run.json"),
        ("nowhere", quick, FileNotFoundError, "expected an existing run folder"),
    ]:
        with pytest.raises(error, match=message):
            run(wines, config).resume(tmp_path / name)
        assert everything(tmp_path) == before and not (tmp_path / "nowhere").exists()
    other = run(wines, quick)
    other.task = Ordinal(6)
    with pytest.raises(ValueError, match=r"task.classes: expected 5, as in the run.json of .*, got 6"):
        other.resume(tmp_path / "broken")
    assert everything(tmp_path) == before
    run(wines, quick).resume(tmp_path / "broken")
    assert weights(tmp_path / "broken") == weights(tmp_path / "finished")


def test_wrong_arguments_are_named(wines, tmp_path):
    table = Wines.read(wines)
    for parts, config, message in [
        (table, CONFIG, "parts: expected a dict of data by name, got Wines"),
        ({"train": table}, None, "trainer: expected a TrainerConfig, got NoneType"),
    ]:
        with pytest.raises(TypeError, match=message):
            Run(Grader(3, 5), Ordinal(5), config, parts)
    strange = run(wines)
    strange.task.settings = lambda: {"x": object()}
    with pytest.raises(TypeError, match=r"settings\] .*x.*: expected"):
        strange.train(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_trainer_alone_takes_it(wines, device):
    table = Wines.read(wines)
    engine.manual_seed(3)
    config = replace(CONFIG, epochs=3, checkpoint_every=None, device=device)
    trainer = Trainer(Grader(3, 5), Ordinal(5), config, table, table)
    before = trainer.evaluate(table)["mae"]
    state = trainer.train()
    assert trainer.evaluate(table)["mae"] == state.best_metric < before / 2
    assert state.samples == state.tokens == state.padded_tokens == 900
