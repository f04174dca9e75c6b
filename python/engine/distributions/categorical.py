"""The categorical distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from engine import ops
from engine.autograd import no_grad
from engine.distributions import constraints
from engine.distributions.distribution import Distribution, clamped, one_of
from engine.dtypes import finfo
from engine.errors import BadType, require
from engine.tensor import Tensor

__all__ = ["Categorical"]


class Categorical(Distribution):
    """The numbers 0 to classes - 1, with weights `probs` or logarithms of weights `logits`, (*, classes), that need not be normalised."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        one_of("Categorical", probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        if not isinstance(given, Tensor):
            raise BadType("Categorical", name, "a Tensor", type(given).__name__)
        require(given.ndim > 0, "Categorical", name, "at least 1 dimension", "a 0-dim tensor")
        normal = given / given.sum(-1, keepdim=True) if logits is None else given - given.logsumexp(-1, keepdim=True)
        setattr(self, name, normal)
        super().__init__(given.shape[:-1], validate_args=validate_args)
        if logits is None:
            self.logits = clamped(normal).log()
        else:
            self.probs = normal.softmax(-1)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        return self._expanded(Categorical, batch_shape, _instance, probs=1, logits=1)

    @property
    def support(self) -> constraints.Constraint:
        """The integers from 0 to classes - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    _num_events = property(lambda self: self.probs.shape[-1])
    param_shape = property(lambda self: self.probs.shape)
    mode = property(lambda self: self.probs.argmax(-1))
    # Classes are names, not amounts.
    mean = property(
        lambda self: ops.full(self._batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device)
    )
    variance = mean

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with no_grad():
            draws = ops.multinomial(self.probs.reshape(-1, self._num_events), math.prod(sample_shape), True)
            return draws.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        shape = ops.broadcast_shapes(value.shape, self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        return logits.gather(-1, value.long().expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits.clamp(min=finfo(self.logits.dtype).min) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._num_events
        values = ops.arange(n, device=self.probs.device).view((n, *(1 for _ in self._batch_shape)))
        return values.expand((n, *self._batch_shape)) if expand else values
