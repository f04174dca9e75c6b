"""Results beyond the caches are written past them: the same bits as in pieces that are not, nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.nn import functional as F

ROWS, D = 22016, 384  # 32.25 MiB of float32
PARTS = [
    (0, 64),
    (10944, 11008),
    (21952, 22016),
]  # multiples of the 64 rows whose sums the backward of a norm adds first


def random(*shape: int) -> engine.Tensor:
    return engine.from_numpy(np.random.default_rng(len(shape)).standard_normal(shape, np.float32)).clone()


@pytest.mark.parametrize(
    "op",
    [
        lambda x, y: F.gelu(x),
        lambda x, y: F.layer_norm(x, (D,)),
        lambda x, y: F.dropout_add_layer_norm(x, y, p=0.0),
        lambda x, y: F.dropout_add_layer_norm(x, y, p=0.0, prenorm=True)[1],
        lambda x, y: F.rms_norm(x, (D,)),
    ],
    ids=["gelu", "layer_norm", "dropout_add_layer_norm", "its sum", "rms_norm"],
)
def test_large_results_have_the_bits_of_small_ones(op, isa: str, guards: None) -> None:
    x, y, dy = random(ROWS, D), random(ROWS, D), random(ROWS, D)
    with engine.no_grad():
        quick = op(x, y).numpy()
    whole = op(x.requires_grad_(), y.requires_grad_())
    whole.backward(dy)
    assert np.array_equal(whole.detach().numpy(), quick)
    for first, last in PARTS:
        a, b = (t.detach()[first:last].clone().requires_grad_() for t in (x, y))
        part = op(a, b)
        part.backward(dy[first:last].clone())
        assert np.array_equal(quick[first:last], part.detach().numpy())
        for large, small in ((x, a), (y, b)):
            if small.grad is not None:
                assert np.array_equal(large.grad.numpy()[first:last], small.grad.numpy())


def test_large_dropout_has_one_mask(isa: str, guards: None) -> None:
    x, y = random(ROWS, D), random(ROWS, D)
    results = []
    for keep in (False, True):
        engine.manual_seed(3)
        results.append(F.dropout_add_layer_norm(x.requires_grad_(keep), y, p=0.5))
    assert np.array_equal(results[0].numpy(), results[1].detach().numpy())
    results[1].backward(random(ROWS, D))
    zero = x.grad.numpy() == 0
    assert 0.49 < zero.mean() < 0.51
    with engine.no_grad():  # what was dropped does not matter
        engine.manual_seed(3)
        again = F.dropout_add_layer_norm(
            engine.where(engine.from_numpy(zero), engine.full((), 9.0), x.detach()), y, p=0.5
        )
    assert np.array_equal(again.numpy(), results[0].numpy())
