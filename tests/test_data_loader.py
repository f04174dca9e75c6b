"""Datasets, samplers, DataLoader: every item once, budgets kept, the same order again."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pytest

import engine
from engine import Tensor
from engine.data import BatchPlan, DataLoader, Dataset, Subset, TensorDataset, default_collate, random_split
from engine.data._arrays import from_numpy
from engine.text import PackedBatch, TextDataset, TextItem


def text_dataset(n: int = 97, seed: int = 0, low: int = 1) -> TextDataset:
    """Texts of random lengths; text i has label i and only the id i."""
    lengths = np.random.default_rng(seed).integers(low, 40, size=n)
    return TextDataset([[i] * length for i, length in enumerate(lengths)], labels=list(range(n)))


def rows(batches: Any) -> list[list[int]]:
    """The item numbers of packed batches made from `text_dataset`."""
    return [batch.labels.numpy().tolist() for batch in batches]


# --- TextDataset ---


def test_items_and_batches_of_a_text_dataset() -> None:
    data = TextDataset([[5, 6], [], [7, 8, 9]], labels=[1, 0, 2], token_type_ids=[[0, 1], [], [0, 0, 1]])
    assert len(data) == 3
    ids, label, types, tags = data[2]
    assert ids.tolist() == [7, 8, 9] and ids.dtype == np.int64 and label == 2
    assert types is not None and types.tolist() == [0, 0, 1] and tags is None
    assert data[1].input_ids.shape == (0,)
    assert data[-1].label == 2
    assert data.lengths.tolist() == [2, 0, 3] and data.total_tokens == 5
    assert [item.label for item in data] == [1, 0, 2]  # type: ignore[attr-defined]
    for index in (3, -4):
        with pytest.raises(IndexError, match=rf"\[TextDataset\] index: expected a value in \[-3, 3\), got {index}"):
            data[index]
    batch = data.gather([2, 1, 0, 2])
    assert batch.input_ids.numpy().tolist() == [7, 8, 9, 5, 6, 7, 8, 9]
    assert batch.cu_seqlens.numpy().tolist() == [0, 3, 3, 5, 8]
    assert batch.position_ids.numpy().tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert batch.labels is not None and batch.labels.numpy().tolist() == [2, 0, 1, 2]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.numpy().tolist() == [0, 0, 1, 0, 1, 0, 0, 1]
    assert data.gather([]).batch_size == 0
    with pytest.raises(IndexError, match=r"gather\] indices: expected values in \[0, 3\), got 3"):
        data.gather([0, 3])
    with pytest.raises(TypeError, match="list of integers"):
        data.gather([0.5])  # type: ignore[list-item]


def test_ids_are_held_in_one_narrow_array() -> None:
    data = TextDataset([[1, 2, 3]] * 10_000)
    assert data.nbytes < 10_000 * (3 * 4 + 8) + 100
    wide = TextDataset([[2**31, 1]])
    assert wide[0].input_ids.tolist() == [2**31, 1]


def test_text_dataset_errors() -> None:
    with pytest.raises(ValueError, match=r"\[TextDataset\] labels: expected 2, one for each text, got 1"):
        TextDataset([[1], [2]], labels=[0])
    with pytest.raises(ValueError, match=r"\[TextDataset\] token_type_ids: expected length 1 in row 0, .* got 2"):
        TextDataset([[1]], token_type_ids=[[0, 0]])
    with pytest.raises(TypeError, match=r"\[TextDataset\] sequences: expected integers in row 0"):
        TextDataset([["a"]])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="Labels"):
        TextDataset([[1]], labels=["a"])
    data = TextDataset([[1], [2]])
    for dataset, name in ((data, "TextDataset"), (Subset(data, [1]), "Subset")):
        for index in (0.5, "a", slice(0, 1), None):
            with pytest.raises(TypeError, match=rf"\[{name}\] index: expected an integer, got "):
                dataset[index]
    assert data[np.int32(1)].input_ids.tolist() == data[-1].input_ids.tolist() == [2]


def test_soft_labels() -> None:
    data = TextDataset([[1], [2]], labels=np.array([[0.25, 0.75], [1.0, 0.0]], np.float32))
    (batch,) = DataLoader(data)
    assert batch.labels.numpy().dtype == np.float32 and batch.labels.shape == (2, 2)
    packed = default_collate([data[0], data[1]])
    np.testing.assert_array_equal(packed.labels.numpy(), batch.labels.numpy())


# --- order ---


@pytest.mark.parametrize("n", [0, 1, 2, 31, 32, 33, 97])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("max_tokens", [None, 40, 200])
@pytest.mark.parametrize("batch_size", [None, 1, 8])
def test_each_item_once_and_limits_kept(
    n: int, shuffle: bool, bucket: bool, max_tokens: int | None, batch_size: int | None
) -> None:
    data = text_dataset(n, low=0)
    seed = 3 if shuffle else None
    if shuffle and n == 0 and not bucket and max_tokens is None:
        with pytest.raises(ValueError, match="at least one item"):  # as in PyTorch
            DataLoader(data, batch_size, shuffle)
        return
    loader = DataLoader(data, batch_size, shuffle, bucket_by_length=bucket, max_tokens=max_tokens, seed=seed)
    for _ in range(2):
        expected = len(loader)
        batches = list(loader)
        assert len(batches) == expected
        seen = [i for batch in rows(batches) for i in batch]
        assert sorted(seen) == list(range(n))
        if not shuffle and not bucket:
            assert seen == list(range(n))
        for batch in batches:
            assert isinstance(batch, PackedBatch)
            assert 0 < batch.batch_size <= (batch_size or (n if max_tokens else 32))
            assert max_tokens is None or batch.total_tokens <= max_tokens
            ids, lengths = batch.input_ids.numpy(), batch.lengths.numpy()
            np.testing.assert_array_equal(ids, np.repeat(batch.labels.numpy(), lengths))


def test_token_budgets_are_filled_greedily() -> None:
    data = TextDataset([[0] * n for n in (3, 3, 4, 1, 5, 0, 5, 10, 1)], labels=range(9))  # type: ignore[arg-type]
    assert rows(DataLoader(data, max_tokens=10)) == [[0, 1, 2], [3, 4, 5], [6], [7], [8]]
    assert rows(DataLoader(data, max_tokens=10, drop_last=True)) == [[0, 1, 2], [3, 4, 5], [6], [7]]
    assert rows(DataLoader(data, batch_size=2, max_tokens=10)) == [[0, 1], [2, 3], [4, 5], [6], [7], [8]]
    with pytest.raises(ValueError, match="max_tokens: expected at least 10, the tokens of item 7, got 9"):
        DataLoader(data, max_tokens=9)


def test_drop_last() -> None:
    data = text_dataset(10)
    assert [len(batch) for batch in DataLoader(data, 4)] == [4, 4, 2]
    assert [len(batch) for batch in DataLoader(data, 4, drop_last=True)] == [4, 4]
    assert [len(batch) for batch in DataLoader(data, 5, drop_last=True)] == [5, 5]
    assert len(DataLoader(data, 11, drop_last=True)) == 0
    full = TextDataset([[1, 2]] * 4, labels=[0, 1, 2, 3])
    assert len(DataLoader(full, max_tokens=4, drop_last=True)) == 2


def test_shuffling_differs_by_epoch_and_seed_and_repeats() -> None:
    data = text_dataset()
    loader = DataLoader(data, 10, shuffle=True, seed=1)
    first, second = rows(loader), rows(loader)
    assert first != second
    again = DataLoader(data, 10, shuffle=True, seed=1)
    assert (rows(again), rows(again)) == (first, second)
    again.set_epoch(0)
    assert rows(again) == first
    assert rows(again) == second
    assert rows(DataLoader(data, 10, shuffle=True, seed=2)) != first


def test_the_order_is_fixed_for_all_time() -> None:
    # The same on every machine and NumPy version; a change here breaks resuming of old runs.
    loader = DataLoader(text_dataset(8), 8, shuffle=True, seed=0)
    assert [rows(loader)[0], rows(loader)[0]] == [[0, 2, 1, 5, 4, 3, 6, 7], [6, 7, 2, 1, 3, 5, 0, 4]]


def test_shuffling_is_uniform() -> None:
    n, epochs = 12, 3000
    sampler = BatchPlan(n, batch_size=n, shuffle=True)
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[np.arange(n), sampler.plan(epoch)[0]] += 1
    expected = epochs / n
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
    assert ((counts - expected) ** 2 / expected).sum() < 200  # chi-squared with 121 degrees of freedom


def test_a_broken_off_epoch_is_not_repeated() -> None:
    loader = DataLoader(text_dataset(), 10, shuffle=True)
    first = rows([next(iter(loader))])
    second = rows([next(iter(loader))])
    assert first != second and loader.epoch == 1


def padding(batches: Any) -> float:
    batches = list(batches)
    return 1 - sum(b.total_tokens for b in batches) / sum(b.padded_tokens for b in batches)


@pytest.mark.parametrize("limits", [{"batch_size": 16}, {"max_tokens": 300}, {"max_tokens": 300, "batch_size": 16}])
def test_bucketing_puts_similar_lengths_together(limits: dict[str, int]) -> None:
    data = text_dataset(5000)
    plain = padding(DataLoader(data, shuffle=True, **limits))  # type: ignore[arg-type]
    loader = DataLoader(data, shuffle=True, bucket_by_length=True, **limits)  # type: ignore[arg-type]
    assert plain > 0.3
    assert padding(loader) < 0.06
    first, second = rows(loader), rows(loader)
    assert {frozenset(batch) for batch in first}.isdisjoint({frozenset(b) for b in second if len(b) > 3})
    means = np.array([np.mean(data.lengths[batch]) for batch in first])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3  # batches do not come sorted


def test_bucketed_batches_differ_between_epochs_of_a_small_data_set() -> None:
    data = TextDataset([[0] * n for n in range(1, 65)], labels=list(range(64)))
    loader = DataLoader(data, 4, shuffle=True, bucket_by_length=True)
    first, second = rows(loader), rows(loader)
    assert len({frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}) < 8


def test_the_order_of_bucketed_batches_differs_between_epochs() -> None:
    options: dict[str, Any] = {"lengths": np.ones(80, np.int64), "batch_size": 4, "shuffle": True}
    bucketed, plain = BatchPlan(80, bucket_by_length=True, **options), BatchPlan(80, **options)
    orders = set()
    for epoch in range(10):
        place = np.argsort(np.concatenate(plain.plan(epoch)))  # where each item stood before batches were shuffled
        orders.add(tuple(int(place[batch].min()) // 4 for batch in bucketed.plan(epoch)))
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len(orders) == 10


def test_settings_are_checked() -> None:
    data = text_dataset(5)
    for name in ("batch_size", "max_tokens"):
        with pytest.raises(ValueError, match=rf"\[DataLoader\] {name}: expected at least 1, got 0"):
            DataLoader(data, **{name: 0})
        with pytest.raises(TypeError, match=f"{name}: expected an integer"):
            DataLoader(data, **{name: 2.5})
    with pytest.raises(ValueError, match="seed"):
        DataLoader(data, shuffle=True, seed=-1)
    for options in ({}, {"shuffle": True, "generator": engine.Generator()}, {"sampler": [1, 2]}):
        with pytest.raises(ValueError, match=r"seed: expected no value, got 0 \(it is only read with shuffle=True"):
            DataLoader(data, seed=0, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="epoch"):
        DataLoader(data).set_epoch(-1)
    generic = TensorDataset(np.arange(5))
    for options in ({"max_tokens": 5}, {"bucket_by_length": True}):
        with pytest.raises(ValueError, match="expected a dataset with lengths"):
            DataLoader(generic, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dataset: expected an object with __len__ and __getitem__"):
        DataLoader(iter([1]))  # type: ignore[arg-type]


# --- resuming ---


OPTIONS: list[dict[str, Any]] = [
    {"batch_size": 8, "shuffle": True},
    {"batch_size": 8},
    {"shuffle": True, "bucket_by_length": True, "batch_size": 4},
    {"shuffle": True, "bucket_by_length": True, "max_tokens": 100},
    {"shuffle": True, "max_tokens": 100, "drop_last": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("named", [False, True])
def test_resume_at_every_batch(options: dict[str, Any], named: bool) -> None:
    data = text_dataset(60)
    seed, other = (4, 99) if options.get("shuffle") else (None, None)
    whole = DataLoader(data, seed=seed, **options)
    expected = [rows(whole) for _ in range(3)]
    run = DataLoader(data, seed=seed, **options)
    list(run)
    for stop in range(1, len(expected[1]) + 1):
        run.set_epoch(1)
        iterator = iter(run)
        done = rows([next(iterator) for _ in range(stop)])
        state = json.loads(json.dumps(run.state_dict()))
        resumed = DataLoader(data, seed=other, **options)
        resumed.load_state_dict(state)
        assert resumed.epoch == 1
        if named:
            resumed.set_epoch(1)
        assert done + rows(resumed) == expected[1]
        assert resumed.epoch == 2
        assert rows(resumed) == expected[2]


def test_state_between_epochs() -> None:
    data = text_dataset(20)
    loader = DataLoader(data, 4, shuffle=True)
    expected = [rows(loader), rows(loader)]
    run = DataLoader(data, 4, shuffle=True)
    fresh = DataLoader(data, 4, shuffle=True)
    fresh.load_state_dict(run.state_dict())
    assert rows(fresh) == expected[0]
    fresh.load_state_dict(fresh.state_dict())
    assert rows(fresh) == expected[1]


def test_naming_another_epoch_drops_the_place() -> None:
    data = text_dataset(20)
    loader = DataLoader(data, 4, shuffle=True)
    next(iter(loader))
    resumed = DataLoader(data, 4, shuffle=True)
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)
    assert len(list(resumed)) == 5
    resumed.set_epoch(0)
    assert len(list(resumed)) == 5


def test_two_iterators_do_not_disturb_each_other() -> None:
    loader = DataLoader(text_dataset(20), 4, shuffle=True)
    expected = [rows(loader), rows(loader)]
    loader.set_epoch(0)
    first, second = iter(loader), iter(loader)
    mixed: list[list[list[int]]] = [[], []]
    for _ in range(5):
        mixed[0] += rows([next(first)])
        mixed[1] += rows([next(second)])
    assert mixed == expected
    assert loader.state_dict()["position"] == 5


def test_state_of_another_loader_is_refused() -> None:
    data = text_dataset(20)
    state = DataLoader(data, 4, shuffle=True).state_dict()
    with pytest.raises(
        ValueError, match=r"\[DataLoader.load_state_dict\] batch_size: expected 5 as in this DataLoader, got 4"
    ):
        DataLoader(data, 5, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="size: expected 19 as in this DataLoader, got 20 in the state"):
        DataLoader(Subset(data, range(19)), 4, shuffle=True).load_state_dict(state)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected the state of a DataLoader, got one without settings"):
        DataLoader(data).load_state_dict({"epoch": 0, "position": 0, "seed": 0})
    with pytest.raises(ValueError, match="position"):
        DataLoader(data, 4, shuffle=True).load_state_dict({**state, "position": 6})


# --- Subset, random_split, TensorDataset ---


def test_subset_of_a_subset_gives_packed_batches() -> None:
    data = text_dataset(30)
    subset = Subset(Subset(data, np.arange(29, -1, -1)), [0, 5, 10, 3])
    assert [subset[i].label for i in range(len(subset))] == [29, 24, 19, 26]
    assert rows(DataLoader(subset, 3)) == [[29, 24, 19], [26]]
    lengths = data.lengths[[29, 24, 19, 26]]
    batches = rows(DataLoader(subset, max_tokens=int(lengths.max())))
    assert [i for batch in batches for i in batch] == [29, 24, 19, 26]
    with pytest.raises(IndexError, match=r"\[Subset\] indices: expected values in \[0, 30\), got 30"):
        Subset(data, [30])
    with pytest.raises(IndexError, match="got -1"):
        Subset(data, [-1])


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([7, 3], [7, 3]), ([0.7, 0.3], [7, 3]), ([0.25, 0.25, 0.5], [3, 2, 5]), ([0, 10], [0, 10])]
)
def test_random_split(lengths: list[float], sizes: list[int]) -> None:
    data = text_dataset(10)
    parts = random_split(data, lengths, seed=1)
    assert [len(part) for part in parts] == sizes
    assert sorted(int(i) for part in parts for i in part.indices) == list(range(10))
    same = random_split(data, lengths, seed=1)
    assert [part.indices for part in parts] == [part.indices for part in same]


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.4], [11, -1], [2.5, 7.5], []])
def test_random_split_errors(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="whole numbers that sum to 10 or fractions that sum to 1"):
        random_split(text_dataset(10), lengths)


def test_tensor_dataset() -> None:
    x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(5)
    data = TensorDataset(from_numpy(x), y)
    batches = list(DataLoader(data, 2))
    assert [tuple(batch[0].shape) for batch in batches] == [(2, 2), (2, 2), (1, 2)]
    np.testing.assert_array_equal(np.concatenate([batch[0].numpy() for batch in batches]), x)
    np.testing.assert_array_equal(np.concatenate([batch[1].numpy() for batch in batches]), y)
    assert batches[0][0].numpy().dtype == np.float32
    for tensors in ((), (x, np.arange(4)), (np.float32(1),)):
        with pytest.raises(ValueError, match=r"\[TensorDataset\] tensors"):
            TensorDataset(*tensors)  # type: ignore[arg-type]


def test_any_class_with_length_and_items_is_a_dataset() -> None:
    class Squares:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int, /) -> dict[str, int]:
            return {"x": index, "y": index * index}

    batches = list(DataLoader(Squares(), 2))
    assert [batch["y"].numpy().tolist() for batch in batches] == [[0, 1], [4, 9], [16]]
    sums = list(DataLoader(Squares(), 3, collate_fn=lambda items: sum(item["y"] for item in items)))
    assert sums == [5, 25]

    class Unfinished(Dataset[int]):
        def __init__(self, size: int) -> None:
            self.size = size

        def __len__(self) -> int:
            return self.size

    assert Unfinished(3).size == 3
    with pytest.raises(NotImplementedError, match="Unfinished has no __getitem__"):
        list(DataLoader(Unfinished(3)))


def test_collate_fn_also_overrides_packing() -> None:
    loader = DataLoader(text_dataset(3), collate_fn=lambda items: [item.label for item in items])
    assert list(loader) == [[0, 1, 2]]


# --- default_collate ---


class Point(NamedTuple):
    x: Any
    y: Any


def test_default_collate_follows_pytorch() -> None:
    def check(batch: list[Any], expected: list[Any], dtype: type) -> None:
        got = default_collate(batch)
        assert isinstance(got, Tensor) and got.numpy().dtype == dtype
        assert got.numpy().tolist() == expected

    check([1, 2], [1, 2], np.int64)
    check([1.0, 2.0], [1.0, 2.0], np.float64)
    check([True, False], [True, False], np.bool_)
    check([np.float32(1), np.float32(2)], [1, 2], np.float32)
    check([np.ones((2, 1), np.int32)] * 2, [[[1], [1]]] * 2, np.int32)
    check([from_numpy(np.array([1.5], np.float32))] * 3, [[1.5]] * 3, np.float32)
    assert default_collate(["a", "b"]) == ["a", "b"]
    nested = default_collate([{"a": (1, "x"), "b": [2.0]}, {"a": (3, "y"), "b": [4.0]}])
    assert nested["a"][0].numpy().tolist() == [1, 3] and nested["a"][1] == ("x", "y")
    assert nested["b"][0].numpy().tolist() == [2.0, 4.0]
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert isinstance(point, Point) and point.y.numpy().tolist() == [2, 4]


def test_default_collate_packs_text_items() -> None:
    batch = default_collate([TextItem(np.array([1, 2]), 3), TextItem(np.array([4]), 5)])
    assert isinstance(batch, PackedBatch)
    assert batch.cu_seqlens.numpy().tolist() == [0, 2, 3]
    assert batch.labels is not None and batch.labels.numpy().tolist() == [3, 5]
    assert default_collate([TextItem(np.array([1]))]).labels is None
    with pytest.raises(ValueError, match="label: expected one in every item or in none, got 1 without"):
        default_collate([TextItem(np.array([1]), 1), TextItem(np.array([1]))])


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([], ValueError, "at least one item"),
        ([None], TypeError, "got NoneType"),
        ([np.zeros(2), np.zeros(3)], ValueError, r"shape \(2,\) in every item, got \(3,\) in item 1"),
        ([(1, 2), (1,)], ValueError, "2 entries in every item, got 1 in item 1"),
        ([{"a": 1}, {"b": 1}], ValueError, r"keys \['a'\], got \['b'\] in item 1"),
    ],
)
def test_default_collate_errors(batch: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(batch)
