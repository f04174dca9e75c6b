"""What a finished run leaves: the model and its report, and no state of the optimizer unless it was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_runs import SCRATCH, TUNED, read_json, run_engine, write_encoder, write_texts
from engine.runs import StartConfig, TextData, resume, train_text
from engine.runs.folder import locked
from engine.train import TrainerConfig, latest_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("finished") / "train.csv")


def test_only_the_model_is_left(data, tmp_path):
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH)
    run_engine("train", data, "-o", tmp_path / "kept", *SCRATCH, "--keep-checkpoints")
    run, kept = tmp_path / "run", tmp_path / "kept"
    assert not (run / "checkpoints").exists() and latest_checkpoint(kept / "checkpoints") is not None
    assert (run / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    assert read_json(kept / "run.json")["keep_checkpoints"] is True
    assert read_json(run / "run.json")["keep_checkpoints"] is False
    assert "0." in run_engine("predict", run, "where is my card")


def test_adapters_leave_none_either(data, tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    run_engine("train", data, "-o", tmp_path / "run", "--init", encoder, "--lora-rank", 2, *TUNED)
    assert not (tmp_path / "run/checkpoints").exists() and (tmp_path / "run/adapter").is_dir()


def test_a_finished_run_says_that_it_is(data, tmp_path):
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH)
    error = run_engine("train", "--resume", tmp_path / "run", code=2)
    assert f"--resume: expected a run that was interrupted, got the finished run {tmp_path / 'run'}" in error
    assert "to train longer, begin a new run from its weights with --init" in error
    run_engine(
        "train",
        data,
        "-o",
        tmp_path / "longer",
        "--init",
        tmp_path / "run",
        "--max-length",
        24,
        "--epochs",
        1,
        "--no-progress",
    )


def test_nothing_can_be_kept_of_nothing(data, tmp_path):
    settings = TrainerConfig(epochs=1, checkpoint_every=0)
    start = StartConfig(sizes={"hidden_size": 16, "num_attention_heads": 2})
    with pytest.raises(
        ValueError, match=r"\[train\] keep_checkpoints: expected False, because there are no checkpoints"
    ):
        train_text(TextData((str(data),)), settings, tmp_path / "run", start=start, keep_checkpoints=True)
    assert not (tmp_path / "run").exists()


def test_left_over_checkpoints_are_removed_only_where_no_other_process_works(data, tmp_path):
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH)
    left = tmp_path / "run/checkpoints/step-1.tmp-of-a-killed-process"
    left.mkdir(parents=True)
    with locked(tmp_path / "run"):
        with pytest.raises(BlockingIOError, match="a folder that no other training uses"):
            resume(tmp_path / "run")
        assert left.exists()
    with pytest.raises(ValueError, match="got the finished run"):
        resume(tmp_path / "run")
    assert not left.parent.exists()
