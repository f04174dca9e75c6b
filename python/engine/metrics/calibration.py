"""Whether probabilities can be believed: reliability, calibration error, and temperature scaling (Guo et al. 2017,
arXiv 1706.04599)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import require
from engine.metrics.classification import labels_of, log_loss, refuse_first, softmax

__all__ = [
    "Reliability",
    "brier_score",
    "calibration_figures",
    "expected_calibration_error",
    "fit_temperature",
    "reliability",
    "trusted_temperature",
]


@dataclass(frozen=True)
class Reliability:
    """Samples in bins of equal width by the probability of the predicted class; each array has shape (bins,).

    count: samples (int64); confidence: their mean probability; accuracy: the share of them that is right (float64, 0 in an
    empty bin). Bin i holds the probabilities in (i / bins, (i + 1) / bins].
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: |accuracy - confidence|, averaged over samples."""
        total = self.count.sum()
        return float((self.count * np.abs(self.accuracy - self.confidence)).sum() / total) if total else 0.0


def _checked(op: str, values: ArrayLike, y_true: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers (n, num_classes) and true classes (n,)."""
    x, true = np.asarray(values, dtype=np.float64), labels_of(op, "y_true", y_true)
    fits = x.ndim == 2 and len(x) == len(true) and x.shape[1]
    require(fits, op, name, f"shape ({len(true)}, num_classes)", x.shape)
    refuse_first(op, name, "finite numbers", x[~np.isfinite(x)])
    refuse_first(op, "y_true", f"0 to {x.shape[1] - 1}", true[(true < 0) | (true >= x.shape[1])])
    return x, true


def _probabilities(op: str, values: ArrayLike, y_true: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    p, true = _checked(op, values, y_true, "probabilities")
    wrong = np.flatnonzero((p < 0).any(1) | (np.abs(p.sum(1) - 1) > 1e-3)).tolist()
    expected, got = "rows of numbers >= 0 that sum to 1", f"other numbers in rows {wrong[:3]}"
    require(not wrong, op, "probabilities", expected, got, "softmax turns logits into probabilities")
    return p, true


def reliability(probabilities: ArrayLike, y_true: ArrayLike, bins: int = 15) -> Reliability:
    """The bins of a reliability diagram, from probabilities (n, num_classes) and true classes (n,)."""
    p, true = _probabilities("reliability", probabilities, y_true)
    require(bins >= 1, "reliability", "bins", "at least 1", bins)
    confidence, right = p.max(1, initial=0), p.argmax(1) == true
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    some = np.maximum(count, 1)
    return Reliability(
        count,
        np.bincount(place, weights=confidence, minlength=bins) / some,
        np.bincount(place, weights=right, minlength=bins) / some,
    )


def expected_calibration_error(probabilities: ArrayLike, y_true: ArrayLike, bins: int = 15) -> float:
    """By how much the probability of the predicted class is off on average, 0 … 1, in bins of equal width."""
    return reliability(probabilities, y_true, bins).error


def brier_score(probabilities: ArrayLike, y_true: ArrayLike) -> float:
    """Mean squared distance of the probabilities (n, num_classes) from the truth, summed over classes: 0 … 2."""
    p, true = _probabilities("brier_score", probabilities, y_true)
    return float(((p - np.eye(p.shape[1])[true]) ** 2).sum(1).mean()) if len(true) else 0.0


def fit_temperature(logits: ArrayLike, y_true: ArrayLike, bounds: tuple[float, float] = (0.05, 20.0)) -> float:
    """The T for which softmax(logits / T) gives y_true the smallest mean negative log-likelihood.

    logits: (n, num_classes); y_true: classes (n,), of data that the model was not trained on. The loss is convex in 1/T,
    so its derivative is bisected. If the loss has no minimum between the bounds, T is one of them: logits that are never
    wrong give the lower one. Predicted classes do not change. Raises ValueError for no samples, for other shapes and for
    numbers that are not finite.
    """
    x, true = _checked("fit_temperature", logits, y_true, "logits")
    require(len(true), "fit_temperature", "y_true", "at least one sample", "none")
    low, high = bounds
    require(0 < low < high, "fit_temperature", "bounds", "0 < low < high", bounds)
    x = x - x.max(1, keepdims=True)  # equal logits become exact zeros, and no slope is a sum of rounding errors
    target = x[np.arange(len(x)), true]

    def slope(temperature: float) -> float:
        """The derivative of the loss by 1/T. It falls as T rises."""
        return float(((softmax(x / temperature) * x).sum(1) - target).mean())

    if slope(high) == 0 == slope(low):  # all classes tie: T changes nothing
        return 1.0
    if slope(high) >= 0 or slope(low) <= 0:
        return high if slope(high) >= 0 else low
    a, b = math.log(low), math.log(high)
    while b - a > 1e-9:
        middle = (a + b) / 2
        a, b = (middle, b) if slope(math.exp(middle)) > 0 else (a, middle)
    return math.exp((a + b) / 2)


def trusted_temperature(
    logits: ArrayLike, y_true: ArrayLike, fewest: int = 5, bounds: tuple[float, float] = (0.2, 10.0)
) -> float | None:
    """The temperature of `fit_temperature`, or None if the samples do not show that it helps on others.

    Samples that are all right say only that T should be small, and one of `fit_temperature` would claim certainty. So at least
    `fewest` samples must be wrong, and the temperature of each half of the samples must not make the loss of the other half larger,
    both together. Arguments and errors as in `fit_temperature`.
    """
    x, true = _checked("trusted_temperature", logits, y_true, "logits")
    if int((x.argmax(1) != true).sum()) < fewest:
        return None
    halves = (slice(0, None, 2), slice(1, None, 2))
    before = after = 0.0
    for mine, other in (halves, halves[::-1]):
        temperature = fit_temperature(x[mine], true[mine], bounds)
        before += len(true[other]) * log_loss(true[other], x[other])
        after += len(true[other]) * log_loss(true[other], x[other] / temperature)
    return fit_temperature(x, true, bounds) if after <= before else None


def calibration_figures(
    logits: ArrayLike, y_true: ArrayLike, temperature: float | None = None, bins: int = 15
) -> dict[str, Any]:
    """Calibration of logits (n, num_classes) before and, with a temperature, after scaling, fit for JSON.

    {"bins", "temperature", "before": {...}, "after": {...}}, each with loss, ece, brier and the bins' count, confidence and
    accuracy. Fit the temperature on other samples than these: on its own samples "after" looks better than it is.
    """
    x, true = _checked("calibration_figures", logits, y_true, "logits")
    right = temperature is None or temperature > 0
    require(right, "calibration_figures", "temperature", "a number above 0", temperature)

    def side(scaled: NDArray[np.float64]) -> dict[str, Any]:
        p = softmax(scaled)
        table = reliability(p, true, bins)
        return {
            "loss": log_loss(true, scaled),
            "ece": table.error,
            "brier": brier_score(p, true),
            "count": table.count.tolist(),
            "confidence": table.confidence.tolist(),
            "accuracy": table.accuracy.tolist(),
        }

    figures: dict[str, Any] = {"bins": bins, "temperature": temperature, "before": side(x)}
    if temperature is not None:
        figures["after"] = side(x / temperature)
    return figures
