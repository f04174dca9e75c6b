"""The Kullback-Leibler divergence of two distributions."""

from __future__ import annotations

import math
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

__all__ = ["kl_divergence"]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q) in nats for two distributions of one kind: Normal, Bernoulli, Categorical, Uniform, or Independent of these.

    Raises NotImplementedError for other pairs.
    """
    kl = _DIVERGENCES.get(type(p))
    if kl is None or type(p) is not type(q):
        got = f"{type(p).__name__} and {type(q).__name__}"
        raise NotDefined("kl_divergence", "p, q", f"two of one kind among {[k.__name__ for k in _DIVERGENCES]}", got)
    return kl(p, q)


def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


def _bernoulli(p: Any, q: Any) -> Tensor:
    ones = ops.binary_cross_entropy_with_logits(q.logits, p.probs, reduction="none")
    return ones - p.entropy()


def _categorical(p: Any, q: Any) -> Tensor:
    terms = ops.where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits))
    return ops.where((q.probs == 0) & (p.probs > 0), math.inf, terms).sum(-1)


def _uniform(p: Any, q: Any) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return ops.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


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


_DIVERGENCES: dict[type, Any] = {
    Normal: _normal, Bernoulli: _bernoulli, Categorical: _categorical, Uniform: _uniform, Independent: _independent,
}  # fmt: skip
