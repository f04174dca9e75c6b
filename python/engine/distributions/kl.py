"""The Kullback-Leibler divergence of two distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine import ops
from engine.distributions.bernoulli import Bernoulli
from engine.distributions.categorical import Categorical
from engine.distributions.distribution import Distribution, summed
from engine.distributions.independent import Independent
from engine.distributions.normal import Normal
from engine.distributions.uniform import Uniform
from engine.errors import NotDefined, require
from engine.tensor import Tensor

__all__ = ["kl_divergence", "register_kl"]


_Formula = Callable[[Any, Any], Tensor]
_DIVERGENCES: dict[tuple[type, type], _Formula] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[_Formula], _Formula]:
    """Makes a function of p and q their divergence: `@register_kl(Normal, Normal)`. It serves subclasses of the two types, too."""

    def register(formula: _Formula) -> _Formula:
        _DIVERGENCES[type_p, type_q] = formula
        return formula

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) in nats of two distributions for which `register_kl` knows a formula: two of one kind among Normal, Bernoulli,
    Categorical, Uniform and Independent, or a Normal and a Uniform.

    Raises NotImplementedError for other pairs.
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _DIVERGENCES:
                return _DIVERGENCES[a, b](p, q)
    pairs = [f"{a.__name__} and {b.__name__}" for a, b in _DIVERGENCES]
    raise NotDefined("kl_divergence", "p, q", f"one of the pairs {pairs}", f"{type(p).__name__} and {type(q).__name__}")


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    ones = p.probs * (ops.softplus(-q.logits) - ops.softplus(-p.logits))
    ones = ops.where(p.probs == 0, 0.0, ops.where(q.probs == 0, math.inf, ones))
    zeros = (1 - p.probs) * (ops.softplus(q.logits) - ops.softplus(p.logits))
    return ones + ops.where(p.probs == 1, 0.0, ops.where(q.probs == 1, math.inf, zeros))


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    terms = ops.where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits))
    return ops.where((q.probs == 0) & (p.probs > 0), math.inf, terms).sum(-1)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return ops.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Normal, Uniform)
def _normal_uniform(p: Any, q: Any) -> Tensor:
    return ops.full_like(p.loc, math.inf)  # a Normal draws outside, too


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Tensor:
    spread = (p.high - p.low) / math.sqrt(12)
    distance = (((p.high + p.low) / 2 - q.loc) ** 2 + spread**2) / (2 * q.scale**2)
    return distance + (math.sqrt(2 * math.pi) * q.scale / (p.high - p.low)).log()


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    same = p.reinterpreted_batch_ndims == q.reinterpreted_batch_ndims
    require(
        same,
        "kl_divergence",
        "q",
        f"{p.reinterpreted_batch_ndims} reinterpreted dimensions",
        q.reinterpreted_batch_ndims,
    )
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
