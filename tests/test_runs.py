"""Runs broken off and gone on with: the bits of a run in one piece, whatever was trained, and from wherever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, TUNED, read_json, run_engine, texts, write_encoder, write_rows, write_texts
from engine.commands.train import train, training
from engine.runs import resume, train_text
from engine.train import Callback

EVERY = ("--checkpoint-every", "2", "--dropout", "0.1")


class BreakOff(Callback):
    """Breaks a training off after a step; before the first one with 0."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_begin(self, trainer):
        if not self.step:
            raise KeyboardInterrupt

    def on_step_end(self, trainer, loss):
        if trainer.state.step == self.step:
            raise KeyboardInterrupt


def broken(data: Path, output: Path, *options: str, step: int, tensorboard: bool = False) -> Path:
    """A run of `engine train` that ends after `step`."""
    arguments = [str(data), "-o", str(output), *map(str, options)]
    with train.make_context("train", arguments) as ctx:
        given = {k: v for k, v in ctx.params.items() if k not in ("data", "output", "resume")}
        settings = training(ctx, ctx.params["data"], given)
        with pytest.raises(KeyboardInterrupt):
            train_text(**settings, output=output, callbacks=(BreakOff(step),), tensorboard=tensorboard)
    assert not (output / "report.json").exists()
    return output


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_texts(folder / "train.csv", 3)
    write_encoder(folder / "encoder")
    return folder


VARIANTS = {
    "plain": (),
    "frozen": ("--freeze-embeddings", "--freeze-layers", "1"),
    "lora": ("--lora-rank", "2", "--lora-dropout", "0.1"),
    "accumulated": ("--gradient-accumulation", "2", "--batch-size", "4"),
    "augmented": ("--augment", "deletion=0.1,swap=0.1,mask=0.1", "--token-dropout", "0.1"),
    "weighed": ("--class-weights", "balanced", "--label-smoothing", "0.1", "--layer-wise-lr-decay", "0.8", "--head-lr", "0.02"),
    "checkpointed": ("--gradient-checkpointing",),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tuned_run_resumes_to_the_same_bits(place, tmp_path, variant):
    held_out = ("--validation-fraction", 0.1)
    options = ("--init", place / "encoder", *TUNED, "--epochs", 2, *EVERY, *held_out, *VARIANTS[variant])
    run_engine("train", place / "train.csv", "-o", tmp_path / "whole", *options)
    for step in (0, 5):  # before any checkpoint, and a step after the second one
        run = broken(place / "train.csv", tmp_path / f"broken-{step}", *options, step=step)
        assert (not step) == (not list(run.glob("checkpoints/step-*")))
        run_engine("train", "--resume", run, "--no-progress")
        assert weights(run) == weights(tmp_path / "whole")
        reports = [read_json(r / "report.json") for r in (run, tmp_path / "whole")]
        assert reports[0]["held_out"] == reports[1]["held_out"]
        if variant == "lora":
            assert (run / "adapter/adapter_model.safetensors").read_bytes() == (
                tmp_path / "whole/adapter/adapter_model.safetensors"
            ).read_bytes()


def test_gradient_checkpointing_has_the_same_bits(place, tmp_path):
    options = ("--init", place / "encoder", *TUNED)
    run_engine("train", place / "train.csv", "-o", tmp_path / "plain", *options)
    run_engine("train", place / "train.csv", "-o", tmp_path / "checkpointed", *options, "--gradient-checkpointing")
    assert weights(tmp_path / "plain") == weights(tmp_path / "checkpointed")


def test_tensorboard_goes_on(place, tmp_path):
    pytest.importorskip("tensorboard")
    options = (*SCRATCH, "--epochs", 2, *EVERY)
    run = broken(place / "train.csv", tmp_path / "broken", *options, step=3, tensorboard=True)
    before = len(list((run / "tensorboard").iterdir()))
    run_engine("train", "--resume", run, "--no-progress")
    run_engine("train", place / "train.csv", "-o", tmp_path / "whole", *options, "--tensorboard")
    assert len(list((run / "tensorboard").iterdir())) > before
    assert weights(run) == weights(tmp_path / "whole")


def test_the_weights_that_a_run_began_with_are_needed_before_a_checkpoint(place, tmp_path):
    encoder = tmp_path / "encoder"
    shutil.copytree(place / "encoder", encoder)
    options = ("--init", encoder, *TUNED, *EVERY)
    fresh = broken(place / "train.csv", tmp_path / "fresh", *options, step=0)
    late = broken(place / "train.csv", tmp_path / "late", *options, step=3)
    run_engine("train", place / "train.csv", "-o", tmp_path / "whole", *options)

    data = (encoder / "model.safetensors").read_bytes()
    (encoder / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    err = run_engine("train", "--resume", fresh, code=2)
    assert f"expected {encoder} as it was when the run began, got other weights" in err
    shutil.rmtree(encoder)
    assert "expected an existing folder" in run_engine("train", "--resume", fresh, code=2)
    run_engine("train", "--resume", late, "--no-progress")
    assert weights(late) == weights(tmp_path / "whole")
    assert run_engine("predict", late, "the card is late").count("\n") == 1


def test_a_relative_init_is_found_from_another_folder(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    run = broken(Path("train.csv"), tmp_path / "run", "--init", "encoder", *TUNED, step=0)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_engine("train", "--resume", run, "--no-progress")
    assert (run / "report.json").exists()


@pytest.mark.parametrize("variant", ["plain", "lora"])
def test_resume_of_a_finished_run_changes_nothing(place, tmp_path, variant):
    """As where the process ended between the last step and the report: adapters are merged by then."""
    options = ("--init", place / "encoder", *TUNED, *EVERY, *VARIANTS[variant], "--keep-checkpoints")
    run_engine("train", place / "train.csv", "-o", tmp_path / "run", *options)
    before = weights(tmp_path / "run")
    (tmp_path / "run/report.json").unlink()
    run_engine("train", "--resume", tmp_path / "run", "--no-progress")
    assert weights(tmp_path / "run") == before and (tmp_path / "run/report.json").exists()


def test_each_command_resumes_its_own_runs(place, tmp_path):
    (tmp_path / "text.txt").write_text("\n".join(text for text, _ in texts(4)))
    options = ("--document", "line", "--tokenizer", place / "encoder", "--layers", 1, "--dim", 16, "--heads", 2)
    options = (*options, "--max-steps", 2, "--max-length", 16, "--no-progress")
    run_engine("pretrain", tmp_path / "text.txt", "-o", tmp_path / "run", *options)
    assert "engine pretrain --resume" in run_engine("train", "--resume", tmp_path / "run", code=2)


def test_a_damaged_run_json_is_named(place, tmp_path):
    run = broken(place / "train.csv", tmp_path / "run", *SCRATCH, *EVERY, step=3)
    about = json.loads((run / "run.json").read_text())
    del about["start"]
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=r"expected a complete run\.json in .*, got one without 'start'"):
        resume(run)


def test_each_entry_of_a_damaged_run_json_is_named(place, tmp_path):
    run = broken(place / "train.csv", tmp_path / "run", *SCRATCH, *EVERY, step=3)
    good = (run / "run.json").read_text()

    def refused(change) -> str:
        about = json.loads(good)
        change(about)
        (run / "run.json").write_text(json.dumps(about))
        error = run_engine("train", "--resume", run, code=2)
        assert error.startswith("engine train: --resume: expected "), error
        return error

    assert "trainer.lr in run.json, got none" in refused(lambda a: a["trainer"].pop("lr"))
    assert "but epochs, " in refused(lambda a: a["trainer"].update(foo=1))
    assert "trainer" in refused(lambda a: a["trainer"].update(lr="fast"))
    assert "an object as 'data'" in refused(lambda a: a.update(data=3))
    assert "data.train in run.json, got none" in refused(lambda a: a["data"].pop("train"))
    assert "got foo" in refused(lambda a: a["start"].update(foo=1))
    assert "task.label_smoothing" in refused(lambda a: a["task"].update(label_smoothing=7))
    assert "model.hidden_size in run.json" in refused(lambda a: a["model"].update(hidden_size="x"))
    assert "without 'model'" in refused(lambda a: a.pop("model"))
    (run / "run.json").write_text("[1]")
    assert "expected a JSON object, got list in" in run_engine("train", "--resume", run, code=2)
    (run / "run.json").write_text(good)
    run_engine("train", "--resume", run, "--no-progress")
    for name, text in (("run.json", '{"format": 2, "data": 3}'), ("report.json", '{"held_out": 3}')):
        kept = (run / name).read_text()
        (run / name).write_text(text)
        error = run_engine("predict", run, "a card", "--calibrated", code=2)
        assert "an object as" in error and name in error
        (run / name).write_text(kept)


# ---- settings files


def settings_file(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def test_a_settings_file_trains_and_flags_go_before_it(place, tmp_path):
    config = settings_file(
        tmp_path / "run.toml",
        f"""
        data = ["{place / "train.csv"}"]
        output = "{tmp_path / "run"}"
        progress = false
        [model]
        init = "{place / "encoder"}"
        max-length = 24
        [training]
        epochs = 2
        lr = 1e-2
        batch_size = 8
        gradient-checkpointing = true
        class-weights = "balanced"
        """,
    )
    run_engine("train", "--config", config)
    run_engine("train", "--config", config, "--lr", "0.02", "-o", tmp_path / "other", "--epochs", 1)
    about, other = read_json(tmp_path / "run/run.json"), read_json(tmp_path / "other/run.json")
    assert (about["trainer"]["lr"], about["trainer"]["epochs"], about["trainer"]["batch_size"]) == (0.01, 2, 8)
    assert (other["trainer"]["lr"], other["trainer"]["epochs"], other["trainer"]["batch_size"]) == (0.02, 1, 8)
    assert about["start"]["gradient_checkpointing"] and about["task"]["class_weights"] == "balanced"
    assert about["start"]["init"] == str(place / "encoder") and about["data"]["max_length"] == 24
    flags = (
        "--max-length", 24, "--epochs", 2, "--lr", 0.01, "--batch-size", 8, "--class-weights", "balanced",
        "--no-progress",
    )  # fmt: skip
    run_engine("train", place / "train.csv", "-o", tmp_path / "flags", "--init", place / "encoder", *flags)
    assert weights(tmp_path / "flags") == weights(tmp_path / "run")


def test_lists_in_a_settings_file(place, tmp_path):
    rows = [(text, label, "web" if i % 2 else "phone", "de") for i, (text, label) in enumerate(texts(3))]
    data = write_rows(tmp_path / "data.csv", ("text", "intent", "device", "country"), rows)
    config = settings_file(
        tmp_path / "run.toml",
        'clean = ["duplicate", "markup"]\nlora_targets = ["query"]\ngroup-column = ["device", "country"]\n',
    )
    run_engine("train", data, "-o", tmp_path / "run", *SCRATCH, "--lora-rank", 2, "--config", config)
    about = read_json(tmp_path / "run/run.json")
    assert about["data"]["clean"] == ["duplicate", "markup"] and about["start"]["lora_targets"] == ["query"]
    assert about["data"]["group_columns"] == ["device", "country"]
    report = read_json(tmp_path / "run/report.json")
    assert [g["column"] for g in report["held_out"]["groups"]] == ["device", "country"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learning_rate = 1e-3", "expected names of options, got 'learning_rate'"),
        ("resume = 'x'", "expected names of options, got 'resume'"),
        ("lr = 'fast'", "run.toml: expected a number for lr, got 'fast'"),
        ("lr = nan", "--lr: expected a finite number"),
        ("epochs = 1.5", "expected an integer for epochs, got 1.5"),
        ("epochs = true", "expected an integer for epochs, got True"),
        ("epochs = [1, 2]", "expected an integer for epochs, got [1, 2]"),
        ("label-column = 3", "expected a string for label_column, got 3"),
        ("group-column = ['a', 3]", "expected a string for group_column, got ['a', 3]"),
        ("task = 'guessing'", "--task"),
        ("freeze-embeddings = 'perhaps'", "expected true or false for freeze_embeddings, got 'perhaps'"),
        ("a.lr = 1\nb.lr = 2", "lr: expected it once, got it twice"),
        ("lr = ", "expected TOML"),
        ("data = ['nothing.csv']", "nothing.csv"),
        ("[model]\nlayers = 3", "--layers cannot be combined with --init"),
    ],
)
def test_wrong_settings_files(place, tmp_path, content, message):
    config = settings_file(tmp_path / "run.toml", content)
    data = () if "data" in content else (place / "train.csv",)
    arguments = ("train", *data, "-o", tmp_path / "run", "--init", place / "encoder", *TUNED[:2], "--config", config)
    assert message in run_engine(*arguments, code=2)
    assert not (tmp_path / "run").exists()
