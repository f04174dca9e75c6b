"""Sequences as a rectangle and back; clipping by a known norm."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn
from engine.nn.utils.rnn import pad_sequence, unpad_sequence

PARTS = [np.arange(n * 2, dtype=np.float32).reshape(n, 2) + n for n in (3, 1, 0, 4)]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_pad_sequence(side, batch_first):
    parts = [engine.tensor(p).requires_grad_() for p in PARTS]
    y = pad_sequence(parts, batch_first, -1.0, side)
    wanted = np.full((4, 4, 2), -1.0)
    for i, p in enumerate(PARTS):
        wanted[i, slice(0, len(p)) if side == "right" else slice(4 - len(p), 4)] = p
    wanted = wanted if batch_first else wanted.swapaxes(0, 1)
    assert y.detach().numpy().tolist() == wanted.tolist()
    (y * y).sum().backward()
    for part, p in zip(parts, PARTS):
        assert np.array_equal(part.grad.numpy(), 2 * p)
    if side == "right":
        for given in (engine.tensor([3, 1, 0, 4]), [3, 1, 0, 4]):
            assert [p.tolist() for p in unpad_sequence(y, given, batch_first)] == [p.tolist() for p in PARTS]


def test_pad_sequence_of_ids_and_of_a_tensor():
    ids = pad_sequence([engine.tensor([1, 2]), engine.tensor([3])], batch_first=True, padding_value=9)
    assert ids.tolist() == [[1, 2], [3, 9]] and ids.dtype is engine.int64
    assert pad_sequence(engine.ones(2, 3), True).shape == (2, 3)
    assert pad_sequence(iter([engine.ones(1), engine.ones(2)])).shape == (2, 2)


def test_pad_sequence_mistakes():
    x = engine.ones(3, 2)
    for wrong, kind, message in [
        (lambda: pad_sequence([]), ValueError, "at least one Tensor"),
        (lambda: pad_sequence(3), TypeError, "an iterable of Tensors"),
        (lambda: pad_sequence([x, 3]), TypeError, r"sequences\[1\]"),
        (
            lambda: pad_sequence([x, engine.ones(3)]),
            ValueError,
            r"sequences\[1\]: expected shape \(length, 2\), got \(3,\)",
        ),
        (lambda: pad_sequence([engine.ones(())]), ValueError, "at least 1 dimension"),
        (lambda: pad_sequence([x], padding_side="top"), ValueError, "padding_side"),
        (lambda: unpad_sequence(x, [1, 2, 3]), ValueError, "lengths"),
        (lambda: unpad_sequence(x, [1, 9]), ValueError, r"numbers in \[0, 3\]"),
        (lambda: unpad_sequence(x, [1.0, 2.0]), ValueError, "integers"),
        (lambda: unpad_sequence(engine.ones(3), [1]), ValueError, "at least 2 dimensions"),
    ]:
        with pytest.raises(kind, match=message):
            wrong()


def test_clipping_by_a_norm_that_is_known():
    def gradients():
        ps = [nn.Parameter(engine.zeros(3)), nn.Parameter(engine.zeros(2))]
        for i, p in enumerate(ps):
            p.grad = engine.full(p.shape, 2.0 + i)
        return ps

    a, b, c = gradients(), gradients(), gradients()
    norm = nn.utils.get_total_norm([p.grad for p in a], foreach=True)
    nn.utils.clip_grads_with_norm_(a, 1.0, norm)
    nn.utils.clip_grad_norm_(b, 1.0)
    nn.utils.clip_grads_with_norm_(c, 100.0, norm)
    assert [p.grad.tolist() for p in a] == [p.grad.tolist() for p in b]
    assert c[0].grad.tolist() == [2, 2, 2] and nn.utils.clip_grad_norm is nn.utils.clip_grad_norm_
    with pytest.raises(ValueError, match="total_norm: expected one element"):
        nn.utils.clip_grads_with_norm_(a, 1.0, engine.ones(2))
    with pytest.raises(ValueError, match="max_norm"):
        nn.utils.clip_grads_with_norm_(a, -1.0, norm)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[5, 3, 2], [2, 5, 3]])
def test_packed_sequences_as_pytorch(lengths, batch_first):
    torch = pytest.importorskip("torch")
    from engine.nn.utils import rnn

    x = np.random.default_rng(0).random((3, 5, 4) if batch_first else (5, 3, 4), np.float32)
    found = []
    for T, kit in ((engine, rnn), (torch, torch.nn.utils.rnn)):
        t = T.tensor(x, requires_grad=True)
        packed = kit.pack_padded_sequence(t, T.tensor(lengths), batch_first, lengths == sorted(lengths)[::-1])
        packed = packed.double()
        padded, sizes = kit.pad_packed_sequence(packed, batch_first, -1.0, total_length=6)
        (padded * padded).sum().backward()
        parts = kit.unpack_sequence(kit.pack_sequence([T.ones(1), T.ones(3)], enforce_sorted=False))
        results = (*packed, padded, sizes, t.grad, *parts)
        found.append([None if r is None else r.tolist() for r in results])
    assert found[0] == found[1]
    with pytest.raises(ValueError, match="lengths: expected numbers that do not rise"):
        rnn.pack_padded_sequence(engine.ones(2, 2), [1, 2])
    with pytest.raises(ValueError, match=r"lengths: expected numbers in \[1, 2\]"):
        rnn.pack_padded_sequence(engine.ones(2, 2), [2, 0])
