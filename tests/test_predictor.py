"""What the predictors refuse: one string for a list of texts."""

from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from engine.inference import Predictor

RUNS = Path(__file__).parent / "runs-0.1"


@pytest.mark.parametrize("task", ["tagging", "classification"])
def test_one_string_is_not_a_list_of_texts(task):
    with pytest.raises(TypeError, match="texts: expected a list of strings"):
        Predictor.from_pretrained(RUNS / task).answer("my card")
