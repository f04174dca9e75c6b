"""`engine.train.fit`: texts and labels from memory, in all forms that people have, and what it refuses."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine
from cli_runs import run_engine, tagged, texts, write_encoder, write_rows
from engine.inference import Predictor
from engine.runs import DEFAULTS
from engine.text.lists import column_of, list_of

TEXTS, LABELS = map(list, zip(*texts(2)))
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "epochs": 1,
    "batch_size": 8,
    "max_length": 16,
}


@pytest.fixture(scope="module")
def plain():
    return engine.train.fit(TEXTS, LABELS, **SMALL)


def logits(predictor):
    return predictor.dataset_logits(predictor.encode(predictor.task.bare(TEXTS)))


def frames():
    yield "lists", lambda: (iter(TEXTS), tuple(LABELS))
    yield "arrays", lambda: (np.array(TEXTS), np.array(LABELS, dtype=object))
    yield "a column of an array", lambda: (np.array(TEXTS)[:, None], LABELS)
    yield "a dict", lambda: ({"text": TEXTS, "label": LABELS},)
    yield "pandas", lambda: (pytest.importorskip("pandas").DataFrame({"text": TEXTS, "label": LABELS}),)
    yield "categories", lambda: (TEXTS, pytest.importorskip("pandas").Series(LABELS, dtype="category"))
    yield "polars", lambda: (pytest.importorskip("polars").DataFrame({"text": TEXTS, "label": LABELS}),)
    yield "pyarrow", lambda: (pytest.importorskip("pyarrow").table({"text": TEXTS, "label": LABELS}),)


@pytest.mark.parametrize(("name", "given"), list(frames()), ids=lambda each: each if isinstance(each, str) else "")
def test_all_forms_give_the_same_model(plain, name, given):
    data = given()
    columns = {"text": "text", "label": "label"} if len(data) == 1 else {}
    found = engine.train.fit(*data, **columns, **SMALL)
    assert found.labels == plain.labels and np.array_equal(logits(found), logits(plain))


@pytest.mark.filterwarnings("ignore")
def test_a_dataset_whose_labels_are_numbers_with_names(plain):
    datasets = pytest.importorskip("datasets")
    names = sorted(set(LABELS))
    features = datasets.Features({"q": datasets.Value("string"), "kind": datasets.ClassLabel(names=names)})
    data = datasets.Dataset.from_dict({"q": TEXTS, "kind": [names.index(each) for each in LABELS]}, features=features)
    assert list_of("fit", "texts", data["q"]) == TEXTS
    assert column_of("fit", "label", data, "kind") == LABELS
    with pytest.raises(TypeError, match="several tables"):
        column_of("fit", "text", datasets.DatasetDict({"train": data}), "train")
    found = engine.train.fit(data, text="q", label="kind", **SMALL)
    assert found.labels == plain.labels and np.array_equal(logits(found), logits(plain))


def test_a_run_folder_that_the_command_would_write(tmp_path, plain):
    found = engine.train.fit(TEXTS, LABELS, output=tmp_path / "deep" / "run", **SMALL)
    folder = tmp_path / "deep" / "run"
    assert (folder / "report.json").is_file() and (tmp_path / "deep" / "run-data.jsonl").is_file()
    assert np.array_equal(logits(Predictor.from_pretrained(folder)), logits(found))
    assert np.array_equal(logits(found), logits(plain))
    before = (tmp_path / "deep" / "run-data.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite="):
        engine.train.fit(TEXTS[:20], LABELS[:20], output=folder, **SMALL)
    assert (tmp_path / "deep" / "run-data.jsonl").read_bytes() == before


def test_from_a_published_encoder(tmp_path):
    write_encoder(tmp_path)
    found = engine.train.fit(TEXTS, LABELS, init=tmp_path, epochs=1, lora_rank=2)
    assert found.model.config.model_type == "bert" and found.max_length == 32


def test_other_tasks():
    several = [[label, "all"] for label in LABELS]
    found = engine.train.fit(TEXTS, several, task="multilabel", **SMALL)
    assert set(found.labels.names) == {*LABELS, "all"}
    found = engine.train.fit(TEXTS, [len(text) / 7 for text in TEXTS], task="regression", **SMALL)
    assert list(found.answer(["the card"])[0]) == ["value"]
    words, tags = zip(*tagged())
    found = engine.train.fit(words, tags, task="tagging", **SMALL)
    assert found.task.name == "tagging"
    found = engine.train.fit(TEXTS, LABELS, pairs=TEXTS[::-1], **SMALL)
    assert found.model.config.type_vocab_size == 2


def test_whole_numbers_are_names():
    numbers = [sorted(set(LABELS)).index(label) for label in LABELS]
    assert engine.train.fit(TEXTS, np.array(numbers), **SMALL).labels.names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((["a", "b"],), TypeError, r"\[fit\] text: expected no name, because the texts are not a table"),
        (("a text", ["a"]), TypeError, "texts: expected a list of values, one for each sample, got one string"),
        ((["a", "b"], "ab"), TypeError, "labels: expected a list of values, one for each sample, got one string"),
        ((["a", "b"], ["x"]), ValueError, "labels: expected 2, one for each text, got 1"),
        ((["a", None], ["x", "y"]), TypeError, r"texts: expected strings, got None \(NoneType\) in texts\[1\]"),
        ((["a", 3.5], ["x", "y"]), TypeError, r"texts: expected strings, got 3.5 \(float\) in texts\[1\]"),
        ((["a", "b"], ["x", None]), ValueError, "labels: expected a label for each text, got None in labels.1."),
        ((["a", "b"], ["x", float("nan")]), ValueError, "got nan in labels.1."),
        ((["a", "b"], ["x", " "]), ValueError, "got ' ' in labels.1."),
        ((["a", "b"], [["x"], ["y"]]), TypeError, "task='multilabel' takes several"),
        (([], []), ValueError, "texts: expected at least one text, got none"),
        ((np.zeros((2, 3)), ["x", "y"]), TypeError, r"texts: expected a list, or a single column, got shape \(2, 3\)"),
        (({"text": ["a"]}, ["x"]), TypeError, "expected one column, got a table"),
        (({"text": ["a"]},), ValueError, "label: expected one of the columns 'text', got 'label'"),
        ((3, ["x"]), TypeError, "texts: expected a list of values, got int"),
    ],
)
def test_refusals(given, error, message):
    with pytest.raises(error, match=message):
        engine.train.fit(*given)


def test_settings_are_checked():
    with pytest.raises(TypeError, match=r"epoch: expected a setting, got an unknown name \(did you mean epochs\?\)"):
        engine.train.fit(TEXTS, LABELS, epoch=1)
    with pytest.raises(TypeError, match=r"epochs: expected .*, got 'x'"):
        engine.train.fit(TEXTS, LABELS, epochs="x")
    with pytest.raises(ValueError, match="expected one of classification"):
        engine.train.fit(TEXTS, LABELS, task="ranking")
    with pytest.raises(ValueError, match="labels: expected None"):
        engine.train.fit({"a": TEXTS}, LABELS, text="a")


def test_the_help_of_the_command_names_the_defaults():
    said = importlib.import_module("engine.commands.train")._DEFAULT
    assert said.keys() == DEFAULTS.keys()
    for name, (scratch, tuned) in DEFAULTS.items():
        assert said[name].startswith(f"(default: {scratch:g}; with --init, {'' if tuned is None else f'{tuned:g}'}"), (
            name
        )


def test_a_rate_of_0_is_said_and_other_rates_that_learn_nothing_are_refused(tmp_path, caplog):
    engine.train.fit(TEXTS, LABELS, **SMALL, lr=0, output=tmp_path / "run")
    assert "fit: the learning rate is 0, so the training changes no weight" in caplog.messages
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["advice"] == ["The learning rate was 0. A model learns only with a rate above 0."]
    for lr in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"lr: expected a finite number >= 0"):
            engine.train.fit(TEXTS, LABELS, **SMALL, lr=lr)


@pytest.mark.parametrize("option", ["--lr", "--head-lr"])
@pytest.mark.parametrize("rate", ["-1", "nan", "inf", "-1e-9"])
def test_the_command_refuses_rates_that_are_none(tmp_path, option, rate):
    data = write_rows(tmp_path / "a.csv", ("text", "label"), texts(2))
    error = run_engine("train", data, "-o", tmp_path / "run", option, rate, code=2)
    assert f"{option}: expected " in error and "a finite number >= 0" in error and not (tmp_path / "run").exists()
