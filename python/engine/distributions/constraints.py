"""Sets of values: what the parameters of distributions may be, and what they can draw. `check(value)` is a bool tensor without the
last `event_dim` dimensions: which values lie in the set."""

from __future__ import annotations

from typing import Any

from engine import ops
from engine.dtypes import finfo
from engine.tensor import Tensor

__all__ = [
    "Constraint",
    "boolean",
    "dependent",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "nonnegative",
    "nonnegative_integer",
    "positive",
    "positive_integer",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


class Constraint:
    """The base of all sets. words: what a value in the set is, as an error says it."""

    is_discrete = False
    event_dim = 0
    words = "values in the support"

    def check(self, value: Tensor) -> Tensor:
        """Which values lie in the set."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__.strip("_") + "()"


class _Dependent(Constraint):
    """A set that depends on other parameters. It is checked where these are known."""


class _Boolean(Constraint):
    is_discrete = True
    words = "zeros and ones"

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _Real(Constraint):
    words = "numbers"

    def check(self, value: Tensor) -> Tensor:
        return value == value  # NaN is no number


class _Simplex(Constraint):
    event_dim = 1
    words = "numbers >= 0 with the sum 1"

    def check(self, value: Tensor) -> Tensor:
        near = max(1e-6, 4 * finfo(value.dtype).eps)
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < near)


class _Bounded(Constraint):
    """Numbers between bounds, which are numbers or tensors; None: no bound."""

    lower_bound: Any = None
    upper_bound: Any = None
    open = (False, False)  # whether the lower and the upper bound lie outside

    def check(self, value: Tensor) -> Tensor:
        inside = value == value
        if self.lower_bound is not None:
            inside = inside & (value > self.lower_bound if self.open[0] else value >= self.lower_bound)
        if self.upper_bound is not None:
            inside = inside & (value < self.upper_bound if self.open[1] else value <= self.upper_bound)
        return inside & (value % 1 == 0) if self.is_discrete else inside

    @property
    def words(self) -> str:  # type: ignore[override]
        """What the numbers are."""
        bounds = []
        if self.lower_bound is not None:
            bounds.append(f"{'>' if self.open[0] else '>='} {_shown(self.lower_bound)}")
        if self.upper_bound is not None:
            bounds.append(f"{'<' if self.open[1] else '<='} {_shown(self.upper_bound)}")
        return ("integers " if self.is_discrete else "numbers ") + " and ".join(bounds)

    def __repr__(self) -> str:
        bounds = (("lower_bound", self.lower_bound), ("upper_bound", self.upper_bound))
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in bounds if v is not None)})"


def _shown(bound: Any) -> Any:
    return bound.detach() if isinstance(bound, Tensor) else bound


class interval(_Bounded):
    """Numbers from lower_bound to upper_bound, both included."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound


class half_open_interval(interval):
    """Numbers from lower_bound to upper_bound, which is not included."""

    open = (False, True)


class integer_interval(interval):
    """Integers from lower_bound to upper_bound, both included."""

    is_discrete = True


class greater_than(_Bounded):
    """Numbers above lower_bound."""

    open = (True, True)

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class greater_than_eq(_Bounded):
    """Numbers that are lower_bound or above."""

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class _Integers(greater_than_eq):
    is_discrete = True


class less_than(_Bounded):
    """Numbers below upper_bound."""

    open = (True, True)

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound


class independent(Constraint):
    """The values of which all along the last dimensions lie in `base_constraint`."""

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims
        self.words = base_constraint.words

    def check(self, value: Tensor) -> Tensor:
        inside = self.base_constraint.check(value)
        for _ in range(self.reinterpreted_batch_ndims):
            inside = ops.all(inside, -1)
        return inside

    def __repr__(self) -> str:
        return f"independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


def is_dependent(constraint: Any) -> bool:
    """Whether the set depends on other parameters, so that it has no `check` of its own."""
    return isinstance(constraint, _Dependent)


boolean, real, simplex, dependent = _Boolean(), _Real(), _Simplex(), _Dependent()
real_vector = independent(real, 1)
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
nonnegative_integer, positive_integer = _Integers(0), _Integers(1)
