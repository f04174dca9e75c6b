"""Inverse hyperbolic functions: formulas of other ops, as in `special.py`."""

# Ops below `@formula` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import math

from engine.ops.activation import log1p
from engine.ops.comparison import where
from engine.ops.special import formula
from engine.ops.unary import abs, log, sign, sqrt
from engine.tensor import Tensor, tensor_method

__all__ = ["acosh", "asinh", "atanh"]

_LARGE = 1e15  # beyond it x² + 1 and x² - 1 are x², which would overflow
_LOG_2 = 0.6931471805599453


def _asinh(x: Tensor) -> Tensor:
    a = abs(x)
    square = where(a > _LARGE, 0.0, a) ** 2
    small = log1p(a + square / (1.0 + sqrt(square + 1.0)))
    return sign(x) * where(a > _LARGE, log(a) + _LOG_2, small)


def _acosh(x: Tensor) -> Tensor:
    near = where(x > _LARGE, 1.0, where(x < 1.0, math.nan, x)) - 1.0
    return where(x > _LARGE, log(x) + _LOG_2, log1p(near + sqrt(near * (near + 2.0))))


@tensor_method
@formula(_asinh, lambda x: 1.0 / sqrt(x * x + 1.0))
def asinh(input: Tensor) -> Tensor:
    """The inverse of sinh."""


@tensor_method
@formula(_acosh, lambda x: 1.0 / sqrt((x - 1.0) * (x + 1.0)))
def acosh(input: Tensor) -> Tensor:
    """The inverse of cosh, at least 0; nan below 1."""


@tensor_method
@formula(lambda x: 0.5 * (log1p(x) - log1p(-x)), lambda x: 1.0 / ((1.0 - x) * (1.0 + x)))
def atanh(input: Tensor) -> Tensor:
    """The inverse of tanh; ±inf at ±1, and nan beyond."""
