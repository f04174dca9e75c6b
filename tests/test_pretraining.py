"""Pretraining from files to a run folder: learning, held-out text, resuming to the same bits, adapting, refusing."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine
from engine.models import BertForMaskedLM, BertForSequenceClassification, TransformerConfig
from engine.runs import pretrain, resume
from engine.text import Labels, TextTable, Tokenizer
from engine.train import Callback, TrainerConfig, read_log

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
SETTINGS = TrainerConfig(epochs=2, batch_size=8, lr=5e-3, log_every=5, checkpoint_every=4, seed=3)
TOPICS = [topic.split() for topic in ("cat fur paw meow purr", "sea wave salt tide surf", "猫 毛 爪 喵 呼")]


def sentences(n: int = 200, seed: int = 0) -> list[str]:
    """Words of one topic each: a hidden one can be guessed from the others only as far as that."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(TOPICS[rng.integers(3)], rng.integers(4, 9))) for _ in range(n)]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n".join(sentences()), encoding="utf-8")
    return path


OPTIONS = {"model": SIZES, "max_length": 16, "document": "line", "vocab_size": 60, "shuffle_characters": 1500}


def run(text, folder, **changes):
    options = {"trainer": SETTINGS, **OPTIONS, **changes}
    if "init" in changes:
        options.pop("vocab_size")  # its tokenizer has a vocabulary
    return pretrain([text], folder, **options)


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer, loss) -> None:
        if trainer.state.step == self.step:
            trainer.interrupt()


@pytest.fixture(scope="module")
def finished(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, run(text, folder)


def test_the_run_folder(text, finished):
    folder, report = finished
    assert {"run.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "log.jsonl",
            "report.json", "report.md", "report.html"} <= {path.name for path in folder.iterdir()}  # fmt: skip
    assert json.loads((folder / "report.json").read_text()) == report
    assert (folder / "report.md").read_text().splitlines()[-1] == (
        f"held-out perplexity {report['held_out']['perplexity']:.4f}"
    )
    facts = json.loads((folder / "run.json").read_text())
    assert facts["kind"] == "pretraining" and facts["task"]["name"] == "masked-lm"
    assert facts["seed"] == 3 and facts["start"]["init"] is None
    assert facts["data"]["sha256"] == {str(text): hashlib.sha256(text.read_bytes()).hexdigest()}
    # Steps were counted before: two epochs of as many batches.
    assert report["training"]["steps"] == 2 * facts["steps_an_epoch"] > 10 and facts["trainer"]["epochs"] == 2
    assert report["training"]["epochs"] == 2
    assert report["training"]["tokens"] > 2000 and 0 < report["data"]["held_out_tokens"] < 1000
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForMaskedLM"] and config["model_type"] == "bert"
    held_out = [record for record in read_log(folder / "log.jsonl") if record["event"] == "eval"]
    assert min(record["loss"] for record in held_out) == report["held_out"]["loss"]
    assert {"loss", "perplexity", "accuracy"} <= set(held_out[0])


def test_the_model_opens_as_any_head(finished):
    folder, _ = finished
    model = BertForMaskedLM.from_pretrained(folder)
    classifier = BertForSequenceClassification.from_pretrained(folder, num_labels=3)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert np.array_equal(model.state_dict()[name].numpy(), classifier.state_dict()[name].numpy())
    assert Tokenizer.from_pretrained(folder).model_max_length == 16


def test_transformers_opens_it(finished):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder, _ = finished
    ids = Tokenizer.from_pretrained(folder).encode("cat [MASK] 猫")
    theirs, info = transformers.BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor([ids])).logits.numpy()
    got = BertForMaskedLM.from_pretrained(folder)(engine.tensor([ids])).detach().numpy()
    np.testing.assert_allclose(got, expected, atol=2e-5)
    assert transformers.AutoTokenizer.from_pretrained(folder)("cat [MASK] 猫")["input_ids"] == ids


def test_it_learns_what_stands_together(text, tmp_path):
    settings = TrainerConfig(epochs=25, batch_size=16, lr=5e-3, checkpoint_every=0)
    report = run(text, tmp_path / "run", trainer=settings, packing="document", p=0.25)
    # One of five words: 1/5 right at best, where the frequencies of all words give 1/15.
    assert report["held_out"]["perplexity"] < 7.5 < 15
    assert report["held_out"]["accuracy"] > 0.12


@pytest.mark.parametrize("packing, step", [("full", 5), ("document", 23)])
def test_resuming_gives_the_same_bits(text, tmp_path, finished, packing, step):
    whole = finished[0] if packing == "full" else tmp_path / "whole"
    if packing != "full":
        run(text, whole, packing=packing)
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        run(text, broken, packing=packing, callbacks=(StopAt(step),))
    assert not (broken / "report.json").exists()
    report = resume(broken)
    expected = json.loads((whole / "report.json").read_text())
    assert report["held_out"] == expected["held_out"]
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()

    def log(folder):
        records = read_log(folder / "log.jsonl")
        return [{k: v for k, v in record.items() if k not in ("seconds", "tokens_per_second")} for record in records]

    assert log(broken) == log(whole)


def test_resuming_before_the_first_checkpoint_and_after_the_end(text, tmp_path, finished):
    broken = tmp_path / "broken"
    settings = TrainerConfig(**{**SETTINGS.to_dict(), "checkpoint_every": None})

    class Break(Callback):
        def on_step_end(self, trainer, loss):
            raise OSError("the machine is gone")

    with pytest.raises(OSError, match="gone"):
        run(text, broken, trainer=settings, callbacks=(Break(),), keep_checkpoints=True)
    resume(broken)
    weights = (broken / "model.safetensors").read_bytes()
    assert weights == (finished[0] / "model.safetensors").read_bytes()
    resume(broken)
    assert (broken / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_going_on_from_a_checkpoint(text, tmp_path, finished, kind):
    folder, report = finished
    if kind != "bert":  # published names of its own, two rows of positions before the first
        engine.manual_seed(0)
        config = {**SIZES, "vocab_size": report["model"]["vocab_size"], "max_position_embeddings": 18}
        start = tmp_path / "start"
        BertForMaskedLM(
            TransformerConfig(**config, model_type=kind, position_offset=2, pad_token_id=1)
        ).save_pretrained(start)
        Tokenizer.from_pretrained(folder).save(start)
        folder = start
    settings = TrainerConfig(**{**SETTINGS.to_dict(), "epochs": None, "lr": 1e-3, "eval_every": 1, "max_steps": 12})
    options = {"init": folder, "model": {"hidden_dropout_prob": 0.0}, "trainer": settings}
    adapted = run(text, tmp_path / "adapted", **options)
    first = next(r for r in read_log(tmp_path / "adapted" / "log.jsonl") if r["event"] == "eval")
    if kind == "bert":
        assert first["loss"] < report["held_out"]["loss"] + 0.1
        assert json.loads((tmp_path / "adapted" / "run.json").read_text())["start"]["sha256"]
    made = BertForMaskedLM.from_pretrained(tmp_path / "adapted")
    assert made.config.hidden_dropout_prob == 0.0 and made.config.model_type == kind
    with pytest.raises(KeyboardInterrupt):
        run(text, tmp_path / "broken", **options, callbacks=(StopAt(6),), keep_checkpoints=True)
    resumed = resume(tmp_path / "broken")
    assert resumed["held_out"] == adapted["held_out"]
    names = [tmp_path / name / "model.safetensors" for name in ("broken", "adapted")]
    assert names[0].read_bytes() == names[1].read_bytes()
    resume(tmp_path / "broken")
    assert names[0].read_bytes() == names[1].read_bytes()


def test_held_out_files_and_none(text, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(json.dumps({"text": s}) for s in sentences(10, seed=9)))
    settings = TrainerConfig(**{**SETTINGS.to_dict(), "epochs": None, "max_steps": 3, "checkpoint_every": 0})
    with_file = run(text, tmp_path / "a", trainer=settings, held_out=[other])
    assert 60 < with_file["data"]["held_out_tokens"] < 130
    facts = json.loads((tmp_path / "a" / "run.json").read_text())
    assert set(facts["data"]["sha256"]) == {str(text), str(other)}
    without = run(text, tmp_path / "b", trainer=settings, held_out_fraction=0)
    assert "held_out" not in without and (tmp_path / "b" / "model.safetensors").exists()
    few = run(text, tmp_path / "c", trainer=settings, held_out_fraction=0.5, held_out_tokens=1)
    assert few["data"]["held_out_tokens"] <= 8 * 16


def test_refused_before_anything_is_written(text, tmp_path):
    target = tmp_path / "run"
    one = tmp_path / "one.txt"
    one.write_text("one document alone\n")
    (tmp_path / "bad.txt").write_bytes(b"good\n\nb\xff\n" * 30)
    for files, changes, error, message in [
        (str(text), {}, TypeError, "files: expected a list, got '"),
        ([tmp_path / "nowhere.txt"], {}, FileNotFoundError, r"nowhere\.txt"),
        ([one], {"document": "file"}, ValueError, "held_out_fraction: expected a document to hold out, got none"),
        ([tmp_path / "bad.txt"], {}, ValueError, r"line 3 of .*bad\.txt"),
        ([text], {"p": 0}, ValueError, r"p: expected a number in \(0, 1\]"),
        ([text], {"held_out_fraction": 1}, ValueError, "held_out_fraction"),
        ([text], {"held_out_tokens": 0}, ValueError, "held_out_tokens"),
        ([text], {"packing": "x"}, ValueError, "packing"),
        ([text], {"model": {"max_position_embeddings": 8}}, ValueError, "at most the model's 8 tokens, got 16"),
        ([text], {"model": {"hidden_size": 33}}, ValueError, "hidden_size"),
        ([text], {"init": tmp_path, "vocab_size": 8000}, (FileNotFoundError, ValueError), "tokenizer|config"),
    ]:
        with pytest.raises(error, match=message):
            pretrain(files, target, **{"trainer": SETTINGS, **OPTIONS, **changes})
        assert not target.exists()


def test_output_of_another_run(text, tmp_path, finished):
    folder, _ = finished
    with pytest.raises(FileExistsError, match="expected a new folder"):
        run(text, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(FileExistsError, match="other files"):
        run(text, tmp_path / "mine", overwrite=True)
    settings = TrainerConfig(**{**SETTINGS.to_dict(), "epochs": None, "max_steps": 2, "checkpoint_every": 0})
    run(text, tmp_path / "run", trainer=settings)
    again = run(text, tmp_path / "run", trainer=settings, overwrite=True, held_out_fraction=0)
    assert again["training"]["steps"] == 2


def test_resuming_what_changed_or_is_none(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(sentences(60)))
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "run", callbacks=(StopAt(2),))
    path.write_text("\n".join(sentences(61)))
    with pytest.raises(ValueError, match="as it was when the run began"):
        resume(tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**facts, "kind": "text"}))
    with pytest.raises(ValueError, match=r"expected a run of the kind pretraining, got 'text' \(engine train"):
        resume(tmp_path / "run", kind="pretraining")
    with pytest.raises(FileNotFoundError, match="expected an existing run folder"):
        resume(tmp_path / "nowhere")


def test_the_few_examples_of_the_example():
    path = Path(__file__).parent.parent / "examples" / "pretraining" / "run.py"
    spec = importlib.util.spec_from_file_location("pretraining_example", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    names = [f"intent {i % 7}" for i in range(300)]
    table = TextTable([f"question {i}" for i in range(300)], names)
    labels = Labels.from_labels(names)
    first, second = example.few(table, labels, 2)
    assert not set(first) & set(second)
    for rows in (first, second):
        assert np.array_equal(np.bincount(table.encode_labels(labels)[rows]), [10] * 7)
    assert np.array_equal(example.few(table, labels, 2)[1], second)
