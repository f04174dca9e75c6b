"""The threshold of several labels: chosen on held-out texts, kept with the model, and used by all who answer."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from cli_runs import SCRATCH, WORDS, run_engine
from engine.inference import Predictor
from engine.metrics import best_threshold, multilabel_decisions, multilabel_metrics
from engine.models import TransformerConfig
from engine.tasks import MultiLabel, Regression


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    true = rng.random((60, 4)) < 0.2
    logits = rng.normal(size=(60, 4)) + 2 * true - rng.random()
    found = best_threshold(true, logits)
    f1 = {t: multilabel_metrics(true, logits, t)["micro_f1"] for t in np.arange(5, 96) / 100}
    assert f1[found] == max(f1.values())
    assert all(abs(found - 0.5) <= abs(t - 0.5) for t, value in f1.items() if value == f1[found])


def test_without_a_choice_it_is_one_half():
    assert best_threshold(np.zeros((3, 2)), np.ones((3, 2))) == 0.5
    assert best_threshold(np.array([[1, 0]]), np.array([[9.0, -9.0]])) == 0.5  # all are equally good
    assert MultiLabel(["a", "b"]).threshold == 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thresholds")
    rows = ["text\tlabel"]
    for label, sentences in WORDS.items():
        rows += [f"{text} {i}\t{label}{'|all' if i % 3 == 0 else ''}" for text in sentences for i in range(6)]
    (folder / "a.tsv").write_text("\n".join(rows) + "\n")
    run_engine("train", folder / "a.tsv", "--task", "multilabel", *SCRATCH, "--output", folder / "run")
    return folder


def test_it_is_chosen_kept_and_used(run):
    report = json.loads((run / "run" / "report.json").read_text())
    chosen = report["held_out"]["threshold"]
    assert 0.05 <= chosen <= 0.95 and chosen != 0.5
    assert json.loads((run / "run" / "config.json").read_text())["threshold"] == chosen
    assert f"at least {chosen:g}, which was chosen on the held-out texts" in (run / "run" / "report.md").read_text()
    predictor = Predictor.from_pretrained(run / "run")
    assert predictor.task.threshold == chosen
    predictor.save_pretrained(run / "copy")
    assert Predictor.from_pretrained(run / "copy").task.threshold == chosen
    figures = json.loads(run_engine("evaluate", run / "run", run / "a.tsv", "--json"))
    assert figures["threshold"] == chosen
    other = json.loads(run_engine("evaluate", run / "run", run / "a.tsv", "--json", "--threshold", "0.05"))
    assert other["threshold"] == 0.05 and other["loss"] == figures["loss"]

    def labels(*options):
        return json.loads(run_engine("predict", run / "run", "my card", "--top-k", "4", "--json", *options))

    answer = labels()
    assert answer["labels"] == [name for name, p in answer["probabilities"].items() if p >= chosen]
    assert len(labels("--threshold", "0.01")["labels"]) == 4 and labels("--threshold", "0.99")["labels"] == []
    assert "0<x<1" in run_engine("predict", run / "run", "a", "--threshold", "1", code=2)


def test_without_held_out_texts_nothing_is_chosen(run):
    run_engine(
        "train", run / "a.tsv", "--task", "multilabel", *SCRATCH, "--validation-fraction", "0", "--output", run / "none"
    )
    assert Predictor.from_pretrained(run / "none").task.threshold == 0.5
    assert "threshold" not in json.loads((run / "none" / "config.json").read_text())


def test_decisions_and_a_damaged_config():
    task = MultiLabel(["a", "b"])
    task.threshold = 0.3
    logits = np.array([[0.0, -0.8], [-0.9, 3.0]])
    assert (
        task.decisions(logits).tolist() == multilabel_decisions(logits, 0.3).tolist() == [[True, True], [False, True]]
    )
    config = TransformerConfig(10, problem_type="multi_label_classification", published={"threshold": 2})
    with pytest.raises(ValueError, match=r"threshold: expected a number in \(0, 1\) in config.json, got 2"):
        MultiLabel.of_model(config)


def test_a_regression_of_several_numbers_is_refused():
    config = TransformerConfig(10, num_labels=3, problem_type="regression")
    with pytest.raises(
        ValueError, match="one output, a number for each text, got 3 outputs: LABEL_0, LABEL_1, LABEL_2"
    ):
        Regression.of_model(config)
    assert len(Regression.of_model(TransformerConfig(10, num_labels=1)).labels) == 1
