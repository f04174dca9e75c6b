"""The categorical distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine import ops
from engine.autograd import no_grad
from engine.distributions.distribution import Distribution, clamped, one_of
from engine.dtypes import finfo
from engine.errors import BadType
from engine.tensor import Tensor

__all__ = ["Categorical"]


class Categorical(Distribution):
    """The numbers 0 to classes - 1, with weights `probs` or logarithms of weights `logits`, (*, classes), that need not be normalised."""

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        one_of("Categorical", probs, logits)
        given = probs if logits is None else logits
        if not isinstance(given, Tensor):
            raise BadType("Categorical", "probs" if logits is None else "logits", "a Tensor", type(given).__name__)
        super().__init__(given.shape[:-1], validate_args=validate_args)
        if logits is None:
            self._check("probs", given >= 0, "numbers >= 0", given)
            self.probs = given / given.sum(-1, keepdim=True)
            self.logits = clamped(self.probs).log()
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            self.probs = self.logits.softmax(-1)

    mode = property(lambda self: self.probs.argmax(-1))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            draws = ops.multinomial(self.probs.reshape(-1, self.probs.shape[-1]), math.prod(sample_shape), True)
            return draws.T.reshape(self._shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check("value", (value >= 0) & (value < self.probs.shape[-1]), "numbers of classes", value)
        shape = ops.broadcast_shapes(value.shape, self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        return logits.gather(-1, value.long().expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits.clamp(min=finfo(self.logits.dtype).min) * self.probs).sum(-1)
