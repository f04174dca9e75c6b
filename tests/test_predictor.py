"""What the predictors refuse: one string for a list of texts."""

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from engine.inference import Predictor
from engine.tasks import Regression

RUNS = Path(__file__).parent / "runs-0.1"


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_one_string_is_not_a_list_of_texts(task):
    with pytest.raises(TypeError, match="texts: expected a list of strings"):
        Predictor.from_pretrained(RUNS / task).answer("my card")


def test_a_number_has_no_temperature():
    classifier = Predictor.from_pretrained(RUNS / "classification")
    predictor = Predictor(classifier.model, classifier.tokenizer, Regression(["value"]))
    predictor.temperature = 1.0
    with pytest.raises(ValueError, match="temperature: expected 1 for Regression, which has no probabilities, got 2"):
        predictor.temperature = 2.0
    with pytest.raises(ValueError, match="temperature: expected a number > 0"):
        classifier.temperature = 0.0
