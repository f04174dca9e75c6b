"""A NaN that goes into a loss or an activation comes out: as the loss, and as the gradient wherever the curve has a slope there."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.nn import functional as F

LOSSES = {
    "binary_cross_entropy_with_logits": {},
    "mse_loss": {},
    "smooth_l1_loss": {},
    "huber_loss": {},
    "soft_margin_loss": {},
    "poisson_nll_loss": {},
    "multilabel_soft_margin_loss": {},
}
CURVES = "celu elu gelu hardswish logsigmoid mish selu sigmoid silu softplus softsign tanh tanhshrink log exp sqrt erf sin cos"


def with_nan(size, at, like=0.5):
    values = np.full(size, like, np.float32)
    values[at] = np.nan
    return engine.from_numpy(values)


@pytest.mark.parametrize("target_grad", [False, True])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_losses(isa, name, target_grad, label) -> None:
    for size in (1, 7, 40):
        x = with_nan((3, size), (1, size // 2)).requires_grad_()
        target = engine.full((3, size), label, requires_grad=target_grad)
        getattr(F, name)(x, target, reduction="sum").backward()
        bad = x.grad.isnan().numpy()
        assert bad[1, size // 2], (isa, size)
        others = np.delete(bad.ravel(), size + size // 2)
        assert not others.any(), (isa, size)
        for reduction in ("mean", "sum"):
            assert getattr(F, name)(x, target, reduction=reduction).isnan().item()


@pytest.mark.parametrize("name", CURVES.split())
def test_curves(isa, name) -> None:
    call = getattr(F, name, None) or getattr(engine, name)
    for size in (1, 7, 40):
        x = with_nan(size, size // 2).requires_grad_()
        y = call(x)
        y.sum().backward()
        expected = np.arange(size) == size // 2
        assert np.array_equal(y.isnan().numpy(), expected), (isa, size)
        assert np.array_equal(x.grad.isnan().numpy(), expected), (isa, size)


def test_logits_with_soft_targets_agree_with_the_kernel() -> None:
    """The form through which the target gets a gradient gives the loss and the gradient of the other, also where exp overflows."""
    logits = engine.tensor([-200.0, -3.0, 0.0, 3.0, 200.0])
    for weights in ({}, {"pos_weight": engine.full((5,), 3.0)}, {"weight": engine.full((5,), 2.0)}):
        found = []
        for soft in (False, True):
            x = logits.clone().requires_grad_()
            loss = F.binary_cross_entropy_with_logits(x, engine.full((5,), 0.25, requires_grad=soft), **weights)
            loss.backward()
            found.append((loss.item(), *x.grad.tolist()))
        assert np.allclose(*found, rtol=1e-5, atol=1e-7)
