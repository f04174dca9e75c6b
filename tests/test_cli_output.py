"""Standard output that is closed, full, or read by a program that ends; run folders that vanish, are pipes, or are used by two."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

import engine
from cli_runs import SCRATCH, run_engine, write_texts
from engine.runs.folder import locked
from engine.train import Callback
from test_interrupts import trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("output")
    data = write_texts(folder / "train.csv")
    run_engine("train", data, *SCRATCH, "-o", folder / "run")
    (folder / "many.txt").write_text("where is my card\n" * 3000, encoding="utf-8")
    return folder


def shell(line: str, run: Path) -> subprocess.CompletedProcess[str]:
    text = line.replace("engine ", f"{sys.executable} -m engine.cli ").replace("RUN", str(run / "run"))
    env = {**os.environ, "PYTHONPATH": str(Path(engine.__file__).parents[1])}
    return subprocess.run(["bash", "-c", text], cwd=run, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", ["predict RUN --input many.txt", "info", "predict RUN hello"])
def test_a_reader_that_ends_is_no_error(run, arguments):
    for reader in ("true", "head -1"):
        ended = shell(f"engine {arguments} | {reader}; echo ${{PIPESTATUS[0]}}", run)
        assert ended.stderr == "" and ended.stdout.splitlines()[-1] in ("0", "141")
    ended = shell("engine predict RUN --input many.txt | true; echo ${PIPESTATUS[0]}", run)
    assert ended.stdout == "141\n" and not ended.stderr


def test_a_closed_output_is_quiet(run):
    ended = shell("engine predict RUN hello >&-", run)
    assert ended.returncode == 0 and not ended.stderr
    ended = shell("engine predict nowhere hello >&- 2>&-", run)
    assert ended.returncode == 2
    ended = shell("engine predict RUN -o labels.csv <&- >&- 2>&-; cat labels.csv", run)
    assert "Traceback" not in ended.stdout


@pytest.mark.parametrize("arguments", ["predict RUN hello", "info", "predict RUN --input many.txt"])
def test_a_full_output_is_an_error_of_one_line(run, arguments):
    ended = shell(f"engine {arguments} > /dev/full", run)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("[Errno 28] No space left on device: 'standard output'\n")


# ---- run folders


def test_a_run_that_was_killed_at_its_start_can_be_resumed_or_begun_again(run, tmp_path):
    settings = [run / "train.csv", *SCRATCH]
    for kept in (
        (),
        ("run.json",),
        ("run.json", "tokenizer.json"),
        ("run.json", "tokenizer.json", "tokenizer_config.json"),
    ):
        folder = tmp_path / f"killed{len(kept)}"
        folder.mkdir()
        (folder / ".run.json.engine-partial").mkdir()  # what a kill may leave
        for name in kept:
            shutil.copy(run / "run" / name, folder)
        if kept:
            assert "resume it with --resume" in run_engine("train", *settings, "-o", folder, code=2)
            run_engine("train", "--resume", folder, "--no-progress")
        else:
            run_engine("train", *settings, "-o", folder)
        for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
            assert (folder / name).read_bytes() == (run / "run" / name).read_bytes(), (kept, name)
        assert not list(folder.glob(".*"))
    run_engine("train", *settings, "-o", folder, "--overwrite")
    assert sorted(os.listdir(folder)) == sorted(os.listdir(run / "run"))


def test_other_files_are_still_refused(run, tmp_path):
    for name in ("tokenizer.json", "notes.txt", ".hidden"):
        folder = tmp_path / name.strip(".")
        folder.mkdir()
        (folder / name).write_text("mine")
        for overwrite in ((), ("--overwrite",)):
            line = run_engine("train", run / "train.csv", *SCRATCH, "-o", folder, *overwrite, code=2)
            assert "with other files in it" in line and (folder / name).read_text() == "mine"


def test_an_output_that_is_a_pipe_is_refused(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "expected a folder" in run_engine("train", run / "train.csv", *SCRATCH, "-o", tmp_path / "pipe", code=2)
    os.mkfifo(tmp_path / "labels.csv")
    line = run_engine("predict", run / "run", "--input", run / "train.csv", "-o", tmp_path / "labels.csv", code=2)
    assert "the pipe, socket or device" in line


@pytest.mark.parametrize("arguments", [("train", *SCRATCH, "-o", "run"), ("pretrain", "-o", "run")])
def test_data_that_are_a_pipe_are_refused(tmp_path, monkeypatch, arguments):
    """They are read more than once: the second time would wait for ever."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("data.csv")
    assert "got the pipe data.csv" in run_engine(*arguments, "data.csv", code=2)
    assert os.listdir() == ["data.csv"]


def test_two_trainers_in_one_folder(tmp_path):
    class Other(Callback):
        def on_step_end(self, trainer_, loss):
            with pytest.raises(BlockingIOError, match="that no other training uses"):
                trainer(tmp_path).train(resume=True)

    first = trainer(tmp_path)
    first.callbacks.append(Other())
    first.train()


@pytest.mark.parametrize("moved", [False, True])
def test_a_folder_that_vanishes_is_an_error_and_does_not_come_back(tmp_path, moved):
    class Vanish(Callback):
        def on_step_end(self, trainer_, loss):
            if trainer_.state.step == 2:
                os.rename(tmp_path / "run", tmp_path / "moved")
                if not moved:
                    shutil.rmtree(tmp_path / "moved")

    first = trainer(tmp_path / "run")
    first.callbacks.append(Vanish())
    with pytest.raises(FileNotFoundError, match="run"):
        first.train()
    assert not (tmp_path / "run").exists()


def test_two_searches_in_one_folder(tmp_path):
    pytest.importorskip("optuna")
    pytest.importorskip("tomli_w")
    from engine.runs import search

    def train(settings, callbacks):
        with pytest.raises(BlockingIOError, match=r"\[search\] output: expected a folder that no other search uses"):
            search(train, {"lr": [1, 2]}, tmp_path, trials=1)
        return 1.0

    search(train, {"lr": [1, 2]}, tmp_path, trials=1)
    with locked(tmp_path, "search"):
        pass
