"""Factories and conversions: values, dtypes, sharing of memory, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine

DTYPES = [
    engine.float32,
    engine.float64,
    engine.int32,
    engine.int64,
    engine.uint8,
    engine.bool,
    engine.bfloat16,
    engine.float16,
]


def same(tensor, expected, dtype=None):
    found = tensor.detach().numpy()
    expected = np.asarray(expected)
    assert found.shape == expected.shape and np.array_equal(found, expected)
    if dtype is not None:
        assert tensor.dtype is dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (5, 7), (20001,)])
def test_constants(dtype, shape, isa, guards):
    for value, made in [
        (0, engine.zeros(shape, dtype=dtype)),
        (1, engine.ones(*shape, dtype=dtype)),
        (1, engine.full(shape, 1, dtype=dtype)),
        (0, engine.zeros_like(engine.empty(shape), dtype=dtype)),
        (1, engine.ones_like(engine.empty(shape, dtype=dtype))),
        (1, engine.full_like(engine.empty(shape, dtype=dtype), True)),
    ]:
        assert made.dtype is dtype
        same(made.float(), np.full(shape, value, np.float32))
    assert engine.empty(shape, dtype=dtype).shape == shape
    assert engine.empty_like(engine.zeros(shape, dtype=dtype)).dtype is dtype


def test_default_dtypes():
    assert engine.zeros(2).dtype is engine.float32
    assert engine.full((2,), 3).dtype is engine.int64
    assert engine.full((2,), True).dtype is engine.bool
    assert engine.full((2,), 0.5).dtype is engine.float32
    same(engine.full((2,), 2**60 + 1), [2**60 + 1] * 2, engine.int64)
    same(engine.full((2,), -(2**63)), [-(2**63)] * 2, engine.int64)
    same(engine.full((1,), math.inf), np.array([np.inf], np.float32))
    assert engine.zeros(2, requires_grad=True).requires_grad
    assert engine.zeros(2, device="cpu").device == engine.device("cpu")


@pytest.mark.parametrize(
    "args",
    [
        (5,),
        (0,),
        (2, 7),
        (10, 0, -3),
        (0, 10, 3),
        (-3, 3),
        (0, 1, 0.3),
        (1.0, 2.0, 0.25),
        (5, 4.5, -0.1),
        (0, 30000, 7),
    ],
)
def test_arange(args, isa, guards):
    expected = np.arange(*args)
    if expected.dtype.kind == "f":
        expected = args[0] + np.arange(len(expected)) * (args[2] if len(args) > 2 else 1)
    found = engine.arange(*args)
    assert found.dtype is (engine.int64 if expected.dtype.kind == "i" else engine.float32)
    same(found, expected.astype(found.numpy().dtype))
    same(engine.arange(*args, dtype=engine.float64), expected.astype(np.float64))
    if expected.dtype.kind == "i":
        same(engine.arange(*args, dtype=engine.int32), expected.astype(np.int32), engine.int32)
        same(engine.arange(*args, dtype=engine.float16).float(), expected.astype(np.float16).astype(np.float32))


def test_arange_exact():
    same(engine.arange(2**60, 2**60 + 3), np.arange(2**60, 2**60 + 3))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 7, 100, 20001])
def test_linspace(n, isa, guards):
    found = engine.linspace(-1, 2, n, dtype=engine.float64).numpy()
    assert np.allclose(found, np.linspace(-1, 2, n), rtol=0, atol=1e-15)
    if n > 1:
        assert found[0] == -1 and found[-1] == 2
    assert engine.linspace(0, 1, n).dtype is engine.float32


def test_eye(isa, guards):
    for n, m in [(3, None), (2, 5), (5, 2), (0, 3), (1, 1)]:
        same(engine.eye(n, m), np.eye(n, m))


def test_one_hot_counts_classes():
    same(engine.one_hot(engine.tensor([0, 2])), [[1, 0, 0], [0, 0, 1]], engine.int64)


# ---------------------------------------------------------------- from other objects


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1, engine.int64),
        (1.5, engine.float32),
        (True, engine.bool),
        ([], engine.float32),
        ([1, 2], engine.int64),
        ([1, 2.5], engine.float32),
        ([[True, False]], engine.bool),
        (np.float64(1.5), engine.float64),
        (np.arange(3, dtype=np.int32), engine.int32),
        (np.ones((2, 3)), engine.float64),
        (np.ones((2, 3), np.float16), engine.float16),
        (np.ones((2, 3), np.uint8), engine.uint8),
        (np.arange(6).reshape(2, 3)[:, ::-1], engine.int64),
        (np.arange(6, dtype=">i4"), engine.int32),
        ((1, (2)), engine.int64),
    ],
)
def test_tensor(data, dtype):
    expected = np.asarray(data)
    found = engine.tensor(data)
    assert found.dtype is dtype
    same(found, expected.astype(found.numpy().dtype))
    same(engine.tensor(data, dtype=engine.float64), expected.astype(np.float64), engine.float64)


def test_tensor_copies_and_others_share():
    array = np.arange(3.0)
    copied, shared, viewed = engine.tensor(array), engine.from_numpy(array), engine.as_tensor(array)
    array[0] = 7
    same(copied, [0, 1, 2])
    same(shared, [7, 1, 2])
    same(viewed, [7, 1, 2])
    shared.fill_(1)
    assert np.array_equal(array, [1, 1, 1])
    x = engine.ones(2, requires_grad=True)
    assert engine.as_tensor(x) is x
    assert engine.tensor(x).grad_fn is None and engine.tensor(x).data_ptr() != x.data_ptr()
    y = engine.from_dlpack(array)
    assert y.data_ptr() == array.ctypes.data
    assert engine.as_tensor(array, dtype=engine.float32).dtype is engine.float32
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        engine.from_numpy(frozen).zero_()


def test_tensors_in_lists():
    same(engine.tensor([engine.tensor(1.0), 2.5]), np.array([1, 2.5], np.float32), engine.float32)
    same(engine.tensor([[engine.tensor([1, 2])], [engine.tensor([3, 4])]]), [[[1, 2]], [[3, 4]]], engine.int64)
    same(engine.tensor(np.arange(3, dtype=np.int8), dtype=engine.int32), [0, 1, 2], engine.int32)


@pytest.mark.parametrize("source", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("target", DTYPES, ids=lambda d: d.name)
def test_conversion(source, target, isa, guards):
    values = np.array([[0, 1, 2], [3, 100, 200]])
    x = engine.tensor(values, dtype=source)
    y = x.to(target)
    assert y.dtype is target and (y is x) == (source is target)
    exact = values.astype(bool).astype(int) if engine.bool in (source, target) else values
    same(y.double(), exact.astype(np.float64))
    assert x.T.to(target).shape == (3, 2)


def test_to_and_its_names():
    x = engine.tensor([1.5, -2.5], requires_grad=True)
    assert x.to("cpu") is x and x.to(engine.device("cpu"), engine.float32) is x and x.cpu() is x
    assert x.to(x) is x and x.to(copy=True) is not x
    assert x.double().dtype is engine.float64 and x.half().dtype is engine.float16
    assert x.long().tolist() == [1, -2] and x.int().dtype is engine.int32 and x.byte().dtype is engine.uint8
    assert x.bool().tolist() == [True, True] and not x.long().requires_grad
    assert x.type_as(engine.zeros(1, dtype=engine.float64)).dtype is engine.float64
    x.double().to(engine.float32).backward(engine.tensor([3.0, 4.0]))
    same(x.grad, np.array([3, 4], np.float32), engine.float32)


def test_in_place():
    x = engine.zeros(2, 3)
    version = x._version
    assert x.T.fill_(2).shape == (3, 2) and x.tolist() == [[2.0] * 3] * 2
    assert x._version > version
    x.copy_(engine.tensor([1, 2, 3]))
    assert x.tolist() == [[1.0, 2, 3]] * 2
    leaf = engine.zeros(2, requires_grad=True)
    for write in (leaf.zero_, lambda: leaf.fill_(1), lambda: leaf.copy_(engine.ones(2))):
        with pytest.raises(RuntimeError, match="leaf"):
            write()
    source = engine.tensor([1.0, 2.0], requires_grad=True)
    target = engine.zeros(2, dtype=engine.float64)
    target.copy_(source)
    target.backward(engine.tensor([5.0, 6.0], dtype=engine.float64))
    same(source.grad, np.array([5, 6], np.float32), engine.float32)
    made = source.clone()
    made.zero_()
    assert made.requires_grad


@pytest.mark.parametrize(
    "values, text",
    [
        (lambda: engine.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: engine.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: engine.tensor(2.5), "tensor(2.5)"),
        (lambda: engine.tensor([True]), "tensor([ True])"),
        (lambda: engine.zeros(0), "tensor([])"),
        (lambda: engine.zeros(0, 3), "tensor([], size=(0, 3))"),
        (lambda: engine.zeros(2, dtype=engine.float64), "tensor([0., 0.], dtype=engine.float64)"),
        (lambda: engine.ones(1, dtype=engine.bfloat16), "tensor([1.], dtype=engine.bfloat16)"),
        (lambda: engine.zeros(1, requires_grad=True), "tensor([0.], requires_grad=True)"),
        (lambda: engine.zeros(1, requires_grad=True).clone(), "tensor([0.], grad_fn=<CloneBackward0>)"),
    ],
)
def test_repr(values, text):
    assert repr(values()) == text


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: engine.zeros("a"), TypeError, "[zeros] size"),
        (lambda: engine.zeros(2.0), TypeError, "[zeros] size"),
        (lambda: engine.zeros(2, device="xla"), ValueError, "[device] type"),
        (lambda: engine.zeros(2, dtype=engine.int64, requires_grad=True), TypeError, "[requires_grad] dtype"),
        (lambda: engine.full((2,), 300, dtype=engine.uint8), ValueError, "[full] fill_value"),
        (lambda: engine.full((2,), math.nan, dtype=engine.int64), ValueError, "[full] fill_value"),
        (lambda: engine.full((2,), "x", dtype=engine.int64), TypeError, "[full] fill_value"),
        (lambda: engine.arange(0, 5, 0), ValueError, "[arange] step"),
        (lambda: engine.arange(0, 5, -1), ValueError, "[arange] end"),
        (lambda: engine.arange(300, dtype=engine.uint8), ValueError, "[arange] end"),
        (lambda: engine.linspace(0, 1, -1), ValueError, "[linspace] steps"),
        (lambda: engine.eye(-1), ValueError, "[eye] n"),
        (lambda: engine.tril(engine.ones(3)), ValueError, "[tril] input"),
        (lambda: engine.one_hot(engine.tensor([5]), 3), IndexError, "[one_hot] input"),
        (lambda: engine.one_hot(engine.tensor([-1]), 3), IndexError, "[one_hot] input"),
        (lambda: engine.one_hot(engine.tensor([1.0]), 3), TypeError, "[one_hot] input"),
        (lambda: engine.tensor([[1], [1, 2]]), ValueError, "[tensor] data"),
        (lambda: engine.tensor("text"), TypeError, "[tensor] data"),
        (lambda: engine.tensor(np.arange(3, dtype=np.uint16)), TypeError, "[tensor] data"),
        (lambda: engine.from_numpy([1]), TypeError, "[from_numpy] ndarray"),
        (lambda: engine.from_numpy(np.arange(3)[::-1]), ValueError, "[from_buffer]"),
        (lambda: engine.zeros(2).to(3.5), TypeError, "[to] argument"),
        (lambda: engine.zeros(2).to("xla:0"), ValueError, "[device] type"),
        (lambda: engine.zeros(2).copy_(engine.zeros(3)), ValueError, "expand"),
        (lambda: iter(engine.zeros(())), TypeError, "[iter] self"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value), str(caught.value)


def test_sizes_by_keyword():
    for make in (engine.zeros, engine.ones, engine.empty, engine.rand, engine.randn):
        assert make(size=(2, 3)).shape == make(2, 3).shape == (2, 3) and make(size=4).shape == (4,)
        with pytest.raises(TypeError, match="size: expected no value"):
            make(2, size=3)


def test_a_generator_decides_what_multinomial_draws():
    draws = [
        engine.multinomial(engine.ones(50), 20, generator=engine.Generator().manual_seed(n)).tolist() for n in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]
