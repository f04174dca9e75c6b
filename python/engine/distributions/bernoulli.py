"""The Bernoulli distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import ops
from engine.autograd import no_grad
from engine.distributions.distribution import Distribution, clamped, one_of, together
from engine.tensor import Tensor

__all__ = ["Bernoulli"]


class Bernoulli(Distribution):
    """1 with probability `probs` = sigmoid(`logits`), otherwise 0; one of the two is given."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Bernoulli", probs, logits)
        if logits is None:
            (self.probs,) = together(probs)
            inside = clamped(self.probs)
            self.logits = inside.log() - (-inside).log1p()
        else:
            (self.logits,) = together(logits)
            self.probs = self.logits.sigmoid()
        super().__init__(self.probs.shape, validate_args=validate_args)
        self._check("probs", (self.probs >= 0) & (self.probs <= 1), "numbers in [0, 1]", self.probs)

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            return ops.bernoulli(self.probs.expand(self._shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check("value", (value == 0) | (value == 1), "zeros and ones", value)
        logits, value = ops.broadcast_tensors(self.logits, value)
        return -ops.binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self) -> Tensor:
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
