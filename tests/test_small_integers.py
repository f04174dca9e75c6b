"""int8 and int16: stored in their own memory, computed in int32, and cut to the dtype at the end."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import engine
from engine.errors import BadType

RNG = np.random.default_rng(0)
NAMES = ["int8", "int16"]


def both(name: str, *shape: int) -> tuple[engine.Tensor, np.ndarray]:
    limits = np.iinfo(name)
    array = RNG.integers(limits.min, limits.max, shape, endpoint=True).astype(name)
    return engine.from_numpy(array.copy()), array


@pytest.mark.parametrize("name", NAMES)
def test_crossing(name: str) -> None:
    x, array = both(name, 3, 4)
    dtype = getattr(engine, name)
    assert x.dtype is dtype and x.element_size() == array.itemsize
    assert x.tolist() == array.tolist() and x[1, 2].item() == array[1, 2] and repr(x).endswith(f"dtype=engine.{name})")
    x.numpy()[0, 0] = 7  # the same memory
    assert x[0, 0].item() == 7
    assert np.from_dlpack(x).dtype == array.dtype and engine.from_dlpack(array).dtype is dtype
    assert engine.equal(pickle.loads(pickle.dumps(x)), x)
    assert engine.tensor([1, 2], dtype=dtype).dtype is engine.tensor(array).dtype is dtype
    assert x.T.contiguous().tolist() == x.numpy().T.tolist()
    with pytest.raises(ValueError, match=f"numbers that {name} can hold"):
        engine.tensor([2**15], dtype=dtype)


def test_names() -> None:
    x = engine.tensor([1.7, -2.2])
    assert x.char().dtype is engine.int8 and x.short().dtype is engine.int16 is engine.short
    assert x.to(engine.int8).tolist() == [1, -2]
    assert engine.CharTensor([1]).dtype is engine.int8 and engine.ShortTensor(2).dtype is engine.int16
    assert isinstance(x.char(), engine.CharTensor) and x.short().type() == "engine.ShortTensor"
    assert (engine.iinfo(engine.int8).min, engine.iinfo(engine.int16).max) == (-128, 32767)
    assert engine.can_cast(engine.int8, engine.bool) is False and engine.can_cast(engine.uint8, engine.int8)


@pytest.mark.parametrize("name", NAMES)
def test_arithmetic_wraps_around(name: str) -> None:
    (x, a), (y, b) = both(name, 50), both(name, 50)
    with np.errstate(over="ignore"):
        for found, expected in (
            (x + y, a + b), (x - y, a - b), (x * y, a * b), (-x, -a), (x & y, a & b), (x ^ y, a ^ b), (~x, ~a),
            (engine.maximum(x, y), np.maximum(a, b)), (x.abs(), np.abs(a)), (x.clamp(-5, 5), a.clip(-5, 5)),
            (x << 1, a << 1), (x >> 1, a >> 1), (x // 3, a // 3), (x % 3, a % 3), (x * x, a * a),
        ):  # fmt: skip
            assert found.dtype is x.dtype
            assert found.numpy().tolist() == expected.tolist()
        z = x.clone()
        z += y
        z[3:5] *= 2
        expected = a + b
        expected[3:5] *= 2
        assert z.tolist() == expected.tolist()
    assert (x == y).tolist() == (a == b).tolist() and (x < y).tolist() == (a < b).tolist()
    assert engine.equal(x, x.clone()) and not engine.equal(x, y)
    assert (x / 2).dtype is engine.float32 and x.exp().dtype is engine.float32
    assert x.sum().dtype is engine.int64 and x.sum().item() == a.sum(dtype=np.int64)


@pytest.mark.parametrize("name", NAMES)
def test_moving_elements(name: str) -> None:
    x, a = both(name, 4, 5)
    for found, expected in (
        (x[1:, ::2], a[1:, ::2]), (x[[3, 0]], a[[3, 0]]), (x[x > 0], a[a > 0]), (engine.cat([x, x], 1), np.hstack([a, a])),
        (engine.stack([x, x]), np.stack([a, a])), (x.masked_fill(x > 0, -1), np.where(a > 0, -1, a)),
        (engine.where(x > 0, x, 0), np.where(a > 0, a, 0)), (x.sort(1)[0], np.sort(a, 1)), (x.flip(0), a[::-1]),
        (x.amax(1), a.max(1)), (x.max(1)[0], a.max(1)), (engine.tril(x), np.tril(a)), (x.reshape(2, 10), a.reshape(2, 10)),
    ):  # fmt: skip
        assert found.dtype is x.dtype
        assert found.tolist() == expected.tolist()
    x[1] = 3
    x[:, [0, 4]] = engine.zeros(4, 2, dtype=x.dtype)
    a[1], a[:, [0, 4]] = 3, 0
    assert x.tolist() == a.tolist()
    made = engine.arange(-3, 5, 2, dtype=x.dtype)
    assert made.tolist() == [-3, -1, 1, 3] and made.dtype is x.dtype
    drawn = engine.randint(-5, 5, (1000,), dtype=x.dtype)
    assert drawn.dtype is x.dtype and set(drawn.tolist()) == set(range(-5, 5))


def test_what_they_refuse() -> None:
    x = engine.ones(2, dtype=engine.int8)
    with pytest.raises(BadType, match=r"\[mean\] input: expected a floating-point dtype, got int8"):
        x.mean()
    with pytest.raises(ValueError, match="a value of int8, got 200"):
        x.masked_fill(x == x, 200)
    with pytest.raises(TypeError, match="floating-point"):
        x.requires_grad_()
