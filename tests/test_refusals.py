"""What is refused rather than computed wrongly: views too large to count, memory that is shared, numbers that do not fit."""

from __future__ import annotations

import re

import numpy as np
import pytest

import engine
from engine import nn
from engine.models import TransformerConfig, TransformerEncoderModel
from engine.nn import functional as F


@pytest.mark.parametrize("shape", [(2**62 + 1, 4), (2**32, 2**32), (2**32 + 1, 2**32), (2**60,)])
def test_views_have_a_number_of_elements(shape):
    with pytest.raises(ValueError, match=r"\[expand\] shape: expected at most 2\^59 elements"):
        engine.broadcast_to(engine.ones(1), shape)
    with pytest.raises(ValueError, match="at most 2"):
        engine.ones(1).expand(*shape)


@pytest.mark.parametrize("make", [engine.empty, engine.zeros, engine.ones])
def test_more_memory_than_there_is(make):
    with pytest.raises(MemoryError, match=r"expected at most the [0-9]+ bytes of the machine"):
        make(10**12)


SHARED = {
    "expanded": lambda: engine.zeros(1).expand(1000),
    "one of two": lambda: engine.zeros(3, 1).expand(3, 4),
    "windows": lambda: engine.from_numpy(np.lib.stride_tricks.as_strided(np.zeros(10, np.float32), (3, 4), (8, 4))),
}
WRITES = {
    "add_": lambda x: x.add_(1),
    "mul_": lambda x: x.mul_(2),
    "fill_": lambda x: x.fill_(1),
    "zero_": lambda x: x.zero_(),
    "copy_": lambda x: x.copy_(engine.ones(x.shape)),
    "setitem": lambda x: x.__setitem__(..., 1.0),
    "normal_": lambda x: x.normal_(),
    "masked_fill_": lambda x: x.masked_fill_(engine.ones(x.shape) > 0, 1.0),
}


@pytest.mark.parametrize("view", SHARED)
@pytest.mark.parametrize("write", WRITES)
def test_memory_that_elements_share_is_not_written(view, write):
    x = SHARED[view]()
    with pytest.raises(
        RuntimeError, match=rf"\[{write}\] self: expected a tensor whose elements lie in different places"
    ):
        WRITES[write](x)
    assert (x.numpy() == 0).all()


def test_memory_that_elements_do_not_share_is_written():
    x = engine.zeros(4, 6)
    for view in (x.T, x[::2, 1::3], x.select(1, 0), x[1:1], x.unsqueeze(0).expand(1, 4, 6)):
        view.add_(1)
    assert x.numpy().sum() == 24 + 4 + 4 + 24


@pytest.mark.parametrize(
    "data, dtype",
    [
        ([300], "uint8"),
        ([-256], "uint8"),
        ([2**40], "int32"),
        ([1e30], "int32"),
        ([float("nan")], "int64"),
        ([[1], [1e19]], "int64"),
    ],
)
def test_numbers_that_the_dtype_does_not_hold(data, dtype):
    for make in (engine.tensor, engine.as_tensor):
        with pytest.raises(ValueError, match=f"expected numbers that {dtype} can hold"):
            make(data, dtype=getattr(engine, dtype))


def test_numbers_that_it_holds():
    assert engine.tensor([255, 0], dtype=engine.uint8).tolist() == [255, 0]
    assert engine.tensor([2.7, -1.2], dtype=engine.int32).tolist() == [2, -1]
    assert engine.tensor([], dtype=engine.int64).shape == (0,)


@pytest.mark.parametrize("dtype", ["float32", np.float32, float])
def test_dtypes_are_engine_s(dtype):
    with pytest.raises(TypeError, match=r"dtype: expected a dtype such as engine.float32"):
        engine.zeros(2, dtype=dtype)


def test_sizes_beyond_64_bits():
    with pytest.raises(ValueError, match=r"\[zeros\] size: expected integers of 64 bits"):
        engine.zeros(2**63)
    with pytest.raises(ValueError, match="expected integers of 64 bits"):
        engine.ones(4).reshape(2**63, 1)


def test_a_number_is_formatted():
    assert f"{engine.tensor(1.23456):.3f} {engine.tensor(7):03d} {engine.tensor([1.0])}" == "1.235 007 tensor([1.])"
    with pytest.raises(TypeError):
        f"{engine.ones(2):.3f}"


class Wrong(engine.autograd.Function):
    result = None

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, grad):
        return Wrong.result(grad)


def test_what_a_function_returns():
    x = engine.ones(3).requires_grad_()
    Wrong.result = lambda g: g.double()
    Wrong.apply(x).sum().backward()
    assert x.grad.dtype is engine.float32
    for wrong in (1.0, np.ones(3)):
        Wrong.result = lambda g, wrong=wrong: wrong
        with pytest.raises(TypeError, match=r"\[Wrong\] backward: expected a Tensor or None as gradient 0"):
            Wrong.apply(x).sum().backward()

    class NoTensor(engine.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 3

    assert NoTensor.apply(x) == 3  # as in PyTorch


def test_nonsense_in_modules():
    with pytest.raises(ValueError, match=r"\[TransformerEncoder\] num_layers: expected a number >= 1, got -1"):
        engine.nn.TransformerEncoder(engine.nn.TransformerEncoderLayer(8, 2, 16), -1)
    for max_norm, expected in ((-1.0, "a number >= 0"), (float("nan"), "a number")):
        with pytest.raises(ValueError, match=rf"\[clip_grad_norm_\] max_norm: expected {expected}, got"):
            engine.nn.utils.clip_grad_norm_([engine.ones(2)], max_norm)


def test_relu_passes_the_gradient_of_nan():
    x = engine.tensor([float("nan"), -1.0, 0.0, 2.0]).requires_grad_()
    engine.relu(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


ONE, FOUR = engine.ones(1, 2), engine.ones(4, 3)
CU = engine.tensor([0, 4, 4], dtype=engine.int32)
SMALL = TransformerConfig(
    vocab_size=5, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, type_vocab_size=2
)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: F.cross_entropy(ONE, ONE, engine.ones(3)), ValueError, "[cross_entropy] weight: expected shape (2,)"),
        (lambda: engine.zeros(0).max(), ValueError, "[max] input: expected at least one element"),
        (lambda: engine.zeros(0).min(), ValueError, "[min] input: expected at least one element"),
        (lambda: ONE.max(FOUR), ValueError, "[max] other: expected a shape that broadcasts"),
        (lambda: engine.zeros(0).norm(float("inf")), ValueError, "[norm] input: expected at least one element"),
        (lambda: engine.var_mean(engine.tensor([1])), TypeError, "[var_mean] input: expected a floating-point dtype"),
        (lambda: F.pool_packed(engine.ones(4), CU), ValueError, "[pool_packed] input: expected shape (n, d)"),
        (lambda: F.pool_packed(FOUR, CU.long(), "mean"), TypeError, "[pool_packed] cu_seqlens: expected int32"),
        (lambda: F.pool_packed(FOUR, CU, "max"), ValueError, "[pool_packed] cu_seqlens: expected no empty sequence"),
        (lambda: engine.zeros(2, -1), ValueError, "[zeros] size: expected sizes >= 0, got (2, -1)"),
        (lambda: engine.randn(-1), ValueError, "[randn] size: expected sizes >= 0"),
        (lambda: engine.eye(2, -1), ValueError, "[eye] m: expected sizes >= 0"),
        (lambda: nn.Linear(-1, 3), ValueError, "[Linear] in_features: expected sizes >= 0"),
        (lambda: nn.Linear(3, 2.5), TypeError, "[Linear] out_features: expected integers"),
        (lambda: nn.Embedding(3, -1), ValueError, "[Embedding] embedding_dim: expected sizes >= 0"),
        (lambda: nn.LayerNorm(-1), ValueError, "[LayerNorm] normalized_shape: expected sizes >= 0"),
        (lambda: nn.RMSNorm((2, -1)), ValueError, "[RMSNorm] normalized_shape: expected sizes >= 0"),
    ],
)
def test_errors_name_what_was_called(call, error, text):
    with pytest.raises(error, match="^" + re.escape(text)):
        call()


@pytest.mark.parametrize(
    "ids, mask, types, text",
    [
        ([[1, 9]], None, None, "input_ids: expected every index in [0, 5), got 9"),
        ([[1, 2]], None, [[0, 2]], "token_type_ids: expected every index in [0, 2), got 2"),
        ([[1, 2]], None, [[0, 1, 1]], "token_type_ids: expected shape (1, 2)"),
        ([[1, 2]], [[1, 2]], None, "attention_mask: expected 0 (padding) and 1, got 2"),
    ],
)
def test_errors_of_a_model_name_its_arguments(ids, mask, types, text):
    given = [None if x is None else engine.tensor(x) for x in (ids, mask, types)]
    with pytest.raises((IndexError, ValueError), match="^" + re.escape(f"[TransformerEncoderModel] {text}")):
        TransformerEncoderModel(SMALL)(*given)
