"""A model over batches: modes, devices, structures, and what is left of a loop that is broken off."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn
from engine.data import Batch, DataLoader, TensorDataset
from engine.models.forward import compute_logits, counted_rows, evaluating, run_batches
from engine.ops import is_autocast_enabled


class Seen(nn.Module):
    """Doubles its input, and notes in which mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.frozen = nn.Linear(2, 2), nn.Dropout(0.5).eval()
        self.modes: list[tuple[bool, bool, bool]] = []

    def forward(self, batch):
        x = batch.x if isinstance(batch, Batch) else batch[0]
        self.modes.append((self.training or self.inner.training, engine.is_grad_enabled(), is_autocast_enabled()))
        return x * 2


def batches(labels: bool = True) -> list[Batch]:
    fields = [{"x": np.full((n, 1), n, np.float32), "labels": np.arange(n)} for n in (3, 1, 2)]
    return [Batch(f if labels else {"x": f["x"]}) for f in fields]


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_outputs_come_in_order_and_the_modes_are_put_back() -> None:
    model, given = Seen(), batches()
    before = modes(model)
    assert before == [True, True, False]
    found = []
    for batch, output in run_batches(model, given):
        assert modes(model) == before and engine.is_grad_enabled()  # in between the caller's modes hold
        found.append((batch, output.tolist()))
    assert [b for b, _ in found] == given and [len(y) for _, y in found] == [3, 1, 2]
    assert model.modes == [(False, False, False)] * 3
    assert modes(model) == before  # what was frozen is so still


def test_a_loop_that_is_left_and_one_that_fails_leave_nothing_behind() -> None:
    model = Seen()
    before = modes(model)
    loop = run_batches(model, batches())
    next(loop)
    assert modes(model) == before and engine.is_grad_enabled()
    with pytest.raises(ZeroDivisionError):
        next(run_batches(model, batches(), lambda m, batch: 1 / 0))
    assert modes(model) == before and engine.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert modes(model) == [False] * 3
        _ = 1 / 0
    assert modes(model) == before


def test_a_call_of_ones_own_may_want_gradients() -> None:
    def slope(model, batch):
        with engine.enable_grad():
            x = batch.x.requires_grad_()
            (dx,) = engine.autograd.grad((x * x).sum(), x)
        return dx

    assert [y.tolist()[0] for _, y in run_batches(Seen(), batches(), slope)] == [[6.0], [2.0], [4.0]]


def test_plain_structures_are_batches_too() -> None:
    loader = DataLoader(TensorDataset(np.ones((5, 2), np.float32), np.arange(5)), 2)
    found = [(len(batch), output.shape) for batch, output in run_batches(Seen(), loader)]
    assert found == [(2, (2, 2)), (2, (2, 2)), (2, (1, 2))]


def test_logits_and_labels() -> None:
    logits, labels = compute_logits(Seen(), batches())
    assert logits[:, 0].tolist() == [6, 6, 6, 2, 4, 4] and labels.tolist() == [0, 1, 2, 0, 0, 1]
    assert compute_logits(Seen(), batches(labels=False))[1] is None
    with pytest.raises(ValueError, match=r"\[compute_logits\] batches: expected at least one batch, got none"):
        compute_logits(Seen(), [])
    kept = counted_rows(np.array([1, -100, 0]), np.eye(3))
    assert kept[0].tolist() == [1, 0] and kept[1].shape == (2, 3)


def test_on_a_device(cuda) -> None:
    model = Seen().to(cuda)
    given = batches()
    found = [output for _, output in run_batches(model, given, autocast=True)]
    assert all(output.is_cuda for output in found) and given[0].x.is_cpu
    assert model.modes == [(False, False, True)] * 3
    with engine.autocast():
        list(run_batches(model, given[:1]))
        list(run_batches(model, given[:1], autocast=False))
    assert [seen[2] for seen in model.modes[3:]] == [True, False]
    assert next(run_batches(model, given, lambda m, batch: batch.x, device="cpu"))[1].is_cpu
    logits, labels = compute_logits(model, [batch.to(cuda) for batch in given])
    assert logits[:, 0].tolist() == [6, 6, 6, 2, 4, 4] and labels.tolist() == [0, 1, 2, 0, 0, 1]
