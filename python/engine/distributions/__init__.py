"""Probability distributions under PyTorch's names: Normal, Uniform, Bernoulli, Categorical, Independent, and `kl_divergence`.

A distribution holds parameters that are broadcast to `batch_shape`. `sample(shape)` draws a tensor of `shape + batch_shape +
event_shape` without a gradient, and `rsample` one whose gradient reaches the parameters. `log_prob`, `entropy` and
`kl_divergence` are differentiable. Other distributions and transforms are not here.
"""

from engine.distributions import constraints, kl
from engine.distributions.bernoulli import Bernoulli
from engine.distributions.categorical import Categorical
from engine.distributions.distribution import Distribution
from engine.distributions.independent import Independent
from engine.distributions.kl import kl_divergence, register_kl
from engine.distributions.normal import Normal
from engine.distributions.uniform import Uniform

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Independent",
    "Normal",
    "Uniform",
    "constraints",
    "kl",
    "kl_divergence",
    "register_kl",
]
