"""Evaluations as `report.json` holds them: all the figures of one, fit for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.errors import require
from engine.metrics.calibration import calibration_figures
from engine.metrics.classification import (
    ClassScores,
    classification_metrics,
    condense_confusion,
    confusion_matrix,
    losses_of,
    most_confused,
    scores_of,
    softmax,
)
from engine.metrics.groups import group_figures
from engine.metrics.multilabel import average_precision, multilabel_decisions, multilabel_metrics, multilabel_scores
from engine.metrics.regression import regression_metrics

__all__ = ["evaluation", "multilabel_evaluation", "regression_evaluation", "worst_examples"]


def evaluation(
    y_true: np.ndarray,
    logits: np.ndarray,
    labels: Sequence[str],
    confused: int = 10,
    *,
    detail: bool = False,
    temperature: float | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The figures of a classifier, fit for JSON: of all samples, of each class, and the most confused pairs.

    y_true: classes (n,). logits: (n, num_classes). labels: the names of the classes. confused: how many pairs.
    detail: also the confusion matrix (of the 40 classes with the most mistakes) and the calibration, with a `temperature`
    also after scaling by it. groups: columns of the data by name, for figures by their values.
    """
    predicted = logits.argmax(-1) if logits.size else np.zeros(0, np.int64)
    confusion = confusion_matrix(y_true, predicted, len(labels))
    figures: dict[str, Any] = {
        "samples": len(y_true),
        **classification_metrics(y_true, logits),
        "classes": _rows(scores_of(confusion), labels),
        "most_confused": [asdict(pair) for pair in most_confused(confusion, labels, confused)],
    }
    if detail:
        counts, names = condense_confusion(confusion, labels)
        figures["confusion"] = {"labels": names, "counts": counts.tolist()}
        figures["calibration"] = calibration_figures(logits, y_true, temperature)
    if groups:
        figures["groups"] = [group_figures(y_true, predicted, v, name, len(labels)) for name, v in groups.items()]
    return figures


def _rows(scores: ClassScores, labels: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "precision": float(scores.precision[i]),
            "recall": float(scores.recall[i]),
            "f1": float(scores.f1[i]),
            "support": int(scores.support[i]),
        }
        for i, label in enumerate(labels)
    ]


def multilabel_evaluation(
    y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str], threshold: float = 0.5
) -> dict[str, Any]:
    """As `evaluation`, of a multi-label classifier: y_true 0/1 and logits, both (n, labels)."""
    rows = _rows(multilabel_scores(y_true, multilabel_decisions(logits, threshold)), labels)
    for row, precision in zip(rows, average_precision(y_true, logits)):
        row["average_precision"] = float(precision)
    figures = multilabel_metrics(y_true, logits, threshold)
    return {"samples": len(y_true), **figures, "threshold": threshold, "classes": rows}


def regression_evaluation(y_true: np.ndarray, y_pred: np.ndarray, points: int = 1500) -> dict[str, Any]:
    """As `evaluation`, of a regression: numbers (n,) or (n, 1); with at most `points` pairs to draw, evenly chosen."""
    figures = regression_metrics(y_true, y_pred)
    true, predicted = np.ravel(y_true), np.ravel(y_pred)
    chosen = np.linspace(0, len(true) - 1, min(points, len(true))).round().astype(np.int64)
    drawn = {"true": true[chosen].tolist(), "predicted": predicted[chosen].tolist()}
    return {"samples": len(true), **figures, "points": drawn}


def worst_examples(
    texts: Sequence[str], y_true: np.ndarray, logits: np.ndarray, labels: Sequence[str], k: int = 10
) -> list[dict[str, Any]]:
    """The k samples of the largest loss, largest first, as `html_report` shows them; "index" is the sample's row."""
    sizes = (len(texts), len(y_true), len(logits))
    require(len(set(sizes)) == 1, "worst_examples", "texts", "as many as labels and logits", sizes)
    if not len(texts):
        return []
    p, loss = softmax(logits), losses_of(y_true, np.asarray(logits, np.float64))
    chosen = p.argmax(1)
    return [
        {
            "index": int(i),
            "text": texts[i],
            "true": labels[int(y_true[i])],
            "predicted": labels[int(chosen[i])],
            "probability": float(p[i, chosen[i]]),
            "loss": float(loss[i]),
        }
        for i in np.argsort(-loss, kind="stable")[:k]
    ]
