"""engine.distributions against closed forms in NumPy, and draws against their moments."""

import math

import numpy as np
import pytest

import engine
from engine.distributions import Bernoulli, Categorical, Independent, Normal, Uniform, kl_divergence


def close(got, expected, tolerance=1e-6):
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def numbers(*values, grad=False):
    return engine.tensor(values, dtype=engine.float64, requires_grad=grad)


def test_normal_follows_its_density():
    loc, scale, x = numbers(0.5, -1.0, grad=True), numbers(0.7, 2.0, grad=True), numbers(1.0, 1.0)
    p = Normal(loc, scale)
    z = (np.array([1.0, 1.0]) - [0.5, -1.0]) / [0.7, 2.0]
    close(p.log_prob(x), -(z**2) / 2 - np.log([0.7, 2.0]) - 0.5 * math.log(2 * math.pi))
    close(p.entropy(), 0.5 * np.log(2 * math.pi * math.e * np.array([0.7, 2.0]) ** 2))
    close(p.cdf(x), [0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z])
    close(p.icdf(p.cdf(x)), [1.0, 1.0], 1e-5)
    p.log_prob(x).sum().backward()
    close(loc.grad, z / [0.7, 2.0])
    close(scale.grad, (z**2 - 1) / [0.7, 2.0])


def test_rsample_carries_the_gradient_and_sample_does_not():
    scale = numbers(2.0, grad=True)
    p = Normal(0.0, scale)
    assert not p.sample((3,)).requires_grad
    drawn = p.rsample((3,))
    drawn.sum().backward()
    close(scale.grad, [float(drawn.sum().detach()) / 2])


def test_draws_have_the_moments_of_their_distribution():
    engine.manual_seed(0)
    n = 20_000
    for p in (Normal(1.0, 2.0), Uniform(-1.0, 3.0), Bernoulli(0.3)):
        drawn = p.sample((n,)).numpy()
        assert abs(drawn.mean() - float(p.mean)) < 5 * float(p.stddev) / math.sqrt(n)
        assert abs(drawn.var() / float(p.variance) - 1) < 0.1
    counts = Categorical(engine.tensor([1.0, 3.0, 0.0])).sample((n,)).bincount(minlength=3).numpy() / n
    np.testing.assert_allclose(counts, [0.25, 0.75, 0.0], atol=0.02)


def test_categorical_normalises_and_broadcasts():
    weights = engine.tensor([[1.0, 1.0, 2.0], [0.0, 4.0, 0.0]])
    p = Categorical(weights)
    close(p.probs, [[0.25, 0.25, 0.5], [0, 1, 0]])
    close(p.log_prob(engine.tensor([2, 1])), [math.log(0.5), 0.0], 1e-5)
    close(p.log_prob(engine.tensor([[0, 1], [2, 1]])).exp(), [[0.25, 1], [0.5, 1]], 1e-5)
    close(p.entropy(), [1.5 * math.log(2), 0.0], 1e-4)
    assert p.sample((5, 4)).shape == (5, 4, 2)
    close(Categorical(logits=weights.log()).probs, p.probs.numpy())


def test_divergences():
    p, q = Normal(numbers(1.0), numbers(2.0)), Normal(numbers(0.0), numbers(1.0))
    close(kl_divergence(p, q), [math.log(1 / 2) + (4 + 1) / 2 - 0.5])
    a, b = Categorical(numbers(0.5, 0.5, 0.0)), Categorical(numbers(0.25, 0.5, 0.25))
    close(kl_divergence(a, b), 0.5 * math.log(2))
    assert float(kl_divergence(b, a)) == math.inf
    close(kl_divergence(Bernoulli(numbers(0.5)), Bernoulli(numbers(0.25))), [0.5 * math.log(2) + 0.5 * math.log(2 / 3)])
    close(kl_divergence(Uniform(0.0, 1.0), Uniform(-1.0, 3.0)), math.log(4))
    assert float(kl_divergence(Uniform(0.0, 1.0), Uniform(0.5, 3.0))) == math.inf
    many = Independent(Normal(engine.zeros(2, 3), engine.ones(2, 3)), 1)
    close(kl_divergence(many, Independent(Normal(engine.ones(2, 3), engine.ones(2, 3)), 1)), [1.5, 1.5])


def test_independent_sums_over_the_last_dimensions():
    p = Normal(engine.zeros(2, 3), engine.ones(2, 3))
    joined, x = Independent(p, 1), engine.ones(2, 3)
    assert (joined.batch_shape, joined.event_shape) == ((2,), (3,))
    close(joined.log_prob(x), p.log_prob(x).numpy().sum(1))
    close(joined.entropy(), p.entropy().numpy().sum(1))
    assert joined.sample((4,)).shape == (4, 2, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normal(0.0, -1.0),
        lambda: Uniform(1.0, 1.0),
        lambda: Bernoulli(1.5),
        lambda: Bernoulli(),
        lambda: Categorical(engine.tensor([1.0, -1.0])),
        lambda: Categorical(engine.ones(2), engine.ones(2)),
        lambda: Categorical(engine.ones(2)).log_prob(engine.tensor(2)),
        lambda: Bernoulli(0.5).log_prob(engine.tensor(2.0)),
        lambda: Independent(Normal(0.0, 1.0), 1),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


def test_validate_args_switches_the_checks_off():
    assert Bernoulli(0.5, validate_args=False).log_prob(engine.tensor(0.5)).shape == ()


def test_other_pairs_have_no_divergence():
    with pytest.raises(NotImplementedError, match="kl_divergence"):
        kl_divergence(Normal(0.0, 1.0), Uniform(0.0, 1.0))


@pytest.mark.parametrize("dtype", [engine.float16, engine.bfloat16, engine.float32])
def test_uniform_never_draws_the_upper_bound(dtype):
    engine.manual_seed(0)
    low = engine.tensor([0.0, -1.0, -3.0, 1.0], dtype=dtype, requires_grad=True)
    high = engine.tensor([1.0, 0.0, -2.0, 1.0 + 2**-6], dtype=dtype, requires_grad=True)
    drawn = Uniform(low, high).rsample((50000,))
    assert (drawn < high).all().item() and (drawn >= low).all().item()
    drawn.float().mean(0).sum().backward()
    np.testing.assert_allclose((low.grad + high.grad).float().numpy(), np.ones(4), atol=0.05)
