"""What the spec rows of losses, softmax and norms do not say: errors, special values, what is shared and kept."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import tensor


def test_a_label_out_of_range_is_named_with_its_position(device) -> None:
    n = 4 if device == "cpu" else 401  # on a device the error comes where the host next waits
    labels = np.zeros(n, np.int64)

    def put(position: int, label: int):
        changed = labels.copy()
        changed[position] = label
        return tensor(changed, device=device)

    logits = engine.zeros(n, 3, device=device)
    with pytest.raises(IndexError, match=r"\[cross_entropy\] target: .*\[0, 3\), got 3 at position 2"):
        engine.cross_entropy(logits, put(2, 3)).item()
    with pytest.raises(IndexError, match=r"\[nll_loss\] target: .* got -1 at position 0"):
        engine.nll_loss(logits, put(0, -1)).item()
    engine.cross_entropy(logits, put(2, 3), ignore_index=3).item()


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: engine.cross_entropy(x, tensor([0, 1])), ValueError, r"target: expected shape \(4,\), got \(2,\)"),
        (
            lambda x: engine.cross_entropy(x, engine.zeros(4)),
            TypeError,
            "target: expected class numbers of an integer dtype \\(int64\\)",
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
        (lambda x: engine.mse_loss(x, engine.zeros(3)), ValueError, r"target: expected shape \(4, 3\)"),
        (
            lambda x: engine.binary_cross_entropy_with_logits(x, x, pos_weight=engine.ones(2)),
            ValueError,
            r"pos_weight: expected a shape that broadcasts to \(4, 3\)",
        ),
        (lambda x: engine.softmax(x, 2), IndexError, r"\[softmax\] dim: expected a number in \[-2, 1\], got 2"),
        (lambda x: engine.logsumexp(x, (0, 0)), ValueError, "dim: expected each dimension once"),
        (lambda x: engine.softmax(x, ()), TypeError, r"\[softmax\] dim: expected an integer, got \(\)"),
        (lambda x: engine.gelu(x, "erf"), ValueError, "approximate: expected 'none' or 'tanh'"),
        (lambda x: engine.layer_norm(x, 4), ValueError, r"input: expected a shape that ends in \(4,\), got \(4, 3\)"),
        (lambda x: engine.layer_norm(x, 3, engine.ones(4)), ValueError, r"weight: expected shape \(3,\), got \(4,\)"),
        (lambda x: engine.rms_norm(x, ()), ValueError, "normalized_shape: expected at least one dimension"),
        (lambda x: engine.dropout_add_layer_norm(x, engine.zeros(3)), ValueError, "residual: expected"),
        (
            lambda x: engine.silu(tensor([1, 2])),
            TypeError,
            r"\[silu\] input: expected a floating-point dtype, got int64",
        ),
    ],
)
def test_errors(call, error, text: str) -> None:
    with pytest.raises(error, match=text):
        call(engine.zeros(4, 3))


def test_no_gradient_flows_to_weights() -> None:
    x, w = engine.zeros(2, 3, requires_grad=True), engine.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match="weight: expected a tensor that does not require grad"):
        engine.cross_entropy(x, tensor([0, 1]), w)
    with engine.no_grad():
        engine.cross_entropy(x, tensor([0, 1]), w)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gradients_of_targets(reduction) -> None:
    """A target that requires grad changes how the loss is computed, and not its value."""
    rng = np.random.default_rng(0)
    x, w = tensor(rng.standard_normal((2, 3, 4))).requires_grad_(), tensor(rng.uniform(0.5, 2, 3))
    t = tensor(rng.uniform(0.1, 0.9, (2, 3, 4))).requires_grad_()
    wide = w.reshape(3, 1)
    losses = [
        lambda x, t: engine.cross_entropy(x, t, w, reduction=reduction, label_smoothing=0.1),
        lambda x, t: engine.binary_cross_entropy_with_logits(x, t, wide, reduction=reduction, pos_weight=wide),
    ]
    for loss in losses:
        assert engine.autograd.gradcheck(loss, (x, t))
        np.testing.assert_allclose(loss(x, t).tolist(), loss(x, t.detach()).tolist(), rtol=1e-12)


def test_ignore_index_and_probabilities_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"\[cross_entropy\] ignore_index: expected a number < 0"):
        engine.cross_entropy(engine.zeros(2, 3), engine.ones(2, 3), ignore_index=1)


def test_a_factor_for_each_element() -> None:
    """As PyTorch: a mean is divided by the sum of the factors."""
    x, t, w = (tensor(np.array(v)) for v in ([1.0, 2.0], [0.0, 4.0], [3.0, 1.0]))
    assert engine.mse_loss(x, t, weight=w).item() == (3 * 1 + 1 * 4) / 4
    assert engine.l1_loss(x, t, weight=w, reduction="sum").item() == 3 * 1 + 1 * 2
    assert engine.l1_loss(x, t, weight=w, reduction="none").tolist() == [3, 2]


@pytest.mark.parametrize(
    "older, reduction",
    [
        ((None, False), "none"),
        ((False, None), "sum"),
        ((True, None), "mean"),
        ((False, False), "none"),
        ((1, 0), "none"),
        ((0, 1), "sum"),
    ],
)
def test_older_arguments(older, reduction) -> None:
    x, t = tensor([1.0, 2.0]), tensor([0.0, 4.0])
    size_average, reduce = older
    assert engine.mse_loss(x, t, size_average, reduce).tolist() == engine.mse_loss(x, t, reduction=reduction).tolist()
    module = engine.nn.SmoothL1Loss(size_average, reduce)
    assert module.reduction == reduction


def test_all_labels_ignored(device) -> None:
    """As PyTorch: a mean over nothing is NaN, its gradient 0."""
    n = 3 if device == "cpu" else 301
    x, ignored = engine.ones(n, 4, device=device, requires_grad=True), tensor([-100] * n, device=device)
    loss = engine.cross_entropy(x, ignored)
    assert np.isnan(loss.item())
    loss.backward()
    assert not x.grad.cpu().numpy().any()
    assert engine.cross_entropy(x, ignored, reduction="sum").item() == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_most_labels_ignored(smoothing: float, device) -> None:
    """As where masked tokens are predicted: one in seven counts."""
    rng = np.random.default_rng(0)
    n, classes = 301, 131
    logits = rng.standard_normal((n, classes)).astype(np.float32)
    labels = np.where(rng.random(n) < 1 / 7, rng.integers(0, classes, n), -100)
    x = tensor(logits, device=device).requires_grad_()
    loss = engine.cross_entropy(x, tensor(labels, device=device), label_smoothing=smoothing)
    loss.backward()
    wide = logits.astype(np.float64)
    p = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    wanted = np.full((n, classes), smoothing / classes)
    kept = np.flatnonzero(labels >= 0)
    wanted[kept, labels[kept]] += 1 - smoothing
    assert loss.item() == pytest.approx(-(wanted * np.log(p))[kept].sum() / len(kept), rel=1e-5)
    g = x.grad.cpu().numpy()
    np.testing.assert_allclose(g[kept], (p - wanted)[kept] / len(kept), rtol=1e-4, atol=1e-8)
    assert not np.delete(g, kept, 0).any()


def test_gradient_is_computed_once_and_scaled_later(device) -> None:
    rng = np.random.default_rng(0)
    n = 5 if device == "cpu" else 301
    values, labels = rng.standard_normal((n, 7)).astype(np.float32), tensor(rng.integers(0, 7, n), device=device)
    x = tensor(values, device=device).requires_grad_()
    loss = engine.cross_entropy(x, labels)
    loss.backward(retain_graph=True)
    first = x.grad.cpu().numpy().copy()
    x.grad.zero_()  # writing to .grad must not reach what the node keeps
    x.grad = None
    loss.backward(tensor(np.float32(2), device=device), retain_graph=True)
    np.testing.assert_allclose(x.grad.cpu().numpy(), 2 * first, rtol=1e-6)
    x.grad = None
    loss.backward()
    assert np.array_equal(x.grad.cpu().numpy(), first)


def wide(values, place: str, copies: int = 401) -> engine.Tensor:
    """The rows as they are on the CPU; on a device so many copies of them that they are more than a tile."""
    array = np.array(values, np.float32)
    return tensor(array if place == "cpu" else np.concatenate([array] * copies), device=place)


def test_masked_logits(place: str) -> None:
    x = wide([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, 2.0]], place)
    p, copies = engine.softmax(x, -1).cpu().numpy(), len(x) // 2
    np.testing.assert_allclose(p, [[1 / (1 + np.e), 0, np.e / (1 + np.e)], [0, 0, 1]] * copies, rtol=1e-6)
    t = x.requires_grad_()
    engine.cross_entropy(t, tensor([2, 2] * copies, device=place)).backward()
    assert np.isfinite(t.grad.cpu().numpy()).all()
    assert engine.cross_entropy(t, tensor([1, 2] * copies, device=place)).item() == np.inf


def test_rows_without_finite_numbers(place: str) -> None:
    nothing = wide(np.full((2, 19), -np.inf), place, 31).requires_grad_()
    assert np.isnan(engine.softmax(nothing, -1).detach().cpu().numpy()).all()
    y = engine.logsumexp(nothing, -1)
    assert (y.detach().cpu().numpy() == -np.inf).all()
    y.backward(engine.ones(len(nothing), device=place))
    assert not nothing.grad.cpu().numpy().any()
    for bad in (np.nan, np.inf):
        values = np.zeros((1, 37), np.float32)
        values[0, 20] = bad
        row = wide(values, place, 31)
        assert np.isnan(engine.softmax(row, -1).cpu().numpy()).all()
        found = engine.logsumexp(row, -1).cpu().numpy()
        assert np.array_equal(found, [np.float32(bad)] * len(row), equal_nan=True)


def test_large_logits_overflow_nowhere(place: str) -> None:
    x = wide([[1e4, -1e4, 0.0], [3e38, -3e38, 3e38]], place).requires_grad_()
    copies = len(x) // 2
    losses = engine.cross_entropy(x, tensor([0, 2] * copies, device=place), reduction="none")
    np.testing.assert_allclose(losses.detach().cpu().numpy(), [0, np.log(2)] * copies, atol=1e-6)
    z = wide([-1e30, -200.0, 200.0, 1e30], place).requires_grad_()
    copies = len(z) // 4
    loss = engine.binary_cross_entropy_with_logits(z, wide([0, 1, 0, 1], place), reduction="sum")
    loss.backward()
    assert loss.item() == 400 * copies
    assert np.array_equal(z.grad.cpu().numpy(), [0, -1, 1, 0] * copies)


def test_activations_at_infinity(place: str) -> None:
    x = wide([np.inf, -np.inf, np.nan] * 11, place, 33)
    for name, wanted in {"relu": [np.inf, 0], "sigmoid": [1, 0], "tanh": [1, -1], "erf": [1, -1]}.items():
        y = getattr(engine, name)(x).cpu().numpy()
        assert np.array_equal(y[:2], wanted), name
        assert np.isnan(y[2::3]).all(), name


def test_dropout_add_layer_norm_without_dropout_is_layer_norm(device) -> None:
    rng = np.random.default_rng(1)
    n = 6 if device == "cpu" else 31
    x, r = (tensor(rng.standard_normal((n, 50)).astype(np.float32), device=device) for _ in range(2))
    w, b = (tensor(rng.standard_normal(50).astype(np.float32), device=device) for _ in range(2))
    before = engine._core.random_state()
    y = engine.dropout_add_layer_norm(x, r, w, b, 0.3, training=False)
    assert engine._core.random_state() == before
    assert y.tolist() == engine.layer_norm(x + r, 50, w, b).tolist()


def test_dropout_add_layer_norm_only_sum_used(device) -> None:
    shape = (3, 8) if device == "cpu" else (131, 8)
    x, r = (engine.ones(*shape, device=device, requires_grad=True) for _ in range(2))
    engine.manual_seed(0)
    _, total = engine.dropout_add_layer_norm(x, r, p=0.5, prenorm=True)
    total.backward(engine.ones(*shape, device=device))
    assert np.array_equal(r.grad.cpu().numpy(), np.ones(shape))
    assert np.array_equal(x.grad.cpu().numpy(), total.detach().cpu().numpy() - 1)
