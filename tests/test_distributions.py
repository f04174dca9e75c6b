"""engine.distributions against closed forms in NumPy, and draws against their moments."""

import math
from typing import ClassVar

import numpy as np
import pytest

import engine
from engine.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Normal,
    Uniform,
    constraints,
    kl_divergence,
    register_kl,
)


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
        kl_divergence(Normal(0.0, 1.0), Bernoulli(0.5))


@pytest.mark.parametrize("dtype", [engine.float16, engine.bfloat16, engine.float32])
def test_uniform_never_draws_the_upper_bound(dtype):
    engine.manual_seed(0)
    low = engine.tensor([0.0, -1.0, -3.0, 1.0], dtype=dtype, requires_grad=True)
    high = engine.tensor([1.0, 0.0, -2.0, 1.0 + 2**-6], dtype=dtype, requires_grad=True)
    drawn = Uniform(low, high).rsample((50000,))
    assert (drawn < high).all().item() and (drawn >= low).all().item()
    drawn.float().mean(0).sum().backward()
    np.testing.assert_allclose((low.grad + high.grad).float().numpy(), np.ones(4), atol=0.05)


MAKE = {
    "normal": lambda: Normal(numbers(0.5, -1.0), numbers(0.7, 2.0)),
    "uniform": lambda: Uniform(numbers(-1.0, 0.0), numbers(0.0, 3.0)),
    "bernoulli": lambda: Bernoulli(numbers(0.2, 0.9)),
    "logits": lambda: Bernoulli(logits=numbers(-1.0, 3.0)),
    "categorical": lambda: Categorical(engine.tensor([[1.0, 2.0, 1.0], [5.0, 1.0, 2.0]], dtype=engine.float64)),
    "independent": lambda: Independent(Normal(engine.zeros(2, 3), engine.ones(2, 3)), 1),
}


@pytest.mark.parametrize("kind", MAKE)
def test_an_expanded_distribution_is_the_same_over_a_larger_batch(kind):
    p = MAKE[kind]()
    q = p.expand((4, *p.batch_shape))
    assert type(q) is type(p) and (q.batch_shape, q.event_shape) == ((4, *p.batch_shape), p.event_shape)
    x = q.sample()
    assert x.shape == (*q.batch_shape, *q.event_shape) and q.sample((2,)).shape == (2, *x.shape)
    close(q.log_prob(x), np.stack([p.log_prob(row).numpy() for row in x]))
    close(q.entropy(), np.broadcast_to(p.entropy().numpy(), q.batch_shape))


@pytest.mark.parametrize("kind", MAKE)
def test_draws_lie_in_the_support_and_parameters_in_their_sets(kind):
    p = MAKE[kind]()
    inside = p.support.check(p.sample((50,)))
    assert inside.dtype is engine.bool and inside.all() and inside.shape == (50, *p.batch_shape)
    assert p.support.event_dim == len(p.event_shape)
    for name, constraint in p.arg_constraints.items():
        assert constraints.is_dependent(constraint) or constraint.check(getattr(p, name)).all()


def test_modes_and_enumerated_values():
    close(Normal(2.0, 1.0).mode, 2.0)
    assert Bernoulli(numbers(0.2, 0.5, 0.9)).mode.isnan().tolist() == [False, True, False]
    assert Bernoulli(numbers(0.2, 0.9)).mode.tolist() == [0, 1] and Uniform(0.0, 1.0).mode.isnan()
    p = MAKE["categorical"]()
    assert p.mode.tolist() == [1, 0] and p.mean.isnan().all() and p.variance.shape == (2,)
    assert p.enumerate_support().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert p.enumerate_support(expand=False).tolist() == [[0], [1], [2]]
    close(p.log_prob(p.enumerate_support()).exp().sum(0), [1, 1])
    assert MAKE["bernoulli"]().enumerate_support().tolist() == [[0, 0], [1, 1]]
    assert p.has_enumerate_support and not Normal(0.0, 1.0).has_enumerate_support
    for missing in (lambda: Normal(0.0, 1.0).enumerate_support(), lambda: p.cdf(numbers(1.0)), lambda: p.rsample()):
        with pytest.raises(NotImplementedError):
            missing()
    with pytest.raises(NotImplementedError):
        MAKE["independent"]().enumerate_support()


def test_uniform_has_a_distribution_function():
    p = Uniform(numbers(-1.0), numbers(3.0))
    close(p.cdf(numbers(0.0)), [0.25])
    close(p.icdf(numbers(0.25)), [0.0])
    with pytest.raises(ValueError, match=r"\[Uniform\] value: expected numbers >= "):
        p.cdf(numbers(4.0))


@pytest.mark.parametrize(
    ("constraint", "inside", "outside"),
    [
        (constraints.boolean, [0, 1], [0.5, 2]),
        (constraints.real, [0, -math.inf], [math.nan]),
        (constraints.positive, [1e-30, 2], [0, -1]),
        (constraints.nonnegative, [0, 2], [-1]),
        (constraints.unit_interval, [0, 1], [-0.1, 1.1]),
        (constraints.interval(1, 2), [1, 2], [0.9, 2.1, math.nan]),
        (constraints.half_open_interval(1, 2), [1, 1.9], [2]),
        (constraints.integer_interval(0, 2), [0, 1, 2], [0.5, 3, -1]),
        (constraints.greater_than(1), [1.1], [1]),
        (constraints.greater_than_eq(1), [1], [0.9]),
        (constraints.less_than(1), [0.9], [1]),
        (constraints.nonnegative_integer, [0, 3], [-1, 0.5]),
        (constraints.positive_integer, [1], [0]),
    ],
)
def test_constraints(constraint, inside, outside):
    assert constraint.check(numbers(*inside)).all() and not constraint.check(numbers(*outside)).any()
    assert repr(constraint)


def test_constraints_of_vectors():
    assert constraints.simplex.check(engine.tensor([[0.5, 0.5], [0.5, 0.6], [-0.5, 1.5]])).tolist() == [
        True,
        False,
        False,
    ]
    assert constraints.real_vector.check(engine.tensor([[0.0, 1.0], [0.0, math.nan]])).tolist() == [True, False]
    assert constraints.real_vector.event_dim == 1


def test_a_distribution_of_the_user_is_checked_and_has_a_divergence():
    class Exponential(Distribution):
        arg_constraints: ClassVar = {"rate": constraints.positive}
        support = constraints.nonnegative

        def __init__(self, rate, validate_args=None):
            self.rate = rate
            super().__init__(rate.shape, validate_args=validate_args)

        def log_prob(self, value):
            self._validate_sample(value)
            return self.rate.log() - self.rate * value

    p = Exponential(numbers(2.0))
    close(p.log_prob(numbers(1.0)), [math.log(2) - 2])
    for wrong in (lambda: Exponential(numbers(0.0)), lambda: p.log_prob(numbers(-1.0))):
        with pytest.raises(ValueError, match="numbers >"):
            wrong()
    assert Exponential(numbers(0.0), validate_args=False).batch_shape == (1,)
    with pytest.raises(NotImplementedError):
        p.expand((2,))

    @register_kl(Exponential, Exponential)
    def divergence(p, q):
        return (p.rate / q.rate).log() + q.rate / p.rate - 1

    close(kl_divergence(p, Exponential(numbers(1.0))), [math.log(2) - 0.5])


def test_more_divergences():
    close(kl_divergence(Bernoulli(numbers(0.2, 0.5)), Bernoulli(numbers(0.5))), [0.19274476, 0.0])
    assert kl_divergence(Bernoulli(0.5), Bernoulli(engine.tensor([0.0, 1.0]))).tolist() == [math.inf, math.inf]
    assert kl_divergence(Normal(0.0, 1.0), Uniform(0.0, 1.0)).item() == math.inf
    p, q = Uniform(numbers(-1.0), numbers(1.0)), Normal(numbers(0.5), numbers(2.0))
    x = np.linspace(-1, 1, 200_001)
    expected = np.mean(math.log(0.5) + 0.5 * ((x - 0.5) / 2) ** 2 + math.log(2) + 0.5 * math.log(2 * math.pi))
    close(kl_divergence(p, q), [expected], 1e-4)


def test_the_default_of_validate_args_can_be_changed():
    Distribution.set_default_validate_args(False)
    try:
        assert Normal(0.0, -1.0).batch_shape == ()
        with pytest.raises(ValueError, match="scale"):
            Normal(0.0, -1.0, validate_args=True)
    finally:
        Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("value", [engine.zeros(3), engine.zeros(3, 5)])
def test_a_value_of_another_shape_is_refused(value):
    with pytest.raises(ValueError, match="a shape that fits"):
        Normal(engine.zeros(2), engine.ones(2)).log_prob(value)
    with pytest.raises(TypeError, match="value: expected a Tensor"):
        Normal(0.0, 1.0).log_prob(1.0)
