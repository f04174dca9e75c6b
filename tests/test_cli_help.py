"""What helps a user on: suggestions for unknown options, completion in a shell, all missing packages at once."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli_runs import run_engine, write_texts
from engine.cli import main
from engine.commands import cli
from engine.commands.packages import EXTRAS
from engine.suggestions import _ELSEWHERE, suggestion

ROOT = Path(__file__).parent.parent
PATHS = {name: os.path.abspath(path) for name in ("PYTHONPATH",) if (path := os.environ.get(name))}


# ---- unknown options


@pytest.mark.parametrize(
    ("command", "option", "meant"),
    [
        ("train", "--learning-rate", "--lr"), ("train", "--learning_rate=1e-4", "--lr"), ("train", "--num_train_epochs", "--epochs"),
        ("train", "--num-epochs", "--epochs"), ("train", "--per_device_train_batch_size", "--batch-size"),
        ("train", "--max-seq-length", "--max-length"), ("train", "--model-name-or-path", "--init"), ("train", "--output_dir", "--output"),
        ("train", "--weight_decay", "--weight-decay"), ("train", "--epoch", "--epochs"), ("train", "--fp16", "--precision"),
        ("train", "--validation-split", "--validation-fraction"), ("train", "--random-state", "--seed"), ("train", "--patience", "--early-stopping"),
        ("pretrain", "--mlm_probability", "--mask"), ("pretrain", "--validation-file", "--held-out"), ("pretrain", "--block-size", "--max-length"),
        ("predict", "--input-file", "--input"), ("predict", "--topk", "--top-k"), ("search", "--n-trials", "--trials"),
        ("embed", "--output-file", "--output"), ("export", "--torch-dtype", "--dtype"), ("evaluate", "--classification-report", "--per-class"),
    ],
)  # fmt: skip
def test_a_known_name_from_elsewhere_finds_ours(command, option, meant):
    name = option.partition("=")[0]
    assert (
        run_engine(command, option, "1", code=2) == f"engine {command}: No such option: {name}. Did you mean {meant}?\n"
    )


def test_what_is_not_needed_says_why_and_nonsense_says_nothing():
    assert "It is not needed: `engine train` trains." in run_engine("train", "--do_train", code=2)
    assert "name the files after the command" in run_engine("train", "--train-file", "x", code=2)
    assert run_engine("train", "--qqqq", code=2) == "engine train: No such option: --qqqq.\n"


def test_settings_files_are_helped_too(tmp_path):
    (tmp_path / "settings.toml").write_text("learning_rate = 1e-4\n")
    data = write_texts(tmp_path / "x.csv")
    error = run_engine("train", data, "-o", tmp_path / "run", "--config", tmp_path / "settings.toml", code=2)
    assert "got 'learning_rate' (Did you mean lr?)" in error


def test_each_suggested_option_is_one_and_no_name_hides_it():
    known = {name for command in cli.commands.values() for p in command.params for name in (*p.opts, *p.secondary_opts)}
    assert set(_ELSEWHERE) <= known
    for option in known:
        assert not option.startswith("--") or suggestion(option, known) == f"Did you mean {option}?"


# ---- completion


def answer() -> str:
    """What the command writes for a shell: it answers in bytes, and ends with code 0."""
    out = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        main([])
    out.flush()
    assert not end.value.code
    return out.buffer.getvalue().decode()


@pytest.fixture
def complete(monkeypatch):
    """What the command answers to a shell that asks how the last word may go on, as lines."""

    def ask(shell: str, *words: str) -> list[str]:
        monkeypatch.setenv("_ENGINE_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["engine", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
        return answer().splitlines()

    return ask


def test_shells_are_given_commands_options_and_values(complete):
    assert set(complete("bash", "pre")) == {"plain,predict", "plain,pretrain"}
    assert "plain,--lr" in complete("bash", "train", "--l")
    assert complete("bash", "train", "--task", "multi") == ["plain,multilabel"]
    assert complete("bash", "train", "x") == ["file,x"] and complete("bash", "evaluate", "x") == ["dir,x"]
    assert complete("bash", "train", "--init", "x") == complete("bash", "train", "--output", "x") == ["dir,x"]
    assert complete("zsh", "expo")[:2] == ["plain", "export"]
    assert "export" in complete("fish", "expo")[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell, monkeypatch):
    monkeypatch.setenv("_ENGINE_COMPLETE", f"{shell}_source")
    script = answer()
    assert f"_ENGINE_COMPLETE={shell}_complete" in script and "engine" in script
    assert f"_ENGINE_COMPLETE={shell}_source engine" in (ROOT / "docs/command.md").read_text()
    if shell == "bash" and shutil.which("bash"):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


# ---- missing packages


def without(packages: tuple[str, ...], *arguments: object) -> str:
    """The error of the command where these packages are missing."""
    program = f"import sys; sys.modules.update(dict.fromkeys({packages!r})); from engine.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, **PATHS}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout, done.stderr
    return done.stderr


def test_all_missing_packages_are_named_at_once(tmp_path):
    for name in ("x.parquet", "x.csv.zst", "x.xlsx"):
        (tmp_path / name).write_bytes(b"")
    assert "pip install 'engine[cli]'" in without(("tqdm",), "train", tmp_path / "x.parquet", "-o", tmp_path / "run")
    error = without(
        ("tqdm", "tokenizers", "pyarrow", "tensorboard"), "train", tmp_path / "x.parquet", "-o", tmp_path / "run", "--tensorboard",
    )  # fmt: skip
    assert "expected tokenizers, tqdm, tensorboard, pyarrow, got none of these" in error
    assert "(pip install 'engine[cli,tensorboard,files]')" in error
    error = without(("openpyxl", "zstandard"), "check", tmp_path / "x.xlsx", "--test", tmp_path / "x.csv.zst")
    assert "expected openpyxl, zstandard" in error and "'engine[files]'" in error
    assert "click, tqdm: pip install 'engine[cli]'" in without(("click", "tqdm"), "info")


def test_the_table_of_extras_is_that_of_the_project():
    tomllib = pytest.importorskip("tomllib")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        names = [
            re.split(r"[<>=\[;]", need)[0].replace("-", "_") for need in extras[extra] if not need.startswith("tomli>")
        ]
        assert sorted(names) == sorted(modules), extra
