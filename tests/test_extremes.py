"""Rows with NaN, infinities and very large numbers, compared with PyTorch and with float64."""

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

NAN, INF = float("nan"), float("inf")
ROWS = [
    [NAN, NAN],
    [NAN, -INF],
    [NAN, INF],
    [1.0, NAN],
    [INF, INF],
    [INF, -INF],
    [1.0, INF],
    [1.0, 0.0, NAN],
    [0.0, NAN, 2.0],
    [2.0, INF, 0.0],
    [0.0, 3.0, 0.0, INF],
]


@pytest.mark.parametrize("op", ["logsumexp", "amax", "amin", "prod", "max", "min"])
@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("times", [1, 9])
def test_not_finite(op, row, times, isa):
    for dtype in ("float32", "float64"):
        results = []
        for m in (engine, torch):
            x = m.tensor([row * times], dtype=getattr(m, dtype), requires_grad=True)
            y = getattr(m, op)(x) if op in ("max", "min") else getattr(m, op)(x, 1)
            y.sum().backward()
            results.append(repr((y.tolist(), x.grad.tolist())))
        assert results[0] == results[1]


@pytest.mark.parametrize("scale", [1e18, 1e20, 1e30, 1e35])
@pytest.mark.parametrize("d", [3, 16, 37])
def test_layer_norm_of_large_rows(scale, d, isa):
    rng = np.random.default_rng(0)
    values, dy = (rng.standard_normal((4, d)) * scale).astype(np.float32), rng.standard_normal((4, d))
    x = engine.tensor(values, requires_grad=True)
    y = engine.layer_norm(x, (d,))
    y.backward(engine.tensor(dy.astype(np.float32)))
    wide = torch.tensor(values.astype(np.float64), requires_grad=True)
    expected = torch.nn.functional.layer_norm(wide, (d,))
    expected.backward(torch.tensor(dy))
    assert np.allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert np.allclose(x.grad.numpy() * scale, wide.grad.numpy() * scale, rtol=1e-4, atol=1e-4)


def test_layer_norm_of_rows_that_are_not_finite(isa):
    for row in ([1.0, INF, 2.0], [1.0, NAN, 2.0], [INF, -INF, 0.0]):
        assert np.isnan(engine.layer_norm(engine.tensor([row] * 2), (3,)).numpy()).all()


def test_layer_norm_of_large_rows_in_float64(isa):
    values = np.random.default_rng(0).standard_normal((2, 9))
    expected = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
    assert np.allclose(engine.layer_norm(engine.tensor(values * 1e200), (9,)).numpy(), expected, rtol=1e-12)
