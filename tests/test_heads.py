"""Heads of published models: rows follow the names of labels, other names make a new head, and one output is a number."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine
from cli_runs import texts, write_encoder, write_rows
from engine.inference import Predictor, TextClassifier
from engine.models import AutoModelForSequenceClassification, AutoModelForTokenClassification
from engine.runs import StartConfig, TextData, train_text
from engine.runs.heads import published_model
from engine.serialization import load_file
from engine.tasks import Classification, MultiLabel, Regression, Tagging
from engine.train import TrainerConfig


def with_head(folder: Path, labels: list[str] | int, auto=AutoModelForSequenceClassification, **config) -> Path:
    """A published model with a head. labels: their names, or how many there are without names."""
    encoder = write_encoder(folder / "encoder")
    named = {"num_labels": labels} if isinstance(labels, int) else {"id2label": dict(enumerate(labels))}
    engine.manual_seed(5)
    model = auto.from_pretrained(encoder, output_loading_info=True, **named)[0]
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(encoder / name, folder / name)
    values = json.loads((folder / "config.json").read_text())
    if isinstance(labels, int):
        values = {key: value for key, value in values.items() if key not in ("id2label", "label2id")}
        values["num_labels"] = labels
    (folder / "config.json").write_text(json.dumps({**values, **config}))
    return folder


def weight(folder: Path) -> np.ndarray:
    return load_file(folder / "model.safetensors")["classifier.weight"].numpy()


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (["a", "b", "c"], [0, 1, 2]),
        (["c", "a", "b"], [2, 0, 1]),
        (["c", "a"], [2, 0]),
    ],
)
def test_rows_follow_the_names(tmp_path, labels, rows, caplog):
    folder = with_head(tmp_path, ["a", "b", "c"])
    model, new = published_model(str(folder), Classification(labels), {})
    np.testing.assert_array_equal(model.classifier.weight.detach().numpy(), weight(folder)[rows])
    assert new == [] and not caplog.records and not model.training
    assert model.config.labels == dict(enumerate(labels)) and model.config.num_labels == len(labels)
    assert all(p.requires_grad for p in model.classifier.parameters())
    ids = engine.tensor([[5, 6, 7]])
    whole = AutoModelForSequenceClassification.from_pretrained(folder)(ids).detach().numpy()
    np.testing.assert_allclose(model(ids).detach().numpy(), whole[:, rows], rtol=1e-5)


@pytest.mark.parametrize("labels", [["a", "b", "d"], ["x", "y", "z"], ["a", "b", "c", "d"], ["x", "y"]])
def test_other_names_make_a_new_head(tmp_path, labels, caplog):
    folder = with_head(tmp_path, ["a", "b", "c"])
    model, new = published_model(str(folder), Classification(labels), {})
    assert sorted(new) == ["classifier.bias", "classifier.weight"]
    assert not np.isin(model.classifier.weight.detach().numpy(), weight(folder)).any()
    assert not model.classifier.bias.detach().numpy().any()
    assert "a new head for the labels " + ", ".join(labels) in caplog.text and "has others: a, b, c" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_numbers_name_the_rows_of_a_head_whose_labels_have_no_names(tmp_path):
    folder = with_head(tmp_path, 3)
    model, new = published_model(str(folder), Classification(["2", "0", "1"]), {})
    np.testing.assert_array_equal(model.classifier.weight.detach().numpy(), weight(folder)[[2, 0, 1]])
    assert new == []
    assert published_model(str(folder), Classification(["ham", "spam", "x"]), {})[1]


def test_a_head_of_another_kind_is_not_taken(tmp_path):
    folder = with_head(tmp_path, ["O", "B-x"], AutoModelForTokenClassification)
    _, new = published_model(str(folder), Tagging(["B-x", "O"]), {})
    assert new == []
    _, new = published_model(str(folder), MultiLabel(["B-x", "O"]), {})
    assert "classifier.weight" in new


def test_a_head_of_a_number_needs_no_name(tmp_path):
    folder = with_head(tmp_path, 1)
    model, new = published_model(str(folder), Regression(["score"]), {})
    assert new == [] and model.config.labels == {0: "score"} and model.config.problem_type == "regression"
    np.testing.assert_array_equal(model.classifier.weight.detach().numpy(), weight(folder))


def test_one_output_is_a_number(tmp_path):
    folder = with_head(tmp_path, 1)
    predictor = Predictor.from_pretrained(folder)
    assert isinstance(predictor.task, Regression)
    (answer,) = predictor.answer(["the card"], ["is late"])
    assert list(answer) == ["value"]
    with pytest.raises(ValueError, match="gives texts labels, got one for regression"):
        TextClassifier.from_pretrained(folder)


def test_labels_without_names_have_those_of_transformers(tmp_path):
    answer = Predictor.from_pretrained(with_head(tmp_path, 2)).answer(["the card"], top_k=2)[0]
    assert sorted(each["label"] for each in answer["top"]) == ["LABEL_0", "LABEL_1"]


def test_a_run_starts_with_the_rows_of_its_labels(tmp_path, caplog):
    """Nothing is learned at a rate of 0: the run's head is the published one."""
    rows = texts(2)
    data = write_rows(tmp_path / "train.csv", ("text", "label"), rows)
    names = sorted({label for _, label in rows}, reverse=True)
    folder = with_head(tmp_path / "model", names)
    start, trainer = StartConfig(str(folder)), TrainerConfig(max_steps=1, lr=0.0, weight_decay=0.0)
    train_text(TextData((str(data),), max_length=16), trainer, tmp_path / "run", start=start)
    np.testing.assert_array_equal(weight(tmp_path / "run"), weight(folder)[::-1])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["id2label"]["0"] == names[-1]
    assert not [record for record in caplog.records if record.name.startswith("engine")]
