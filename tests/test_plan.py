"""What a run chooses by the number of its texts, the fit of a new head, and what is said before the first step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engine
from cli_runs import read_json, run_engine, texts, without_plan, write_encoder, write_rows
from engine import nn
from engine.models import AutoModelForSequenceClassification
from engine.nn import functional as F
from engine.runs import AUTOMATIC, StartConfig, TextData, resume, train_text
from engine.runs.plan import choose, few_to_learn
from engine.runs.text import TextRun
from engine.runs.textdata import are_few
from engine.tasks import Classification, TaskConfig
from engine.train import BatchStream, Callback, HeadStart, Trainer, TrainerConfig, read_log
from engine.train.head_start import fit_linear


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and tables with few and with many texts for each of three labels."""
    folder = tmp_path_factory.mktemp("plan")
    write_encoder(folder / "encoder")
    write_rows(folder / "few.csv", ("text", "label"), texts(4))
    write_rows(
        folder / "many.csv", ("text", "label"), [(f"{text} {i}", label) for i in range(25) for text, label in texts(4)]
    )
    return folder


# ---- the fit of a head


@pytest.mark.parametrize("shape", [(50, 7, 3), (1, 4, 2), (30, 1, 2), (64, 40, 5)])
def test_a_fit_has_the_least_loss(shape):
    """The gradient of the loss, computed in float64 by NumPy, is zero."""
    n, d, k = shape
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((n, d)) * rng.uniform(0.5, 2, d) + 1).astype(np.float32)
    y = rng.integers(0, k, n)
    head, target = nn.Linear(d, k), engine.from_numpy(y)
    decay = 2.0
    fit_linear(head, engine.from_numpy(x), lambda model: F.cross_entropy(model(None), target), decay)
    x64, w, b = x.astype(np.float64), head.weight.detach().numpy(), head.bias.detach().numpy()
    logits = x64 @ w.T.astype(np.float64) + b
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(n), y] -= 1
    scale = np.sqrt(x64.var(0) + 0.01 * np.mean(x64**2))
    slope = p.T @ ((x64 - x64.mean(0)) / scale) / n + decay / n * w * scale
    assert np.abs(slope).max() < 2e-4
    assert np.abs(p.mean(0)).max() < 2e-4  # the slope of the bias, which has no decay


def test_a_fit_is_the_same_with_any_number_of_threads():
    rng = np.random.default_rng(1)
    x, y = engine.from_numpy(rng.standard_normal((300, 33)).astype(np.float32)), engine.from_numpy(np.arange(300) % 5)
    found = []
    before = engine.get_num_threads()
    for threads in (1, 2, 3):
        engine.set_num_threads(threads)
        head = nn.Linear(33, 5)
        fit_linear(head, x, lambda model: F.cross_entropy(model(None), y), 1.0)
        found.append(head.weight.detach().numpy().tobytes())
    engine.set_num_threads(before)
    assert len(set(found)) == 1


def test_what_hardly_varies_is_not_blown_up():
    rng = np.random.default_rng(0)
    x = np.full((40, 6), 3.0, np.float32) + (1e-6 * rng.standard_normal((40, 6))).astype(np.float32)
    head, y = nn.Linear(6, 2), engine.from_numpy(np.arange(40) % 2)
    fit_linear(head, engine.from_numpy(x), lambda model: F.cross_entropy(model(None), y), 1.0)
    assert np.isfinite(head.weight.detach().numpy()).all() and head.weight.abs().max().item() < 10


def test_a_head_start_needs_a_linear_classifier():
    batches = BatchStream([(engine.zeros(1, 2),)])
    settings = TrainerConfig(max_steps=1)
    trainer = Trainer(
        nn.Linear(2, 2), lambda model, batch: model(batch[0]).sum(), settings, batches, callbacks=(HeadStart(),)
    )
    with pytest.raises(TypeError, match=r"\[HeadStart\] model: expected a model with a Linear `classifier`, got"):
        trainer.train()
    with pytest.raises(ValueError, match=r"\[HeadStart\] decay: expected a number above 0, got 0"):
        HeadStart(0)


# ---- what a run chooses


def run(place: Path, tmp_path: Path, name: str = "few", automatic: Any = AUTOMATIC, **more: Any) -> Path:
    folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
    start = StartConfig(**{"init": str(place / "encoder"), **more.pop("start", {})})
    trainer = TrainerConfig(**{"epochs": 1, "batch_size": 8, "lr": 0.01, **more.pop("trainer", {})})
    train_text(
        TextData((str(place / f"{name}.csv"),), max_length=24, **more.pop("data", {})),
        trainer,
        folder,
        start=start,
        automatic=automatic,
        **more,
    )
    return folder


def test_few_texts_read_the_mean_and_hold_nothing_out(place, tmp_path):
    record = read_json(run(place, tmp_path) / "run.json")
    assert record["data"]["validation_fraction"] == 0 and record["model"]["pooling"] == "mean"
    assert record["trainer"]["epochs"] == 30 and record["trainer"]["lr"] == pytest.approx(1e-3 / 2)
    record = read_json(run(place, tmp_path, "many") / "run.json")
    assert record["data"]["validation_fraction"] == 0.1 and record["model"].get("pooling", "first") == "first"
    assert record["trainer"]["lr"] == pytest.approx(1e-3)


def test_few_are_40_texts_for_each_label_or_1000_in_all():
    intents, spam = Classification([str(i) for i in range(77)]), Classification(["ham", "spam"])
    for task, limit in ((intents, 40 * 77), (spam, 1000)):
        assert few_to_learn(limit - 1, task) and not few_to_learn(limit, task)
    assert are_few(40 * 77 - 1, intents) and not are_few(40 * 77, intents)
    assert are_few(199, spam) and not are_few(200, spam)


def test_a_fit_to_a_part_of_the_texts_does_not_replace_a_trained_head(place):
    data = TextData((str(place / "few.csv"),), max_length=24)
    run = TextRun.begin(data, TaskConfig("classification"), StartConfig(init=str(place / "encoder")), TrainerConfig())
    run.task = Classification([str(i) for i in range(1000)])
    for count, again in ((20_000, True), (20_001, False)):
        run.parts["train"] = SimpleNamespace(dataset=range(count))
        assert run.fits_head_again is again


def sentence_encoder(place: Path, folder: Path, pooling: Any) -> Path:
    shutil.copytree(place / "encoder", folder)
    (folder / "1_Pooling").mkdir()
    listed = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "x.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps([*listed, {"path": "2_Dense", "type": "x.Dense"}]))
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    return folder


@pytest.mark.parametrize(
    ("pooling", "read"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "first"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "first"),
    ],
)
def test_an_encoder_of_sentences_is_read_as_it_was_trained(place, tmp_path, pooling, read):
    """With many texts, too; and the plan says why."""
    init, said = sentence_encoder(place, tmp_path / "sentences", pooling), []
    folder = run(
        place,
        tmp_path,
        "many",
        start={"init": str(init)},
        trainer={"epochs": None, "max_steps": 1},
        announce=said.append,
    )
    record = read_json(folder / "run.json")
    assert record["model"].get("pooling", "first") == read and record["data"]["validation_fraction"] == 0.1
    assert ("because the encoder was trained so" in said[0]) == (read == "mean")
    assert record["trainer"]["lr"] == pytest.approx(1e-3)  # the half of it is for few texts


def test_what_is_not_automatic_stays(place, tmp_path):
    record = read_json(run(place, tmp_path, automatic=()) / "run.json")
    assert record["data"]["validation_fraction"] == 0.1 and record["model"].get("pooling", "first") == "first"
    assert record["trainer"]["epochs"] == 1 and record["trainer"]["lr"] == 0.01
    with pytest.raises(ValueError, match=r"\[train\] automatic: expected some of .*, got 'speed'"):
        run(place, tmp_path, automatic=("speed",))


@pytest.mark.parametrize(("samples", "epochs"), [(10, 30), (640, 30), (1600, 12), (9600, 4), (10**6, 4)])
def test_epochs_give_about_600_steps(place, samples, epochs):
    class Table(list):
        pass

    parts = TextData((str(place / "many.csv"),)).read(TaskConfig("classification"))
    parts.tables["train"] = Table(range(samples))
    trainer, start = choose(["epochs"], TrainerConfig(), StartConfig(init=str(place / "encoder")), parts)
    assert trainer.epochs == epochs and start.sizes == {}
    limited = TrainerConfig(max_steps=5)
    assert choose(["epochs"], limited, StartConfig(init=str(place / "encoder")), parts)[0] is limited
    assert choose(AUTOMATIC, TrainerConfig(), StartConfig(), parts) == (TrainerConfig(), StartConfig())


def test_other_libraries_do_not_open_a_mean(place, tmp_path):
    folder = run(place, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.pooling == "mean" and model.bert.pooler is None
    assert "--pooling pooler" in run_engine("export", folder, tmp_path / "exported", "--format", "transformers", code=2)
    transformers = pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="Unrecognized model"):
        transformers.AutoModelForSequenceClassification.from_pretrained(folder)


# ---- the run


def test_the_head_starts_from_a_fit(place, tmp_path):
    def first_loss(folder: Path) -> float:
        return float(next(line["loss"] for line in read_log(folder / "log.jsonl") if line["event"] == "train"))

    plain = {"sizes": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    one_step = {"max_steps": 1, "epochs": None}
    fitted = first_loss(run(place, tmp_path, "many", (), trainer=one_step, start=plain))
    random = first_loss(run(place, tmp_path, "many", (), trainer=one_step, start={"fit_head": False, **plain}))
    assert fitted < random - 0.02


def test_with_few_texts_the_head_is_fitted_again(place, tmp_path):
    """Its weights are those that `HeadStart` gives for the trained encoder; with many texts they are those of the last step."""

    class Last(Callback):
        def on_train_end(self, trainer: Trainer) -> None:
            self.trainer, self.weight = trainer, trainer.model.classifier.weight.detach().numpy().copy()

    plain = {"sizes": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    for name, again in (("few", True), ("many", False)):
        last = Last()
        folder = run(place, tmp_path, name, (), start=plain, callbacks=(last,), data={"validation_fraction": 0.0})
        found = AutoModelForSequenceClassification.from_pretrained(folder).classifier.weight.detach().numpy()
        assert np.array_equal(found, last.weight) is not again
        if again:
            HeadStart().fit(last.trainer)
            assert np.array_equal(found, last.trainer.model.classifier.weight.detach().numpy())


class Interrupt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer, loss: Any) -> None:
        if trainer.state.step == self.step:
            trainer.interrupt()


def test_a_resumed_run_has_the_same_bits(place, tmp_path):
    whole = run(place, tmp_path, trainer={"checkpoint_every": 1})
    for step in (1, 4, 180):  # after the last one the head is fitted again
        place_of_step = tmp_path / f"at-{step}"
        place_of_step.mkdir()
        with pytest.raises(KeyboardInterrupt):
            run(place, place_of_step, trainer={"checkpoint_every": 1}, callbacks=(Interrupt(step),))
        (folder,) = place_of_step.iterdir()
        resume(folder)
        assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_is_said_changes_nothing(place, tmp_path):
    said: list[str] = []
    silent, loud = run(place, tmp_path), run(place, tmp_path, announce=said.append)
    assert (silent / "model.safetensors").read_bytes() == (loud / "model.safetensors").read_bytes()
    (text,) = said
    lines = text.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["data", "lengths", "plan", "plan", "plan", "cost"]
    assert lines[0] == "data: 48 training texts, 3 labels; columns: text 'text', label 'label'"
    assert "30 epochs, 180 steps; learning rate 0.0005; the head starts from a fit" in lines[2]
    assert "and is fitted again after the last step" in lines[2]
    assert "the model reads the mean" in lines[3] and "--pooling pooler" in lines[3]
    assert "--validation-fraction 0.1" in lines[4]
    assert without_plan(text + "\n") == ""


def test_from_scratch_with_few_texts_recommends_a_published_encoder(place, tmp_path):
    said: list[str] = []
    trainer, start = (
        TrainerConfig(epochs=1),
        StartConfig(sizes={"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}),
    )
    train_text(TextData((str(place / "few.csv"),)), trainer, tmp_path / "run", start=start, announce=said.append)
    assert "A published encoder needs fewer: --init" in said[0]


def test_a_report_says_what_may_give_a_better_model(place, tmp_path):
    settings = (
        place / "many.csv",
        "--test",
        place / "many.csv",
        "--layers",
        1,
        "--dim",
        16,
        "--heads",
        2,
        "--no-progress",
    )
    out = run_engine("train", *settings, "--epochs", 2, "--lr", 1e-3, "-o", tmp_path / "run")
    advice = read_json(tmp_path / "run/report.json")["advice"]
    assert all(sentence in out and sentence in (tmp_path / "run/report.html").read_text() for sentence in advice)
    report = {"training": {"epochs": 3, "best_step": 9, "steps": 9}, "held_out": {}}
    run = SimpleNamespace(task=Classification(list("abcdefg")), trainer=TrainerConfig())
    (sentence,) = TextRun.advice(run, report)
    assert sentence.startswith("The last epoch was the best one.")
    assert TextRun.advice(run, {**report, "training": {"epochs": 3, "best_step": 6, "steps": 9}}) == []
    classes = [{"label": name, "support": 2, "recall": float(name == "g")} for name in "abcdefg"]
    (_, sentence) = TextRun.advice(run, {**report, "test": {"classes": classes}})
    assert sentence.startswith("No text of 6 of the 7 labels was recognised: a, b, c, d, e and 1 more. More texts with")


def test_from_scratch_the_defaults_are_those_of_the_help(place, tmp_path):
    sizes = ("--layers", 1, "--dim", 16, "--heads", 2, "--no-progress")
    run_engine("train", place / "many.csv", *sizes, "-o", tmp_path / "scratch")
    record = read_json(tmp_path / "scratch/run.json")
    assert record["trainer"]["epochs"] == 8 and record["trainer"]["lr"] == 2e-3
    assert record["task"]["label_smoothing"] == record["task"]["token_dropout"] == 0.1
    run_engine("train", place / "many.csv", "--init", place / "encoder", "--no-progress", "-o", tmp_path / "tuned")
    record = read_json(tmp_path / "tuned/run.json")
    assert record["trainer"]["epochs"] == 18 and record["trainer"]["lr"] == pytest.approx(1e-3)


def test_a_head_that_is_there_keeps_its_pooling(place, tmp_path):
    """A second training goes on from the head of the first, published or engine's own."""
    published = run(place, tmp_path, automatic=(), trainer={"epochs": 4})
    own = run(place, tmp_path)
    for first, pooling in ((published, "first"), (own, "mean")):
        folder = tmp_path / f"again-{pooling}"
        start, trainer = StartConfig(init=str(first)), TrainerConfig(lr=0.0, max_steps=1)
        data = TextData((str(place / "few.csv"),), max_length=24)
        train_text(data, trainer, folder, start=start, automatic=("pooling",))
        record = read_json(folder / "run.json")
        assert record["model"].get("pooling", "first") == pooling and record["start"]["initial_values"] == []
        assert (folder / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match=r"pooling: expected 'first', got 'mean' .*was trained with it"):
        run(place, tmp_path, automatic=(), start={"init": str(published), "sizes": {"pooling": "mean"}})
