"""Metrics of multi-label classifiers: any number of labels may hold for a sample, each decided on its own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import BadType, require
from engine.metrics.classification import ClassScores, ratio, refuse_first

__all__ = ["average_precision", "best_threshold", "multilabel_decisions", "multilabel_metrics", "multilabel_scores"]


def _zeros_and_ones(op: str, name: str, value: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(value)
    require(array.ndim == 2, op, name, "shape (n, labels)", array.shape)
    require(array.dtype.kind in "biuf", op, name, "numbers 0 and 1", array.dtype, error=BadType)
    refuse_first(op, name, "0 or 1", array[(array != 0) & (array != 1)])
    return array.astype(np.bool_)


def _scores(op: str, name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=np.float64)
    require(array.shape == shape, op, name, f"shape {shape}", array.shape)
    refuse_first(op, name, "finite numbers", array[~np.isfinite(array)])
    return array


def multilabel_decisions(logits: ArrayLike, threshold: float = 0.5) -> NDArray[np.bool_]:
    """Whether each label holds: its probability, the logistic function of the logit, is at least `threshold` (in (0, 1))."""
    require(0 < threshold < 1, "multilabel_decisions", "threshold", "a number in (0, 1)", threshold)
    return np.asarray(np.asarray(logits, dtype=np.float64) >= math.log(threshold / (1 - threshold)))


def best_threshold(y_true: ArrayLike, logits: ArrayLike) -> float:
    """The threshold among 0.05, 0.06, ..., 0.95 whose decisions have the best micro F1; of equal ones the nearest to 0.5.

    y_true: 0/1, (n, labels); logits: (n, labels). 0.5 if no sample has a label.
    """
    true = _zeros_and_ones("best_threshold", "y_true", y_true)
    x = _scores("best_threshold", "logits", logits, true.shape)
    if not true.any():
        return 0.5
    thresholds = np.arange(5, 96) / 100
    limits = np.log(thresholds / (1 - thresholds))
    limits[thresholds == 0.5] = 0.0
    marked, hits = (len(each) - np.searchsorted(np.sort(each), limits) for each in (x.ravel(), x[true]))
    f1 = 2 * hits / (marked + true.sum())
    best = thresholds[f1 == f1.max()]
    return float(best[np.abs(best - 0.5).argmin()])


def multilabel_scores(y_true: ArrayLike, y_pred: ArrayLike) -> ClassScores:
    """Precision, recall, F1 and support of each label, from 0/1 arrays of shape (n, labels)."""
    true, pred = (_zeros_and_ones("multilabel_scores", *pair) for pair in (("y_true", y_true), ("y_pred", y_pred)))
    require(true.shape == pred.shape, "multilabel_scores", "y_pred", f"shape {true.shape}", pred.shape)
    hits, support, predicted = (true & pred).sum(0), true.sum(0), pred.sum(0)
    return ClassScores(ratio(hits, predicted), ratio(hits, support), ratio(2 * hits, support + predicted), support)


def average_precision(y_true: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """Average precision of each label, (labels,): the sum over thresholds of precision times the recall gained.

    y_true: 0/1, (n, labels); scores: (n, labels), any monotone function of the probabilities. Equal scores are one
    threshold. A label that no sample has gets 0.
    """
    true = _zeros_and_ones("average_precision", "y_true", y_true)
    x = _scores("average_precision", "scores", scores, true.shape)
    out = np.zeros(true.shape[1])
    for label in np.flatnonzero(true.any(0)):
        order = np.argsort(-x[:, label], kind="stable")
        ordered = x[order, label]
        ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the last sample of each threshold
        hits = np.cumsum(true[order, label])[ends]
        out[label] = (np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1]
    return out


def multilabel_metrics(y_true: ArrayLike, logits: ArrayLike, threshold: float = 0.5) -> dict[str, float]:
    """The figures of one evaluation: loss, subset_accuracy, micro_f1, macro_f1, mean_average_precision.

    y_true: 0/1, (n, labels); logits: (n, labels). The loss is the mean binary cross-entropy of all entries; a sample is
    right in the subset accuracy if all its labels are; macro F1 is the mean over all labels, mean average precision that
    over the labels that occur. Raises ValueError for other shapes, values or thresholds.
    """
    true = _zeros_and_ones("multilabel_metrics", "y_true", y_true)
    x = _scores("multilabel_metrics", "logits", logits, true.shape)
    pred = multilabel_decisions(x, threshold)
    if not true.size:
        return dict.fromkeys(("loss", "subset_accuracy", "micro_f1", "macro_f1", "mean_average_precision"), 0.0)
    hits, marked = (true & pred).sum(), true.sum() + pred.sum()
    occurs = true.any(0)
    return {
        "loss": float((np.maximum(x, 0) - x * true + np.log1p(np.exp(-np.abs(x)))).mean()),
        "subset_accuracy": float((true == pred).all(1).mean()),
        "micro_f1": float(2 * hits / marked) if marked else 0.0,
        "macro_f1": float(multilabel_scores(true, pred).f1.mean()),
        "mean_average_precision": float(average_precision(true, x)[occurs].mean()) if occurs.any() else 0.0,
    }
