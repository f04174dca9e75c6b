"""The Bernoulli distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from engine import ops
from engine.autograd import no_grad
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, clamped, one_of, together
from engine.dtypes import Size
from engine.tensor import Tensor

__all__ = ["Bernoulli"]


class Bernoulli(Distribution):
    """1 with probability `probs` = sigmoid(`logits`), otherwise 0; one of the two is given."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Bernoulli", probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        (value,) = together(given)
        setattr(self, name, value)
        super().__init__(value.shape, validate_args=validate_args)
        if logits is None:
            inside = clamped(value)
            self.logits = inside.log() - (-inside).log1p()
        else:
            self.probs = value.sigmoid()

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        return self._expanded(Bernoulli, batch_shape, _instance, probs=0, logits=0)

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))
    param_shape = property(lambda self: self.probs.shape)

    @property
    def mode(self) -> Tensor:
        """1 or 0, whichever is more likely; NaN if both are equally likely."""
        return ops.where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs.dtype))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return ops.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        dtype = ops.promote_types(self.logits.dtype, value.dtype)
        logits, value = ops.broadcast_tensors(self.logits.to(dtype), value.to(dtype))
        return -ops.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = ops.arange(2, dtype=self.probs.dtype, device=self.probs.device)
        values = values.view((2, *(1 for _ in self._batch_shape)))
        return values.expand(Size((2, *self._batch_shape))) if expand else values
