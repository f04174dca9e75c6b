"""What the commands refuse: options that nothing would read, and faults that are named by the option they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, run_engine, texts, write_conll, write_rows, write_texts


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    write_texts(folder / "train.csv", 3)
    write_rows(folder / "numbers.csv", ("text", "label"), [(text, str(len(text))) for text, _ in texts(3)])
    write_conll(folder / "tags.conll")
    run_engine("train", folder / "train.csv", "-o", folder / "classes", *SCRATCH)
    run_engine("train", folder / "numbers.csv", "--task", "regression", "-o", folder / "regression", *SCRATCH)
    run_engine("train", folder / "tags.conll", "--task", "tagging", "-o", folder / "tagging", *SCRATCH)
    return folder


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict tagging -i tags.conll --text-column text", "--text-column: expected the number of a column"),
        ("predict tagging -i tags.conll --pair-column text", "--pair-column"),
        ("predict tagging -i tags.conll --encoding ascii", "got byte 0xe4 (name its encoding with --encoding"),
        ("predict classes x --quotes", "--quotes needs --input"),
        ("predict tagging --top-k 2 x", "--top-k is for tasks with labels of texts"),
        ("predict regression --top-k 2 x", "--top-k is for tasks with labels of texts"),
        ("predict classes -i train.csv --pair-column intent", "this run's model takes one text"),
        ("predict classes x -o nowhere/out.txt", "Invalid value for '--output' / '-o': No such file or directory"),
        ("evaluate tagging tags.conll --text-column text", "--text-column: expected the number of a column"),
        ("evaluate tagging tags.conll --label-column tag", "--label-column: expected the number of a column"),
        ("evaluate regression numbers.csv --per-class", "--per-class is for tasks with classes"),
        ("evaluate classes train.csv --per-class --json", "--per-class cannot be combined with --json"),
        ("evaluate classes train.csv --pair-column intent", "this run's model takes one text"),
        ("evaluate classes train.csv --picture nowhere/x.png", "'--picture': No such file or directory"),
        ("evaluate classes train.csv --picture x.xyz", "'--picture': expected a file name that ends in .png"),
        ("evaluate classes tags.conll", "expected a file that ends in .csv"),
        ("evaluate classes train.csv --label-column text", "--label-column: expected a column other than the text's"),
        ("embed classes train.csv -o nowhere/v.npy", "Invalid value for '--output' / '-o': No such file or directory"),
        ("train train.csv -o new --init nowhere/x", "--init: expected an existing folder"),
        ("pretrain train.csv -o new --init nowhere/x", "--init: expected an existing folder"),
        ("train train.csv -o new --dim 15", "--dim: expected a multiple of the number of attention heads, got 15 (--heads is 2)"),
        ("train train.csv -o new --validation-fraction 0.001", "--validation-fraction: expected two parts"),
        ("train train.csv -o new --validation-fraction 0 --clean leak", "--clean: expected kinds without 'leak'"),
        ("train train.csv -o new --validation-fraction 0 --group-column intent", "--group-column: expected no value"),
        ("pretrain --resume classes", "--resume: expected a run of the kind pretraining, got 'text'"),
    ],
)  # fmt: skip
def test_it_is_refused_by_name(place, monkeypatch, command, message):
    monkeypatch.chdir(place)
    assert message in run_engine(*command.split(), code=2)
    assert not (place / "new").exists()


@pytest.mark.parametrize("test", [(), ("--validation-fraction", 0, "--test")])
def test_a_training_that_diverges_says_so(place, tmp_path, test):
    options = (
        *SCRATCH,
        "--batch-size",
        64 if test else 32,
        "--lr",
        1e9,
        *test,
        *([place / "train.csv"] if test else []),
    )
    error = run_engine("train", place / "train.csv", "-o", tmp_path / "run", *options, code=2)
    assert "--lr: expected a rate with which the loss stays finite, got nan at" in error
    assert "the training diverged; a lower --lr may help" in error


@pytest.mark.parametrize(
    "name", ["trials = 3", "search_seed = 1", "prune = false", "output = 'x'", "threads = 1", "data = ['x']", "test = 'x'",
             "metric = 'loss'", "task = 'regression'", "checkpoint_every = 2", "group_column = 'x'", "validation_fraction = 0.0"],
)  # fmt: skip
def test_a_search_refuses_constants_that_no_trial_reads(place, tmp_path, name):
    (tmp_path / "space.toml").write_text(f"lr = [0.1, 0.2]\n{name}\n")
    error = run_engine(
        "search", tmp_path / "space.toml", place / "train.csv", "-o", tmp_path / "out", *SCRATCH[:2], code=2
    )
    assert f"SPACE: expected names of options of training, got '{name.split()[0]}'" in error
    assert not (tmp_path / "out").exists()


def test_a_search_refuses_options_that_it_does_not_read(place, tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "space.toml").write_text("lr = [0.01, 0.02]\n")
    options = [option for option in SCRATCH if option not in ("--no-progress", "--lr", "0.01")]
    search = ("search", tmp_path / "space.toml", place / "train.csv", "-o", tmp_path / "out", *options, "--trials", 1)
    for more, message in [
        (("--checkpoint-every", 2), "--checkpoint-every cannot be given"),
        (("--group-column", "intent"), "--group-column cannot be given"),
        (("--validation-fraction", 0), "--validation-fraction: expected a number above 0"),
    ]:
        assert message in run_engine(*search, *more, code=2)
        assert not (tmp_path / "out").exists()
    run_engine(*search)
    assert "--search-seed: expected 0, with which the search" in run_engine(*search, "--search-seed", 1, code=2)
