"""Functions of two operands that are formulas, and whole parts and remainders."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck


def array(*shape: int, seed: int = 0, low: float = 0.3, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


def signed(*shape: int, seed: int = 0) -> np.ndarray:
    return array(*shape, seed=seed) * np.random.default_rng(seed + 9).choice([-1, 1], shape)


PAIRS = {
    "atan2": (np.arctan2, signed),
    "hypot": (np.hypot, signed),
    "logaddexp": (np.logaddexp, signed),
    "xlogy": (lambda a, b: a * np.log(b), array),
    "fmod": (np.fmod, signed),
    "fmax": (np.fmax, signed),
    "fmin": (np.fmin, signed),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients(name: str) -> None:
    reference, make = PAIRS[name]
    function = getattr(engine, name)
    for a, b in ((make(3, 4), make(4, seed=1)), (make(2, 1, 3), make(5, 1, seed=1)), (make(0, 2), make(2, seed=1))):
        y = function(engine.from_numpy(a), engine.from_numpy(b))
        np.testing.assert_allclose(y.numpy(), reference(a, b), rtol=1e-13)
        single = function(engine.from_numpy(a).float(), engine.from_numpy(b).float())
        np.testing.assert_allclose(single.numpy(), reference(a, b), rtol=1e-5, atol=1e-6)
    a, b = engine.tensor(make(3, 4), requires_grad=True), engine.tensor(make(4, seed=1), requires_grad=True)
    assert gradcheck(function, (a, b))
    assert getattr(a.detach(), name)(b.detach()).shape == (3, 4)


@pytest.mark.parametrize("name", PAIRS)
def test_special_values(name: str) -> None:
    torch = pytest.importorskip("torch")
    special = np.array([0.0, -0.0, 1, -1, 3.5, -3.5, np.inf, -np.inf, np.nan, 1e300, -1e-300])
    a, b = (x.ravel() for x in np.meshgrid(special, special))
    expected = getattr(torch, name)(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    if name == "fmod":  # PyTorch's is NaN where the quotient overflows
        with np.errstate(invalid="ignore"):
            expected = np.fmod(a, b)
    np.testing.assert_allclose(getattr(engine, name)(engine.from_numpy(a), engine.from_numpy(b)).numpy(), expected)


def test_integers() -> None:
    a, b = engine.tensor([7, -7, 7, -7]), engine.tensor([3, 3, -3, -3])
    for name in ("atan2", "hypot", "logaddexp"):
        assert getattr(engine, name)(a, b).dtype is engine.float32
    assert engine.fmod(a, b).tolist() == [1, -1, 1, -1]
    assert engine.fmod(a, 4).tolist() == [3, -3, 3, -3]
    assert engine.div(a, b, rounding_mode="trunc").tolist() == [2, -2, -2, 2]
    assert engine.div(a, b, rounding_mode="floor").tolist() == [2, -3, -3, 2]
    assert engine.fmax(a, b).tolist() == [7, 3, 7, -3]
    big = engine.tensor([2**53 + 1])
    assert engine.div(big, 1, rounding_mode="trunc").tolist() == [2**53 + 1]
    with pytest.raises(ValueError):
        engine.fmod(a, 0)
    with pytest.raises(ValueError, match=r"\[div\] rounding_mode: expected None, 'trunc' or 'floor', got 'round'"):
        engine.div(a, b, rounding_mode="round")


def test_fmod_is_exact_for_large_quotients() -> None:
    a, b = np.array([1e300, 12345678.9, -1e18]), np.array([3.0, 0.1, 7.0])
    assert (engine.fmod(engine.from_numpy(a), engine.from_numpy(b)).numpy() == np.fmod(a, b)).all()


def test_numbers_in_place_of_tensors() -> None:
    x = engine.tensor([0.0, 2.0])
    assert engine.xlogy(x, 3.0).tolist() == pytest.approx([0, 2 * math.log(3)])
    assert engine.xlogy(3.0, x + 1).tolist() == pytest.approx([0, 3 * math.log(3)])
    for name in ("atan2", "hypot", "logaddexp", "maximum", "minimum", "fmax", "logical_and"):
        with pytest.raises(TypeError, match=rf"\[{name}\] other: expected a Tensor, got float"):
            getattr(engine, name)(x, 2.0)
    for name in ("pow", "remainder"):
        with pytest.raises(TypeError, match=rf"\[{name}\] input: expected a Tensor for at least one operand, got int"):
            getattr(engine, name)(2, 3)
    for name in ("eq", "lt", "rsub"):
        with pytest.raises(TypeError, match=rf"\[{name}\] input: expected a Tensor, got float"):
            getattr(engine, name)(2.0, x)


def test_whole_parts() -> None:
    x = engine.tensor([-2.5, -0.5, -0.0, 0.5, 2.5, math.inf, math.nan], requires_grad=True)
    np.testing.assert_array_equal(engine.trunc(x).detach().numpy(), np.trunc(x.detach().numpy()))
    np.testing.assert_array_equal(x.fix().detach().numpy(), np.trunc(x.detach().numpy()))
    assert engine.frac(x)[:5].tolist() == [-0.5, -0.5, 0, 0.5, 0.5]
    engine.trunc(x[:5]).sum().backward()
    assert x.grad.tolist() == [0] * 7
    x.grad = None
    engine.frac(x[:5]).sum().backward()
    assert x.grad.tolist() == [1] * 5 + [0] * 2
    assert engine.trunc(engine.tensor([3, -3])).tolist() == [3, -3]
    with pytest.raises(TypeError, match=r"\[frac\] input: expected a floating-point dtype, got int64"):
        engine.frac(engine.tensor([1]))


def test_round_to_decimals() -> None:
    x = engine.tensor([1234.5678, -0.125], dtype=engine.float64)
    for decimals in (-2, -1, 0, 1, 2, 3):
        assert engine.round(x, decimals=decimals).tolist() == pytest.approx(np.round(x.numpy(), decimals).tolist())
    with pytest.raises(ValueError, match=r"\[round\] decimals: expected 0 for int64, got 1"):
        engine.round(engine.tensor([1]), decimals=1)


def test_gradients_of_rounded_quotients_are_zero() -> None:
    a, b = engine.tensor([7.5, -7.5], requires_grad=True), engine.tensor([2.0], requires_grad=True)
    for mode in ("trunc", "floor"):
        engine.div(a, b, rounding_mode=mode).sum().backward()
    engine.floor_divide(a, b).sum().backward()
    assert a.grad.tolist() == [0, 0]
    assert b.grad.tolist() == [0]


def test_clamp_gives_gradients_to_its_bounds() -> None:
    x = engine.tensor([[-1.0, 0.5, 2.0], [0.1, 0.2, 5.0]], dtype=engine.float64, requires_grad=True)
    low = engine.tensor([0.0, 0.0, 3.0], dtype=engine.float64, requires_grad=True)
    high = engine.tensor([[1.0], [2.0]], dtype=engine.float64, requires_grad=True)
    for function in (
        lambda x, low, high: x.clamp(low, high),
        lambda x, low, high: x.clamp(low) + x.clamp(max=high),
        lambda x, low, high: x.clamp_min(low) + x.clamp_max(high),
        lambda x, low, high: (x * 1).clamp_(low, high),
    ):
        assert gradcheck(function, (x, low, high))


def test_mixtures() -> None:
    a, b, c = (engine.tensor(signed(2, 3, seed=i), requires_grad=True) for i in range(3))
    w = engine.tensor(array(3, low=-0.5, high=1.5), requires_grad=True)
    n = [t.detach().numpy() for t in (a, b, c)]
    np.testing.assert_allclose(engine.addcmul(a, b, c, value=2).detach().numpy(), n[0] + 2 * n[1] * n[2])
    np.testing.assert_allclose(engine.addcdiv(a, b, c, value=2).detach().numpy(), n[0] + 2 * n[1] / n[2])
    np.testing.assert_allclose(engine.lerp(a, b, 0.25).detach().numpy(), n[0] * 0.75 + n[1] * 0.25)
    assert (engine.lerp(a, b, 1.0).detach().numpy() == n[1]).all()
    assert gradcheck(lambda *t: engine.addcmul(*t, value=0.5), (a, b, c))
    assert gradcheck(lambda *t: engine.addcdiv(*t, value=0.5), (a, b, c))
    assert gradcheck(engine.lerp, (a, b, w))
    with pytest.raises(TypeError, match=r"\[addcdiv\] tensor1: expected a floating-point dtype for one of the two"):
        engine.addcdiv(a, engine.tensor([1]), engine.tensor([1]))
    with pytest.raises(TypeError, match=r"\[lerp\] end: expected float64, as input, got float32"):
        engine.lerp(a, b.float(), 0.5)
