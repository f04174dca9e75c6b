"""Elements in another order, repeated, joined, split; diagonals and windows: against NumPy, with gradients and odd shapes."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck

X = np.arange(24.0).reshape(2, 3, 4)


def tensor(x: np.ndarray) -> engine.Tensor:
    return engine.tensor(x)


# name: (engine's call, NumPy's call); each is also differentiated, and applied to a tensor that is not contiguous
CALLS = {
    "flip": (lambda x: engine.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1))),
    "flip nothing": (lambda x: x.flip(()), lambda x: x),
    "flip one by one": (lambda x: x.flip(0, 2), lambda x: np.flip(x, (0, 2))),
    "fliplr": (engine.fliplr, np.fliplr),
    "flipud": (engine.flipud, np.flipud),
    "roll": (lambda x: engine.roll(x, 2, 1), lambda x: np.roll(x, 2, 1)),
    "roll back": (lambda x: x.roll((-1, 5), (0, 2)), lambda x: np.roll(x, (-1, 5), (0, 2))),
    "roll flat": (lambda x: x.roll(7), lambda x: np.roll(x, 7)),
    "rot90": (lambda x: engine.rot90(x, 1, (0, 1)), lambda x: np.rot90(x, 1)),
    "rot90 twice": (lambda x: x.rot90(2, (1, 2)), lambda x: np.rot90(x, 2, (1, 2))),
    "rot90 back": (lambda x: x.rot90(-1, (2, 0)), lambda x: np.rot90(x, -1, (2, 0))),
    "rot90 not": (lambda x: x.rot90(4), lambda x: x),
    "repeat": (lambda x: x.repeat(2, 1, 3), lambda x: np.tile(x, (2, 1, 3))),
    "repeat in front": (lambda x: x.repeat((2, 1, 2, 1)), lambda x: np.tile(x, (2, 1, 2, 1))),
    "repeat many": (lambda x: x.repeat(1, 2, 1, 1, 3), lambda x: np.tile(x, (1, 2, 1, 1, 3))),
    "repeat ones": (lambda x: x.repeat(1, 1, 1, 1), lambda x: x[None]),
    "repeat zero": (lambda x: x.repeat(2, 0, 1), lambda x: np.tile(x, (2, 0, 1))),
    "tile": (lambda x: engine.tile(x, (2,)), lambda x: np.tile(x, 2)),
    "tile one by one": (lambda x: x.tile(2, 3), lambda x: np.tile(x, (2, 3))),
    "repeat_interleave": (lambda x: engine.repeat_interleave(x, 2, 1), lambda x: np.repeat(x, 2, 1)),
    "repeat_interleave flat": (lambda x: x.repeat_interleave(2), lambda x: np.repeat(x, 2)),
    "repeat_interleave each": (
        lambda x: x.repeat_interleave(engine.tensor([2, 0, 1]), dim=1),
        lambda x: np.repeat(x, [2, 0, 1], 1),
    ),
    "diagonal": (lambda x: engine.diagonal(x, 1, 1, 2), lambda x: np.diagonal(x, 1, 1, 2)),
    "diagonal below": (lambda x: x.diagonal(-1, 0, -1), lambda x: np.diagonal(x, -1, 0, 2)),
    "diagonal of nothing": (lambda x: x.diagonal(9), lambda x: np.diagonal(x, 9)),
    "diag": (lambda x: engine.diag(x[0], -1), lambda x: np.diag(x[0], -1)),
    "diag of a vector": (lambda x: x[0, 0].diag(2), lambda x: np.diag(x[0, 0], 2)),
    "diagflat": (lambda x: engine.diagflat(x[0], 1), lambda x: np.diagflat(x[0], 1)),
    "trace": (lambda x: engine.trace(x[0]), lambda x: np.trace(x[0])),
    "unfold": (
        lambda x: x.unfold(2, 2, 1),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 2),
    ),
    "unfold apart": (
        lambda x: x.unfold(-1, 1, 3),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 1, 2)[:, :, ::3],
    ),
    "unfold in front": (
        lambda x: x.unfold(1, 2, 1),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1),
    ),
    "moveaxis": (lambda x: engine.moveaxis(x, (0, 1), (2, 0)), lambda x: np.moveaxis(x, (0, 1), (2, 0))),
    "swapdims": (lambda x: x.swapdims(0, 2), lambda x: np.swapaxes(x, 0, 2)),
    "ravel": (engine.ravel, np.ravel),
    "hstack": (lambda x: engine.hstack([x, x]), lambda x: np.hstack([x, x])),
    "hstack of vectors": (lambda x: engine.hstack((x[0, 0], x[0, 0, 0])), lambda x: np.hstack([x[0, 0], x[0, 0, 0]])),
    "vstack": (lambda x: engine.vstack([x[0, 0], x[0]]), lambda x: np.vstack([x[0, 0], x[0]])),
    "dstack": (lambda x: engine.dstack([x[0], x[1]]), lambda x: np.dstack([x[0], x[1]])),
    "column_stack": (
        lambda x: engine.column_stack([x[0, :, 0], x[1]]),
        lambda x: np.column_stack([x[0, :, 0], x[1]]),
    ),
    "concatenate": (lambda x: engine.concatenate([x, x], dim=1), lambda x: np.concatenate([x, x], 1)),
    "atleast_1d": (lambda x: engine.atleast_1d(x[0, 0, 0]), lambda x: np.atleast_1d(x[0, 0, 0])),
    "atleast_2d": (lambda x: engine.atleast_2d(x[0, 0]), lambda x: np.atleast_2d(x[0, 0])),
    "atleast_3d": (lambda x: engine.atleast_3d(x[0, 0]), lambda x: np.atleast_3d(x[0, 0])),
    "diff": (lambda x: engine.diff(x * x, 2, 1), lambda x: np.diff(x * x, 2, 1)),
    "diff with ends": (
        lambda x: x.diff(dim=0, prepend=x[:1], append=x),
        lambda x: np.diff(x, axis=0, prepend=x[:1], append=x),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_numpy(name: str) -> None:
    ours, theirs = CALLS[name]
    for x in (tensor(X), tensor(np.ascontiguousarray(X.transpose(2, 1, 0))).permute(2, 1, 0)):
        np.testing.assert_array_equal(ours(x).numpy(), theirs(X))
    whole = ours(tensor(X).long())
    assert whole.dtype is engine.int64
    np.testing.assert_array_equal(whole.numpy(), theirs(X))
    if whole.numel():
        assert gradcheck(ours, tensor(X / 10).requires_grad_())


def test_diag_embed() -> None:
    x = tensor(X)
    for offset in (-2, 0, 1):
        y = engine.diag_embed(x, offset, 0, -2)
        assert y.shape == (4 + abs(offset), 2, 4 + abs(offset), 3)
        assert engine.equal(y.diagonal(offset, 0, -2), x)
        assert y.sum().item() == x.sum().item()
    assert gradcheck(lambda x: engine.diag_embed(x, 1), tensor(X / 10).requires_grad_())
    assert engine.diag_embed(engine.zeros(0)).shape == (0, 0)


def test_diagonal_and_unfold_share_memory() -> None:
    x = engine.zeros(3, 3)
    x.diagonal().fill_(1)
    assert engine.equal(x, engine.eye(3))
    y = engine.zeros(4)
    y.unfold(0, 2, 2).fill_(2)
    assert y.tolist() == [2] * 4
    assert engine.tensor(5.0).unfold(0, 1, 1).tolist() == [5]
    part = x[1:, 1:].diagonal()
    part.fill_(7)
    assert x.diagonal().tolist() == [1, 7, 7]


def test_triangles() -> None:
    for name in ("tril", "triu"):
        for rows, columns, offset in ((3, 4, 0), (4, 3, -1), (2, 5, 2), (0, 3, 0)):
            expected = np.array(getattr(np, f"{name}_indices")(rows, offset, columns))
            got = getattr(engine, f"{name}_indices")(rows, columns, offset)
            np.testing.assert_array_equal(got.numpy(), expected)
    assert engine.tril_indices(2, 2, dtype=engine.int32).dtype is engine.int32


def test_meshgrid_and_broadcast() -> None:
    a, b, c = np.arange(2.0), np.arange(3.0), np.array(7.0)
    for indexing in ("ij", "xy"):
        expected = np.meshgrid(a, b, c, indexing=indexing)
        got = engine.meshgrid(tensor(a), tensor(b), tensor(c), indexing=indexing)
        for g, e in zip(got, expected, strict=True):
            np.testing.assert_array_equal(g.numpy(), e)
    assert [g.shape for g in engine.meshgrid([tensor(a), tensor(b)])] == [(2, 3)] * 2
    x, y = engine.broadcast_tensors(engine.zeros(3, 1), engine.ones(2))
    assert x.shape == y.shape == engine.broadcast_shapes((3, 1), (2,)) == (3, 2)
    assert [t.shape for t in engine.atleast_2d(engine.tensor(1.0), engine.zeros(3))] == [(1, 1), (1, 3)]


def test_splits() -> None:
    for cuts in (2, 3, (1, 2), (2, 1, 9), (-1,)):
        expected = np.array_split(X, cuts if isinstance(cuts, int) else list(cuts), 2)
        for got in (engine.tensor_split(tensor(X), cuts, dim=2), tensor(X).tensor_split(cuts, 2)):
            for g, e in zip(got, expected, strict=True):
                assert g.tolist() == e.tolist()
    by_tensor = tensor(X).tensor_split(engine.tensor([1, 3]), 2)
    assert [t.shape[2] for t in by_tensor] == [1, 2, 1]
    for name in ("hsplit", "vsplit", "dsplit"):
        for cuts in ([1],) if name == "hsplit" else (2, [1]):
            for g, e in zip(getattr(engine, name)(tensor(X), cuts), getattr(np, name)(X, cuts), strict=True):
                assert g.tolist() == e.tolist()
    assert [t.shape for t in tensor(X).split_with_sizes([1, 2], 1)] == [(2, 1, 4), (2, 2, 4)]
    assert gradcheck(lambda x: engine.tensor_split(x, (1, 3), 2)[1] * 2, tensor(X / 10).requires_grad_())


def test_repeated_indices() -> None:
    assert engine.repeat_interleave(engine.tensor([1, 0, 2])).tolist() == [0, 2, 2]
    assert engine.tensor(3).repeat_interleave(2).tolist() == [3, 3]
    assert engine.zeros(0, 2).repeat_interleave(3, 0).shape == (0, 2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: x.flip((0, 0)), r"\[flip\] dims: expected each dimension once, got \(0, 0\)"),
        (lambda x: x.flip(3), r"\[flip\] dims: expected a number in \[-3, 2\], got 3"),
        (lambda x: x.roll((1, 2)), r"\[roll\] shifts: expected one number, because dims is not given, got \(1, 2\)"),
        (lambda x: x.roll(1, (0, 1)), r"\[roll\] dims: expected 1 dimension, as many as shifts"),
        (lambda x: x.rot90(1, (0,)), r"\[rot90\] dims: expected two of the input's dimensions"),
        (lambda x: x.repeat(2), r"\[repeat\] repeats: expected at least 3 numbers, one for each dimension, got \(2,\)"),
        (lambda x: x.repeat_interleave(-1), r"\[repeat_interleave\] repeats: expected a number >= 0, got -1"),
        (lambda x: x.repeat_interleave(engine.tensor([1, 2]), 1), r"\[repeat_interleave\] repeats: expected one number, or 3"),
        (lambda x: x.repeat_interleave(2, 0, output_size=3), r"\[repeat_interleave\] output_size: expected 4, got 3"),
        (lambda x: x.diagonal(0, 1, 1), r"\[diagonal\] dim2: expected another dimension than dim1, 1, got 1"),
        (lambda x: x.diag(), r"\[diag\] input: expected 1 or 2 dimensions, got 3"),
        (lambda x: x.unfold(2, 5, 1), r"\[unfold\] size: expected a number in \[0, 4\], got 5"),
        (lambda x: x.unfold(2, 1, 0), r"\[unfold\] step: expected a number > 0, got 0"),
        (lambda x: x.vsplit(3), r"\[vsplit\] sections: expected a number that divides 2, got 3"),
        (lambda x: engine.meshgrid(x), r"\[meshgrid\] tensors\[0\]: expected at most 1 dimension"),
        (lambda x: engine.meshgrid(x[0, 0], indexing="yx"), r"\[meshgrid\] indexing: expected 'ij' or 'xy', got 'yx'"),
        (lambda x: engine.broadcast_tensors(x, x[0, :2]), r"\[broadcast_tensors\] shapes: expected shapes that broadcast"),
        (lambda x: engine.hstack([x, x[:, :, :1]]), r"\[hstack\] tensors\[1\]: expected the sizes of \(2, 3, 4\)"),
    ],
)  # fmt: skip
def test_errors_name_the_op(call, message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        call(tensor(X))
