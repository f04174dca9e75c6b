"""Whether a classifier serves all groups alike: figures by the values of a column of the data, and their gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engine.errors import BadType, amount, require
from engine.metrics.classification import confusion_matrix, f1_of, pair_of

__all__ = ["Gap", "GroupScores", "group_figures", "group_gaps", "group_metrics", "wilson_interval"]

_FIGURES = ("accuracy", "error_rate", "macro_f1", "false_positive_rate", "false_negative_rate", "selection_rate")
_WIDEST = 0.2  # an interval of the accuracy wider than this says little


@dataclass(frozen=True)
class GroupScores:
    """Figures of the samples of one group.

    Attributes:
        group: the value of the column.
        support: number of samples.
        accuracy, error_rate, macro_f1: of these samples alone; macro F1 over the classes that occur among them.
        accuracy_low, accuracy_high: the 95 % interval of the accuracy (`wilson_interval`).
        small: whether the interval is wider than 0.2, so that the figures say little. This is so below about 90 samples, or
            fewer if nearly all are right.
        false_positive_rate, false_negative_rate, selection_rate: of class 1, if there are two classes: the share of true 0 taken
            for 1, of true 1 taken for 0, and of all samples taken for 1; None if there is nothing to take a share of.
    """

    group: str
    support: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    small: bool
    error_rate: float
    macro_f1: float
    false_positive_rate: float | None = None
    false_negative_rate: float | None = None
    selection_rate: float | None = None


@dataclass(frozen=True)
class Gap:
    """The largest less the smallest value of a figure, and the groups that have them."""

    figure: str
    gap: float
    lowest: str
    highest: str


def wilson_interval(hits: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a share of which `hits` of `total` were seen (Wilson 1927); z: 95 % by default. (0, 1) for total 0."""
    require(0 <= hits <= total, "wilson_interval", "hits", f"a number in [0, {total}]", hits)
    if total == 0:
        return 0.0, 1.0
    p, zz = hits / total, z * z
    centre = (p + zz / (2 * total)) / (1 + zz / total)
    half = z / (1 + zz / total) * math.sqrt(p * (1 - p) / total + zz / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def group_metrics(
    y_true: ArrayLike, y_pred: ArrayLike, groups: Sequence[str], num_classes: int | None = None
) -> list[GroupScores]:
    """The scores of each group, largest group first (ties: in the order of their names).

    Args:
        y_true, y_pred: classes (n,).
        groups: the value of a column for each sample; "" is a group like any other.
        num_classes: by default one more than the largest label. If it is 2, the scores have the rates of class 1.

    Raises:
        ValueError: for other lengths, or labels out of range; TypeError: if a group is not a string.
    """
    true, pred = pair_of("group_metrics", y_true, y_pred)
    require(
        len(groups) == len(true), "group_metrics", "groups", f"{amount(len(true), 'value')}, one a sample", len(groups)
    )
    for value in groups:
        require(isinstance(value, str), "group_metrics", "groups", "strings", type(value).__name__, error=BadType)
    classes = len(confusion_matrix(true, pred, num_classes))
    names, members = np.unique(np.array(groups, dtype=object), return_inverse=True)
    scores = [_scores(name, true[members == i], pred[members == i], classes) for i, name in enumerate(names)]
    return sorted(scores, key=lambda s: (-s.support, s.group))


def _scores(name: str, true: np.ndarray, pred: np.ndarray, classes: int) -> GroupScores:
    counts = confusion_matrix(true, pred, classes)
    total, hits = len(true), int(np.trace(counts))
    low, high = wilson_interval(hits, total)
    rates: tuple[float | None, ...] = ()
    if classes == 2:
        (tn, fp), (fn, tp) = counts.tolist()
        rates = (fp / (tn + fp) if tn + fp else None, fn / (fn + tp) if fn + tp else None, (fp + tp) / total)
    small, macro = high - low > _WIDEST, f1_of(counts, "macro")
    return GroupScores(name, total, hits / total, low, high, small, 1 - hits / total, macro, *rates)


def group_gaps(scores: Sequence[GroupScores]) -> list[Gap]:
    """The gap of each figure that at least two groups have.

    Small groups are left out if two others remain, because their extremes are mostly chance.
    """
    large = [s for s in scores if not s.small]
    gaps = []
    for figure in _FIGURES:
        values = [(getattr(s, figure), s.group) for s in (large if len(large) > 1 else scores)]
        known = [(value, group) for value, group in values if value is not None]
        if len(known) > 1:
            low, high = min(known), max(known)
            gaps.append(Gap(figure, high[0] - low[0], low[1], high[1]))
    return gaps


def group_figures(
    y_true: ArrayLike, y_pred: ArrayLike, groups: Sequence[str], column: str, num_classes: int | None = None
) -> dict[str, Any]:
    """Groups and gaps of one column, fit for JSON: {"column", "groups": [`GroupScores`], "gaps": [`Gap`]}."""
    scores = group_metrics(y_true, y_pred, groups, num_classes)
    return {
        "column": column,
        "groups": [asdict(s) for s in scores],
        "gaps": [asdict(gap) for gap in group_gaps(scores)],
    }
