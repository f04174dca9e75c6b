"""Metrics against hand-computed figures, and against slow definitions on random labels."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from engine import metrics

TRUE = [0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
PRED = [0, 1, 0, 1, 2, 2, 2, 2, 0, 2]


def test_confusion_matrix_by_hand():
    assert metrics.confusion_matrix(TRUE, PRED).tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 4]]
    assert metrics.confusion_matrix(TRUE, PRED, num_classes=4).shape == (4, 4)
    assert metrics.confusion_matrix([], [], num_classes=2).tolist() == [[0, 0], [0, 0]]


def test_scores_by_hand():
    scores = metrics.precision_recall_fscore_support(TRUE, PRED)
    np.testing.assert_allclose(scores.precision, [2 / 3, 1 / 2, 4 / 5])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1 / 2, 4 / 5])
    np.testing.assert_allclose(scores.f1, [2 / 3, 1 / 2, 4 / 5])
    assert scores.support.tolist() == [3, 2, 5]
    assert metrics.accuracy_score(TRUE, PRED) == pytest.approx(0.7)
    assert metrics.f1_score(TRUE, PRED) == pytest.approx((2 / 3 + 1 / 2 + 4 / 5) / 3)
    assert metrics.f1_score(TRUE, PRED, average="micro") == pytest.approx(0.7)
    assert metrics.f1_score(TRUE, PRED, average="weighted") == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 5 * 4 / 5) / 10)


def test_matthews_for_two_classes_is_phi():
    tp, tn, fp, fn = 6, 3, 1, 2
    true = [1] * (tp + fn) + [0] * (tn + fp)
    pred = [1] * tp + [0] * fn + [0] * tn + [1] * fp
    phi = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert metrics.matthews_corrcoef(true, pred) == pytest.approx(phi)
    assert metrics.matthews_corrcoef(true, true) == pytest.approx(1.0)
    assert metrics.matthews_corrcoef(true, [1] * len(true)) == 0.0


def test_against_the_slow_definitions():
    rng = random.Random(5)
    for n, classes in [(1, 1), (7, 3), (200, 5), (31, 12)]:
        true = [rng.randrange(classes) for _ in range(n)]
        pred = [t if rng.random() < 0.6 else rng.randrange(classes) for t in true]
        f1s = []
        for c in sorted(set(true) | set(pred)):
            hit = sum(t == c and p == c for t, p in zip(true, pred))
            precision = hit / max(1, pred.count(c))
            recall = hit / max(1, true.count(c))
            f1s.append(2 * precision * recall / (precision + recall) if hit else 0.0)
        assert metrics.f1_score(true, pred, num_classes=classes) == pytest.approx(sum(f1s) / len(f1s))
        # The correlation of one-hot rows, which Gorodkin's coefficient generalises.
        x, y = np.eye(classes)[true], np.eye(classes)[pred]
        x, y = x - x.mean(0), y - y.mean(0)
        spread = math.sqrt((x * x).sum() * (y * y).sum())
        expected = (x * y).sum() / spread if spread > 1e-12 else 0.0
        assert metrics.matthews_corrcoef(true, pred) == pytest.approx(expected, abs=1e-12)


def test_most_confused():
    confusion = metrics.confusion_matrix([0, 0, 0, 0, 1, 1, 2], [1, 1, 2, 0, 0, 1, 2])
    pairs = metrics.most_confused(confusion, ["a", "b", "c"])
    assert [(p.true, p.predicted, p.count, p.share) for p in pairs] == [
        ("a", "b", 2, 0.5),
        ("a", "c", 1, 0.25),
        ("b", "a", 1, 0.5),
    ]
    assert len(metrics.most_confused(confusion, k=1)) == 1
    assert metrics.most_confused(metrics.confusion_matrix([0, 1], [0, 1])) == []


def test_loss_and_probabilities():
    logits = np.array([[0.0, math.log(3.0)], [1000.0, 0.0]])
    np.testing.assert_allclose(metrics.softmax(logits), [[0.25, 0.75], [1.0, 0.0]], atol=1e-15)
    assert metrics.log_loss([1, 0], logits) == pytest.approx(-math.log(0.75) / 2)
    figures = metrics.classification_metrics([1, 1], logits)
    assert figures["accuracy"] == 0.5 and set(figures) == {"loss", "accuracy", "macro_f1", "micro_f1", "mcc"}
    assert metrics.classification_metrics([], np.zeros((0, 3)))["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.accuracy_score([0, 1], [0]), ValueError, r"y_pred: expected shape \(2,\), got \(1,\)"),
        (lambda: metrics.confusion_matrix([0, 5], [0, 1], 3), ValueError, "expected 0 to 2, got 5"),
        (lambda: metrics.confusion_matrix([0, -1], [0, 1]), ValueError, "got -1"),
        (lambda: metrics.accuracy_score([0.5], [0.5]), TypeError, "expected integers"),
        (lambda: metrics.accuracy_score([[0]], [[0]]), ValueError, "one dimension"),
        (lambda: metrics.f1_score([0], [0], average="mean"), ValueError, "average"),
        (lambda: metrics.most_confused(np.eye(2, dtype=np.int64), ["a"]), ValueError, "expected 2 names"),
        (lambda: metrics.log_loss([0], np.zeros((2, 2))), ValueError, "logits"),
    ],
)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error, match=text):
        call()
