"""The uniform distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from engine import _core, ops
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, together
from engine.dtypes import finfo
from engine.tensor import Tensor

__all__ = ["Uniform"]


def _before(x: Tensor) -> Tensor:
    """The largest number of the dtype below each element: 0.6 to 1.3 steps of its grid less, rounded."""
    info = finfo(x.dtype)
    wide = x.to(_core.promote_types(x.dtype, _core.float32))
    least = info.tiny * (info.eps if x.dtype is _core.float16 else 1.0)  # float32 may take smaller numbers for 0
    return (wide - (wide.abs() * (0.625 * info.eps)).clamp(min=least)).to(x.dtype)


class Uniform(Distribution):
    """The uniform distribution on [low, high)."""

    arg_constraints: ClassVar = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

    def __init__(self, low: Tensor | float, high: Tensor | float, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        self._check("high", self.low < self.high, f"numbers above low, which is {self.low.detach()}", self.high)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        return self._expanded(Uniform, batch_shape, _instance, low=0, high=0)

    @property
    def support(self) -> constraints.Constraint:
        """The numbers from low to high."""
        return constraints.interval(self.low, self.high)

    mean = property(lambda self: (self.high + self.low) / 2)
    mode = property(lambda self: math.nan * self.high)  # all are equally likely
    stddev = property(lambda self: (self.high - self.low) / math.sqrt(12))
    variance = property(lambda self: (self.high - self.low) ** 2 / 12)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = ops.rand(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        drawn = self.low + noise * (self.high - self.low)
        # Rounding may take a number to `high`: it becomes the largest below, with the same gradient.
        return ops.where(drawn < self.high, drawn, _before(self.high.detach()) + (drawn - drawn.detach()))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()
