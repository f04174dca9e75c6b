"""PackedBatch: building from lists and rectangles, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine import Layout, Tensor
from engine.data._arrays import from_numpy
from engine.text import PackedBatch


def values(tensor: Tensor | None) -> list[Any]:
    assert tensor is not None
    return tensor.numpy().tolist()


def reference(sequences: list[list[int]]) -> tuple[list[int], list[int], list[int]]:
    """ids, cu_seqlens, positions, written the slow way."""
    ids, starts, positions = [], [0], []
    for sequence in sequences:
        for position, number in enumerate(sequence):
            ids.append(number)
            positions.append(position)
        starts.append(len(ids))
    return ids, starts, positions


CASES = [
    [],
    [[]],
    [[7]],
    [[], [], []],
    [[1, 2, 3]],
    [[1], [2, 3], [4, 5, 6], [], [7]],
    [[], [5, 6], []],
]


@pytest.mark.parametrize("sequences", CASES)
@pytest.mark.parametrize("kind", ["lists", "arrays", "int32", "tuples", "generator"])
def test_from_sequences(sequences: list[list[int]], kind: str) -> None:
    given: Any = {
        "lists": sequences,
        "arrays": [np.array(s, dtype=np.int64) for s in sequences],
        "int32": [np.array(s, dtype=np.int32) for s in sequences],
        "tuples": tuple(tuple(s) for s in sequences),
        "generator": (s for s in sequences),
    }[kind]
    batch = PackedBatch.from_sequences(given)
    ids, starts, positions = reference(sequences)
    assert values(batch.input_ids) == ids and batch.input_ids.numpy().dtype == np.int64
    assert values(batch.cu_seqlens) == starts and batch.cu_seqlens.numpy().dtype == np.int32
    assert values(batch.position_ids) == positions and batch.position_ids.numpy().dtype == np.int64
    assert batch.max_seqlen == max(map(len, sequences), default=0)
    assert type(batch.max_seqlen) is int
    assert values(batch.lengths) == [len(s) for s in sequences]
    assert batch.batch_size == len(batch) == len(sequences)
    assert batch.total_tokens == len(ids)
    assert batch.padded_tokens == len(sequences) * batch.max_seqlen
    assert batch.labels is None and batch.token_type_ids is None


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        ([1, 0], np.int64),
        (np.array([1, 0], np.int32), np.int64),
        ([0.5, 1.0], np.float32),
        (np.array([0.5, 1.0]), np.float64),
        (np.array([[0.5, 0.5], [1.0, 0.0]], np.float32), np.float32),
        ([True, False], np.int64),
    ],
)
def test_labels(labels: Any, dtype: type) -> None:
    batch = PackedBatch.from_sequences([[1], [2]], labels=labels)
    assert batch.labels is not None
    assert batch.labels.numpy().dtype == dtype
    np.testing.assert_array_equal(batch.labels.numpy(), np.asarray(labels))


def test_labels_as_tensor_and_of_an_empty_batch() -> None:
    labels = from_numpy(np.array([3, 4]))
    assert values(PackedBatch.from_sequences([[1], [2]], labels=labels).labels) == [3, 4]
    batch = PackedBatch.from_sequences([], labels=[])
    assert batch.labels is not None and batch.labels.numpy().dtype == np.int64


def test_token_types() -> None:
    batch = PackedBatch.from_sequences([[1, 2], [3]], token_type_ids=[[0, 1], [0]])
    assert values(batch.token_type_ids) == [0, 1, 0]
    with pytest.raises(ValueError, match="token_type_ids: expected length 2 in row 0, as in ids, got 1"):
        PackedBatch.from_sequences([[1, 2], [3]], token_type_ids=[[0], [0, 1]])
    with pytest.raises(ValueError, match="2 sequences, as many as ids, got 1"):
        PackedBatch.from_sequences([[1, 2], [3]], token_type_ids=[[0, 1]])


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ([[1], [2.0]], TypeError, "integers in row 1, got float64"),
        ([[1], ["a"]], TypeError, "integers in row 1"),
        ([[1], [None]], TypeError, "integers in row 1, got object"),
        ([[True]], TypeError, "integers in row 0, got bool"),
        ([1, 2], TypeError, "flat sequence of integers in row 0, got 0-D"),
        ([[[1]]], TypeError, "flat sequence of integers in row 0, got 2-D"),
        ([[[1], [1, 2]]], TypeError, "flat sequence of integers in row 0"),
        ("abc", TypeError, "sequences of integers, got str"),
        ([[], [1, 2], [], [3, -4]], ValueError, "ids >= 0, got -4 in row 3"),
    ],
)
def test_bad_ids(sequences: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        PackedBatch.from_sequences(sequences)
    assert str(caught.value).startswith("[PackedBatch.from_sequences] ids: expected ")


def test_bad_labels() -> None:
    with pytest.raises(ValueError, match=r"\[PackedBatch\] labels: expected 2 rows.*\(3,\)"):
        PackedBatch.from_sequences([[1], [2]], labels=[1, 2, 3])
    with pytest.raises(ValueError, match="labels: expected one label for each sequence, got a single int64"):
        PackedBatch.from_sequences([[1]], labels=3)
    with pytest.raises(TypeError, match=r"labels: expected integers or floats.*Labels"):
        PackedBatch.from_sequences([[1]], labels=["a"])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float32, np.uint8])
@pytest.mark.parametrize("sequences", [*CASES, [[3] * 11, [4] * 2]])
def test_padded_round_trip(sequences: list[list[int]], side: str, dtype: type) -> None:
    length = max(map(len, sequences), default=0) + 2
    ids = np.full((len(sequences), length), 99)
    mask = np.zeros(ids.shape, dtype)
    for row, sequence in enumerate(sequences):
        at = slice(0, len(sequence)) if side == "right" else slice(length - len(sequence), length)
        ids[row, at] = sequence
        mask[row, at] = 1
    batch = PackedBatch.from_padded(from_numpy(ids), from_numpy(mask), token_type_ids=ids + 1, labels=[0] * len(ids))
    expected = PackedBatch.from_sequences(sequences)
    for name in ("input_ids", "cu_seqlens", "position_ids"):
        got, want = getattr(batch, name).numpy(), getattr(expected, name).numpy()
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    assert batch.max_seqlen == expected.max_seqlen
    assert values(batch.token_type_ids) == [number + 1 for number in values(batch.input_ids)]
    back, back_mask = batch.to_padded(pad_id=5)
    assert back.numpy().dtype == back_mask.numpy().dtype == np.int64
    assert back.shape == back_mask.shape == (len(sequences), batch.max_seqlen)
    for row, sequence in enumerate(sequences):
        rest = batch.max_seqlen - len(sequence)
        assert back.numpy()[row].tolist() == sequence + [5] * rest
        assert back_mask.numpy()[row].tolist() == [1] * len(sequence) + [0] * rest


def test_from_padded_without_mask_and_from_a_strided_array() -> None:
    ids = np.arange(24, dtype=np.int32).reshape(4, 6)[::2, ::-2]
    batch = PackedBatch.from_padded(ids)
    assert values(batch.input_ids) == [5, 3, 1, 17, 15, 13]
    assert batch.max_seqlen == 3
    ids[:] = -1
    assert values(batch.input_ids) == [5, 3, 1, 17, 15, 13]


def test_padded_cells_are_not_looked_at() -> None:
    batch = PackedBatch.from_padded(np.array([[1, -100]]), np.array([[1, 0]]))
    assert values(batch.input_ids) == [1]
    with pytest.raises(ValueError, match="ids >= 0, got -100"):
        PackedBatch.from_padded(np.array([[1, -100]]), np.array([[1, 1]]))


def test_padding_may_stand_between_tokens() -> None:
    """Positions count the real tokens, unless they are given."""
    ids, mask = np.array([[5, 9, 6], [9, 7, 9]]), np.array([[1, 0, 1], [0, 1, 0]])
    batch = PackedBatch.from_padded(ids, mask)
    assert values(batch.input_ids) == [5, 6, 7] and values(batch.position_ids) == [0, 1, 0]
    assert values(batch.lengths) == [2, 1] and batch.to_padded()[0].tolist() == [[5, 6], [7, 0]]
    columns = np.array([[0, 1, 2], [0, 1, 2]])
    assert values(PackedBatch.from_padded(ids, mask, position_ids=columns).position_ids) == [0, 2, 1]
    with pytest.raises(ValueError, match=r"position_ids: expected shape \(2, 3\), got \(1, 3\)"):
        PackedBatch.from_padded(ids, mask, position_ids=columns[:1])


def test_a_batch_of_a_whole_rectangle_has_memory_of_its_own() -> None:
    ids = np.array([[1, 2], [3, 4]])
    batch = PackedBatch.from_padded(ids, token_type_ids=ids)
    ids[:] = 9
    assert values(batch.input_ids) == values(batch.token_type_ids) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([[1, 2, 0], [1, 0, 0]]), r"expected 0 \(padding\) and 1, got 2 at row 0"),
        (np.array([[1, 2, 0], [1, 0, 0]], np.int8), r"expected 0 \(padding\) and 1, got 2 at row 0"),
        (np.array([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]]), r"expected 0 \(padding\) and 1, got 0.5 at row 0"),
        (np.array([[0.0, 0.0, 0.0], [np.nan, 0.0, 0.0]]), r"expected 0 \(padding\) and 1, got nan at row 1"),
        (np.array([[0.0, -1e9, 0.0], [0.0, 0.0, 0.0]]), r"expected 0 \(padding\) and 1"),
        (np.array([[1, 0], [1, 0]]), r"expected shape \(2, 3\), got \(2, 2\)"),
    ],
)
def test_bad_masks(mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        PackedBatch.from_padded(np.zeros((2, 3), np.int64), mask)
    assert str(caught.value).startswith("[PackedBatch.from_padded] attention_mask: expected ")


def test_bad_rectangles() -> None:
    with pytest.raises(ValueError, match=r"input_ids: expected shape \(batch, length\), got \(3,\)"):
        PackedBatch.from_padded(np.zeros(3, np.int64))
    with pytest.raises(TypeError, match="input_ids: expected integers, got float64"):
        PackedBatch.from_padded(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"token_type_ids: expected shape \(2, 3\), got \(2, 4\)"):
        PackedBatch.from_padded(np.zeros((2, 3), np.int64), token_type_ids=np.zeros((2, 4), np.int64))


def test_layout_puts_rows_back_where_they_were() -> None:
    mask = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    layout = Layout.from_rectangle(3, 4, mask)
    assert layout.indices is not None
    indices = layout.indices.numpy()
    hidden = np.random.default_rng(0).normal(size=(3, 4, 5))
    packed = hidden.reshape(-1, 5)[indices]
    assert layout.cu_seqlens.tolist() == [0, 2, 2, 6]
    assert layout.positions.tolist() == [0, 1, 0, 1, 2, 3]
    assert layout.longest == 4
    back = np.zeros((12, 5))
    back[indices] = packed
    np.testing.assert_array_equal(back.reshape(3, 4, 5), hidden * mask[:, :, None])


def batch_of(**changes: Any) -> PackedBatch:
    fields: dict[str, Any] = {
        "input_ids": np.array([1, 2, 3]),
        "cu_seqlens": np.array([0, 2, 3], np.int32),
        "position_ids": np.array([0, 1, 0]),
    }
    fields.update({name: value for name, value in changes.items() if isinstance(value, np.ndarray)})
    arrays = {name: from_numpy(value) for name, value in fields.items()}
    return PackedBatch(max_seqlen=changes.get("max_seqlen", 2), **arrays)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"input_ids": np.array([1, 2, 3], np.int32)}, TypeError, "input_ids: expected int64, got int32"),
        ({"input_ids": np.array([[1, 2, 3]])}, ValueError, "input_ids: expected 1 dimension"),
        ({"cu_seqlens": np.array([0, 2, 3])}, TypeError, "cu_seqlens: expected int32, got int64"),
        ({"cu_seqlens": np.array([], np.int32)}, ValueError, "cu_seqlens: expected at least one entry"),
        ({"cu_seqlens": np.array([1, 2, 3], np.int32)}, ValueError, "first entry 0 and last entry 3, got 1 and 3"),
        ({"cu_seqlens": np.array([0, 2], np.int32)}, ValueError, "first entry 0 and last entry 3, got 0 and 2"),
        ({"cu_seqlens": np.array([0, 4, 3], np.int32)}, ValueError, "sequence 1 of length -1"),
        ({"max_seqlen": 3}, ValueError, "max_seqlen: expected 2, the longest length in cu_seqlens, got 3"),
        ({"position_ids": np.array([0, 1])}, ValueError, r"position_ids: expected shape \(3,\), got \(2,\)"),
        ({"token_type_ids": np.array([0, 1])}, ValueError, r"token_type_ids: expected shape \(3,\)"),
        ({"labels": np.array([0])}, ValueError, "labels: expected 2 rows"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    assert batch_of().total_tokens == 3
    with pytest.raises(error, match=message):
        batch_of(**changes)


def test_lengths_that_do_not_sum_up() -> None:
    with pytest.raises(ValueError, match="lengths: expected a sum of 3, the number of ids, got 4"):
        PackedBatch.from_flat(np.arange(3), np.array([2, 2]))


def test_too_many_tokens_for_int32() -> None:
    ids = np.broadcast_to(np.int64(0), (2**31,))  # no memory behind it
    with pytest.raises(ValueError, match="at most 2147483647 positions"):
        PackedBatch.from_flat(ids, np.array([2**31]))


def test_repr_is_short() -> None:
    batch = PackedBatch.from_sequences([[1] * 1000], labels=[1])
    assert repr(batch) == "PackedBatch(batch_size=1, total_tokens=1000, max_seqlen=1000, labels)"
