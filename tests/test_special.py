"""Elementary and special functions that are formulas: accuracy, gradients, special values, dtypes and shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck


def exact_erfinv(x: float) -> float:
    """By bisection on erf, and on erfc near 1."""
    if x < 0:
        return -exact_erfinv(-x)
    low, high = 0.0, 7.0
    for _ in range(200):
        middle = (low + high) / 2
        below = math.erfc(middle) > 1 - x if x > 0.5 else math.erf(middle) < x
        low, high = (middle, high) if below else (low, middle)
    return low


def each(function):
    return np.vectorize(function, otypes=[float])


# name: (reference in float64, range, bound of the relative error in float32, in float64)
FUNCTIONS = {
    "tan": (np.tan, (-1.5, 1.5), 4e-7, 2e-15),
    "asin": (np.arcsin, (-1, 1), 4e-7, 2e-15),
    "acos": (np.arccos, (-1, 0.9), 4e-7, 2e-15),
    "atan": (np.arctan, (-30, 30), 4e-7, 2e-15),
    "sinh": (np.sinh, (-80, 80), 4e-7, 2e-15),
    "cosh": (np.cosh, (-80, 80), 4e-7, 2e-15),
    "expm1": (np.expm1, (-20, 80), 4e-7, 2e-15),
    "exp2": (np.exp2, (-120, 120), 4e-7, 2e-15),
    "log2": (np.log2, (0.1, 1e4), 4e-7, 2e-15),
    "log10": (np.log10, (0.1, 1e4), 4e-7, 2e-15),
    "rad2deg": (np.rad2deg, (-10, 10), 4e-7, 2e-15),
    "deg2rad": (np.deg2rad, (-400, 400), 4e-7, 2e-15),
    "sinc": (np.sinc, (-0.9, 0.9), 2e-6, 2e-15),
    "logit": (lambda x: np.log(x / (1 - x)), (0.01, 0.4), 4e-7, 2e-15),
    "erfc": (each(math.erfc), (-3, 9), 1e-5, 2e-14),
    "erfinv": (each(exact_erfinv), (-0.999, 0.999), 1e-6, 2e-15),
}


def points(name: str, count: int = 4000) -> np.ndarray:
    low, high = FUNCTIONS[name][1]
    rng = np.random.default_rng(0)
    near_zero = 10 ** rng.uniform(-7, -1, count // 4)
    x = np.concatenate([rng.uniform(low, high, count), near_zero, -near_zero])
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracy(name: str, dtype: str) -> None:
    reference, _, *bounds = FUNCTIONS[name]
    x = points(name).astype(dtype)
    y = getattr(engine, name)(engine.from_numpy(x))
    assert y.dtype.name == dtype
    expected = reference(x.astype(np.float64))
    error = np.abs(y.numpy().astype(np.float64) - expected) / np.maximum(np.abs(expected), 1e-300)
    assert error.max() < bounds[dtype == "float64"], x[error.argmax()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name: str) -> None:
    low, high = FUNCTIONS[name][1]
    x = np.random.default_rng(1).uniform(max(low, -2) * 0.4, min(high, 2) * 0.4, (3, 4)) + 0.05
    assert gradcheck(getattr(engine, name), engine.tensor(x, requires_grad=True))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes_and_shapes(name: str) -> None:
    function = getattr(engine, name)
    half = engine.full((4,), 0.25)
    expected = function(half)
    assert function(engine.ones(3, dtype=engine.int64)).dtype is engine.float32
    assert function(engine.ones(3, dtype=engine.bool)).dtype is engine.float32
    for dtype in (engine.bfloat16, engine.float16):
        y = function(half.to(dtype))
        assert y.dtype is dtype
        assert y.float().tolist() == pytest.approx(expected.tolist(), rel=1e-2)
    assert function(engine.zeros(0, 3)).shape == (0, 3)
    assert function(engine.tensor(0.25)).shape == ()
    square = engine.full((2, 2), 0.25).t()
    assert getattr(square, name)().tolist() == [expected.tolist()[:2]] * 2
    with pytest.raises(TypeError, match=rf"\[{name}\] input: expected a Tensor, got float"):
        function(0.5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.array([0, -0.0, 1, -1, 2, -2, np.inf, -np.inf, np.nan, 8, 1000, 1e-30], dtype=np.float64)
    expected = getattr(torch, name)(torch.from_numpy(x)).numpy()
    got = getattr(engine, name)(engine.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-290)
    assert (np.signbit(got) == np.signbit(expected))[~np.isnan(expected)].all()


def test_erfinv_near_one_and_near_zero() -> None:
    for dtype, bound in (("float32", 1e-6), ("float64", 2e-15)):
        smallest = np.finfo(dtype).epsneg
        x = np.array([1 - smallest, smallest - 1, 1 - 2 * smallest, 1 - 1e-5, 1e-30, -1e-20, 1e-8], dtype=dtype)
        expected = np.array([exact_erfinv(float(v)) if abs(v) > 1e-9 else v * math.sqrt(math.pi) / 2 for v in x])
        got = engine.erfinv(engine.from_numpy(x)).numpy().astype(np.float64)
        assert np.abs(got / expected - 1).max() < bound


def test_powers_of_the_base_have_whole_logarithms() -> None:
    whole = [float(i) for i in range(-30, 30)]
    assert engine.log2(engine.tensor([2.0**i for i in whole])).tolist() == whole
    assert engine.log10(engine.tensor([10.0**i for i in range(10)])).tolist() == [float(i) for i in range(10)]


def test_logit_with_eps_clamps_and_gives_no_gradient_outside() -> None:
    x = engine.tensor([0.0, 0.05, 0.5, 1.0], requires_grad=True)
    y = engine.logit(x, eps=0.1)
    assert y.tolist() == pytest.approx([math.log(1 / 9), math.log(1 / 9), 0, math.log(9)], abs=1e-6)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0, 0, 4, 0])


def test_a_formula_keeps_its_input_for_backward() -> None:
    x = engine.tensor([0.5], requires_grad=True)
    z = x * 1
    y = engine.atan(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match=r"\[atan\] backward: expected the arrays that the op saved, unchanged"):
        y.backward()


@pytest.mark.parametrize("dtype", [engine.float32, engine.float64])
def test_acosh_below_1_is_not_a_number(dtype):
    x = engine.tensor([0.5, -1.0, -2.0, -1e5, -1e10, -1e30, -math.inf, math.nan], dtype=dtype)
    assert engine.acosh(x).isnan().all().item()
    assert engine.acosh(engine.tensor([1.0, math.inf], dtype=dtype)).tolist() == [0.0, math.inf]
