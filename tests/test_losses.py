"""What the spec rows of losses, softmax and norms do not say: errors, special values, what is shared and kept."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import tensor


def test_a_label_out_of_range_is_named_with_its_position() -> None:
    logits = engine.zeros(4, 3)
    with pytest.raises(IndexError, match=r"\[cross_entropy\] target: .*\[0, 3\), got 3 at position 2"):
        engine.cross_entropy(logits, tensor([0, 1, 3, -100]))
    with pytest.raises(IndexError, match=r"\[nll_loss\] target: .* got -1 at position 0"):
        engine.nll_loss(logits, tensor([-1, 1, 2, 0]))
    engine.cross_entropy(logits, tensor([0, 1, 3, 0]), ignore_index=3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: engine.cross_entropy(x, tensor([0, 1])), ValueError, r"target: expected shape \(4,\), got \(2,\)"),
        (
            lambda x: engine.cross_entropy(x, engine.zeros(4)),
            TypeError,
            "target: expected class numbers of dtype int64",
        ),
        (lambda x: engine.cross_entropy(x, tensor([0] * 4), reduction="avg"), ValueError, "reduction: expected 'none'"),
        (
            lambda x: engine.cross_entropy(x, tensor([0] * 4), label_smoothing=2),
            ValueError,
            "label_smoothing: expected",
        ),
        (
            lambda x: engine.cross_entropy(x, tensor([0] * 4), engine.ones(2)),
            ValueError,
            r"weight: expected shape \(3,\)",
        ),
        (lambda x: engine.cross_entropy(x, [0] * 4), TypeError, "target: expected a Tensor, got list"),
        (lambda x: engine.cross_entropy(engine.zeros(4, 0), tensor([0] * 4)), ValueError, "at least one class"),
        (lambda x: engine.mse_loss(x, engine.zeros(3)), ValueError, r"target: expected the input's shape \(4, 3\)"),
        (
            lambda x: engine.binary_cross_entropy_with_logits(x, x, pos_weight=engine.ones(2)),
            ValueError,
            r"pos_weight: expected a shape that broadcasts to \(4, 3\)",
        ),
        (lambda x: engine.softmax(x, 2), IndexError, r"\[softmax\] dim: expected a number in \[-2, 1\], got 2"),
        (lambda x: engine.logsumexp(x, (0, 0)), ValueError, "dim: expected dimensions that differ"),
        (lambda x: engine.softmax(x, ()), TypeError, r"\[softmax\] dim: expected an integer, got \(\)"),
        (lambda x: engine.gelu(x, "erf"), ValueError, "approximate: expected 'none' or 'tanh'"),
        (lambda x: engine.layer_norm(x, 4), ValueError, r"input: expected a shape that ends in \(4,\), got \(4, 3\)"),
        (lambda x: engine.layer_norm(x, 3, engine.ones(4)), ValueError, r"weight: expected shape \(3,\), got \(4,\)"),
        (lambda x: engine.rms_norm(x, ()), ValueError, "normalized_shape: expected at least one dimension"),
        (lambda x: engine.dropout_add_layer_norm(x, engine.zeros(3)), ValueError, "residual: expected"),
        (lambda x: engine.relu(tensor([1, 2])), TypeError, r"\[relu\] input: expected float32 or float64, got int64"),
    ],
)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call(engine.zeros(4, 3))


def test_no_gradient_flows_to_targets_and_weights() -> None:
    x, t = engine.zeros(2, 3, requires_grad=True), engine.full((2, 3), 1 / 3, requires_grad=True)
    with pytest.raises(ValueError, match="target: expected a tensor that does not require grad"):
        engine.cross_entropy(x, t)
    with engine.no_grad():
        engine.cross_entropy(x, t)


def test_all_labels_ignored() -> None:
    """As PyTorch: a mean over nothing is NaN, its gradient 0."""
    x = engine.ones(3, 4)
    x.requires_grad_()
    loss = engine.cross_entropy(x, tensor([-100] * 3))
    assert np.isnan(loss.item())
    loss.backward()
    assert not x.grad.numpy().any()
    assert engine.cross_entropy(x, tensor([-100] * 3), reduction="sum").item() == 0


def test_gradient_is_computed_once_and_scaled_later() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.standard_normal((5, 7)).astype(np.float32), tensor(rng.integers(0, 7, 5))
    x = tensor(values).requires_grad_()
    loss = engine.cross_entropy(x, labels)
    loss.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    x.grad.numpy()[:] *= 0  # writing to .grad must not reach what the node keeps
    x.grad = None
    loss.backward(tensor(np.float32(2)), retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), 2 * first, rtol=1e-6)
    x.grad = None
    loss.backward()
    assert np.array_equal(x.grad.numpy(), first)


def test_masked_logits(isa: str) -> None:
    x = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, 2.0]], np.float32)
    p = engine.softmax(tensor(x), -1).numpy()
    np.testing.assert_allclose(p, [[1 / (1 + np.e), 0, np.e / (1 + np.e)], [0, 0, 1]], rtol=1e-6)
    t = tensor(x).requires_grad_()
    engine.cross_entropy(t, tensor([2, 2])).backward()
    assert np.isfinite(t.grad.numpy()).all()
    assert engine.cross_entropy(t, tensor([1, 2])).item() == np.inf


def test_rows_without_finite_numbers(isa: str) -> None:
    nothing = tensor(np.full((2, 19), -np.inf, np.float32)).requires_grad_()
    assert np.isnan(engine.softmax(nothing, -1).detach().numpy()).all()
    y = engine.logsumexp(nothing, -1)
    assert (y.detach().numpy() == -np.inf).all()
    y.backward(engine.ones(2))
    assert not nothing.grad.numpy().any()
    for bad in (np.nan, np.inf):
        row = np.zeros((1, 37), np.float32)
        row[0, 20] = bad
        assert np.isnan(engine.softmax(tensor(row), -1).numpy()).all()
        assert np.array_equal(engine.logsumexp(tensor(row), -1).numpy(), [np.float32(bad)], equal_nan=True)


def test_large_logits_overflow_nowhere(isa: str) -> None:
    x = tensor(np.array([[1e4, -1e4, 0.0], [3e38, -3e38, 3e38]], np.float32)).requires_grad_()
    losses = engine.cross_entropy(x, tensor([0, 2]), reduction="none")
    np.testing.assert_allclose(losses.detach().numpy(), [0, np.log(2)], atol=1e-6)
    z = tensor(np.array([-1e30, -200.0, 200.0, 1e30], np.float32)).requires_grad_()
    loss = engine.binary_cross_entropy_with_logits(z, tensor(np.array([0, 1, 0, 1], np.float32)), reduction="sum")
    loss.backward()
    assert loss.item() == 400
    assert np.array_equal(z.grad.numpy(), [0, -1, 1, 0])


def test_activations_at_infinity(isa: str) -> None:
    x = tensor(np.array([np.inf, -np.inf, np.nan] * 11, np.float32))
    for name, wanted in {"relu": [np.inf, 0], "sigmoid": [1, 0], "tanh": [1, -1], "erf": [1, -1]}.items():
        y = getattr(engine, name)(x).numpy()
        assert np.array_equal(y[:2], wanted), name
        assert np.isnan(y[2::3]).all(), name


def test_dropout_add_layer_norm_without_dropout_is_layer_norm() -> None:
    rng = np.random.default_rng(1)
    x, r = (tensor(rng.standard_normal((6, 50)).astype(np.float32)) for _ in range(2))
    w, b = (tensor(rng.standard_normal(50).astype(np.float32)) for _ in range(2))
    before = engine._core.random_state()
    y = engine.dropout_add_layer_norm(x, r, w, b, 0.3, training=False)
    assert engine._core.random_state() == before
    both = tensor(x.numpy() + r.numpy())
    assert np.array_equal(y.numpy(), engine.layer_norm(both, 50, w, b).numpy())


def test_dropout_add_layer_norm_only_sum_used() -> None:
    x, r = engine.ones(3, 8), engine.ones(3, 8)
    x.requires_grad_()
    r.requires_grad_()
    engine.manual_seed(0)
    _, total = engine.dropout_add_layer_norm(x, r, p=0.5, prenorm=True)
    total.backward(engine.ones(3, 8))
    assert np.array_equal(r.grad.numpy(), np.ones((3, 8)))
    assert np.array_equal(x.grad.numpy(), total.detach().numpy() - 1)
