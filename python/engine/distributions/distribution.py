"""The base of all distributions, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import ops
from engine.autograd import no_grad
from engine.dtypes import Size, finfo, get_default_dtype
from engine.errors import BadValue, NotDefined, require
from engine.tensor import Tensor

__all__ = ["Distribution"]


class Distribution:
    """The base. validate_args: whether `log_prob` checks that values are possible, and the constructor that parameters are; True unless
    False is given."""

    has_rsample = False

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate = validate_args is not False

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotDefined(type(self).__name__, "mean", "a distribution that defines it", "one that does not")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotDefined(type(self).__name__, "variance", "a distribution that defines it", "one that does not")

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws; without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws; the gradient reaches the parameters."""
        raise NotDefined(type(self).__name__, "rsample", "a distribution that can be reparametrized", "one that cannot")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotDefined(type(self).__name__, "log_prob", "a distribution that defines it", "one that does not")

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise NotDefined(type(self).__name__, "entropy", "a distribution that defines it", "one that does not")

    def perplexity(self) -> Tensor:
        """e^entropy."""
        return self.entropy().exp()

    def _shape(self, sample_shape: Sequence[int]) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _check(self, argument: str, right: Tensor, expected: str, got: Tensor) -> None:
        if self._validate and not right.all():
            raise BadValue(type(self).__name__, argument, expected, got.detach())

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(batch_shape: {tuple(self._batch_shape)}, event_shape: {tuple(self._event_shape)})"
        )


def together(*values: Any) -> list[Tensor]:
    """The parameters as tensors of one shape. Numbers take the dtype and device of the tensors among them."""
    first = next((v for v in values if isinstance(v, Tensor)), None)
    dtype, device = (get_default_dtype(), None) if first is None else (first.dtype, first.device)
    tensors = [v if isinstance(v, Tensor) else ops.tensor(v, dtype=dtype, device=device) for v in values]
    return list(ops.broadcast_tensors(*tensors))


def one_of(op: str, probs: Any, logits: Any) -> None:
    require(
        (probs is None) != (logits is None), op, "probs, logits", "one of them", "both" if probs is not None else "none"
    )


def clamped(probs: Tensor) -> Tensor:
    """Probabilities kept from 0 and 1, so that their logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def summed(value: Tensor, dims: int) -> Tensor:
    return value.sum(tuple(range(-dims, 0))) if dims else value
