"""Trainer: learning, evaluation, log, best model, checkpoints that are whole or absent, resuming to the same bits."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import engine
from engine import _core, metrics
from engine.data import DataLoader
from engine.models import TransformerClassifier, TransformerConfig
from engine.report import plot_curves
from engine.serialization import load_file
from engine.tasks import Classification
from engine.text import TextDataset, TokenDropout
from engine.train import (
    Callback,
    Trainer,
    TrainerConfig,
    checkpoint,
    latest_checkpoint,
    load_checkpoint,
    read_log,
    save_checkpoint,
)

CLASSES = 3


def toy_data(n: int = 60, seed: int = 0) -> TextDataset:
    """Texts of 3 to 9 tokens; the class is which of the tokens 3, 4, 5 stands in it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    texts = [rng.permutation([3 + label, *rng.integers(6, 20, size=rng.integers(2, 9))]) for label in labels]
    return TextDataset(texts, labels)


def toy_model(seed: int = 0, dropout: float = 0.1) -> TransformerClassifier:
    engine.manual_seed(seed)
    return TransformerClassifier(
        TransformerConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16, num_labels=CLASSES, pooling="max", hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )  # fmt: skip


CONFIG = TrainerConfig(epochs=3, batch_size=8, lr=5e-3, log_every=5, seed=7)


def task(**options) -> Classification:
    return Classification(label_smoothing=0.1, **options)


TASK = task()


def bits(model) -> dict[str, bytes]:
    return {name: _core.to_bytes(tensor._data) for name, tensor in model.state_dict().items()}


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


class StopAfter(Callback):
    """Breaks off like a kill: an exception that nothing in the package handles."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer, loss):
        if trainer.state.step == self.step:
            raise KeyboardInterrupt


def without_times(records):
    return [{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in records]


# ---- learning


def test_learns_and_predicts_in_the_order_of_the_data(tmp_path):
    model, data = toy_model(), toy_data(200)
    trainer = Trainer(model, TASK, replace(CONFIG, epochs=10), data, toy_data(50, 1), output=tmp_path)
    state = trainer.train()
    assert state.epoch == 10 and state.step == trainer.total_steps == 250 and state.samples == 2000
    figures = trainer.evaluate(toy_data(50, 2))
    assert figures["accuracy"] > 0.9
    held_out = toy_data(50, 2)
    logits = trainer.predict(held_out)
    assert logits.shape == (50, CLASSES) and logits.dtype == np.float32
    assert metrics.classification_metrics(held_out.labels, logits) == figures
    one_by_one = [trainer.predict(TextDataset([held_out[i].input_ids]))[0] for i in range(5)]
    np.testing.assert_allclose(np.stack(one_by_one), logits[:5], rtol=1e-4, atol=1e-5)
    assert not model.training
    # tokens of each batch and the rectangle that would have held them
    lengths = data.lengths
    padded = sum(len(b) * lengths[b].max() for e in range(10) for b in trainer.train_loader.plan.plan(e))
    assert state.tokens == 10 * data.total_tokens and state.padded_tokens == padded


def test_the_same_seed_gives_the_same_bits_at_any_number_of_threads():
    results = []
    before = engine.get_num_threads()
    try:
        for threads, seed in ((1, 7), (2, 7), (2, 8)):
            engine.set_num_threads(threads)
            model = toy_model()
            Trainer(model, TASK, replace(CONFIG, epochs=1, seed=seed), toy_data()).train()
            results.append(bits(model))
    finally:
        engine.set_num_threads(before)
    assert results[0] == results[1] and results[0] != results[2]


def test_the_steps_are_those_of_a_plain_loop(device):
    model, plain = toy_model(dropout=0.0), toy_model(dropout=0.0)
    data = toy_data()
    config = replace(CONFIG, epochs=1, warmup_ratio=0.25, max_grad_norm=0.5, device=device)
    trainer = Trainer(model, TASK, config, data)
    trainer.train()
    plain.to(device)
    decay = [p for p in plain.parameters() if p.ndim >= 2]
    rest = [p for p in plain.parameters() if p.ndim < 2]
    optimizer = engine.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=0
    )
    loss_fn = engine.nn.CrossEntropyLoss(label_smoothing=0.1)
    loader = DataLoader(data, 8, shuffle=True, seed=7)
    for step, batch in enumerate(loader):
        batch = batch.to(device)
        rate = step / 2 if step < 2 else (8 - step) / 6
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * rate
        loss_fn(plain(batch), batch.labels).backward()
        engine.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
    for (name, a), b in zip(model.state_dict().items(), plain.state_dict().values()):
        np.testing.assert_allclose(a.cpu().numpy(), b.cpu().numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def test_best_weights_are_kept_and_loaded(tmp_path, monkeypatch):
    # The evaluations in order; the second is the best.
    accuracies = iter([0.2, 0.9, 0.5, 0.9])
    kept = []

    def evaluate(self, data):
        kept.append(bits(self.model))
        return {"accuracy": next(accuracies), "loss": 1.0}

    monkeypatch.setattr(Trainer, "evaluate", evaluate)
    for output in (tmp_path, None):
        accuracies, kept[:] = iter([0.2, 0.9, 0.5, 0.9]), []
        model = toy_model()
        state = Trainer(model, TASK, replace(CONFIG, epochs=4), toy_data(), toy_data(9), output=output).train()
        assert (state.best_metric, state.best_step) == (0.9, 16)
        assert bits(model) == kept[1] != kept[3]
    saved = load_file(tmp_path / "model.safetensors")
    assert {name: _core.to_bytes(t._data) for name, t in saved.items()} == kept[1]


def test_early_stopping_and_evaluations_between_epochs(monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda self, data: {"accuracy": 0.5, "loss": next(losses)})
    config = replace(CONFIG, epochs=9, metric="loss", early_stopping=2, eval_every=4)
    state = Trainer(toy_model(), TASK, config, toy_data(), toy_data(9)).train()
    assert (state.step, state.best_step, state.best_metric) == (16, 8, 2.0)


def test_a_loss_that_is_no_number_is_named_and_its_batch_kept(tmp_path):
    model, seen = toy_model(), []
    kept = tmp_path / "not_finite.safetensors"

    class Spoiled(Classification):
        def loss(self, model, batch):
            seen.append(batch)
            if len(seen) == 3:
                _core.kernels.fill(model.classifier.bias._data, float("nan"))
            return super().loss(model, batch)

    with pytest.raises(
        FloatingPointError, match=r"expected a finite number, got nan at step 3 .*the batch is in .*not_finite"
    ):
        Trainer(model, Spoiled(), CONFIG, toy_data(), output=tmp_path).train()
    batch = load_file(kept)
    assert sorted(batch) == ["cu_seqlens", "input_ids", "labels", "position_ids"]
    for name, tensor in batch.items():
        assert tensor.tolist() == getattr(seen[2], name).tolist()
    Trainer(toy_model(), TASK, CONFIG, toy_data(), output=tmp_path).train(resume=True)
    assert not kept.exists()


# ---- log


def test_the_log_has_a_line_an_interval_evaluation_and_epoch(tmp_path):
    Trainer(toy_model(), TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path).train()
    records = read_log(tmp_path / "log.jsonl")
    assert [r["event"] for r in records].count("epoch") == 3
    assert [r["step"] for r in records if r["event"] == "train"] == [5, 10, 15, 20, 24]
    assert [r["step"] for r in records if r["event"] == "eval"] == [8, 16, 24]
    assert {"loss", "lr", "tokens_per_second", "seconds"} <= set(records[0])
    assert records[-1]["event"] == "end"
    with open(tmp_path / "log.jsonl", "a") as stream:
        stream.write('{"event": "tr')
    assert read_log(tmp_path / "log.jsonl") == records
    pytest.importorskip("matplotlib")
    assert plot_curves(records, tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_lines_are_on_the_disk_at_once(tmp_path):
    seen = []

    class Read(Callback):
        def on_log(self, trainer, record):
            seen.append(
                json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1]) == json.loads(json.dumps(record))
            )

    Trainer(toy_model(), TASK, replace(CONFIG, epochs=1), toy_data(), output=tmp_path, callbacks=[Read()]).train()
    assert seen and all(seen)


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    Trainer(toy_model(), TASK, CONFIG, toy_data(), progress=False)
    with pytest.raises(ImportError, match=r"engine\[cli\]"):
        Trainer(toy_model(), TASK, CONFIG, toy_data(), progress=True)


@pytest.mark.parametrize("evaluated", [True, False])
def test_legends_cover_no_curve(tmp_path, monkeypatch, evaluated):
    figure_type = pytest.importorskip("matplotlib.figure").Figure
    drawn = []
    savefig = figure_type.savefig
    monkeypatch.setattr(figure_type, "savefig", lambda self, *a, **k: (drawn.append(self), savefig(self, *a, **k)))
    records = [{"event": "train", "step": i, "loss": 4 / i, "lr": 1e-3} for i in range(1, 50)]
    if evaluated:
        records += [{"event": "eval", "step": i, "loss": 3 / i, "accuracy": 0.5, "macro_f1": 0.4} for i in (10, 20)]
    plot_curves(records, tmp_path / "curves.png")
    (figure,) = drawn
    legends = [axes.get_legend().get_window_extent() for axes in figure.axes if axes.get_legend()]
    assert len(legends) == (2 if evaluated else 1)
    for box in legends:
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0
    assert not any(a.overlaps(b) for i, a in enumerate(legends) for b in legends[:i])


# ---- resuming


@pytest.mark.parametrize(("every", "stop"), [(None, 11), (None, 8), (3, 11), (4, 17), (None, 3)])
def test_resuming_gives_the_bits_of_an_uninterrupted_run(tmp_path, every, stop, device):
    if device == "cuda" and stop != 11:
        pytest.skip("one run is enough there")
    config = replace(CONFIG, checkpoint_every=every, max_tokens=50, device=device)
    data, held_out = toy_data(), toy_data(20, 1)
    hide = TokenDropout(0.2, 1, seed=3)
    whole = Trainer(toy_model(), task(transform=hide), config, data, held_out, output=tmp_path / "whole")
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        Trainer(
            toy_model(),
            task(transform=hide),
            config,
            data,
            held_out,
            output=tmp_path / "cut",
            callbacks=[StopAfter(stop)],
        ).train()
    engine.manual_seed(99)  # whatever happened in between must not matter
    model = toy_model(seed=5)
    resumed = Trainer(model, task(transform=hide), config, data, held_out, output=tmp_path / "cut")
    state = resumed.train(resume=True)
    if latest_checkpoint(tmp_path / "cut" / "checkpoints") is not None and stop > (every or 8):
        assert bits(model) == bits(whole.model)
        assert files(tmp_path / "cut")["model.safetensors"] == files(tmp_path / "whole")["model.safetensors"]
        mine, other = latest_checkpoint(tmp_path / "cut/checkpoints"), latest_checkpoint(tmp_path / "whole/checkpoints")
        for name in ("model.safetensors", "optimizer.safetensors"):
            assert files(mine)[name] == files(other)[name]
        assert without_times(read_log(tmp_path / "cut/log.jsonl")) == without_times(
            read_log(tmp_path / "whole/log.jsonl")
        )
    assert state.step == whole.state.step and state.tokens == whole.state.tokens


@pytest.mark.parametrize("stop", [3, 8, 11, 24])
def test_an_interrupted_run_leaves_a_checkpoint_of_its_last_step(tmp_path, stop):
    class Interrupt(Callback):
        def on_step_end(self, trainer, loss):
            if trainer.state.step == stop:
                trainer.interrupt()

    config, data, held_out = replace(CONFIG, checkpoint_every=1000), toy_data(), toy_data(20, 1)
    whole = Trainer(toy_model(), TASK, config, data, held_out, output=tmp_path / "whole")
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        Trainer(toy_model(), TASK, config, data, held_out, output=tmp_path / "cut", callbacks=[Interrupt()]).train()
    assert latest_checkpoint(tmp_path / "cut/checkpoints").name == f"step-{stop:08d}"
    model = toy_model(seed=5)
    Trainer(model, TASK, config, data, held_out, output=tmp_path / "cut").train(resume=True)
    assert bits(model) == bits(whole.model)
    logs = (without_times(read_log(tmp_path / name / "log.jsonl")) for name in ("cut", "whole"))
    assert next(logs) == next(logs)
    none = replace(config, checkpoint_every=0)
    with pytest.raises(KeyboardInterrupt):
        Trainer(toy_model(), TASK, none, data, output=tmp_path / "none", callbacks=[Interrupt()]).train()
    assert latest_checkpoint(tmp_path / "none/checkpoints") is None


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    model = toy_model()
    Trainer(model, TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path).train()
    again = toy_model(seed=3)
    state = Trainer(again, TASK, CONFIG, toy_data(), toy_data(9), output=tmp_path).train(resume=True)
    assert state.step == 24 and bits(again) == bits(model)


def test_resuming_with_other_settings_or_data_is_refused(tmp_path):
    Trainer(toy_model(), TASK, CONFIG, toy_data(), output=tmp_path).train()
    with pytest.raises(ValueError, match=r"lr: expected 0.005 as in the checkpoint, got 0.1"):
        Trainer(toy_model(), TASK, replace(CONFIG, lr=0.1), toy_data(), output=tmp_path).train(resume=True)
    with pytest.raises(ValueError, match="size"):
        Trainer(toy_model(), TASK, CONFIG, toy_data(50), output=tmp_path).train(resume=True)
    with pytest.raises(ValueError, match="resume: expected an output folder to resume from"):
        Trainer(toy_model(), TASK, CONFIG, toy_data()).train(resume=True)
    state = latest_checkpoint(tmp_path / "checkpoints") / "state.json"
    state.write_text(state.read_text()[:100])
    with pytest.raises(ValueError, match="expected JSON"):
        Trainer(toy_model(), TASK, CONFIG, toy_data(), output=tmp_path).train(resume=True)


# ---- checkpoints


def test_a_checkpoint_is_whole_or_absent(tmp_path, monkeypatch):
    tree = {"a": {"weights": [engine.tensor([1.0, 2.0]), engine.tensor([3])]}, "b": {"n": 4, "s": ["x", None]}}
    first = save_checkpoint(tmp_path, 1, tree)
    for name in ("save_file", "write_json"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, name, lambda *a: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                save_checkpoint(tmp_path, 2, tree)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "rename", lambda *a: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            save_checkpoint(tmp_path, 2, tree)
    assert os.listdir(tmp_path) == [first.name] and latest_checkpoint(tmp_path) == first
    # What a kill leaves behind is neither taken for a checkpoint nor kept.
    (tmp_path / ".partial-2").mkdir()
    (tmp_path / ".partial-2" / "state.json").write_text("{")
    assert latest_checkpoint(tmp_path) == first
    second = save_checkpoint(tmp_path, 2, tree)
    assert os.listdir(tmp_path) == [second.name]
    back = load_checkpoint(second)
    assert back["b"] == tree["b"] and back["a"]["weights"][0].tolist() == [1.0, 2.0]
    assert back["a"]["weights"][1].dtype is engine.int64
    (second / "a.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected an existing file, got .*a\.safetensors"):
        load_checkpoint(second)


def test_a_step_is_written_again_without_a_moment_without_a_checkpoint(tmp_path, monkeypatch):
    """The data of a stream may end where a checkpoint was written: then the same step is written twice."""
    save_checkpoint(tmp_path, 1, {"n": 1})
    for call in ("rename", "rmtree"):
        where = checkpoint.os if call == "rename" else shutil
        for k in range(1, 4):
            calls, real = [], getattr(where, call)

            def broken(*given, calls=calls, real=real, k=k, **more):
                calls.append(given)
                if len(calls) == k:
                    raise OSError(errno.EIO, "broken")
                return real(*given, **more)

            with monkeypatch.context() as patch:
                patch.setattr(where, call, broken)
                with contextlib.suppress(OSError):
                    save_checkpoint(tmp_path, 1, {"n": 2})
            assert load_checkpoint(latest_checkpoint(tmp_path))["n"] in (1, 2)
    assert save_checkpoint(tmp_path, 1, {"n": 3}).name == "step-00000001"
    assert os.listdir(tmp_path) == ["step-00000001"] and load_checkpoint(latest_checkpoint(tmp_path))["n"] == 3


def test_a_flipped_byte_in_a_checkpoint_is_seen(tmp_path):
    Trainer(toy_model(), TASK, replace(CONFIG, epochs=1), toy_data(), output=tmp_path).train()
    path = latest_checkpoint(tmp_path / "checkpoints")
    whole = files(path)
    assert sorted(whole) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    for name in ("model.safetensors", "optimizer.safetensors"):
        damaged = bytearray(whole[name])
        damaged[-5] ^= 1  # in the numbers
        (path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"expected .*{name} as it was written .* got a damaged file"):
            Trainer(toy_model(), TASK, replace(CONFIG, epochs=1), toy_data(), output=tmp_path).train(resume=True)
        (path / name).write_bytes(whole[name])
    text = whole["state.json"].decode()
    (path / "state.json").write_text(text.replace('"samples": 60', '"samples": 61'))
    with pytest.raises(ValueError, match=r"state\.json as it was written"):
        load_checkpoint(path)
    # Checkpoints without checksums still load.
    old = json.loads(text)
    del old["__crc32__"]
    (path / "state.json").write_text(json.dumps(old))
    assert load_checkpoint(path)["trainer"]["samples"] == 60
    (path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="expected the tensor"):
        load_checkpoint(path)


def test_the_newest_checkpoints_stay(tmp_path):
    for step in (5, 100, 20, 30):
        save_checkpoint(tmp_path, step, {"x": {}}, keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step-00000030", "step-00000100"]
    assert latest_checkpoint(tmp_path).name == "step-00000100" and latest_checkpoint(tmp_path / "none") is None


# ---- parts


def test_token_dropout():
    data = TextDataset([[2, 5, 6, 7, 3]] * 400)
    batch = data.gather(range(400))
    hidden = TokenDropout(0.25, 1, keep=(2, 3), seed=1)(batch, 10).input_ids.numpy().reshape(400, 5)
    original = batch.input_ids.numpy().reshape(400, 5)
    assert (original == [2, 5, 6, 7, 3]).all()
    assert (hidden[:, [0, 4]] == [2, 3]).all()
    share = (hidden[:, 1:4] == 1).mean()
    assert 0.2 < share < 0.3 and ((hidden == original) | (hidden == 1)).all()
    same, other = (TokenDropout(0.25, 1, (2, 3), seed=1)(batch, s).input_ids.tolist() for s in (10, 11))
    assert same == hidden.reshape(-1).tolist() != other
    assert TokenDropout(0.0, 1)(batch, 0) is batch
    with pytest.raises(ValueError, match="p: expected"):
        TokenDropout(1.5, 1)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"schedule": "step"}, "schedule: expected 'linear'"),
        ({"warmup_ratio": 1.5}, r"warmup_ratio: expected a number in \[0, 1\]"),
        ({"batch_size": None}, "batch_size: expected a number, because max_tokens is None"),
        ({"metric": ""}, "metric: expected the name of a figure"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"lr": float("nan")}, "lr: expected a finite number >= 0"),
        ({"lr": float("inf")}, "lr: expected a finite number >= 0, got inf"),
        ({"weight_decay": float("inf")}, "weight_decay: expected a finite number >= 0"),
        ({"eps": float("inf")}, "eps: expected a finite number >= 0"),
        ({"betas": (0.9, float("inf"))}, r"betas: expected two numbers in \[0, 1\)"),
        ({"warmup_ratio": float("nan")}, "warmup_ratio: expected"),
        ({"max_grad_norm": float("inf")}, "max_grad_norm: expected a finite number > 0"),
    ],
)
def test_settings_out_of_range(setting, text):
    with pytest.raises(ValueError, match=text):
        TrainerConfig(**setting)


def test_settings_go_through_json():
    config = TrainerConfig(epochs=2, betas=(0.8, 0.9))
    assert TrainerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="got 'epoch'"):
        TrainerConfig.from_dict({"epoch": 3})


def test_data_without_labels_is_refused():
    with pytest.raises(ValueError, match="expected batches with labels"):
        Trainer(toy_model(), TASK, CONFIG, TextDataset([[1, 2]] * 4)).train()
    with pytest.raises(ValueError, match="at least one batch"):
        Trainer(toy_model(), TASK, CONFIG, TextDataset([], []))
