"""A distribution whose last batch dimensions belong to a draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.distributions import constraints
from engine.distributions.distribution import Distribution, summed
from engine.errors import NotDefined, require
from engine.tensor import Tensor

__all__ = ["Independent"]


class Independent(Distribution):
    """`base_distribution` with its last batch dimensions counted as part of a draw: `log_prob` and `entropy` are summed over them."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        base, n = base_distribution, reinterpreted_batch_ndims
        dims = len(base.batch_shape)
        require(0 <= n <= dims, "Independent", "reinterpreted_batch_ndims", f"a number in [0, {dims}]", n)
        super().__init__(base.batch_shape[: dims - n], base.batch_shape[dims - n :] + base.event_shape, validate_args)
        self.base_dist, self.reinterpreted_batch_ndims = base, n
        self.has_rsample = base.has_rsample
        self.has_enumerate_support = base.has_enumerate_support and not n

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        n = self.reinterpreted_batch_ndims
        new = self._expanded(Independent, batch_shape, _instance)
        new.base_dist = self.base_dist.expand((*batch_shape, *self._event_shape[:n]))
        new.reinterpreted_batch_ndims = n
        new.has_rsample, new.has_enumerate_support = self.has_rsample, self.has_enumerate_support
        return new

    @property
    def support(self) -> constraints.Constraint:
        """That of the base distribution, of draws of the larger shape."""
        base, n = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(base, n) if n else base

    mode = property(lambda self: self.base_dist.mode)
    mean = property(lambda self: self.base_dist.mean)
    variance = property(lambda self: self.base_dist.variance)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims:
            expected, got = "no reinterpreted dimensions", f"{self.reinterpreted_batch_ndims} of them"
            raise NotDefined("Independent", "enumerate_support", expected, got)
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
