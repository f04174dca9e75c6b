"""The search: spaces, what is drawn, pruning, going on, and the files it leaves. The trainings are made up, but for one."""

from __future__ import annotations

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import engine
from engine.models import TransformerClassifier, TransformerConfig
from engine.runs import SearchSpace, search
from engine.runs.toml import read_toml, write_toml
from engine.tasks import Classification
from engine.text import TextDataset
from engine.train import Trainer, TrainerConfig

SPACE = {
    "lr": {"low": 1e-5, "high": 1e-1, "log": True},
    "epochs": [2, 3, 4],
    "batch_size": 16,
    "model": {"hidden_size": {"low": 16, "high": 64, "step": 16}, "pooler": True},
}


@pytest.fixture
def optuna():
    pytest.importorskip("tomli_w")
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def peak(settings, callbacks=()):
    """Best at lr 1e-3 and three epochs."""
    return 1.0 - abs(np.log10(settings["lr"]) + 3) / 10 - abs(settings["epochs"] - 3) / 10


# ---- spaces


class Draws:
    """Stands in for an Optuna trial: notes what it is asked for and gives the lowest."""

    def __init__(self):
        self.asked = []

    def suggest_float(self, name, low, high, *, step=None, log=False):
        self.asked.append(("float", name, low, high, step, log))
        return low

    def suggest_int(self, name, low, high, *, step=1, log=False):
        self.asked.append(("int", name, low, high, step, log))
        return low

    def suggest_categorical(self, name, choices):
        self.asked.append(("choice", name, tuple(choices)))
        return choices[0]


def test_space():
    space = SearchSpace({**SPACE, "steps": {"low": 10, "high": 1000, "log": True}, "p": {"low": 0, "high": 0.5}})
    assert space.names == ["lr", "epochs", "model.hidden_size", "steps", "p"]
    draws = Draws()
    assert space.suggest(draws) == {
        "lr": 1e-5, "epochs": 2, "batch_size": 16, "model": {"hidden_size": 16, "pooler": True}, "steps": 10, "p": 0,
    }  # fmt: skip
    assert draws.asked == [
        ("float", "lr", 1e-5, 1e-1, None, True),
        ("choice", "epochs", (2, 3, 4)),
        ("int", "model.hidden_size", 16, 64, 16, False),
        ("int", "steps", 10, 1000, 1, True),
        ("float", "p", 0, 0.5, None, False),
    ]


def test_space_of_a_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text('lr = {low = 1e-5, high = 1e-1, log = true}\nepochs = [2, 3, 4]\nbatch_size = 16\n[model]\n'
                    'pooler = true\nhidden_size = {low = 16, high = 64, step = 16}\n')  # fmt: skip
    assert SearchSpace.from_toml(path).describe() == SearchSpace(SPACE).describe()
    path.write_text("lr = ")
    with pytest.raises(ValueError, match=r"\[read_toml\] path: expected TOML"):
        SearchSpace.from_toml(path)
    with pytest.raises(FileNotFoundError, match="existing file"):
        SearchSpace.from_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "space, error, message",
    [
        ([], TypeError, "space: expected a dict"),
        ({}, ValueError, "expected at least one range or choice, got none"),
        ({"lr": 1e-3, "model": {}}, ValueError, "expected at least one range or choice, got none"),
        ({"lr": {"low": 1}}, ValueError, r"lr: expected low, high and perhaps log or step, got low"),
        ({"lr": {"low": 1, "high": 2, "base": 3}}, ValueError, "got low, high, base"),
        ({"lr": {"low": 2, "high": 1}}, ValueError, r"lr: expected low <= high"),
        ({"lr": {"low": 0.0, "high": 1.0, "log": True}}, ValueError, r"lr: expected 0 < low <= high"),
        ({"lr": {"low": float("nan"), "high": 1.0}}, ValueError, "finite"),
        ({"lr": {"low": "0", "high": 1}}, TypeError, "expected numbers, got '0'"),
        ({"lr": {"low": False, "high": 1}}, TypeError, "expected numbers, got False"),
        ({"lr": {"low": 1, "high": 2, "log": 1}}, TypeError, "expected log = true or false, got log = 1"),
        (
            {"lr": {"low": 1, "high": 9, "step": 0.5}},
            ValueError,
            "expected a whole step above 0 in a range of whole numbers, got 0.5",
        ),
        ({"lr": {"low": 1, "high": 9, "step": 1, "log": True}}, ValueError, "expected log or step, but not both"),
        ({"lr": []}, ValueError, "lr: expected at least one value"),
        ({"model": {"betas": [[0.9, 0.99]]}}, TypeError, r"model.betas: expected numbers, strings or booleans"),
        ({"a.b": [1]}, ValueError, "names without dots"),
    ],
)
def test_spaces_that_are_refused(space, error, message):
    with pytest.raises(error, match=message):
        SearchSpace(space)


def test_toml(tmp_path):
    pytest.importorskip("tomli_w")
    values = {"lr": 1e-3, "name": 'ein "ß"', "none": None, "model": {"pooler": True, "none": None, "sizes": [1, 2]}}
    write_toml(tmp_path / "x.toml", values, "first\nsecond")
    assert (tmp_path / "x.toml").read_text(encoding="utf-8").startswith("# first\n# second\n")
    assert read_toml(tmp_path / "x.toml") == {
        "lr": 1e-3, "name": 'ein "ß"', "model": {"pooler": True, "sizes": [1, 2]},
    }  # fmt: skip


# ---- searching


def test_finds_the_peak_and_writes_it(optuna, tmp_path):
    seen = []
    result = search(peak, SPACE, tmp_path / "a 表", trials=15, prune=False, on_trial=seen.append)
    assert [trial.number for trial in result.trials] == list(range(15)) and seen == list(result.trials)
    assert result.value == max(trial.value for trial in result.trials) == result.trials[result.number].value
    assert result.value == peak(result.settings) > 0.9
    assert result.settings["batch_size"] == 16 and result.settings["model"]["pooler"] is True
    folder = tmp_path / "a 表"
    assert read_toml(folder / "best.toml") == result.settings
    assert "accuracy" in (folder / "best.toml").read_text().splitlines()[0]
    with open(folder / "trials.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["accuracy"]) for row in rows] == [trial.value for trial in result.trials]
    assert float(rows[result.number]["lr"]) == result.settings["lr"]
    lines = (folder / "trials.md").read_text().splitlines()
    assert lines[0] == "| trial | state | accuracy | lr | epochs | model.hidden_size | seconds |" and len(lines) == 17


def test_less_is_better(optuna, tmp_path):
    result = search(lambda s, c: -peak(s), SPACE, tmp_path, trials=6, metric="loss")
    assert result.value == min(trial.value for trial in result.trials)


def test_same_seed_and_going_on(optuna, tmp_path):
    """Broken off twice, once within a trial: what an unbroken search draws."""
    drawn = []

    def breaks(settings, callbacks):
        drawn.append(settings)
        if len(drawn) == 6:
            raise KeyboardInterrupt
        return peak(settings)

    def whole(folder, seed):
        result = search(peak, SPACE, tmp_path / folder, trials=8, seed=seed, startup=3)
        return result, [trial.settings for trial in result.trials]

    wanted, trials = whole("whole", 5)
    assert whole("again", 5)[1] == trials != whole("other", 6)[1]
    search(breaks, SPACE, tmp_path / "broken", trials=4, seed=5, startup=3)
    with pytest.raises(KeyboardInterrupt):
        search(breaks, SPACE, tmp_path / "broken", trials=8, seed=5, startup=3)
    found = search(breaks, SPACE, tmp_path / "broken", trials=8, seed=5, startup=3)
    assert [trial.settings for trial in found.trials] == trials and found.settings == wanted.settings
    assert len(drawn) == 9 and drawn[5] == drawn[6]
    for change in ({"space": {**SPACE, "epochs": [2, 3]}}, {"seed": 6}, {"metric": "macro_f1"}, {"minimize": True}):
        options = {"space": SPACE, "seed": 5, "startup": 3, **change}
        if change == {"minimize": True}:
            with pytest.raises(ValueError):
                search(peak, output=tmp_path / "broken", trials=9, **options)
            continue
        with pytest.raises(ValueError, match=rf"\[search\] {next(iter(change))}: expected .* began"):
            search(peak, output=tmp_path / "broken", trials=9, **options)


def training(metric, epochs, steps=30):
    """A training that reports metric(progress) at the end of each epoch."""

    def train(settings, callbacks):
        trainer = SimpleNamespace(total_steps=steps)
        for epoch in range(1, epochs(settings) + 1):
            step = steps * epoch // epochs(settings)
            for callback in callbacks:
                callback.on_log(trainer, {"event": "train", "step": step, "loss": 1.0})
                callback.on_log(trainer, {"event": "eval", "step": step, "accuracy": metric(settings, step / steps)})
        return metric(settings, 1.0)

    return train


def test_pruning(optuna, tmp_path):
    space = {"good": [0.0, 1.0], "epochs": [2, 3, 5]}
    train = training(lambda s, progress: s["good"] * progress, lambda s: s["epochs"])
    result = search(train, space, tmp_path / "a", trials=12, startup=4)
    pruned = [trial for trial in result.trials if trial.state == "pruned"]
    assert pruned and all(trial.settings["good"] == 0.0 and trial.value == 0.0 for trial in pruned)
    assert result.value == 1.0 and all(trial.state == "complete" for trial in result.trials[:4])
    kept = search(train, space, tmp_path / "b", trials=6, startup=4, prune=False)
    assert {trial.state for trial in kept.trials} == {"complete"}


def test_trainings_that_diverge(optuna, tmp_path):
    def train(settings, callbacks):
        if settings["x"] > 0.7:
            raise FloatingPointError("nan")
        return float("inf") if settings["x"] > 0.5 else settings["x"]

    space = {"x": {"low": 0.0, "high": 1.0}}
    result = search(train, space, tmp_path / "a", trials=12)
    diverged = [trial for trial in result.trials if trial.settings["x"] > 0.5]
    assert len(diverged) > 2 and {(t.state, t.value) for t in diverged} == {("diverged", None)}
    assert len(result.trials) == 12 and 0.3 < result.value <= 0.5
    search_none = training(lambda s, progress: float("nan"), lambda s: 1)
    with pytest.raises(ValueError, match="trials: expected at least one that was completed, got none of 2"):
        search(search_none, space, tmp_path / "b", trials=2)


def test_what_is_refused(optuna, tmp_path):
    space = {"x": [1, 2]}
    with pytest.raises(TypeError, match=r"\[search\] train: expected a function that gives a number, got str"):
        search(lambda s, c: "0.9", space, tmp_path / "a")
    with pytest.raises(ValueError, match=r"metric: expected a figure of the evaluations \(.*accuracy\), got 'f1'"):
        search(training(lambda s, p: p, lambda s: 1), space, tmp_path / "b", metric="f1")
    with pytest.raises(ZeroDivisionError):
        search(lambda s, c: 1 / 0, space, tmp_path / "c")
    for name, value, error in [("trials", 0, ValueError), ("trials", 2.0, TypeError), ("startup", True, TypeError)]:
        with pytest.raises(error, match=rf"\[search\] {name}: expected"):
            search(peak, SPACE, tmp_path / "d", **{name: value})
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("missing", ["optuna", "tomli_w"])
def test_without_the_extra(monkeypatch, tmp_path, missing):
    for name in {"optuna", "tomli_w"} - {missing}:
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, SimpleNamespace()))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"\[search\] {missing}: expected .*engine\[search\]"):
        search(peak, SPACE, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_real_training(optuna, tmp_path):
    """The callbacks prune a Trainer's training, which then ends where it stands."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=40)
    data = TextDataset([[3 + label, *rng.integers(5, 9, size=3)] for label in labels], labels)
    steps = []

    def train(settings, callbacks):
        engine.manual_seed(0)
        model = TransformerClassifier(
            TransformerConfig(
                10,
                hidden_size=8,
                intermediate_size=8,
                max_position_embeddings=8,
                num_hidden_layers=1,
                hidden_dropout_prob=0.0,
                initializer_range=0.3,
            )
        )
        config = TrainerConfig(epochs=5, batch_size=8, lr=settings["lr"], metric="loss", checkpoint_every=0)
        trainer = Trainer(model, Classification(), config, data, data, callbacks=callbacks)
        try:
            return trainer.train().best_metric
        finally:
            steps.append(trainer.state.step)

    result = search(train, {"lr": [0.0, 1e-2, 1.5e-2, 2e-2]}, tmp_path, trials=8, startup=3, metric="loss")
    assert result.settings["lr"] > 0
    for trial, count in zip(result.trials, steps):
        assert (count < 25) == (trial.state == "pruned")
    assert any(trial.state == "pruned" for trial in result.trials)
