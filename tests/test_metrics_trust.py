"""Figures by group and calibration: by hand, against slow definitions, and against scikit-learn where it is installed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from engine import metrics


def test_groups_by_hand():
    true = [0, 0, 1, 1, 0, 1, 1]
    pred = [0, 1, 1, 0, 0, 1, 1]
    group = ["北京", "北京", "北京", "北京", "", "", ""]
    first, second = metrics.group_metrics(true, pred, group)
    assert (first.group, first.support, first.accuracy, first.error_rate) == ("北京", 4, 0.5, 0.5)
    assert (first.false_positive_rate, first.false_negative_rate, first.selection_rate) == (0.5, 0.5, 0.5)
    assert (second.group, second.support, second.accuracy, second.macro_f1) == ("", 3, 1.0, 1.0)
    assert (second.false_positive_rate, second.false_negative_rate) == (0.0, 0.0)
    assert second.selection_rate == pytest.approx(2 / 3)
    gaps = {gap.figure: gap for gap in metrics.group_gaps([first, second])}
    assert (gaps["accuracy"].gap, gaps["accuracy"].lowest, gaps["accuracy"].highest) == (0.5, "北京", "")
    assert gaps["selection_rate"].gap == pytest.approx(2 / 3 - 1 / 2)


def test_rates_that_have_no_denominator_are_none():
    (only,) = metrics.group_metrics([1, 1], [1, 0], ["a", "a"])
    assert only.false_positive_rate is None and only.false_negative_rate == 0.5
    assert metrics.group_gaps([only]) == []
    assert metrics.group_metrics([0, 2], [0, 1], ["a", "a"])[0].selection_rate is None  # three classes
    assert metrics.group_metrics([], [], []) == []


def test_small_groups_are_flagged_and_stay_out_of_the_gap():
    true = [0] * 400 + [1] * 3
    pred = [0] * 180 + [1] * 20 + [0] * 200 + [0] * 3
    group = ["a"] * 200 + ["b"] * 200 + ["tiny"] * 3
    scores = metrics.group_metrics(true, pred, group, 2)
    assert [(s.group, s.small) for s in scores] == [("a", False), ("b", False), ("tiny", True)]
    gap = metrics.group_gaps(scores)[0]
    assert (gap.figure, gap.lowest, gap.highest) == ("accuracy", "a", "b") and gap.gap == pytest.approx(0.1)


def test_wilson_interval():
    # Newcombe 1998, table I: 81 of 263, Wilson without continuity correction
    low, high = metrics.wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    assert metrics.wilson_interval(0, 10)[0] == 0.0 and metrics.wilson_interval(10, 10)[1] == pytest.approx(1)
    with pytest.raises(ValueError, match="hits"):
        metrics.wilson_interval(3, 2)


def test_group_figures_against_a_loop_and_json():
    rng = np.random.default_rng(0)
    true, group = rng.integers(0, 4, 300), rng.choice(["a", "b", "c"], 300)
    pred = np.where(rng.random(300) < 0.7, true, rng.integers(0, 4, 300))
    figures = json.loads(json.dumps(metrics.group_figures(true, pred, group.tolist(), "region", 4)))
    assert figures["column"] == "region" and sum(g["support"] for g in figures["groups"]) == 300
    for row in figures["groups"]:
        mine = group == row["group"]
        assert row["accuracy"] == pytest.approx(np.mean(true[mine] == pred[mine]))
        assert row["macro_f1"] == pytest.approx(metrics.f1_score(true[mine], pred[mine], num_classes=4))
    values = [g["accuracy"] for g in figures["groups"]]
    assert figures["gaps"][0]["gap"] == pytest.approx(max(values) - min(values))


def test_calibration_error_by_hand():
    p = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.55, 0.45]]
    # Bins of 0.2: 0.9 alone and right (0.1 off); 0.8 wrong and 0.7 right (0.75 against 0.5); 0.55 wrong
    true = [0, 1, 1, 1]
    assert metrics.expected_calibration_error(p, true, bins=5) == pytest.approx((0.1 + 2 * 0.25 + 0.55) / 4)
    table = metrics.reliability(p, true, bins=5)
    assert table.count.tolist() == [0, 0, 1, 2, 1]
    np.testing.assert_allclose(table.confidence, [0, 0, 0.55, 0.75, 0.9])
    assert table.accuracy.tolist() == [0, 0, 0, 0.5, 1]
    assert metrics.brier_score([[0.9, 0.1], [0.8, 0.2]], [0, 1]) == pytest.approx((0.02 + 1.28) / 2)
    assert metrics.expected_calibration_error(np.zeros((0, 3)), []) == 0.0


def test_calibration_error_is_that_of_the_slow_definition():
    rng = np.random.default_rng(3)
    p = metrics.softmax(rng.normal(size=(500, 6)) * 3)
    true = rng.integers(0, 6, 500)
    error = 0.0
    for i in range(15):
        inside = [j for j in range(500) if i / 15 < p[j].max() <= (i + 1) / 15]
        if inside:
            right = np.mean([p[j].argmax() == true[j] for j in inside])
            error += len(inside) / 500 * abs(right - np.mean([p[j].max() for j in inside]))
    assert metrics.expected_calibration_error(p, true) == pytest.approx(error)


def test_temperature_finds_the_one_that_was_applied():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(40_000, 5)) * 2
    true = (metrics.softmax(logits).cumsum(1) < rng.random((40_000, 1))).sum(1)
    for factor in (0.5, 1.0, 4.0):
        assert metrics.fit_temperature(logits * factor, true) == pytest.approx(factor, rel=0.03)
    figures = metrics.calibration_figures(logits * 4, true, 4.0)
    assert figures["before"]["ece"] > 0.1 > 0.02 > figures["after"]["ece"]
    assert figures["before"]["brier"] > figures["after"]["brier"]
    assert figures["before"]["loss"] > figures["after"]["loss"]
    json.dumps(figures)


def test_a_temperature_is_trusted_only_if_it_helps_samples_that_it_was_not_fitted_to():
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(2000, 4)) * 2
    true = (metrics.softmax(logits).cumsum(1) < rng.random((2000, 1))).sum(1)
    for factor in (0.5, 3.0):  # a model that is too careful, and one that is too sure
        found = metrics.trusted_temperature(logits * factor, true)
        assert found == metrics.fit_temperature(logits * factor, true, (0.2, 10.0)) == pytest.approx(factor, rel=0.15)
        assert metrics.log_loss(true, logits * factor / found) < metrics.log_loss(true, logits * factor)
    best = logits.argmax(1)
    assert metrics.trusted_temperature(logits, best) is None  # all right: they only say that T is small
    few = best.copy()
    few[:4] = (few[:4] + 1) % 4
    assert metrics.trusted_temperature(logits, few) is None
    assert metrics.trusted_temperature(logits, few, fewest=4) is not None
    assert metrics.trusted_temperature(logits / 1000, true) == 0.2  # the bound


def test_a_temperature_that_only_half_of_the_samples_like_is_refused():
    logits = np.tile([2.0, 0.0], (40, 1))
    true = np.zeros(40, np.int64)
    true[0::2] = [0] * 14 + [1] * 6  # of one half a third is wrong, of the other nothing
    assert metrics.fit_temperature(logits, true) != 1
    assert metrics.trusted_temperature(logits, true) is None


def test_temperature_is_the_minimum_of_a_fine_grid():
    rng = np.random.default_rng(5)
    logits, true = rng.normal(size=(80, 3)) * 6 + 500, rng.integers(0, 3, 80)
    logits[np.arange(80), true] += 5
    found = metrics.fit_temperature(logits, true)
    grid = np.exp(np.linspace(math.log(0.05), math.log(20), 4001))
    losses = [metrics.log_loss(true, logits / t) for t in grid]
    assert metrics.log_loss(true, logits / found) <= min(losses) + 1e-12
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)


def test_temperature_at_its_bounds():
    eye = np.eye(3) * 4
    assert metrics.fit_temperature(eye, [0, 1, 2]) == 0.05  # never wrong
    assert metrics.fit_temperature(eye, [1, 2, 0]) == 20.0  # always wrong
    assert metrics.fit_temperature(eye, [1, 2, 0], bounds=(0.5, 2)) == 2
    assert metrics.fit_temperature(np.full((2, 3), 0.3), [1, 2]) == 1.0  # nothing to choose


def test_brier_against_sklearn():
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(6)
    p, true = metrics.softmax(rng.normal(size=(50, 4))), rng.integers(0, 4, 50)
    expected = sk.brier_score_loss(true, p, labels=[0, 1, 2, 3], scale_by_half=False)
    assert metrics.brier_score(p, true) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.group_metrics([0], [0], ["a", "b"]), ValueError, "groups: expected 1 value"),
        (lambda: metrics.group_metrics([0], [0], [3]), TypeError, "groups: expected strings, got int"),
        (lambda: metrics.group_metrics([0, 1], [0, 1], ["a", "b"], 1), ValueError, "y_true: expected 0 to 0, got 1"),
        (lambda: metrics.reliability([[2.0, -1.0]], [0]), ValueError, "probabilities: expected rows"),
        (lambda: metrics.reliability([[0.5, 0.5]], [0], bins=0), ValueError, "bins: expected at least 1"),
        (lambda: metrics.reliability([[0.5, 0.5]], [2]), ValueError, "y_true: expected 0 to 1, got 2"),
        (
            lambda: metrics.reliability([0.5, 0.5], [0, 1]),
            ValueError,
            r"probabilities: expected shape \(2, num_classes",
        ),
        (lambda: metrics.fit_temperature(np.zeros((0, 2)), []), ValueError, "at least one sample"),
        (lambda: metrics.fit_temperature([[math.inf, 0]], [0]), ValueError, "logits: expected finite"),
        (lambda: metrics.fit_temperature([[1, 0]], [0], bounds=(2, 1)), ValueError, "bounds"),
        (lambda: metrics.calibration_figures([[1, 0]], [0], 0.0), ValueError, "temperature: expected a number above 0"),
    ],
)
def test_errors_name_the_argument(call, error, text):
    with pytest.raises(error, match=text):
        call()
