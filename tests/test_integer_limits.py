"""Integers at the ends of their dtypes: division of the least ones, numbers that a dtype cannot hold, uint8 as a mask."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import engine

DTYPES = ("uint8", "int8", "int16", "int32", "int64")


def ends(name: str) -> list[int]:
    limits = np.iinfo(name)
    return sorted(
        {int(limits.min), int(limits.min) + 1, 0, 1, 2, 3, 7, int(limits.max) - 1, int(limits.max)}
        | ({-1, -2, -7} if limits.min else set())
    )


def wrapped(numbers: list[int], name: str) -> list[int]:
    bits = np.iinfo(name).bits
    low = int(np.iinfo(name).min)
    return [(n - low) % 2**bits + low for n in numbers]


def truncated(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@pytest.mark.parametrize("name", DTYPES)
def test_division_of_every_pair_of_ends(name: str) -> None:
    pairs = [(a, b) for a in ends(name) for b in ends(name) if b]
    a, b = (engine.tensor([p[i] for p in pairs], dtype=getattr(engine, name)) for i in (0, 1))
    rules = {
        "fmod": (engine.fmod(a, b), lambda x, y: x - y * truncated(x, y)),
        "remainder": (engine.remainder(a, b), operator.mod),
        "floor": (engine.div(a, b, rounding_mode="floor"), operator.floordiv),
        "trunc": (engine.div(a, b, rounding_mode="trunc"), truncated),
        "//": (a // b, operator.floordiv),
    }
    for op, (got, rule) in rules.items():
        assert got.dtype is a.dtype, op
        assert got.tolist() == wrapped([rule(x, y) for x, y in pairs], name), op


@pytest.mark.parametrize("name", DTYPES)
def test_division_by_a_number(name: str) -> None:
    values = ends(name)
    a = engine.tensor(values, dtype=getattr(engine, name))
    for b in (3, -1, -3):
        (divisor,) = wrapped([b], name)
        assert a.fmod(b).tolist() == wrapped([x - divisor * truncated(x, divisor) for x in values], name)
        assert (a % b).tolist() == wrapped([x % divisor for x in values], name)
        assert (a // b).tolist() == wrapped([x // divisor for x in values], name)
        assert a.div(b, rounding_mode="trunc").tolist() == wrapped([truncated(x, divisor) for x in values], name)


def test_fmod_of_broadcast_integers_and_mixed_dtypes() -> None:
    a = engine.tensor([[-128], [7]], dtype=engine.int8)
    assert a.fmod(engine.tensor([3, -200], dtype=engine.int16)).tolist() == [[-2, -128], [1, 7]]
    with pytest.raises(ValueError, match="integers other than 0"):
        a.fmod(0)


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}


@pytest.mark.parametrize("symbol", OPERATORS)
@pytest.mark.parametrize("name", DTYPES)
def test_a_number_that_the_dtype_cannot_hold_wraps_around(name: str, symbol: str) -> None:
    values, f = ends(name), OPERATORS[symbol]
    a = engine.tensor(values, dtype=getattr(engine, name))
    for number in (-1, 300, -129, 40000, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1):
        expected = wrapped([f(x, number) for x in values], name)
        assert f(a, number).tolist() == expected and f(a, number).dtype is a.dtype
        assert f(number, a).tolist() == wrapped([f(number, x) for x in values], name)
        b = a.clone()
        b = {"+": operator.iadd, "-": operator.isub, "*": operator.imul, "&": operator.iand, "|": operator.ior}.get(
            symbol, operator.ixor
        )(b, number)
        assert b.tolist() == expected
    with pytest.raises(ValueError, match="an integer of 64 bits"):
        f(a, 2**64)


def test_shifts_by_a_number_that_the_dtype_cannot_hold() -> None:
    a = engine.tensor([1, 200], dtype=engine.uint8)
    assert (a << -1).tolist() == (a << 300).tolist() == (a >> 300).tolist() == [0, 0]
    assert (-1 << a).tolist() == [254, 0]
    b = engine.tensor([-5, 5], dtype=engine.int8)
    assert (b >> 300).tolist() == [-1, 0] and (b << 257).tolist() == [-10, 10]


def test_quotients_by_large_numbers() -> None:
    a = engine.tensor([0, 1, 200], dtype=engine.uint8)
    np.testing.assert_allclose((a / 2**63).numpy(), np.array([0, 1, 200]) / 2**63)
    np.testing.assert_allclose((a / 300).numpy(), np.array([0, 1, 200]) / 300, rtol=1e-6)


@pytest.mark.parametrize(
    "fill",
    [
        lambda x, n: x.masked_fill(x == x, n),
        lambda x, n: engine.where(x == x, n, x),
        lambda x, n: x.clone().fill_(n),
        lambda x, n: engine.full_like(x, n),
        lambda x, n: engine.tensor([n, n], dtype=x.dtype),
        lambda x, n: x.index_fill(0, engine.tensor([0, 1]), n),
    ],
)
def test_a_value_must_fit_but_the_negative_one_of_uint8_wraps(fill) -> None:
    x = engine.tensor([1, 200], dtype=engine.uint8)
    assert fill(x, -1).tolist() == [255, 255] and fill(x, -255).tolist() == [1, 1]
    for number in (256, -256, 2**63):
        with pytest.raises(ValueError):
            fill(x, number)
    with pytest.raises(ValueError):
        fill(x.to(engine.int8), 128)


def test_bounds_of_clamp_must_fit() -> None:
    x = engine.tensor([1, 200], dtype=engine.uint8)
    assert x.clamp(-2).tolist() == [254, 254] and x.clamp(max=255).tolist() == [1, 200]
    with pytest.raises(ValueError, match=r"\[clamp\] max: expected a value of uint8, got 300"):
        x.clamp(max=300)


def test_factors_and_exponents_must_fit() -> None:
    x = engine.tensor([1, 200], dtype=engine.uint8)
    assert engine.add(x, x, alpha=-2).tolist() == [255, 56] and x.clone().sub_(x, alpha=255).tolist() == [2, 144]
    for call in (engine.add, engine.sub, lambda *a, **k: x.clone().add_(*a[1:], **k)):
        with pytest.raises(ValueError, match="alpha: expected a value of uint8, got 256"):
            call(x, x, alpha=256)
        with pytest.raises(TypeError, match="alpha: expected an integer"):
            call(x, x, alpha=0.5)
    with pytest.raises(ValueError, match=r"\[pow\] exponent: expected a value of uint8, got 300"):
        x**300
    assert ((-1) ** engine.tensor([0, 1], dtype=engine.uint8)).tolist() == [1, 255]


def test_clamp_min_and_clamp_max_take_numbers_as_clamp_does() -> None:
    x = engine.tensor([1, 200], dtype=engine.uint8)
    assert x.clamp_min(-2).tolist() == [254, 254] and x.clamp_max(-2).tolist() == [1, 200]
    y = engine.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (y.clamp_min(2) + y.clamp_max(2)).sum().backward()
    assert y.grad.tolist() == [1, 2, 1]
    assert engine.tensor([float("nan")]).clamp_min(0).isnan()


def test_quotients_that_are_cut_keep_the_sign_of_zero() -> None:
    got = engine.tensor([0.0, -0.0, -0.5, 0.5, -2.5]).trunc()
    assert got.tolist() == [0, 0, 0, 0, -2] and np.signbit(got.numpy()).tolist() == [False, True, True, False, True]


def test_comparisons_know_the_number_itself() -> None:
    x = engine.tensor([0, 44, 255], dtype=engine.uint8)
    assert (x < 300).all() and not (x == -1).any() and (x > -1).all() and (x != 256).all()


def test_uint8_is_a_mask_of_indices_and_of_where() -> None:
    x, mask = engine.arange(3.0), engine.tensor([2, 0, 1], dtype=engine.uint8)
    with pytest.warns(UserWarning, match="uint8 as a mask"):
        assert x[mask].tolist() == [0.0, 2.0]
    with pytest.warns(UserWarning, match="uint8 as a mask"):
        x[mask] = 9.0
    assert x.tolist() == [9.0, 1.0, 9.0]
    with pytest.warns(UserWarning, match="uint8 as a mask"):
        assert engine.where(mask, 1.0, 0.0).tolist() == [1.0, 0.0, 1.0]
    for refused in (lambda: x.masked_fill(mask, 0.0), lambda: x.masked_select(mask)):
        with pytest.raises(TypeError, match="mask: expected bool, got uint8"):
            refused()


def test_any_and_all_of_uint8_are_uint8() -> None:
    x = engine.tensor([[1, 0], [2, 3]], dtype=engine.uint8)
    assert x.all().dtype is x.any(1).dtype is engine.uint8 and x.all(1).tolist() == [0, 1]
    assert x.bool().all().dtype is engine.bool


def test_mode_counts_each_nan_alone() -> None:
    nan = float("nan")
    assert engine.tensor([nan, nan, nan, 1.0, 1.0]).mode().values.item() == 1.0
    got = engine.tensor([[nan, nan, 2.0], [nan, 1.0, nan]]).mode()
    assert got.values.tolist() == [2.0, 1.0] and got.indices.tolist() == [2, 1]
    assert engine.tensor([nan, nan]).mode().values.isnan()
