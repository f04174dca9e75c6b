"""Metrics of classifiers that choose one class: functions of integer labels 0 … num_classes-1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import BadType, amount, require

__all__ = [
    "ClassScores",
    "Confusion",
    "accuracy_score",
    "classification_metrics",
    "condense_confusion",
    "confusion_matrix",
    "f1_score",
    "log_loss",
    "matthews_corrcoef",
    "most_confused",
    "precision_recall_fscore_support",
    "softmax",
]

Average = Literal["macro", "micro", "weighted"]


def refuse_first(op: str, name: str, expected: str, wrong: NDArray[Any]) -> None:
    """Raises ValueError with the first of the wrong numbers, if there is one."""
    require(not wrong.size, op, name, expected, next(iter(wrong), None))


def labels_of(op: str, name: str, value: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(value)
    require(array.ndim == 1, op, name, "one dimension", f"shape {array.shape}")
    integers = not array.size or np.issubdtype(array.dtype, np.integer)  # an empty list is an array of floats
    require(integers, op, name, "integers", array.dtype, error=BadType)
    return array.astype(np.int64, copy=False)


def pair_of(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    true, pred = labels_of(op, "y_true", y_true), labels_of(op, "y_pred", y_pred)
    require(true.shape == pred.shape, op, "y_pred", f"shape {true.shape}", pred.shape)
    return true, pred


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    out = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, num_classes: int | None = None) -> NDArray[np.int64]:
    """Counts of shape (num_classes, num_classes): row = true class, column = predicted class.

    num_classes: by default one more than the largest label. Raises ValueError for labels out of range.
    """
    true, pred = pair_of("confusion_matrix", y_true, y_pred)
    n = int(max(true.max(initial=-1), pred.max(initial=-1))) + 1 if num_classes is None else num_classes
    for name, labels in (("y_true", true), ("y_pred", pred)):
        refuse_first("confusion_matrix", name, f"0 to {n - 1}", labels[(labels < 0) | (labels >= n)])
    return np.bincount(true * n + pred, minlength=n * n).reshape(n, n)


def accuracy_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Share of equal labels; 0.0 for no labels at all."""
    true, pred = pair_of("accuracy_score", y_true, y_pred)
    return float(np.mean(true == pred)) if true.size else 0.0


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall, F1 (float64) and number of true samples (int64) of each class, each of shape (num_classes,)."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def precision_recall_fscore_support(
    y_true: ArrayLike, y_pred: ArrayLike, num_classes: int | None = None
) -> ClassScores:
    """The scores of each class; see `ClassScores`."""
    return scores_of(confusion_matrix(y_true, y_pred, num_classes))


def scores_of(confusion: NDArray[np.int64]) -> ClassScores:
    hits, support, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return ClassScores(
        precision=ratio(hits, predicted),
        recall=ratio(hits, support),
        f1=ratio(2 * hits, support + predicted),
        support=support,
    )


def f1_score(y_true: ArrayLike, y_pred: ArrayLike, average: Average = "macro", num_classes: int | None = None) -> float:
    """F1 over all classes.

    average: "macro" (mean over the classes that occur in y_true or y_pred), "micro" (of the counts summed over classes;
    with one label a sample this is the accuracy) or "weighted" (mean weighted by the number of true samples).
    """
    return f1_of(confusion_matrix(y_true, y_pred, num_classes), average)


def f1_of(confusion: NDArray[np.int64], average: Average) -> float:
    known = average in ("macro", "micro", "weighted")
    require(known, "f1_score", "average", "'macro', 'micro' or 'weighted'", repr(average))
    if not confusion.any():
        return 0.0
    if average == "micro":
        return float(np.trace(confusion) / confusion.sum())
    scores = scores_of(confusion)
    if average == "macro":
        return float(scores.f1[(confusion.sum(0) + confusion.sum(1)) > 0].mean())
    return float((scores.f1 * scores.support).sum() / scores.support.sum())


def matthews_corrcoef(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Matthews' correlation coefficient for any number of classes (Gorodkin 2004): -1 … 1, 0 for a constant prediction."""
    return _mcc(confusion_matrix(y_true, y_pred))


def _mcc(confusion: NDArray[np.int64]) -> float:
    # In float64: the products of counts would leave int64 near three million samples.
    c = confusion.astype(np.float64)
    true, pred, total, hits = c.sum(1), c.sum(0), c.sum(), np.trace(c)
    covariance = hits * total - true @ pred
    spread = np.sqrt((total * total - pred @ pred) * (total * total - true @ true))
    return float(covariance / spread) if spread else 0.0


@dataclass(frozen=True)
class Confusion:
    """`count` samples of class `true` were taken for `predicted`; `share` is their part of all samples of class `true`."""

    true: str
    predicted: str
    count: int
    share: float


def most_confused(confusion: NDArray[np.int64], labels: Sequence[str] | None = None, k: int = 10) -> list[Confusion]:
    """The k largest entries off the diagonal of a confusion matrix, largest first (ties: in class order)."""
    names = [str(i) for i in range(len(confusion))] if labels is None else list(labels)
    require(len(names) == len(confusion), "most_confused", "labels", amount(len(confusion), "name"), len(names))
    off = confusion.copy()
    np.fill_diagonal(off, 0)
    largest = np.argsort(-off, axis=None, kind="stable")[:k]
    return [
        Confusion(names[i], names[j], int(off[i, j]), float(off[i, j] / confusion[i].sum()))
        for i, j in zip(*np.unravel_index(largest, off.shape))
        if off[i, j]
    ]


def condense_confusion(
    confusion: ArrayLike, labels: Sequence[str], limit: int = 40
) -> tuple[NDArray[np.int64], list[str]]:
    """A confusion matrix of at most `limit` classes to look at, and their names.

    If there are more, those with the most mistakes (as true or as predicted class) stay in their order, and a last one
    holds all others. Raises ValueError for a matrix that is not square or does not fit the labels.
    """
    counts = np.asarray(confusion)
    n = len(labels)
    require(counts.shape == (n, n), "condense_confusion", "confusion", f"shape ({n}, {n})", counts.shape)
    require(limit >= 2, "condense_confusion", "limit", "at least 2", limit)
    if n <= limit:
        return counts.astype(np.int64), list(labels)
    mistakes = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-mistakes, kind="stable")[: limit - 1])
    place = np.full(n, limit - 1)
    place[kept] = np.arange(limit - 1)
    out = np.zeros((limit, limit), np.int64)
    np.add.at(out, (place[:, None], place[None, :]), counts)
    return out, [*(labels[i] for i in kept), f"({n - limit + 1} others)"]


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities over the last axis, in float64."""
    x = np.asarray(logits, dtype=np.float64)
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def log_loss(y_true: ArrayLike, logits: ArrayLike) -> float:
    """Mean negative log-likelihood (nats) of the true classes, from logits of shape (n, num_classes)."""
    true, x = labels_of("log_loss", "y_true", y_true), np.asarray(logits, dtype=np.float64)
    require(x.ndim == 2 and len(x) == len(true), "log_loss", "logits", f"shape ({len(true)}, num_classes)", x.shape)
    return float(np.mean(losses_of(true, x))) if len(true) else 0.0


def losses_of(true: NDArray[np.int64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The negative log-likelihood of each sample, (n,)."""
    x = logits - logits.max(-1, keepdims=True)
    return np.log(np.exp(x).sum(-1)) - x[np.arange(len(true)), true]


def classification_metrics(y_true: ArrayLike, logits: ArrayLike) -> dict[str, float]:
    """The figures of one evaluation from logits of shape (n, num_classes): loss, accuracy, macro_f1, micro_f1, mcc."""
    x = np.asarray(logits)
    require(x.ndim == 2, "classification_metrics", "logits", "shape (n, num_classes)", x.shape)
    confusion = confusion_matrix(y_true, x.argmax(-1) if x.size else np.zeros(0, np.int64), x.shape[1])
    accuracy = f1_of(confusion, "micro")  # the same with one label a sample
    return {
        "loss": log_loss(y_true, x),
        "accuracy": accuracy,
        "macro_f1": f1_of(confusion, "macro"),
        "micro_f1": accuracy,
        "mcc": _mcc(confusion),
    }
