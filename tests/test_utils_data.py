"""`engine.utils.data`: PyTorch's datasets, samplers and arguments of DataLoader; generators."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections import Counter
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pytest

import engine
from engine import Tensor
from engine.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_convert,
    get_worker_info,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return index * index


class Count(IterableDataset):
    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Any:
        return iter(range(self.size))


class Sized(Count):
    def __len__(self) -> int:
        return self.size


def numbers(batches: Any) -> list[Any]:
    return [batch.tolist() if isinstance(batch, Tensor) else batch for batch in batches]


# ---- paths


def test_paths() -> None:
    code = """
import engine.utils.data
from engine.utils.data import DataLoader
from engine.utils.data.dataset import random_split, Dataset
from engine.utils.data.sampler import SubsetRandomSampler
from engine.utils.data.dataloader import default_collate
from engine.utils.checkpoint import checkpoint
import engine.data
assert DataLoader is engine.data.DataLoader and Dataset is engine.data.Dataset
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    one_import = "import engine; engine.utils.data.DataLoader; engine.utils.checkpoint.checkpoint"
    subprocess.run([sys.executable, "-c", one_import], check=True)


# ---- the loader


class Pair(NamedTuple):
    x: Any
    y: Any


class Items(Dataset):
    """Items of many kinds, made of either library's tensors."""

    def __init__(self, library: Any) -> None:
        self.library = library

    def __len__(self) -> int:
        return 7

    def __getitem__(self, i: int) -> Any:
        row = self.library.tensor([float(i), 2.0 * i])
        return {
            "row": row,
            "pair": (i, i / 2),
            "named": Pair(np.float32(i), np.full(2, i)),
            "text": str(i),
            "flag": i > 3,
        }


def flat(value: Any) -> Any:
    """A batch as Python values, with the dtypes of its tensors."""
    if isinstance(value, dict):
        return {key: flat(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(flat, value)]
    return (str(value.dtype).split(".")[-1], value.tolist()) if hasattr(value, "dtype") else value


LOADERS: list[dict[str, Any]] = [
    {},
    {"batch_size": 3},
    {"batch_size": 3, "drop_last": True},
    {"batch_size": None},
    {"batch_size": 2, "sampler": [5, 3, 3, 0]},
    {"batch_size": None, "sampler": range(2)},
    {"batch_sampler": [[1, 2], [0], [6, 6, 6]]},
    {"batch_size": 4, "collate_fn": len},
    {"batch_size": 4, "num_workers": 0, "pin_memory": False, "timeout": 0},
]


@pytest.mark.parametrize("options", LOADERS)
def test_batches_as_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    import torch.utils.data as theirs

    mine = DataLoader(Items(engine), **options)

    class ForTorch(Items, theirs.Dataset):  # type: ignore[misc]
        pass

    other = theirs.DataLoader(ForTorch(torch), **options)
    assert [flat(batch) for batch in mine] == [flat(batch) for batch in other]
    assert len(mine) == len(other) and mine.batch_size == other.batch_size and mine.drop_last == other.drop_last


def test_defaults_are_pytorchs() -> None:
    data = TensorDataset(engine.arange(6).reshape(3, 2), engine.arange(3))
    batches = list(DataLoader(data))
    assert [[t.tolist() for t in batch] for batch in batches] == [[[[0, 1]], [0]], [[[2, 3]], [1]], [[[4, 5]], [2]]]
    loader = DataLoader(data, 2, True)
    assert (loader.batch_size, loader.num_workers, loader.drop_last, loader.dataset) == (2, 0, False, data)
    assert len(loader.sampler) == 3
    assert len(DataLoader(list(range(5)), 2)) == 3  # type: ignore[arg-type]
    x, y = next(iter(loader))
    assert x.shape == (2, 2) and y.dtype is engine.int64
    assert type(DataLoader(Squares(3)).sampler) is SequentialSampler


def test_iterable_datasets() -> None:
    assert numbers(DataLoader(Count(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert numbers(DataLoader(Count(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    assert numbers(DataLoader(Count(3), batch_size=None)) == [0, 1, 2]
    assert numbers(DataLoader(Count(3), 3, num_workers=2)) == [[0, 1, 2]]
    loader = DataLoader(Sized(5), batch_size=2)
    assert (
        len(loader) == 3 and len(DataLoader(Sized(5), 2, drop_last=True)) == 2 and len(DataLoader(Sized(5), None)) == 5
    )
    assert numbers(loader) == numbers(loader)
    with pytest.raises(TypeError, match="one without"):
        len(DataLoader(Count(5)))
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2] and list(Sized(2)) == [0, 1]
    assert bool(Count(0)) and isinstance(Count(1), Dataset)
    with pytest.raises(TypeError):
        len(Count(3))
    with pytest.raises(NotImplementedError, match="__iter__"):
        list(DataLoader(IterableDataset()))

    class Plain:
        def __iter__(self) -> Any:
            yield from (1.5, 2.5)

    assert numbers(DataLoader(Plain(), batch_size=2)) == [[1.5, 2.5]]  # type: ignore[arg-type]
    for options in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}, {"max_tokens": 4}):
        with pytest.raises(ValueError, match=next(iter(options))):
            DataLoader(Count(5), **options)  # type: ignore[arg-type]


def test_mistakes() -> None:
    data = Squares(4)
    for options, message in [
        ({"sampler": [0], "shuffle": True}, "shuffle: expected no value, got True"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_size"),
        ({"batch_sampler": [[0]], "shuffle": True}, "shuffle"),
        ({"batch_sampler": [[0]], "sampler": [0]}, "sampler"),
        ({"batch_sampler": [[0]], "drop_last": True}, "drop_last"),
        ({"batch_size": None, "drop_last": True}, "drop_last"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"batch_size": 0, "sampler": [0]}, "batch_size: expected at least 1, got 0"),
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "num_workers: expected at least 1 with prefetch_factor, got 0"),
        ({"persistent_workers": True}, "num_workers: expected at least 1 with persistent_workers"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor"),
        ({"num_workers": 1, "prefetch": 3}, "prefetch"),
        ({"sampler": [0], "bucket_by_length": True}, "bucket_by_length"),
        ({"generator": engine.Generator(), "shuffle": True, "max_tokens": 3}, "max_tokens"),
    ]:
        with pytest.raises(ValueError, match=message):
            DataLoader(data, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="num_workers"):
        DataLoader(data, num_workers=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dataset"):
        DataLoader(len)  # type: ignore[arg-type]


def test_a_generator_decides_the_order() -> None:
    def orders(seed: int) -> list[Any]:
        loader = DataLoader(Squares(20), 4, shuffle=True, generator=engine.Generator().manual_seed(seed))
        return [numbers(loader) for _ in range(2)]

    first = orders(3)
    assert first == orders(3) and first != orders(4) and first[0] != first[1]
    assert sorted(chain(*first[0])) == [i * i for i in range(20)]
    alone = DataLoader(Squares(20), None, shuffle=True, generator=engine.Generator().manual_seed(3))
    assert list(alone) == list(chain(*first[0]))


def test_workers_are_one_thread() -> None:
    seen: list[Any] = []

    class Watched(Squares):
        def __getitem__(self, index: int) -> Any:
            seen.append(get_worker_info())
            return super().__getitem__(index)

    data, started = Watched(6), []
    loader = DataLoader(
        data,
        2,
        num_workers=3,
        prefetch_factor=4,
        worker_init_fn=started.append,
        persistent_workers=True,
        pin_memory=True,
    )
    assert loader.prefetch == 12 and loader.num_workers == 3
    assert numbers(loader) == numbers(DataLoader(Squares(6), 2))
    assert started == [0] and len(seen) == 6
    assert all((info.id, info.num_workers, info.dataset) == (0, 1, data) for info in seen)
    assert get_worker_info() is None
    seen.clear()
    list(DataLoader(data, 2))
    assert seen == [None] * 6

    class Broken(Squares):
        def __getitem__(self, index: int) -> Any:
            raise RuntimeError("no item")

    with pytest.raises(RuntimeError, match="no item"):
        list(DataLoader(Broken(2), num_workers=1))


def test_a_sampler_of_ones_own() -> None:
    class Backwards(Sampler):
        def __init__(self, data: Any) -> None:
            super().__init__(data)
            self.data = data

        def __iter__(self) -> Any:
            return iter(range(len(self.data) - 1, -1, -1))

    data = TensorDataset(engine.arange(5))
    loader = DataLoader(data, 2, sampler=Backwards(data))
    assert [batch[0].tolist() for batch in loader] == [[4, 3], [2, 1], [0]]
    with pytest.raises(TypeError, match="one without"):
        len(loader)
    words = {"a": 1, "b": 2}  # items by name
    assert numbers(DataLoader(words, 2, sampler=["b", "a"])) == [[2, 1]]  # type: ignore[arg-type]


def test_a_subclass_with_its_own_items_is_asked_for_them() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            return 2 * super().__getitem__(index)[0]

    loader = DataLoader(Doubled(engine.arange(4)), 2)
    assert numbers(loader) == [[0, 2], [4, 6]]
    assert numbers(DataLoader(Subset(Doubled(engine.arange(4)), [3, 1]), 2)) == [[6, 2]]


def test_items_in_lists_at_once() -> None:
    class AtOnce(Squares):
        def __getitems__(self, rows: list[int]) -> list[int]:
            return [-row for row in rows]

    assert numbers(DataLoader(AtOnce(4), 3)) == [[0, -1, -2], [-3]]


def test_resuming() -> None:
    for make in (
        lambda: DataLoader(Squares(9), 2, sampler=SequentialSampler(Squares(9))),
        lambda: DataLoader(Sized(9), 2),
        lambda: DataLoader(Squares(9), None),
        lambda: DataLoader(Squares(9), None, shuffle=True, seed=3),
    ):
        whole = numbers(make())
        run = make()
        iterator = iter(run)
        done = numbers([next(iterator) for _ in range(2)])
        resumed = make()
        resumed.load_state_dict(run.state_dict())
        assert done + numbers(resumed) == whole


# ---- datasets


def test_concatenation() -> None:
    whole = ConcatDataset([Squares(3), Squares(0), Squares(2)])
    assert [whole[i] for i in range(5)] == [0, 1, 4, 0, 1] and whole[-1] == 1 and whole[-5] == 0
    assert len(whole) == 5 and whole.cumulative_sizes == [3, 3, 5] and len(Squares(3) + Squares(4)) == 7
    for index in (5, -6):
        with pytest.raises(IndexError, match=r"\[ConcatDataset\] index"):
            whole[index]
    with pytest.raises(ValueError, match="at least one dataset"):
        ConcatDataset([])
    with pytest.raises(TypeError, match=r"datasets\[1\]"):
        ConcatDataset([Squares(1), Count(2)])
    with pytest.raises(TypeError, match=r"datasets\[0\]"):
        ChainDataset([3])
    assert len(ChainDataset([Sized(2), Sized(3)])) == 5


def test_stacks() -> None:
    assert StackDataset(Squares(3), ["a", "b", "c"])[1] == (1, "b")  # type: ignore[arg-type]
    named = StackDataset(x=Squares(2), y=[5, 6])  # type: ignore[arg-type]
    assert named[1] == {"x": 1, "y": 6} and len(named) == 2
    for wrong in (
        lambda: StackDataset(),
        lambda: StackDataset(Squares(1), x=Squares(1)),
        lambda: StackDataset([1], [1, 2]),
    ):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="StackDataset"):
            wrong()


def test_splits_by_a_generator() -> None:
    def split(seed: int) -> list[list[int]]:
        parts = random_split(Squares(10), [0.75, 0.25], engine.Generator().manual_seed(seed))
        return [part.indices for part in parts]

    first = split(42)
    assert [len(part) for part in first] == [8, 2] and sorted(chain(*first)) == list(range(10))
    assert first == split(42) != split(43)
    assert [p.indices for p in random_split(Squares(6), [4, 2])] == [
        p.indices for p in random_split(Squares(6), [4, 2], seed=0)
    ]
    with pytest.raises(TypeError, match="generator"):
        random_split(Squares(6), [4, 2], 42)  # type: ignore[arg-type]


def test_conversion_of_single_items() -> None:
    found = default_convert({"a": np.arange(2), "b": [np.float32(1), "x"], "c": Pair(1, None)})
    assert found["a"].tolist() == [0, 1] and isinstance(found["b"][0], Tensor) and found["b"][1] == "x"
    assert found["c"] == Pair(1, None)


# ---- samplers


def test_samplers() -> None:
    data = Squares(5)
    assert list(SequentialSampler(data)) == list(range(5)) and len(SequentialSampler(data)) == 5
    engine.manual_seed(1)
    first = list(RandomSampler(data))
    engine.manual_seed(1)
    assert first == list(RandomSampler(data)) and sorted(first) == list(range(5))
    g = engine.Generator()
    longer = list(RandomSampler(data, num_samples=12, generator=g))
    assert len(longer) == 12 and all(sorted(longer[i : i + 5]) == list(range(5)) for i in (0, 5))
    again = list(RandomSampler(data, replacement=True, num_samples=400, generator=g))
    assert set(again) == set(range(5)) and len(RandomSampler(data, True, 400)) == 400
    with pytest.raises(ValueError, match="at least one item"):
        RandomSampler(Squares(0))
    picked = SubsetRandomSampler([7, 8, 9], generator=g)
    assert sorted(picked) == [7, 8, 9] and len(picked) == 3
    batches = BatchSampler(SequentialSampler(data), 2, False)
    assert list(batches) == [[0, 1], [2, 3], [4]] and len(batches) == 3
    batches = BatchSampler(SequentialSampler(data), batch_size=2, drop_last=True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2
    for wrong in (
        lambda: RandomSampler(data, num_samples=0),
        lambda: BatchSampler(range(3), 0, False),
        lambda: WeightedRandomSampler([1.0], 0),
        lambda: WeightedRandomSampler([[1.0]], 1),
        lambda: WeightedRandomSampler([-1.0, 2.0], 1),
        lambda: WeightedRandomSampler([0.0, 0.0], 1),
        lambda: WeightedRandomSampler([0.0, 1.0], 2, replacement=False),
    ):
        with pytest.raises(ValueError, match="Sampler"):
            wrong()


@pytest.mark.parametrize("replacement", [True, False])
def test_weights(replacement: bool) -> None:
    weights, g, n = [0.0, 1.0, 2.0, 5.0, 0.0], engine.Generator().manual_seed(0), 20000
    if replacement:
        counts = Counter(WeightedRandomSampler(weights, n, generator=g))
    else:  # the first of each draw
        counts = Counter(next(iter(WeightedRandomSampler(weights, 3, False, g))) for _ in range(n))
        assert sorted(WeightedRandomSampler(weights, 3, False, g)) == [1, 2, 3]
    for index, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(counts[index] - n * share) <= 5 * np.sqrt(n * share * (1 - share))
    assert len(WeightedRandomSampler(engine.tensor(weights), 9)) == 9


# ---- generators


DRAWS = [
    lambda **g: engine.rand(5, **g),
    lambda **g: engine.randn(2, 3, dtype=engine.float64, **g),
    lambda **g: engine.randint(0, 100, (7,), **g),
    lambda **g: engine.randperm(9, **g),
    lambda **g: engine.normal(1.0, 2.0, (4,), **g),
    lambda **g: engine.bernoulli(engine.full((20,), 0.5), **g),
    lambda **g: engine.empty(6).uniform_(2, 3, **g),
    lambda **g: engine.empty(6).normal_(2, 3, **g),
    lambda **g: engine.empty(20).bernoulli_(0.3, **g),
    lambda **g: engine.rand(5, dtype=engine.bfloat16, **g).float(),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_generator_draws_what_engine_draws_from_its_seed(draw: Any) -> None:
    engine.manual_seed(11)
    expected = [draw().tolist(), draw().tolist()]
    engine.manual_seed(12)
    before = engine.get_rng_state().tolist()
    g = engine.Generator().manual_seed(11)
    assert [draw(generator=g).tolist(), draw(generator=g).tolist()] == expected
    assert engine.get_rng_state().tolist() == before
    with pytest.raises(TypeError, match="generator"):
        draw(generator=3)


@pytest.mark.parametrize(
    "name",
    [
        "uniform_",
        "normal_",
        "trunc_normal_",
        "xavier_uniform_",
        "xavier_normal_",
        "kaiming_uniform_",
        "kaiming_normal_",
    ],
)
def test_initial_values_by_a_generator(name: str) -> None:
    fill = getattr(engine.nn.init, name)
    engine.manual_seed(4)
    expected = fill(engine.empty(20, 30)).tolist()
    engine.manual_seed(5)
    assert fill(engine.empty(20, 30), generator=engine.Generator().manual_seed(4)).tolist() == expected


def test_states_of_generators() -> None:
    g = engine.Generator(device="cpu")
    assert g.initial_seed() == 67280421310721 and g.device == engine.device("cpu") and g.manual_seed(-1) is g
    assert g.initial_seed() == 2**64 - 1
    engine.rand(3, generator=g)
    state = g.get_state()
    others = [engine.Generator().set_state(state), copy.deepcopy(g), pickle.loads(pickle.dumps(g)), g.clone_state()]
    expected = engine.rand(3, generator=g).tolist()
    assert all(engine.rand(3, generator=other).tolist() == expected for other in others)
    assert g.seed() == g.initial_seed()
    for wrong in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match=r"\[manual_seed\] seed"):
            g.manual_seed(wrong)
    with pytest.raises(TypeError, match=r"\[manual_seed\] seed"):
        g.manual_seed(1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="new_state"):
        g.set_state(engine.zeros(3))
    default = engine.manual_seed(5)
    assert default is engine.default_generator and default.initial_seed() == engine.initial_seed() == 5
    assert engine.rand(2, generator=default).tolist() != engine.rand(2, generator=default).tolist()
    assert copy.deepcopy(default) is not default


# ---- tensors that are no arrays for NumPy


def test_bfloat16_and_gradients_are_stacked() -> None:
    half = engine.arange(6).reshape(3, 2).to(engine.bfloat16)
    (x,) = next(iter(DataLoader(TensorDataset(half), 2)))
    assert x.dtype is engine.bfloat16 and x.tolist() == [[0, 1], [2, 3]]
    assert next(iter(DataLoader(list(half), 3))).tolist() == half.tolist()  # type: ignore[arg-type]
    w = engine.ones(3, 2, requires_grad=True)
    (x,) = next(iter(DataLoader(TensorDataset(w), 2)))
    y = next(iter(DataLoader([w[0], w[2]], 2)))  # type: ignore[arg-type]
    (x.sum() + y.sum()).backward()
    assert w.grad is not None and w.grad.tolist() == [[2, 2], [1, 1], [1, 1]]
    with pytest.raises(ValueError, match="shape"):
        next(iter(DataLoader([w[0], w[2, :1]], 2)))  # type: ignore[arg-type]


def test_each_epoch_has_a_seed_of_its_own_in_the_thread() -> None:
    seen: list[Any] = []

    def start(worker: int) -> None:
        seen.append((get_worker_info().seed, engine.initial_seed()))  # type: ignore[union-attr]
        np.random.seed(engine.initial_seed() % 2**32)

    def seeds(**options: Any) -> list[Any]:
        seen.clear()
        loader = DataLoader(Squares(4), 2, num_workers=1, worker_init_fn=start, **options)
        list(loader), list(loader)
        return list(seen)

    before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    engine.manual_seed(3)
    first = seeds()
    assert all(seed == there for seed, there in first) and first[0] != first[1]
    engine.manual_seed(3)
    assert seeds() == first and engine.initial_seed() == 3
    drawn = [seeds(generator=engine.Generator().manual_seed(5)) for _ in range(2)]
    assert drawn[0] == drawn[1] != first
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]
    orders = [
        numbers(DataLoader(Squares(9), 2, True, num_workers=n, generator=engine.Generator().manual_seed(5)))
        for n in (0, 2)
    ]
    assert orders[0] == orders[1]


def test_samplers_of_a_loader_can_be_iterated() -> None:
    loader = DataLoader(list(range(10)), 4, shuffle=True)  # type: ignore[arg-type]
    for _ in range(2):
        order, lists = list(loader.sampler), list(loader.batch_sampler)
        assert numbers(loader) == lists and list(chain(*lists)) == order and sorted(order) == list(range(10))
    assert loader.batch_sampler.batch_size == 4 and len(loader.batch_sampler) == 3
    assert list(DataLoader(Squares(3)).sampler) == [0, 1, 2] and DataLoader(Squares(3), None).batch_sampler is None


class Named(Dataset):
    """Four numbers; `names` are further attributes."""

    def __init__(self, **names):
        self.__dict__.update(names)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return engine.tensor([i])


@pytest.mark.parametrize(
    "lengths",
    [
        [1, 2, 3, 4],
        [1, 2],
        {"a": 1},
        5,
        lambda: 3,
        [0.5] * 4,
        [[1], [2, 3], [4], []],
        "abcd",
        engine.tensor([1, 2, 3, 4]),
    ],
)
def test_lengths_of_a_dataset_that_makes_no_batches(lengths):
    """The name is a common one. It changes nothing about batches that PyTorch would make."""
    data = Named(lengths=lengths)
    assert [len(batch) for batch in DataLoader(data)] == [1, 1, 1, 1]
    assert [batch.flatten().tolist() for batch in DataLoader(data, 3)] == [[0, 1, 2], [3]]
    assert [batch.flatten().tolist() for batch in DataLoader(data, None)] == [[0], [1], [2], [3]]


def test_lengths_are_read_where_they_are_asked_for():
    lengths = [4, 1, 3, 2]
    batches = [b.flatten().tolist() for b in DataLoader(Named(lengths=lengths), max_tokens=5)]
    assert len(batches) < 4 and all(sum(lengths[i] for i in batch) <= 5 for batch in batches)
    with pytest.raises(ValueError, match="expected a dataset with lengths"):
        DataLoader(Named(lengths=[1, 2]), 2, bucket_by_length=True)


def test_a_method_gather_of_another_kind():
    class Own(Named):
        def gather(self, tensor, group):
            raise AssertionError

    assert [b.flatten().tolist() for b in DataLoader(Own(), 2)] == [[0, 1], [2, 3]]


def test_a_tensor_is_a_dataset():
    x = engine.arange(5)
    assert [b.tolist() for b in DataLoader(x, 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Subset(x, [3, 1]), 2)] == [[3, 1]]
    assert sorted(n for b in DataLoader(x, 2, shuffle=True) for n in b.tolist()) == [0, 1, 2, 3, 4]
