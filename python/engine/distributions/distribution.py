"""The base of all distributions, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from engine import ops
from engine.autograd import no_grad
from engine.distributions.constraints import Constraint, is_dependent
from engine.dtypes import Size, finfo, get_default_dtype
from engine.errors import BadType, BadValue, NotDefined, require
from engine.tensor import Tensor

__all__ = ["Distribution"]


class Distribution:
    """The base. validate_args: whether the constructor checks that parameters are possible, and `log_prob` and `cdf` that values are;
    None: as `set_default_validate_args` says, at first True.

    A subclass names its parameters in `arg_constraints`, and sets those that are to be checked before it calls this constructor.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments if `validate_args` is not given."""
        require(value in (True, False), "set_default_validate_args", "value", "True or False", value)
        Distribution._validate_args = bool(value)

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                value = self.__dict__.get(name)
                if value is not None and not is_dependent(constraint):
                    self._check(name, constraint.check(value), constraint.words, value)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The distribution with its parameters repeated to `batch_shape`, without a copy."""
        raise self._missing("expand")

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def support(self) -> Constraint:
        """The set of the values that can be drawn."""
        raise self._missing("support")

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise self._missing("mean")

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise self._missing("mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise self._missing("variance")

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
        raise self._missing("rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise self._missing("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a draw of at most `value`."""
        raise self._missing("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The number that a draw does not exceed with probability `value`."""
        raise self._missing("icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that can be drawn, along a new first dimension; repeated to `batch_shape`, unless expand is False."""
        raise self._missing("enumerate_support")

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise self._missing("entropy")

    def perplexity(self) -> Tensor:
        """e^entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _missing(self, what: str) -> NotDefined:
        return NotDefined(type(self).__name__, what, "a distribution that defines it", "one that does not")

    def _check(self, argument: str, right: Tensor, expected: str, got: Tensor) -> None:
        if self._validate_args and not right.all():
            raise BadValue(type(self).__name__, argument, expected, got.detach())

    def _validate_sample(self, value: Tensor) -> None:
        """Raises ValueError for a value that cannot be drawn or has another shape."""
        if not self._validate_args:
            return
        op = type(self).__name__
        if not isinstance(value, Tensor):
            raise BadType(op, "value", "a Tensor", type(value).__name__)
        event, shape, own = len(self._event_shape), tuple(value.shape), self._extended_shape()
        fits = len(shape) >= event and shape[len(shape) - event :] == tuple(self._event_shape)
        require(fits, op, "value", f"a shape that ends with {tuple(self._event_shape)}", shape)
        pairs = zip(reversed(shape), reversed(own))
        require(all(a == b or 1 in (a, b) for a, b in pairs), op, "value", f"a shape that fits {tuple(own)}", shape)
        self._check("value", self.support.check(value), self.support.words, value)

    def _expanded(self, cls: type, batch_shape: Sequence[int], instance: Any, **parameters: int) -> Any:
        """`expand` for the class `cls` with these parameters; of each, how many of its dimensions belong to an event."""
        if instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise self._missing("expand")  # the subclass may have more to expand
        new = type(self).__new__(type(self)) if instance is None else instance
        for name, dims in parameters.items():
            value = getattr(self, name)
            setattr(new, name, value.expand((*batch_shape, *value.shape[value.ndim - dims :])))
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

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
