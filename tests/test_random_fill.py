"""`exponential_`, `geometric_`, `cauchy_`, `log_normal_` and `random_`: distributions, generators, bounds, refusals."""

from __future__ import annotations

import math

import pytest

import engine

N = 20_000


def filled(method: str, *args, dtype=engine.float32, **kwargs) -> engine.Tensor:
    generator = engine.Generator().manual_seed(1)
    x = engine.zeros(N, dtype=dtype)
    assert getattr(x, method)(*args, generator=generator, **kwargs) is x
    return x


# P(x <= bound) of each distribution, at bounds in its middle and its tail.
SHARES = [
    ("exponential_", (2.0,), [(0.1, 1 - math.exp(-0.2)), (1.0, 1 - math.exp(-2.0))]),
    ("geometric_", (0.3,), [(1, 0.3), (3, 1 - 0.7**3)]),
    ("cauchy_", (1.0, 2.0), [(1.0, 0.5), (3.0, 0.75), (-7.0, 0.5 + math.atan(-4.0) / math.pi)]),
    ("log_normal_", (0.5, 2.0), [(math.exp(0.5), 0.5), (math.exp(2.5), 0.8413447)]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("method, args, shares", SHARES)
def test_distributions(method, args, shares, dtype) -> None:
    x = filled(method, *args, dtype=getattr(engine, dtype)).float()
    for bound, share in shares:
        slack = 0.01 * abs(bound) if dtype == "bfloat16" else 0.0  # of rounding
        low = (x <= bound - slack).float().mean().item()
        high = (x <= bound + slack).float().mean().item()
        error = 5 * math.sqrt(share * (1 - share) / N)
        assert low - error <= share <= high + error


def test_geometric_numbers_of_integers() -> None:
    x = filled("geometric_", 0.5, dtype=engine.int64)
    assert x.dtype is engine.int64 and x.min().item() == 1 and abs((x == 1).float().mean().item() - 0.5) < 0.02


@pytest.mark.parametrize(
    "dtype, largest",
    [("uint8", 255), ("int8", 127), ("int16", 2**15 - 1), ("int32", 2**31 - 1), ("int64", 2**63 - 1), ("bool", 1),
     ("float16", 2**11), ("bfloat16", 2**8), ("float32", 2**24), ("float64", 2**53)],
)  # fmt: skip
def test_random_up_to_the_largest(dtype: str, largest: int) -> None:
    x = filled("random_", dtype=getattr(engine, dtype)).double()
    assert x.min().item() >= 0 and x.max().item() <= largest
    assert x.max().item() > 0.95 * largest and abs(x.mean().item() / largest - 0.5) < 0.02


def test_random_bounds() -> None:
    assert set(filled("random_", 3).tolist()) == {0, 1, 2}
    assert set(filled("random_", -2, 2, dtype=engine.int32).tolist()) == {-2, -1, 0, 1}
    assert set(filled("random_", to=3).tolist()) == {0, 1, 2}
    assert set(filled("random_", **{"from": 1, "to": 3}).tolist()) == set(filled("random_", 1, to=3).tolist()) == {1, 2}
    assert filled("random_", 250, None, dtype=engine.uint8).min().item() == 250
    with pytest.raises(ValueError, match=r"\[random_\] high"):
        engine.zeros(2).random_(3, 3)
    with pytest.raises(ValueError, match=r"\[random_\] low, high: expected numbers that uint8 can hold"):
        engine.zeros(2, dtype=engine.uint8).random_(300)
    with pytest.raises(TypeError, match=r"\[random_\] arguments"):
        engine.zeros(2).random_(1, 2, to=3)
    with pytest.raises(TypeError, match=r"\[random_\] arguments: .* got high"):
        engine.zeros(2).random_(high=2)


def test_the_state_decides() -> None:
    engine.manual_seed(5)
    first = engine.zeros(4).exponential_()
    second = engine.zeros(4).exponential_()
    engine.manual_seed(5)
    assert engine.equal(engine.zeros(4).exponential_(), first) and not engine.equal(first, second)


def test_strided_memory_and_gradients() -> None:
    x = engine.zeros(4, 6)
    x[:, ::2].exponential_()
    assert (x[:, ::2] > 0).all() and (x[:, 1::2] == 0).all()
    leaf = engine.ones(3, requires_grad=True)
    y = leaf * 2
    y.cauchy_()
    y.sum().backward()
    assert leaf.grad.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError):
        leaf.exponential_()


@pytest.mark.parametrize(
    "method, args, argument",
    [("exponential_", (0,), "lambd"), ("geometric_", (1.0,), "p"), ("geometric_", (0.0,), "p"),
     ("cauchy_", (0.0, 0.0), "sigma"), ("log_normal_", (0.0, -1.0), "std")],
)  # fmt: skip
def test_arguments(method, args, argument) -> None:
    x = engine.ones(2)
    with pytest.raises(ValueError, match=rf"\[{method}\] {argument}"):
        getattr(x, method)(*args)
    assert x.tolist() == [1, 1]
    if method != "geometric_":
        with pytest.raises(TypeError, match=rf"\[{method}\] self: expected a floating-point dtype, got int64"):
            getattr(engine.ones(2, dtype=engine.int64), method)()
