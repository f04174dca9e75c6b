"""What the predictors refuse: models of other tasks, and one string for a list of texts."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from engine.inference import Predictor, TextClassifier
from engine.tasks import Regression

RUNS = Path(__file__).parent / "runs-0.1"


@pytest.mark.parametrize("task", ["tagging", "multilabel"])
def test_a_classifier_opens_models_with_one_label_a_text(task):
    with pytest.raises(ValueError, match=f"model: expected a model that gives each text one label, got one for {task}"):
        TextClassifier.from_pretrained(RUNS / task)


def test_one_string_is_not_a_list_of_texts():
    classifier = TextClassifier.from_pretrained(RUNS / "classification")
    for call in (classifier.predict, classifier.answer, classifier.logits):
        with pytest.raises(TypeError, match="texts: expected a list of strings, got str"):
            call("my card")
    with pytest.raises(TypeError, match="texts: expected a list of strings"):
        Predictor.from_pretrained(RUNS / "tagging").answer("my card")


def test_a_number_has_no_temperature():
    classifier = TextClassifier.from_pretrained(RUNS / "classification")
    predictor = Predictor(classifier.model, classifier.tokenizer, Regression(["value"]))
    predictor.temperature = 1.0
    with pytest.raises(ValueError, match="temperature: expected 1 for Regression, which has no probabilities, got 2"):
        predictor.temperature = 2.0
    with pytest.raises(ValueError, match="temperature: expected a number > 0"):
        classifier.temperature = 0.0


def test_predictions_are_calibrated_as_answers_are():
    classifier = TextClassifier.from_pretrained(RUNS / "classification")
    classifier.temperature = 100.0
    probabilities = [classifier.predict(["my card"])[0].probability, classifier.answer(["my card"])[0]["probability"]]
    assert probabilities == pytest.approx([1 / len(classifier.labels)] * 2, rel=0.1)
    np.testing.assert_allclose(*probabilities, rtol=1e-4)
