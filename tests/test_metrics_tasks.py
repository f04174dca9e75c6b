"""Multi-label and regression metrics by hand, and against scikit-learn and SciPy where they are installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import metrics

TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
LOGITS = np.array([[2.0, -1.0, -3.0], [0.5, -0.5, -2.0], [-1.0, 3.0, 0.25], [-2.0, -2.0, -2.0]])


def test_multilabel_by_hand():
    # Decisions: [1 0 0], [1 0 0], [0 1 1], [0 0 0]
    figures = metrics.multilabel_metrics(TRUE, LOGITS)
    assert figures["subset_accuracy"] == 0.5
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert figures["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    probabilities = 1 / (1 + np.exp(-LOGITS))
    bce = -np.where(TRUE == 1, np.log(probabilities), np.log(1 - probabilities)).mean()
    assert figures["loss"] == pytest.approx(bce)
    # Label 0 in order: hit, hit. Label 1: hit (3.0), hit (-0.5). Label 2 never occurs, and is left out of the mean.
    assert figures["mean_average_precision"] == 1.0
    scores = metrics.multilabel_scores(TRUE, metrics.multilabel_decisions(LOGITS))
    assert scores.precision.tolist() == [1, 1, 0] and scores.recall.tolist() == [1, 0.5, 0]
    assert scores.support.tolist() == [2, 2, 0]


def test_average_precision_takes_ties_as_one_threshold():
    assert metrics.average_precision([[1], [0], [1]], [[0.5], [0.5], [0.1]])[0] == pytest.approx(
        0.5 * 0.5 + 0.5 * 2 / 3
    )
    assert metrics.average_precision([[0], [0]], [[0.5], [0.1]])[0] == 0.0


def test_multilabel_threshold():
    assert metrics.multilabel_decisions([[math.log(3.0)]], 0.74)[0, 0]
    assert not metrics.multilabel_decisions([[math.log(3.0)]], 0.76)[0, 0]
    assert metrics.multilabel_decisions([[1e4, -1e4]]).tolist() == [[True, False]]
    assert metrics.multilabel_metrics([[1, 0]], [[1e4, -1e4]])["loss"] == 0.0


def test_nothing_to_judge():
    empty = metrics.multilabel_metrics(np.zeros((0, 3)), np.zeros((0, 3)))
    assert set(empty.values()) == {0.0} and set(empty) == set(metrics.multilabel_metrics(TRUE, LOGITS))
    assert set(metrics.regression_metrics([], []).values()) == {0.0}


def test_multilabel_against_sklearn():
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    for n, c, share in ((50, 4, 0.4), (7, 2, 0.5), (200, 9, 0.1)):
        true = (rng.random((n, c)) < share).astype(int)
        true[0] = 1  # each label occurs: scikit-learn warns otherwise
        logits = np.round(rng.normal(size=(n, c)) + true, 1)  # with ties
        pred = metrics.multilabel_decisions(logits).astype(int)
        figures = metrics.multilabel_metrics(true, logits)
        assert figures["micro_f1"] == pytest.approx(sk.f1_score(true, pred, average="micro", zero_division=0))
        assert figures["macro_f1"] == pytest.approx(sk.f1_score(true, pred, average="macro", zero_division=0))
        assert figures["subset_accuracy"] == pytest.approx(sk.accuracy_score(true, pred))
        np.testing.assert_allclose(
            metrics.average_precision(true, logits), sk.average_precision_score(true, logits, average=None)
        )
        expected = sk.precision_recall_fscore_support(true, pred, zero_division=0)
        scores = metrics.multilabel_scores(true, pred)
        for got, want in zip((scores.precision, scores.recall, scores.f1, scores.support), expected):
            np.testing.assert_allclose(got, want)


def test_regression_by_hand():
    figures = metrics.regression_metrics([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 8.0])
    assert figures["mse"] == figures["loss"] == 4.0 and figures["rmse"] == 2.0 and figures["mae"] == 1.0
    assert figures["r2"] == pytest.approx(1 - 16 / 5)
    assert figures["pearson"] == pytest.approx(11 / math.sqrt(5 * 29))
    assert figures["spearman"] == 1.0


def test_ranks_of_equal_numbers_are_shared():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    x, y = np.array([1, 2.5, 2.5, 4]) - 2.5, np.array([1, 2, 3, 4]) - 2.5
    expected = x @ y / math.sqrt((x @ x) * (y @ y))
    assert metrics.spearman_correlation([0, 5, 5, 9], [1, 2, 3, 4]) == pytest.approx(expected)
    assert metrics.spearman_correlation([1, 2, 3], [-1, -20, -300]) == pytest.approx(-1)


def test_constants_correlate_with_nothing():
    figures = metrics.regression_metrics([2.0, 2.0], [1.0, 3.0])
    assert figures["pearson"] == figures["spearman"] == figures["r2"] == 0.0
    assert metrics.regression_metrics([2.0, 2.0], [2.0, 2.0])["r2"] == 1.0
    assert metrics.regression_metrics([0.1] * 3, [0.1, 0.2, 0.3])["pearson"] == 0.0
    assert metrics.regression_metrics([[1.0], [2.0]], np.array([[1.0], [2.0]], np.float32))["r2"] == 1.0


def test_regression_against_scipy_and_sklearn():
    stats, sk = pytest.importorskip("scipy.stats"), pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    for n in (2, 5, 300):
        true = rng.integers(0, 5, n).astype(float)
        true[:2] = 0, 1
        pred = true + np.round(rng.normal(size=n), 1)
        pred[0] -= 5
        figures = metrics.regression_metrics(true, pred)
        assert figures["spearman"] == pytest.approx(stats.spearmanr(true, pred).statistic)
        assert figures["pearson"] == pytest.approx(stats.pearsonr(true, pred).statistic)
        assert figures["r2"] == pytest.approx(sk.r2_score(true, pred))
        assert figures["mae"] == pytest.approx(sk.mean_absolute_error(true, pred))
        assert figures["rmse"] == pytest.approx(sk.root_mean_squared_error(true, pred))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.multilabel_metrics([[2]], [[0.0]]), ValueError, "y_true: expected 0 or 1, got 2"),
        (lambda: metrics.multilabel_metrics([[1]], [[0.0, 1.0]]), ValueError, r"logits: expected shape \(1, 1\)"),
        (lambda: metrics.multilabel_metrics([[1]], [[math.nan]]), ValueError, "logits: expected finite"),
        (lambda: metrics.multilabel_metrics([1], [0.0]), ValueError, r"y_true: expected shape \(n, labels\)"),
        (lambda: metrics.multilabel_metrics([["a"]], [[0.0]]), TypeError, "y_true: expected numbers"),
        (
            lambda: metrics.multilabel_metrics([[1]], [[0.0]], 1.0),
            ValueError,
            r"threshold: expected a number in \(0, 1\)",
        ),
        (lambda: metrics.multilabel_scores([[1]], [[1, 0]]), ValueError, "y_pred: expected shape"),
        (
            lambda: metrics.regression_metrics([1.0], [1.0, 2.0]),
            ValueError,
            r"y_pred: expected shape \(1,\), got \(2,\)",
        ),
        (lambda: metrics.regression_metrics([math.inf], [1.0]), ValueError, "y_true: expected finite"),
        (lambda: metrics.regression_metrics(["1"], [1.0]), TypeError, "y_true: expected numbers"),
        (lambda: metrics.regression_metrics([[1.0, 2.0]], [1.0]), ValueError, r"y_true: expected shape \(n,\)"),
    ],
)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error, match=text):
        call()
