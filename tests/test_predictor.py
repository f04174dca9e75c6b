"""What the predictors refuse: one string for a list of texts."""

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from engine.inference import Predictor, SentenceEncoder, TextClassifier
from engine.tasks import Regression

RUNS = Path(__file__).parent / "runs-0.1"


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_one_string_is_not_a_list_of_texts(task):
    with pytest.raises(TypeError, match=r"texts: expected a list of values.*got one string"):
        Predictor.from_pretrained(RUNS / task).answer("my card")


@pytest.mark.parametrize("table", [{"text": ["a"], "label": ["b"]}, {"a": 1}])
@pytest.mark.parametrize("opened", [Predictor, SentenceEncoder, TextClassifier])
def test_tables_and_sets_are_refused_with_the_way_out(opened, table):
    model = opened.from_pretrained(RUNS / "classification")
    ask = model.encode if opened is SentenceEncoder else model.answer
    with pytest.raises(TypeError, match=r"texts: expected one column, got a table \(dict\) \(.*table\['text'\]"):
        ask(table)
    with pytest.raises(TypeError, match=r"texts: expected a list, got a set, which has no order"):
        ask({"a", "b"})
    with pytest.raises(TypeError, match=r"texts: expected strings, got nan \(float\) in texts\[1\]"):
        ask(["a", float("nan")])


def test_a_frame_is_refused_and_its_column_taken():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    predictor = Predictor.from_pretrained(RUNS / "classification")
    with pytest.raises(TypeError, match=r"got shape \(2, 2\).*table\['text'\]"):
        predictor.answer(frame)
    assert len(predictor.answer(frame["text"])) == len(predictor.answer(frame[["text"]])) == 2


def test_second_texts_are_checked_too():
    with pytest.raises(TypeError, match=r"pairs: expected a list of values.*got one string"):
        Predictor.from_pretrained(RUNS / "classification").answer(["a"], "b")


def test_a_number_has_no_temperature():
    classifier = Predictor.from_pretrained(RUNS / "classification")
    predictor = Predictor(classifier.model, classifier.tokenizer, Regression(["value"]))
    predictor.temperature = 1.0
    with pytest.raises(ValueError, match="temperature: expected 1 for Regression, which has no probabilities, got 2"):
        predictor.temperature = 2.0
    with pytest.raises(ValueError, match="temperature: expected a number > 0"):
        classifier.temperature = 0.0
