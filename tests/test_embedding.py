"""Embeddings and packed pooling beside the spec rows: the sparse gradient, padding, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import _core

RNG = np.random.default_rng(11)
K = _core.kernels


@pytest.mark.parametrize("v, n, d", [(1, 1, 1), (50, 0, 3), (50, 7, 3), (1000, 300, 17), (3, 700, 65), (40, 5000, 128)])
@pytest.mark.parametrize("padding", [-1, 0])
def test_sparse_gradient_is_the_dense_one(v, n, d, padding, isa, threads, guards):
    ids = RNG.integers(0, v, n)
    dy = RNG.standard_normal((n, d)).astype(np.float32)
    found = set()
    for count in (1, 2):
        threads(count)
        i, g = engine.tensor(ids)._data, engine.tensor(dy)._data
        dense = np.asarray(K.embedding_backward(g, i, v, padding))
        rows, values, k = K.embedding_backward_sparse(g, i, v, padding, min(n, v))
        k = k.item()
        rows, values = np.asarray(rows)[:k], np.asarray(values)[:k]
        assert np.array_equal(rows, [r for r in np.unique(ids) if r != padding])
        assert np.array_equal(dense[rows], values)
        rest = np.setdiff1d(np.arange(v), rows)
        assert not dense[rest].any()
        found.add(dense.tobytes())
    assert len(found) == 1


def test_padding_and_ids():
    weight = engine.rand(5, 3, requires_grad=True)
    y = engine.embedding(engine.tensor([[4, 4], [1, 4]]), weight, padding_idx=-1)
    assert y.shape == (2, 2, 3)
    y.backward(engine.ones(2, 2, 3))
    assert weight.grad.tolist() == [[0.0] * 3, [1.0] * 3] + [[0.0] * 3] * 3


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda w, i: engine.embedding(i, w, 5), ValueError, "[embedding] padding_idx"),
        (
            lambda w, i: engine.embedding(i + 3, w),
            IndexError,
            "[embedding] input: expected every index in [0, 5), got 5",
        ),
        (lambda w, i: engine.embedding(i - 3, w), IndexError, "got -3"),
        (lambda w, i: engine.embedding(w, w), TypeError, "[embedding] input"),
        (lambda w, i: engine.embedding(i, i), TypeError, "[embedding] weight"),
        (lambda w, i: engine.embedding(i, w[0]), ValueError, "[embedding] weight"),
        (lambda w, i: engine.embedding_sum(i, w, i + 9, w), IndexError, "[embedding_sum] position_ids"),
        (lambda w, i: engine.embedding_sum(i, w, i, w, i + 9, w), IndexError, "[embedding_sum] token_type_ids"),
        (lambda w, i: engine.embedding_sum(i, w, i, w, i), ValueError, "[embedding_sum] token_type_weight"),
        (lambda w, i: engine.embedding_sum(i, w, i[:1], w), ValueError, "[embedding_sum] position_ids"),
        (lambda w, i: engine.embedding_sum(i, w, i, engine.ones(5, 4)), ValueError, "[embedding_sum] position_weight"),
        (lambda w, i: engine.embedding_sum(i, w, i, w.double()), TypeError, "[embedding_sum] position_weight"),
    ],
)
def test_embedding_errors(call, error, text):
    with pytest.raises(error) as caught:
        call(engine.ones(5, 3), engine.tensor([0, 2]))
    assert text in str(caught.value), str(caught.value)


def test_pooling_of_ties_and_nans():
    x = engine.tensor([[1.0, np.nan], [1.0, 5.0], [0.0, 7.0]], requires_grad=True)
    y = engine.pool_packed(x, engine.tensor([0, 3], dtype=engine.int32), "max")
    assert y[0, 0].item() == 1 and np.isnan(y[0, 1].item())
    y.backward(engine.tensor([[2.0, 3.0]]))
    assert x.grad.tolist() == [[2.0, 3.0], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("mode", ["first", "mean", "max"])
@pytest.mark.parametrize(
    "cu, text",
    [
        ([0, 2, 2, 4], "empty sequence, got one at position 1"),
        ([0, 3], "end at the number of tokens 4"),
        ([1, 4], "start at 0"),
        ([0, 3, 2, 4], "never fall"),
    ],
)
def test_pooling_refuses(mode, cu, text):
    with pytest.raises(ValueError, match="cu_seqlens.*" + text):
        engine.pool_packed(engine.ones(4, 2), engine.tensor(cu, dtype=engine.int32), mode)


def test_pooling_arguments():
    with pytest.raises(ValueError, match=r"\[pool_packed\] mode"):
        engine.pool_packed(engine.ones(4, 2), engine.tensor([0, 4], dtype=engine.int32), "last")
    with pytest.raises(TypeError, match="cu_seqlens"):
        engine.pool_packed(engine.ones(4, 2), engine.tensor([0, 4]))
