"""Labels that are no strings keep their type when a run or a saved model is opened again."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import engine.train
from engine.inference import Predictor, TextClassifier
from engine.runs import fitting, read_run, resume
from engine.runs.text import TextRun
from engine.train import Callback

TEXTS = [f"card {n} late" if n % 2 else f"top up {n} failed" for n in range(12)]
SMALL = {"max_steps": 1, "batch_size": 4, "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}


@pytest.mark.parametrize("pair", [(7, 10), (True, False), (1.0, 2.5), (np.int64(7), np.int64(10))])
def test_a_run_answers_with_the_type_of_the_labels(tmp_path, pair):
    labels = [pair[n % 2] for n in range(12)]
    engine.train.fit(TEXTS, labels, output=tmp_path / "run", **SMALL)
    predictor = Predictor.from_pretrained(tmp_path / "run")
    kind = type(pair[0].item() if isinstance(pair[0], np.generic) else pair[0])
    answers = [answer["label"] for answer in predictor.answer(TEXTS)]
    assert {type(each) for each in answers} == {kind} and set(answers) <= set(pair)
    predictor.save_pretrained(tmp_path / "saved")
    classes = TextClassifier.from_pretrained(tmp_path / "saved").classes_
    assert classes.dtype.kind == {int: "i", bool: "b", float: "f"}[kind] and set(classes.tolist()) == set(pair)


def test_several_numbers_a_text_stay_numbers(tmp_path):
    labels = [[3, 5] if n % 2 else [3] for n in range(12)]
    engine.train.fit(TEXTS, labels, task="multilabel", output=tmp_path / "run", **SMALL)
    answer = Predictor.from_pretrained(tmp_path / "run").answer(TEXTS[:1])[0]
    assert set(answer["probabilities"]) <= {3, 5} and all(type(label) is int for label in answer["labels"])


def test_strings_and_mixed_labels_stay_names(tmp_path):
    engine.train.fit(TEXTS, ["7", "10"] * 6, output=tmp_path / "run", **SMALL)
    assert "label_type" not in json.loads((tmp_path / "run" / "config.json").read_text())
    assert {answer["label"] for answer in Predictor.from_pretrained(tmp_path / "run").answer(TEXTS)} <= {"7", "10"}


def test_a_run_that_starts_from_numbers_forgets_them(tmp_path):
    engine.train.fit(TEXTS, [7, 10] * 6, output=tmp_path / "first", **SMALL)
    again = {"init": str(tmp_path / "first"), "max_steps": 1, "batch_size": 4}
    engine.train.fit(TEXTS, ["7", "10"] * 6, output=tmp_path / "second", **again)
    assert {a["label"] for a in Predictor.from_pretrained(tmp_path / "second").answer(TEXTS)} <= {"7", "10"}


def test_a_type_that_names_do_not_have_is_refused(tmp_path):
    engine.train.fit(TEXTS, ["a", "b"] * 6, output=tmp_path / "run", **SMALL)
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "label_type": "int"}))
    with pytest.raises(ValueError, match="label_type: expected one of int"):
        Predictor.from_pretrained(tmp_path / "run")


@pytest.mark.parametrize("break_at", [0, 2])
def test_a_fit_that_is_resumed_keeps_the_type(tmp_path, monkeypatch, break_at):
    class Break(Exception):
        pass

    def breaks(*given, callbacks=(), **options):
        return train_text(*given, callbacks=(*callbacks, Breaks()), **options)

    class Breaks(Callback):
        def on_step_end(self, trainer, record):
            if trainer.state.step > break_at:
                raise Break

    train_text = fitting.train_text
    monkeypatch.setattr(fitting, "train_text", breaks)
    settings = {**SMALL, "max_steps": 4, "checkpoint_every": 2}
    with pytest.raises(Break):
        engine.train.fit(TEXTS, [7, 10] * 6, output=tmp_path / "run", **settings)
    resume(tmp_path / "run")
    answers = Predictor.from_pretrained(tmp_path / "run").answer(TEXTS)
    assert {type(answer["label"]) for answer in answers} == {int}
    run = json.loads((tmp_path / "run/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**run, "label_type": "list"}))
    with pytest.raises(ValueError, match=r"label_type: expected one of int.* in the run\.json of"):
        TextRun.begun(tmp_path / "run", read_run(tmp_path / "run"), fresh=True)
