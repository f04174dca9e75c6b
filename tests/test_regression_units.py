"""A regression from scratch learns numbers of any size: its head and its loss are in units of the labels' standard deviation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, read_json, run_engine, write_rows
from engine.inference import Predictor
from engine.runs import resume
from engine.train import parameter_groups
from engine.train.parameters import in_units
from test_runs import broken, weights

WORDS = ("tiny", "small", "middle", "large", "huge")


def rows(low: float, high: float, count: int = 200) -> list[tuple[str, str]]:
    step = (high - low) / (len(WORDS) - 1)
    return [(f"a {WORDS[i % 5]} house {i % 7}", repr(low + step * (i % 5))) for i in range(count)]


@pytest.mark.parametrize(("low", "high"), [(20.0, 100.0), (1e5, 5e5), (-0.002, 0.002), (1950.0, 2020.0)])
def test_numbers_of_any_size_are_learned(low, high, tmp_path):
    write_rows(tmp_path / "data.csv", ("text", "label"), rows(low, high))
    run = tmp_path / "run"
    run_engine("train", tmp_path / "data.csv", "-o", run, *SCRATCH, "--task", "regression", "--epochs", 6, "--lr", 3e-3)
    held_out = read_json(run / "report.json")["held_out"]
    assert held_out["r2"] > 0.9 and held_out["rmse"] < 0.1 * (high - low)
    assert held_out["mse"] == pytest.approx(held_out["loss"])
    answers = [answer["value"] for answer in Predictor.from_pretrained(run).answer(["a tiny house", "a huge house"])]
    np.testing.assert_allclose(answers, [low, high], atol=0.2 * (high - low))  # in the labels' own unit
    losses = [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines() if '"loss"' in line]
    assert max(losses) < 20  # in units of the variance, of training and held-out texts alike


def test_parameters_in_another_unit_are_trained_as_in_the_usual_one():
    from engine import nn, no_grad, ones
    from engine.optim import AdamW

    ends = []
    for unit in (1.0, 2.0**14):
        model = nn.Linear(3, 1)
        with no_grad():
            model.weight.fill_(0.5 * unit)
            model.bias.fill_(0.25 * unit)
        names = {"weight": unit, "bias": unit} if unit != 1 else {}
        optimizer = AdamW(in_units(parameter_groups(model, 0.1), model, names, 0.01, 1e-8), lr=0.01, eps=1e-8)
        for _ in range(5):
            (model(ones(2, 3)) / unit - 1).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        ends.append(np.concatenate([p.detach().numpy().ravel() / unit for p in (model.weight, model.bias)]))
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-6)


def test_a_model_that_is_worse_than_the_mean_is_called_so(tmp_path: Path):
    rng = np.random.default_rng(0)
    table = [(f"{' '.join(rng.choice(list('abcdefgh'), 6))}", repr(float(rng.normal()))) for _ in range(60)]
    write_rows(tmp_path / "data.csv", ("text", "label"), table)
    run = tmp_path / "run"
    run_engine(
        "train",
        tmp_path / "data.csv",
        "-o",
        run,
        *SCRATCH,
        "--task",
        "regression",
        "--epochs",
        30,
        "--metric",
        "pearson",
        "--lr",
        1e-2,
    )
    report = read_json(run / "report.json")
    assert (report["held_out"]["r2"] < 0) == any("worse than an answer" in each for each in report["advice"])
    assert report["held_out"]["r2"] < 0


def test_a_run_that_is_gone_on_with_has_the_bits_of_one_in_one_piece(tmp_path):
    data = write_rows(tmp_path / "data.csv", ("text", "label"), rows(1e5, 5e5, 60))
    options = (*SCRATCH, "--task", "regression", "--checkpoint-every", "2")
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    run_engine("train", data, "-o", whole, *options)
    for step in (0, 4):
        broken(data, parted / str(step), *options, step=step)
        resume(parted / str(step))
        assert weights(parted / str(step)) == weights(whole)
