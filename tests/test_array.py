"""Array: views against NumPy's, the buffer protocol and DLPack with ownership right in both directions, conversions."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref

import numpy as np
import pytest

from engine import _core
from engine._core import Array

DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "float16"]


def array(a: np.ndarray) -> Array:
    return _core.from_buffer(a)


def sample(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_buffer_round_trip_shares_memory(dtype: str) -> None:
    a = np.array([[0, 1, 2], [3, 0, 1]]).astype(dtype)
    b = array(a)
    assert b.shape == (2, 3) and b.dtype is getattr(_core, dtype)
    back = np.asarray(b)
    assert back.dtype == a.dtype and np.array_equal(back, a)
    a[0, 0] = 1
    assert back[0, 0] == 1


def test_storage_keeps_its_owner_alive() -> None:
    class Owner(np.ndarray):
        pass

    a = np.zeros(5, np.float32).view(Owner)
    alive = weakref.ref(a)
    b = array(a)
    view = b.slice(0, 1, 3, 1)
    del a, b
    gc.collect()
    assert alive() is not None
    out = np.asarray(view)
    del view
    gc.collect()
    assert alive() is not None and out[0] == 0
    del out
    gc.collect()
    assert alive() is None


def test_numpy_keeps_array_alive() -> None:
    before = _core.memory_stats()["allocated_bytes"]
    a = _core.empty([1000], _core.float32)
    _core.kernels.fill(a, 3.0)
    out = np.asarray(a)
    del a
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] > before
    assert (out == 3).all()
    del out
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] == before


def test_readonly_memory_is_never_written() -> None:
    a = np.zeros(4, np.float32)
    a.flags.writeable = False
    b = array(a)
    assert b.readonly
    with pytest.raises(ValueError, match=r"\[fill\] dst: expected an array that may be written"):
        _core.kernels.fill(b, 1.0)
    assert not np.asarray(b).flags.writeable
    assert np.array_equal(np.from_dlpack(b), a)


@pytest.mark.parametrize(
    "bad, error",
    [
        (np.zeros(3, ">f4"), TypeError),
        (np.zeros(3, "complex64"), TypeError),
        (np.zeros(3, "uint16"), TypeError),
        (np.zeros((1,) * 9, "f4"), ValueError),
        (np.zeros(4, "f4")[::-1], ValueError),
        (np.frombuffer(bytes(9), np.uint8)[1:].view("f4"), ValueError),
    ],
)
def test_buffers_that_cannot_be_viewed(bad: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\[from_buffer\] buffer: expected .*, got "):
        array(bad)


def test_dlpack_both_ways() -> None:
    a = sample(3, 4)
    b = _core.from_dlpack(a)
    np.asarray(b)[1, 2] = 77
    assert a[1, 2] == 77
    transposed = _core.from_dlpack(a.T)
    assert transposed.shape == (4, 3) and np.array_equal(np.asarray(transposed), a.T)
    back = np.from_dlpack(b.transpose(0, 1))
    assert np.array_equal(back, a.T)
    capsule = b.__dlpack__()
    first = _core.from_dlpack(capsule)
    assert np.array_equal(np.asarray(first), a)
    with pytest.raises(ValueError, match="not used before"):
        _core.from_dlpack(capsule)
    del capsule, b, first
    gc.collect()
    with pytest.raises(TypeError, match=r"\[from_dlpack\] input: expected an object with __dlpack__, got int"):
        _core.from_dlpack(3)


def test_a_refused_import_leaves_the_owner_its_memory() -> None:
    """Refused memory must not reach the arena, which would hand it out again."""
    for load in (_core.from_dlpack, lambda array: _core.from_buffer(array)):
        owner = np.zeros(4001, np.uint8)
        unaligned = owner[1:].view(np.float32)
        reserved = _core.memory_stats()["reserved_bytes"], _core.memory_stats()["allocated_bytes"]
        references = sys.getrefcount(owner)
        for _ in range(3):
            with pytest.raises(ValueError, match="memory aligned to the element size"):
                load(unaligned)
        gc.collect()
        assert (_core.memory_stats()["reserved_bytes"], _core.memory_stats()["allocated_bytes"]) == reserved
        assert sys.getrefcount(owner) == references
        low, high = owner.ctypes.data, owner.ctypes.data + owner.nbytes
        later = [_core.empty([1000], _core.float32) for _ in range(50)]
        assert not any(low <= np.asarray(a).ctypes.data < high for a in later)


def test_dlpack_ownership() -> None:
    before = _core.memory_stats()["allocated_bytes"]
    a = _core.empty([100], _core.float32)
    capsule = a.__dlpack__()
    del a
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] > before
    del capsule  # never consumed: its destructor frees
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] == before
    out = np.from_dlpack(_core.empty([100], _core.float32))
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] > before
    del out
    gc.collect()
    assert _core.memory_stats()["allocated_bytes"] == before


def test_views_match_numpy() -> None:
    a = sample(3, 4, 5)
    b = array(a)
    same = lambda x, y: np.array_equal(np.asarray(x), y)  # noqa: E731
    for dims in itertools.permutations(range(3)):
        assert same(b.permute(list(dims)), a.transpose(dims))
    assert same(b.transpose(-1, 0), a.swapaxes(-1, 0))
    for start, stop, step in itertools.product([-7, -2, 0, 1, 9], [-9, -1, 0, 3, 9], [1, 2, 3]):
        assert same(b.slice(1, start, stop, step), a[:, start:stop:step])
    assert same(b.select(1, -1), a[:, -1])
    assert same(b.unsqueeze(-1), a[..., None]) and same(b.unsqueeze(0).squeeze(0), a)
    assert same(b.select(0, 1).unsqueeze(1).expand([4, 3, 5]), np.broadcast_to(a[1][:, None], (4, 3, 5)))
    assert b.slice(2, 4, 2, 1).shape == (3, 4, 0)


@pytest.mark.parametrize("shape", [(60,), (12, 5), (3, 20), (3, 2, 2, 5), (1, 3, 4, 5, 1), (-1, 10), (6, -1)])
def test_reshape_of_views_matches_numpy(shape: tuple[int, ...]) -> None:
    a = sample(3, 4, 5)
    for view, expected in [
        (array(a), a),
        (array(a).transpose(0, 2), a.swapaxes(0, 2)),
        (array(a).slice(0, 0, 3, 1), a),
        (array(np.concatenate([a, a], -1)).slice(2, 0, 5, 1), a),
    ]:
        assert np.array_equal(np.asarray(view.reshape(list(shape))), expected.reshape(shape))


def test_view_refuses_what_only_a_copy_can_do() -> None:
    t = array(sample(3, 4)).transpose(0, 1)
    with pytest.raises(ValueError, match=r"\[view\] shape"):
        t.view([12])
    with pytest.raises(
        ValueError, match=r"\[reshape\] shape: expected a shape of 12 elements, as in \(4, 3\), got \(5, 2\)"
    ):
        t.reshape([5, 2])
    with pytest.raises(ValueError, match="at most one -1"):
        t.reshape([-1, -1])
    with pytest.raises(ValueError):
        t.reshape([-1, 0])


@pytest.mark.parametrize(
    "call",
    [
        lambda a: a.select(0, 3),
        lambda a: a.select(2, 0),
        lambda a: a.slice(0, 0, 1, 0),
        lambda a: a.permute([0, 0]),
        lambda a: a.permute([0]),
        lambda a: a.expand([3, 5]),
        lambda a: a.expand([4]),
        lambda a: a.as_strided([4], [4], 0),
        lambda a: a.as_strided([2], [1], -1),
        lambda a: a.as_strided([2], [1], 11),
        lambda a: a.transpose(0, 2),
        lambda a: a.unsqueeze(4),
        lambda a: _core.empty([-1], _core.float32),
        lambda a: _core.empty([1] * 9, _core.float32),
    ],
)
def test_bad_views_raise(call) -> None:
    with pytest.raises((ValueError, IndexError), match=r"^\[\w+\] [\w ,]+: expected .*, got "):
        call(array(sample(3, 4)))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_conversion_matches_numpy(source: str, target: str) -> None:
    a = np.array([0, 1, 2, 100, 3]).astype(source)
    got = np.asarray(array(a).cast(getattr(_core, target)))
    assert got.dtype == np.dtype(target) and np.array_equal(got, a.astype(target))


def test_half_precision_rounds_to_nearest_even() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    bits = bits[np.abs(bits.view(np.float32)) >= 2**-126]  # kernels flush float32 denormals
    x = bits.view(np.float32)
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    with np.errstate(over="ignore", invalid="ignore"):  # on Arm, NumPy calls the cast of a signalling NaN invalid
        assert np.array_equal(np.asarray(array(x).cast(_core.float16)), x.astype(np.float16), equal_nan=True)
        assert np.array_equal(np.asarray(array(every).cast(_core.float32)), every.astype(np.float32), equal_nan=True)
    # bfloat16: the upper half of a float32, rounded
    finite = x[np.isfinite(x)]
    u = finite.view(np.uint32).astype(np.uint64)
    rounded = ((u + 0x7FFF + (u >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    assert np.array_equal(np.asarray(array(finite).cast(_core.bfloat16).cast(_core.float32)), rounded, equal_nan=True)


def test_bfloat16_has_no_buffer() -> None:
    with pytest.raises((BufferError, ValueError, TypeError)):
        memoryview(_core.empty([2], _core.bfloat16))


def test_kernel_calls_are_checked_before_anything_is_written() -> None:
    k = _core.kernels
    x, w = array(sample(3, 4)), array(sample(4))
    with pytest.raises(ValueError, match=r"\[layer_norm\] weight: expected shape \(4,\), got \(3,\)"):
        k.layer_norm(x, array(sample(3)), w, 1e-5)
    with pytest.raises(TypeError, match=r"\[layer_norm\] input: expected a floating-point dtype, got int64"):
        k.layer_norm(array(np.zeros((2, 2), np.int64)), w, w, 1e-5)
    with pytest.raises(TypeError, match=r"\[layer_norm\] weight: expected float32, got float64"):
        k.layer_norm(x, array(np.zeros(4)), w, 1e-5)
    with pytest.raises(TypeError, match=r"\[layer_norm\] arguments: expected 4, got 3"):
        k.layer_norm(x, w, w)
    with pytest.raises(TypeError, match=r"\[layer_norm\] eps: expected a number, got str"):
        k.layer_norm(x, w, w, "a")
    with pytest.raises(TypeError, match=r"\[fill\] dst: expected an Array, got NoneType"):
        k.fill(None, 1.0)
    a = sample(6)
    k.copy(array(a).slice(0, 1, 6, 1), array(a).slice(0, 0, 5, 1))  # what is read and written is copied first
    assert np.array_equal(a, np.concatenate([sample(6)[:1], sample(6)[:5]]))


def test_bytes_round_trip() -> None:
    a = sample(2, 3)
    raw = _core.to_bytes(array(a).transpose(0, 1))
    assert raw == a.T.tobytes()
    assert np.array_equal(np.asarray(_core.from_bytes(raw, [3, 2], _core.float32)), a.T)
    with pytest.raises(ValueError, match=r"\[from_bytes\] raw: expected 16 bytes, got 24"):
        _core.from_bytes(raw, [4], _core.float32)


@pytest.mark.parametrize("make", [Array, lambda: Array.__new__(Array), lambda: object.__new__(Array)])
def test_an_array_that_holds_nothing_cannot_be_made(make):
    with pytest.raises(TypeError):
        make()
