"""Exported folders: what is in them, and what transformers makes of them where it is installed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.inference.export import export, published_classifier, published_encoder
from engine.models import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    TransformerClassifier,
    TransformerConfig,
    TransformerEncoderModel,
)
from engine.serialization import load_file
from engine.text import PackedBatch, Tokenizer

GOLDEN = Path(__file__).parent / "golden"
TEXTS = ["My card has not arrived yet!", "", "Über café naïve", "你好 世界, and more", "card " * 40]
NAMES = {0: "arrival", 1: "loss | theft", 2: "其他"}
FILES = {
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "README.md",
}  # fmt: skip


def tokenizer_of(kind="wordpiece", lowercase=True):
    return Tokenizer.train([*TEXTS, "MY Card"] * 3, 400 if kind == "bpe" else 120, kind, lowercase=lowercase)


def run_folder(folder, tokenizer, model=None, **changes):
    """A folder as a training leaves it."""
    engine.manual_seed(0)
    if model is None:
        sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 24, "initializer_range": 0.5}
        config = TransformerConfig(
            tokenizer.vocab_size,
            **{**sizes, "num_labels": 3, "id2label": NAMES, "pad_token_id": tokenizer.pad_token_id, **changes},
        )
        model = (BertForSequenceClassification if config.model_type else TransformerClassifier)(config)
    model.eval().save_pretrained(folder)
    tokenizer.save(folder)
    return model


def logits(model, tokenizer, length=24):
    batch = PackedBatch.from_sequences([tokenizer.encode(text, max_length=length) for text in TEXTS])
    return model(batch).detach().numpy()


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_files(tmp_path):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, model_type="bert", type_vocab_size=2)
    found = export(tmp_path / "run", tmp_path / "deep" / "out")
    assert found == tmp_path / "deep" / "out" and {path.name for path in found.iterdir()} == FILES
    assert stat.S_IMODE(found.stat().st_mode) & 0o700 == 0o700 and len(list(found.parent.iterdir())) == 1
    config = read(found / "config.json")
    assert config["architectures"] == ["BertForSequenceClassification"] and config["model_type"] == "bert"
    assert config["id2label"] == {"0": "arrival", "1": "loss | theft", "2": "其他"} and config["dtype"] == "float32"
    about = read(found / "tokenizer_config.json")
    assert about["model_max_length"] == 24 and about["do_lower_case"] is True
    assert about["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    assert read(found / "special_tokens_map.json")["mask_token"] == about["mask_token"] == "[MASK]"
    again = Tokenizer.from_vocab(found / "vocab.txt")
    assert again.encode_batch(TEXTS) == Tokenizer.from_pretrained(found).encode_batch(TEXTS)
    assert again.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)
    opened = AutoModelForSequenceClassification.from_pretrained(found)
    assert logits(opened, tokenizer).tolist() == logits(model, tokenizer).tolist()


def test_the_card(tmp_path):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, model_type="bert")
    run = {
        "format": 1, "task": "text-classification", "seed": 3,
        "data": {"train": ["/secret/place/train|1.csv"], "sha256": {"/secret/place/train|1.csv": "ab12"},
                 "absolute": {"/secret/place/train|1.csv": "/secret/place/train|1.csv"}},
        "trainer": {"lr": 2e-05, "batch_size": 16, "max_tokens": None, "metric": "macro_f1"},
    }  # fmt: skip
    report = {
        "data": {"train_samples": 1200}, "held_out": {"samples": 10, "accuracy": 0.75, "classes": [{"label": "x"}]},
        "test": {"samples": 12, "macro_f1": 0.5}, "environment": {"versions": {"engine": "9.9", "numpy": "2"}},
    }  # fmt: skip
    (tmp_path / "run" / "run.json").write_text(json.dumps(run))
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    text = (export(tmp_path / "run", tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    head = text.split("---")[1].splitlines()
    assert "pipeline_tag: text-classification" in head and not any(line.startswith("license:") for line in head)
    for line in (
        "| `train\\|1.csv` | `ab12` |", "training samples: 1,200.", "| accuracy | 0.75 |", "| macro F1 | 0.5 |",
        "| `lr` | 2e-05 |", '| `metric` | "macro_f1" |', "engine 9.9, numpy 2; ", f"{model.num_parameters():,} parameters",
        "3 labels: `arrival`, `loss \\| theft`, `其他`.", "AutoModelForSequenceClassification.from_pretrained",
    ):  # fmt: skip
        assert line in text, line
    assert "secret" not in text and "max_tokens" not in text
    assert not (export(tmp_path / "run", tmp_path / "bare", card=False) / "README.md").exists()
    (tmp_path / "run" / "run.json").unlink()
    (tmp_path / "run" / "report.json").unlink()
    text = (export(tmp_path / "run", tmp_path / "plain") / "README.md").read_text(encoding="utf-8")
    assert "## Data" not in text and "## Test" not in text and "# BertForSequenceClassification" in text


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_the_size(tmp_path, dtype):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, model_type="bert")
    found = export(tmp_path / "run", tmp_path / "out", dtype=dtype)
    weights = load_file(found / "model.safetensors")
    assert {tensor.dtype.name for tensor in weights.values()} == {dtype} and read(found / "config.json")[
        "dtype"
    ] == dtype
    opened = AutoModelForSequenceClassification.from_pretrained(found)
    np.testing.assert_allclose(logits(opened, tokenizer), logits(model, tokenizer), atol=0.3)
    assert logits(opened, tokenizer).tolist() != logits(model, tokenizer).tolist()


def test_weights_that_float16_cannot_hold(tmp_path):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, model_type="bert")
    with engine.no_grad():
        model.classifier.weight.fill_(7e4)
    model.save_pretrained(tmp_path / "run")
    with pytest.raises(ValueError, match=r"dtype: expected one that can hold classifier.weight, got float16"):
        export(tmp_path / "run", tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    export(tmp_path / "run", tmp_path / "out", dtype="bfloat16")


@pytest.mark.parametrize("types", [0, 1, 2])
def test_a_classifier_of_our_own_that_is_one_of_berts(tmp_path, types):
    tokenizer = tokenizer_of()
    model = run_folder(tmp_path / "run", tokenizer, pooler=True, type_vocab_size=types)
    assert type(model) is TransformerClassifier
    opened = AutoModelForSequenceClassification.from_pretrained(export(tmp_path / "run", tmp_path / "out"))
    assert type(opened) is BertForSequenceClassification
    np.testing.assert_allclose(logits(opened, tokenizer), logits(model, tokenizer), rtol=1e-5, atol=1e-6)
    assert published_classifier(opened) is opened


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"pooling": "max", "pooler": True}, "its pooling is 'max'"),
        ({"pooling": "first"}, "it has no pooler"),
        ({"pooler": True, "norm_first": True}, "normalises before each part"),
        ({"pooler": True, "pooler_act": "relu"}, "its pooler has dropout or an activation other than tanh"),
        ({"pooler": True, "embedding_size": 8}, "its embeddings have another size"),
        ({"pooler": True, "num_hidden_groups": 1}, "its layers share weights"),
    ],
)
def test_models_that_no_family_can_open(tmp_path, changes, reason):
    run_folder(tmp_path / "run", tokenizer_of(), **changes)
    with pytest.raises(ValueError, match=rf"{reason}.*pooling='first', pooler=True"):
        export(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_encoders(tmp_path):
    engine.manual_seed(0)
    own = TransformerEncoderModel(TransformerConfig(50, hidden_size=16, num_hidden_layers=1, pooling="max")).eval()
    batch = PackedBatch.from_sequences([[5, 6, 7], [8]])
    found = published_encoder(own)
    np.testing.assert_allclose(
        found(batch).last_hidden_state.detach().numpy(), own(batch).detach().numpy(), rtol=1e-6, atol=1e-6
    )
    assert found(batch).pooler_output is None and published_encoder(found) is found


def test_other_heads(tmp_path):
    tokenizer = tokenizer_of()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 24, "model_type": "bert"}
    config = TransformerConfig(tokenizer.vocab_size, num_labels=5, **sizes)
    for kind, tag in (
        (BertForTokenClassification, "token-classification"), (BertForMaskedLM, "fill-mask"),
        (BertModel, "feature-extraction"),
    ):  # fmt: skip
        run = tmp_path / kind.__name__
        run_folder(run, tokenizer, kind(config))
        found = export(run, tmp_path / f"{kind.__name__}-out")
        assert read(found / "config.json")["architectures"] == [kind.__name__]
        assert f"pipeline_tag: {tag}" in (found / "README.md").read_text()
        before, after = load_file(run / "model.safetensors"), load_file(found / "model.safetensors")
        assert before.keys() == after.keys() and all(before[n].tolist() == after[n].tolist() for n in before)
    masked = AutoModelForMaskedLM.from_pretrained(tmp_path / "BertForMaskedLM-out")
    assert type(masked) is BertForMaskedLM


def test_what_is_refused(tmp_path):
    run_folder(tmp_path / "run", tokenizer_of(), model_type="bert")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    for source, target, options, error, message in [
        ("none", "out", {}, FileNotFoundError, "run_folder: expected an existing folder"),
        (
            "full",
            "out",
            {},
            FileNotFoundError,
            "run_folder: expected a folder with config.json, .*full with none of these",
        ),
        ("run", "full", {}, FileExistsError, "output: expected a new or empty folder"),
        ("run", "run", {}, FileExistsError, "output: expected a new or empty folder"),
        ("run", "out", {"dtype": "int8"}, ValueError, "dtype: expected one of float32, float16, bfloat16, got 'int8'"),
        ("run", "out", {"max_length": 25}, ValueError, "max_length: expected 1 to 24 tokens, got 25"),
    ]:
        with pytest.raises(error, match=rf"\[export\] {message}"):
            export(tmp_path / source, tmp_path / target, **options)
    for change, message in [
        ({"architectures": ["BertForQuestionAnswering"]}, "got BertForQuestionAnswering"),
        (None, "JSON"),
    ]:
        path = tmp_path / "run" / "config.json"
        path.write_text("{" if change is None else json.dumps({**read(path), **change}))
        with pytest.raises(ValueError, match=rf"\[export\] run_folder: .*{message}"):
            export(tmp_path / "run", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "run"]


def test_an_empty_folder_and_one_that_failed(tmp_path, monkeypatch):
    run_folder(tmp_path / "run", tokenizer_of(), model_type="bert")
    (tmp_path / "out").mkdir()

    def fails(*arguments):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(engine.inference.export, "model_card", fails)
        with pytest.raises(OSError, match="no space"):
            export(tmp_path / "run", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir()) and len(list(tmp_path.iterdir())) == 2
    assert (export(tmp_path / "run", tmp_path / "out") / "config.json").is_file()


# ---- transformers itself


@pytest.mark.parametrize("kind, lowercase", [("wordpiece", True), ("wordpiece", False), ("bpe", True)])
@pytest.mark.parametrize(
    "changes", [{"model_type": "bert", "type_vocab_size": 2}, {"pooler": True}], ids=["bert", "own"]
)
def test_transformers_gives_the_same_logits(tmp_path, kind, lowercase, changes):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = tokenizer_of(kind, lowercase)
    model = run_folder(tmp_path / "run", tokenizer, **changes)
    found = export(tmp_path / "run", tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(found)
    assert theirs.model_max_length == 24
    encoded = theirs(TEXTS, truncation=True)
    assert encoded["input_ids"] == tokenizer.encode_batch(TEXTS, max_length=24)
    pairs = theirs(TEXTS[:2], TEXTS[2:4])
    assert (pairs["input_ids"], pairs["token_type_ids"]) == tokenizer.encode_pairs(TEXTS[:2], TEXTS[2:4])
    other = transformers.AutoModelForSequenceClassification.from_pretrained(found).eval()
    with torch.no_grad():
        output = other(**theirs(TEXTS, truncation=True, padding=True, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(output, logits(model, tokenizer), rtol=2e-5, atol=2e-5)
    pipe = transformers.pipeline("text-classification", model=other, tokenizer=theirs)
    best = [NAMES[int(i)] for i in logits(model, tokenizer).argmax(1)]
    assert [row["label"] for row in pipe(TEXTS, truncation=True)] == best
    if kind == "wordpiece":  # by the class for BERT's, from vocab.txt and the settings beside it
        slow = transformers.BertTokenizer.from_pretrained(found)
        assert slow(TEXTS)["input_ids"] == tokenizer.encode_batch(TEXTS)


@pytest.mark.parametrize("family", ["distilbert", "electra", "albert", "roberta", "xlm-roberta", "camembert"])
def test_families(tmp_path, family):
    """A tokenizer of ours beside each family's tiny model; token types only where the model takes them."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = AutoModelForSequenceClassification.from_pretrained(GOLDEN / family / "sequence")
    tokenizer = Tokenizer.train(["abc abd"] * 3, min(30, model.config.vocab_size))
    run_folder(tmp_path / "run", tokenizer, model)
    found = export(tmp_path / "run", tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(found)
    assert theirs.model_max_length == model.config.max_length
    other = transformers.AutoModelForSequenceClassification.from_pretrained(found).eval()
    texts = ["abc", "abd abc abd"]  # no [UNK]: its id is the padding of these models
    given = theirs(texts, padding=True, return_tensors="pt")
    assert ("token_type_ids" in given) == (model.config.type_vocab_size > 1)
    if model.config.position_offset:  # these count positions by where the model's padding id stands
        given["input_ids"][given["attention_mask"] == 0] = model.config.pad_token_id
    with torch.no_grad():
        output = other(**given).logits.numpy()
    batch = PackedBatch.from_sequences(tokenizer.encode_batch(texts))
    np.testing.assert_allclose(output, model(batch).detach().numpy(), rtol=2e-5, atol=2e-5)
