"""Layout: where sequences start, on the host and on a device; rectangles and masks; parts of it; what is not one."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine.layout import Layout, equal_offsets, ranges

LENGTHS = [[], [0], [3], [2, 0, 1], [4, 4, 4], [0, 0], [1, 7, 3, 0, 2]]


def by_hand(lengths: list[int], length: int | None = None) -> dict[str, list[int]]:
    """Offsets, positions, and cells of the rectangle padded on the right, the slow way."""
    width = max(lengths, default=0) if length is None else length
    offsets, positions, cells = [0], [], []
    for row, n in enumerate(lengths):
        offsets.append(offsets[-1] + n)
        positions += range(n)
        cells += range(row * width, row * width + n)
    return {"offsets": offsets, "positions": positions, "cells": cells}


def check(layout: Layout, lengths: list[int], cells: list[int], shape: tuple[int, int]) -> None:
    wanted = by_hand(lengths)
    assert layout.cu_seqlens.tolist() == layout.offsets.tolist() == wanted["offsets"]
    assert layout.cu_seqlens.dtype is engine.int32 and layout.offsets.dtype == np.int32
    assert layout.lengths.tolist() == lengths and layout.lengths.dtype == np.int64
    assert layout.positions.tolist() == wanted["positions"] and layout.positions.dtype is engine.int64
    assert (layout.batch_size, layout.total, layout.longest) == (len(lengths), sum(lengths), max(lengths, default=0))
    assert layout.padded_shape == shape
    if layout.indices is None:
        assert cells == list(range(shape[0] * shape[1]))
    else:
        assert layout.indices.tolist() == cells and layout.indices.dtype is engine.int64


@pytest.mark.parametrize("lengths", LENGTHS)
def test_from_lengths(lengths, device):
    wide = max(lengths, default=0)
    for given in (lengths, np.array(lengths, np.int32), tuple(lengths)):
        layout = Layout.from_lengths(given, device=device)
        assert layout.device.type == device
        check(layout, lengths, by_hand(lengths)["cells"], (len(lengths), wide))
        assert layout.indices is layout.indices and layout.positions is layout.positions


@pytest.mark.parametrize("lengths", LENGTHS)
def test_from_cu_seqlens(lengths, device):
    cu = engine.tensor(by_hand(lengths)["offsets"], dtype=engine.int32, device=device)
    check(Layout(cu), lengths, by_hand(lengths)["cells"], (len(lengths), max(lengths, default=0)))
    known = Layout(cu, total=sum(lengths), longest=max(lengths, default=0))
    assert known == Layout(cu) == Layout.from_lengths(lengths)


MASKS = [
    [[1, 1, 0], [1, 0, 0]],  # padding on the right
    [[0, 0, 1], [0, 1, 1]],  # on the left
    [[1, 0, 1], [0, 1, 0]],  # between
    [[0, 0, 0], [1, 1, 1]],
    [[0, 0]],
    np.zeros((0, 3), np.int64).tolist(),
]
DTYPES = [np.int64, np.int32, np.uint8, np.bool_, np.float32, np.float64, np.int8, np.uint16, np.float16]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_masks(mask, dtype):
    array = np.array(mask, dtype).reshape(len(mask), 2 if mask == [[0, 0]] else 3)
    shape, cells = array.shape, np.flatnonzero(array).tolist()
    lengths = (array != 0).sum(1).tolist()
    for given in (array, array.tolist() if len(mask) else array, np.asfortranarray(array)):
        check(Layout.from_rectangle(*shape, given), lengths, cells, shape)
    if dtype not in (np.int8, np.uint16):
        check(Layout.from_rectangle(*shape, engine.from_numpy(array)), lengths, cells, shape)
    if dtype is np.float32:
        check(Layout.from_rectangle(*shape, engine.from_numpy(array).bfloat16()), lengths, cells, shape)


@pytest.mark.parametrize("batch, length", [(0, 3), (2, 0), (3, 4), (1, 1)])
def test_a_rectangle_without_padding(batch, length, device):
    lengths = [length] * batch
    full = Layout.from_rectangle(batch, length, device=device)
    check(full, lengths, list(range(batch * length)), (batch, length))
    assert full.indices is None
    assert full == Layout.from_rectangle(batch, length, np.ones((batch, length)))
    again = Layout.from_rectangle(batch, length, device=device)
    assert again.cu_seqlens is full.cu_seqlens  # made once


def test_packing_by_any_layout(device):
    """Its own rectangle is padded on the right; one that was read stays what it was."""
    layout = Layout.from_lengths([2, 0, 3], device=device)
    x = engine.arange(10.0).reshape(5, 2).to(device)
    padded = engine.pad_packed(x, layout)
    assert padded.shape == (3, 3, 2)
    assert padded.tolist()[0] == [[0.0, 1.0], [2.0, 3.0], [0.0, 0.0]] and not padded[1].any().item()
    assert engine.pack_padded(padded, layout).tolist() == x.tolist()
    read = Layout.from_rectangle(3, 4, np.array([[0, 1, 0, 1], [0] * 4, [1, 1, 1, 0]]), device=device)
    assert read.lengths.tolist() == [2, 0, 3] and read != layout
    assert engine.pad_packed(x, read)[0, :, 0].tolist() == [0.0, 0.0, 0.0, 2.0]
    with pytest.raises(TypeError, match=r"\[pack_padded\] layout: expected a Layout, got tuple"):
        engine.pack_padded(padded, (3, 3))
    with pytest.raises(ValueError, match=r"\[pad_packed\] input: expected 5 positions, got shape \(4, 2\)"):
        engine.pad_packed(x[:4], layout)
    with pytest.raises(ValueError, match=r"\[pack_padded\] input: expected shape \(3, 4, 2\), got \(3, 3, 2\)"):
        engine.pack_padded(padded, read)


# ---- parts


def test_chosen_rows():
    layout = Layout.from_lengths([3, 0, 4, 1])
    for rows in ([0, 2, 3, 6], np.array([0, 2, 3, 6], np.int32), engine.tensor([0, 2, 3, 6])):
        indices, sub = layout.choose(rows)
        assert indices.tolist() == [0, 2, 3, 6] and sub.lengths.tolist() == [2, 0, 2, 0] and sub.total == 4
    assert layout.choose([]).layout.lengths.tolist() == [0] * 4
    assert layout.first().layout.lengths.tolist() == [1] * 4 and layout.first().indices is None
    x = engine.arange(16.0).reshape(8, 2)
    assert engine.take_rows(x, layout, layout.choose([1, 7])).tolist() == x[[1, 7]].tolist()
    whole = Layout.from_lengths([3, 5])
    assert engine.take_rows(x, whole, whole.first()).tolist() == x[[0, 3]].tolist()
    with pytest.raises(ValueError, match="no empty sequence"):
        engine.take_rows(x, layout, layout.first())
    for wrong in ([1, 0], [2, 2], [-1], [8]):
        with pytest.raises(IndexError, match=r"\[Layout.choose\] rows: expected rising numbers in \[0, 8\), got "):
            layout.choose(wrong)
    for odd in ([0.5], [[1]]):
        with pytest.raises(ValueError, match="rows: expected integers"):
            layout.choose(odd)


def test_selected_sequences():
    layout, values = Layout.from_lengths([3, 0, 2, 1]), np.arange(6) * 10
    sub, rows = layout.select([2, 0, 2, 1])
    assert sub.lengths.tolist() == [2, 3, 2, 0] and values[rows].tolist() == [30, 40, 0, 10, 20, 30, 40]
    assert layout.select([])[0] == Layout.from_lengths([])
    with pytest.raises(IndexError, match=r"\[Layout.select\] sequences: expected numbers in \[0, 4\), got 0, 4"):
        layout.select([0, 4])


def test_split():
    layout = Layout.from_lengths([2, 0, 1])
    assert [part.tolist() for part in layout.split(np.array([5, 6, 7]))] == [[5, 6], [], [7]]
    assert [part.shape for part in layout.split(engine.zeros(3, 4))] == [(2, 4), (0, 4), (1, 4)]
    with pytest.raises(ValueError, match=r"\[Layout.split\] values: expected 3 rows, got shape \(2,\)"):
        layout.split(np.zeros(2))


def test_ranges():
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ranges(np.zeros(0, np.int64), np.zeros(0, np.int64)).dtype == np.int64


# ---- the object


def test_equality_and_repr():
    a, b = Layout.from_lengths([2, 1]), Layout.from_lengths([2, 1])
    assert a == b and a != Layout.from_lengths([1, 2]) and a != [2, 1] and a != Layout.from_lengths([2, 1, 0])
    left, right = (Layout.from_rectangle(2, 2, np.array(m)) for m in ([[1, 1], [0, 1]], [[1, 1], [1, 0]]))
    assert right == a and left != right  # the same lengths in other rectangles
    assert Layout.from_rectangle(2, 3, np.array([[1, 1, 0], [1, 0, 0]])) != a
    assert repr(a) == "Layout(batch_size=2, total=3, longest=2)"
    assert repr(Layout.from_rectangle(2, 3)) == "Layout(batch_size=2, total=6, longest=3, length=3)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(again):
    for layout in (Layout.from_lengths([2, 0, 1]), Layout.from_rectangle(2, 2, np.eye(2)), Layout.from_rectangle(2, 2)):
        assert again(layout) == layout and again(layout).positions.tolist() == layout.positions.tolist()


def test_devices(cuda):
    def waits() -> int:
        return engine.cuda.memory_stats()["host_waits"]

    before = waits()
    masked = Layout.from_rectangle(2, 3, np.array([[1, 0, 1], [1, 1, 1]]))
    for here in (Layout.from_lengths([33, 0, 70]), masked, Layout.from_rectangle(3, 5)):
        there = here.to(cuda)
        assert there.device == engine.device("cuda:0") and there.to(cuda) is there and here.to("cpu") is here
        assert (there.total, there.longest) == (here.total, here.longest)
        assert there.lengths.tolist() == here.lengths.tolist() and there.padded_shape == here.padded_shape
        rows = there.choose([0, there.total - 1])
        assert rows.indices.is_cuda and rows.layout.cu_seqlens.is_cuda and there.first().layout.cu_seqlens.is_cuda
        assert there.positions.is_cuda and (there.indices is None or there.indices.is_cuda)
        assert waits() == before, here
        assert there.positions.tolist() == here.positions.tolist()
        assert there == here
        before = waits()
    pinned = masked.pin_memory()
    assert pinned.cu_seqlens.is_pinned() and pinned == masked
    assert "device='cuda:0'" in repr(masked.to(cuda))
    made_there = Layout(engine.tensor([0, 2, 5], dtype=engine.int32, device=cuda))
    before = waits()
    assert made_there.batch_size == 2 and repr(made_there) == "Layout(batch_size=2, device='cuda:0')"
    assert waits() == before
    assert made_there.total == 5 and made_there.longest == 3 and made_there.lengths.tolist() == [2, 3]
    assert waits() == before + 1  # once


@pytest.mark.parametrize(
    ("cu_seqlens", "options", "error", "message"),
    [
        (np.array([0, 1], np.int32), {}, TypeError, "cu_seqlens: expected an int32 Tensor, got ndarray"),
        (engine.tensor([0, 1]), {}, TypeError, "cu_seqlens: expected int32, got int64"),
        (engine.zeros(1, 1, dtype=engine.int32), {}, ValueError, "cu_seqlens: expected 1 dimension"),
        (engine.zeros(0, dtype=engine.int32), {}, ValueError, "got an empty tensor"),
        (
            engine.tensor([1, 2], dtype=engine.int32),
            {},
            ValueError,
            "expected first entry 0 and last entry 2, got 1 and 2",
        ),
        (engine.tensor([0, 3, 2], dtype=engine.int32), {}, ValueError, "never decrease, got sequence 1 of length -1"),
        (
            engine.tensor([0, 2], dtype=engine.int32),
            {"total": 3},
            ValueError,
            "first entry 0 and last entry 3, got 0 and 2",
        ),
        (
            engine.tensor([0, 2], dtype=engine.int32),
            {"longest": 3},
            ValueError,
            "longest: expected 2, the longest length in cu_seqlens, got 3",
        ),
    ],
)
def test_what_is_no_layout(cu_seqlens, options, error, message):
    with pytest.raises(error, match=rf"^\[Layout\] .*{message}"):
        Layout(cu_seqlens, **options)


def test_what_cannot_be_made():
    for lengths, error, message in [
        ([1, -2], ValueError, "lengths: expected numbers >= 0, got -2"),
        ([0.5], TypeError, "lengths: expected integers, got float64"),
        ([[1]], ValueError, r"lengths: expected 1 dimension, got shape \(1, 1\)"),
        (np.array([2**31]), ValueError, "at most 2147483647 positions in all, got 2147483648"),
    ]:
        with pytest.raises(error, match=message):
            Layout.from_lengths(lengths)
    with pytest.raises(ValueError, match=r"attention_mask: expected shape \(2, 3\), got \(3, 2\)"):
        Layout.from_rectangle(2, 3, np.zeros((3, 2)))
    with pytest.raises(TypeError, match="attention_mask: expected numbers, got <U1"):
        Layout.from_rectangle(1, 1, [["a"]])
    for batch, length in ((2**16, 2**16), (-1, 2)):
        with pytest.raises(ValueError, match="at most 2147483647 positions"):
            Layout.from_rectangle(batch, length)
    with pytest.raises(ValueError, match=r"^\[scaled_dot_product_attention\] length"):
        equal_offsets(2**16, 2**16, -1, "scaled_dot_product_attention")


def test_a_layout_cannot_be_changed():
    """Its numbers decide what kernels read, and equal rectangles share one cached layout."""
    starts = np.array([0, 2, 5], np.int32)
    tensor = engine.from_numpy(starts)
    of_tensor = Layout(tensor)
    starts[1] = 4  # the caller's memory, which the layout does not share
    assert of_tensor.lengths.tolist() == [2, 3] and of_tensor.cu_seqlens.tolist() == [0, 2, 5]
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    made = (of_tensor, Layout.from_lengths([2, 3]), Layout.from_rectangle(2, 3), Layout.from_rectangle(2, 3, mask))
    for layout in (*made, made[1].choose([0, 3]).layout, made[1].select([1])[0], made[1].first().layout):
        with pytest.raises((ValueError, RuntimeError), match="read-only"):
            layout.cu_seqlens[1] = 1
        for numbers in (layout.offsets, layout.lengths):
            with pytest.raises(ValueError, match="read-only"):
                numbers[0] = 1


def test_numbers_that_would_wrap_or_be_cut_are_refused():
    with pytest.raises(ValueError, match="lengths: expected at most 2147483647 positions"):
        Layout.from_lengths(np.array([2**63], np.uint64))
    layout = Layout.from_lengths([2, 3])
    for wrong in ([0.9], [True, False], [[0]]):
        with pytest.raises(ValueError, match="sequences: expected integers of shape"):
            layout.select(wrong)
    with pytest.raises(ValueError, match=r"\[Layout.from_rectangle\] attention_mask"):
        Layout.from_rectangle(1, 2, np.array([[1, 3]]))
