"""Operators on the bits of integers, and integers where floating-point numbers were needed before."""

from __future__ import annotations

import numpy as np
import pytest

import engine


def test_operators() -> None:
    x = engine.tensor([12, -7])
    assert ((x & 10).tolist(), (10 | x).tolist(), (x ^ x).tolist(), (~x).tolist()) == (
        [8, 8],
        [14, -5],
        [0, 0],
        [-13, 6],
    )
    assert ((x << 2).tolist(), (x >> 1).tolist(), (1 << engine.tensor([3])).tolist()) == ([48, -28], [6, -4], [8])
    assert (256 >> engine.tensor([3, 8])).tolist() == [32, 1]
    assert (engine.tensor([True]) & engine.tensor([3], dtype=engine.uint8)).dtype is engine.uint8
    assert (True ^ engine.tensor([True])).tolist() == [False]
    assert (engine.tensor([1, -1]) << 64).tolist() == [0, 0] and (engine.tensor([1, -1]) >> -1).tolist() == [0, -1]
    assert (engine.tensor([200], dtype=engine.uint8) << 1).tolist() == [144]


def test_in_place() -> None:
    x = y = engine.tensor([12, -7])
    x &= 14
    x |= 1
    x ^= 3
    x <<= 2
    x >>= 1
    assert x is y and x.tolist() == [((v & 14 | 1) ^ 3) << 1 for v in (12, -7)]
    flags = engine.tensor([True, False])
    flags |= engine.tensor([False, True])
    assert flags.tolist() == [True, True]
    with pytest.raises(TypeError, match=r"\[bitwise_and_\] other: expected bool"):
        flags &= engine.tensor([1, 2])
    with pytest.raises(ValueError, match=r"\[bitwise_or_\] other"):
        x |= engine.ones(3, 2, dtype=engine.int64)


def test_refusals() -> None:
    with pytest.raises(TypeError, match=r"\[bitwise_and\] input"):
        engine.tensor([1.0]) & 1
    with pytest.raises(TypeError, match=r"\[bitwise_left_shift\] input: expected integers, got bool"):
        engine.tensor([True]) << engine.tensor([True])
    with pytest.raises(TypeError, match=r"\[bitwise_xor\] input"):
        engine.bitwise_xor(2, 3)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_products_of_integers_wrap_around(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2**62, (2, 3, 5)).astype(dtype), rng.integers(0, 2**62, (5, 4)).astype(dtype)
    with np.errstate(over="ignore"):
        assert np.array_equal((engine.tensor(a) @ engine.tensor(b)).numpy(), a @ b)
        assert np.array_equal(engine.mm(engine.tensor(a[0]).t().t(), engine.tensor(b)).numpy(), a[0] @ b)
        bias = b[0]
        found = engine.nn.functional.linear(engine.tensor(a), engine.tensor(b.T.copy()), engine.tensor(bias))
        assert np.array_equal(found.numpy(), a @ b + bias)
    assert (engine.tensor(a)[:, :, :0] @ engine.tensor(b)[:0]).tolist() == np.zeros((2, 3, 4)).tolist()
    with pytest.raises(TypeError, match=r"\[matmul\] other"):
        engine.tensor(a) @ engine.tensor(b).double()


@pytest.mark.parametrize("values", [[0, 1, 2], [True, False, True]])
def test_float_functions_promote(values) -> None:
    x, f = engine.tensor(values), engine.tensor(values).float()
    for op in (engine.sigmoid, engine.tanh, engine.erf, engine.log1p, lambda t: engine.logsumexp(t, 0)):
        assert op(x).dtype is engine.float32 and np.array_equal(op(x).numpy(), op(f).numpy())
    assert engine.sign(x).dtype is x.dtype and engine.sign(x).tolist() == [min(v, 1) for v in values]


def test_integers_where_the_dtype_stays() -> None:
    assert engine.relu(engine.tensor([-2, 3])).tolist() == [0, 3]
    with pytest.raises(TypeError, match=r"\[relu\]"):
        engine.relu(engine.tensor([True]))
    values, indices = engine.max(engine.tensor([[False, True], [False, False]]), 1)
    assert values.tolist() == [True, False] and indices.tolist() == [1, 0]
    mask = engine.tensor([True, False])
    assert engine.tensor([1, 2]).masked_fill(mask, 2.7).tolist() == [2, 2]
    assert engine.tensor([1, 2]).masked_fill_(mask, engine.tensor(2.7)).tolist() == [2, 2]
    with pytest.raises(ValueError, match=r"\[masked_fill\] value"):
        engine.tensor([1, 2]).masked_fill(mask, float("inf"))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32])
@pytest.mark.parametrize("n", [1, 16, 33, 40000])
def test_sums_of_narrow_integers(dtype: type, n: int) -> None:
    x = np.random.default_rng(n).integers(0, 2**31, (3, n)).astype(dtype)
    for array in (x, x.T.copy(), x[:, ::2]):
        for dim in (0, 1):
            found = engine.tensor(array).sum(dim)
            assert found.dtype is engine.int64 and np.array_equal(found.numpy(), array.sum(dim, dtype=np.int64))
        assert engine.tensor(array).sum().item() == array.sum(dtype=np.int64)
