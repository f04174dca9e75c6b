"""Metrics of regression: how far predicted numbers lie from true ones, and whether they rise and fall with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import BadType, require
from engine.metrics.classification import refuse_first

__all__ = ["pearson_correlation", "regression_metrics", "spearman_correlation"]


def _numbers(op: str, name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value)
    require(array.dtype.kind in "biuf", op, name, "numbers", array.dtype, error=BadType)
    if array.ndim == 2 and array.shape[1] == 1:  # the logits of a model with one output
        array = array[:, 0]
    require(array.ndim == 1, op, name, "shape (n,)", array.shape)
    refuse_first(op, name, "finite numbers", array[~np.isfinite(array)])
    return array.astype(np.float64)


def _pair(op: str, y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, pred = _numbers(op, "y_true", y_true), _numbers(op, "y_pred", y_pred)
    require(true.shape == pred.shape, op, "y_pred", f"shape {true.shape}", pred.shape)
    return true, pred


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return 0.0  # a constant has no correlation
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x / np.linalg.norm(x)) @ (y / np.linalg.norm(y)), -1, 1))


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for the smallest; equal numbers share the mean of their ranks."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Linear correlation, -1 … 1; 0 if either side is constant."""
    return _correlation(*_pair("pearson_correlation", y_true, y_pred))


def spearman_correlation(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Correlation of the ranks, -1 … 1; 0 if either side is constant. Equal numbers share the mean of their ranks."""
    true, pred = _pair("spearman_correlation", y_true, y_pred)
    return _correlation(_ranks(true), _ranks(pred))


def regression_metrics(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float]:
    """The figures of one evaluation: loss (the mean squared error), mse, rmse, mae, r2, pearson, spearman.

    y_true, y_pred: numbers of shape (n,) or (n, 1). R² is 1 - residual / variance; if y_true is constant it is 1 for an exact
    prediction, else 0. Raises TypeError for anything but numbers, ValueError for other shapes and for infinities and NaNs.
    """
    true, pred = _pair("regression_metrics", y_true, y_pred)
    if not true.size:
        return dict.fromkeys(("loss", "mse", "rmse", "mae", "r2", "pearson", "spearman"), 0.0)
    error = pred - true
    mse, spread = float(np.mean(error**2)), float(np.mean((true - true.mean()) ** 2))
    return {
        "loss": mse,
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.abs(error).mean()),
        "r2": 1 - mse / spread if spread else float(mse == 0),
        "pearson": _correlation(true, pred),
        "spearman": _correlation(_ranks(true), _ranks(pred)),
    }
