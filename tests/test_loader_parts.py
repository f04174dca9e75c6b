"""The parts of a loader that public code reads: samplers, lengths, indices, and what is put together. They are PyTorch's."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from itertools import chain

import numpy as np
import pytest

import engine
from engine.text import TextDataset
from engine.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    default_collate,
    random_split,
)


def numbers(loader):
    return [batch.tolist() for batch in loader]


DATA = list(range(10))


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"generator": True}])
@pytest.mark.parametrize(("shuffle", "kind"), [(False, SequentialSampler), (True, RandomSampler)])
def test_samplers(shuffle, kind, options):
    if options.get("generator"):
        options = {"generator": engine.Generator().manual_seed(3)}
    loader = DataLoader(DATA, 4, shuffle, **options)
    lists = loader.batch_sampler
    assert type(loader.sampler) is kind and isinstance(lists, BatchSampler)
    assert lists.sampler is loader.sampler and (lists.batch_size, lists.drop_last) == (4, loader.drop_last)
    assert len(loader.sampler) == 10 and len(lists) == len(loader)
    assert sorted(loader.sampler) == DATA
    alone = DataLoader(DATA, None, shuffle)
    assert type(alone.sampler) is kind and alone.batch_sampler is None


def test_the_samplers_give_the_orders_of_the_epochs():
    loader, same = (DataLoader(DATA, 4, True, seed=5) for _ in range(2))
    orders = [numbers(same) for _ in range(5)]
    for epoch in (0, 1):
        assert list(loader.batch_sampler) == orders[epoch]
        assert list(loader.sampler) == list(chain(*orders[epoch]))
        assert list(loader.sampler) == list(chain(*orders[epoch + 1]))  # read again: the next one
        assert list(loader.sampler) == list(chain(*orders[epoch + 2]))
        assert numbers(loader) == orders[epoch]  # which changes nothing for the loader


def test_another_loader_takes_the_sampler():
    loader = DataLoader(DATA, 4, shuffle=True)
    other = DataLoader(DATA, batch_size=1, sampler=loader.sampler)
    first, second = numbers(other), numbers(other)
    assert [len(batch) for batch in first] == [1] * 10 and sorted(chain(*first)) == sorted(chain(*second)) == DATA
    assert first != second
    third = DataLoader(DATA, batch_sampler=loader.batch_sampler)
    assert [len(batch) for batch in third] == [4, 4, 2]
    assert numbers(DataLoader(DATA, 3, sampler=DataLoader(DATA, 4).sampler)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_samplers_where_lengths_decide():
    data = TextDataset([[1] * (1 + i % 7) for i in range(50)])
    loader = DataLoader(data, None, True, max_tokens=20, bucket_by_length=True)
    lists, items = list(loader.batch_sampler), list(loader.sampler)
    assert list(chain(*lists)) == items and sorted(items) == list(range(50))
    assert isinstance(loader.batch_sampler, BatchSampler) and loader.batch_sampler.batch_size is None
    again = DataLoader(data, batch_sampler=lists)
    assert [b.input_ids.tolist() for b in again] == [b.input_ids.tolist() for b in loader]


def test_a_batch_sampler_leaves_the_sampler_sequential():
    loader = DataLoader(DATA, batch_sampler=[[1, 2], [0]])
    assert type(loader.sampler) is SequentialSampler and loader.batch_size is None and len(loader) == 2
    assert numbers(loader) == [[1, 2], [0]]


def test_the_length_of_an_iterator():
    for options in ({}, {"shuffle": True}, {"sampler": [1, 2, 3]}, {"batch_sampler": [[0]]}, {"num_workers": 1}):
        loader = DataLoader(DATA, **({} if "batch_sampler" in options else {"batch_size": 2}), **options)
        iterator = iter(loader)
        assert len(iterator) == len(loader)
        next(iterator)
        assert len(iterator) == len(loader) and iter(iterator) is iterator
        iterator.close()


class Count(engine.utils.data.IterableDataset):
    def __iter__(self):
        return iter(range(3))


def test_an_iterator_without_a_length():
    iterator = iter(DataLoader(Count()))
    with pytest.raises(TypeError, match="length"):
        len(iterator)
    assert [x.item() for x in iterator] == [0, 1, 2]


def test_no_items_cannot_be_shuffled():
    assert list(DataLoader([])) == []
    for make in (lambda: DataLoader([], shuffle=True), lambda: RandomSampler([])):
        with pytest.raises(ValueError, match="at least one item"):
            make()


@pytest.mark.parametrize("indices", [[3, 1], (3, 1), range(2, 4), np.array([3, 1])])
def test_a_subset_keeps_the_indices_that_it_was_given(indices):
    part = Subset(DATA, indices)
    assert part.indices is indices and len(part) == 2
    assert [part[0], part[-1]] == [int(indices[0]), int(indices[1])]
    assert numbers(DataLoader(Subset(part, [1]))) == [[int(indices[1])]]


def test_indices_may_change():
    data = engine.utils.data.TensorDataset(engine.arange(6))
    part = Subset(data, [0, 1])
    part.indices = [5, 4, 3]
    assert [x.tolist() for (x,) in DataLoader(part, 3)] == [[5, 4, 3]]


def test_a_split_has_lists():
    parts = random_split(DATA, [7, 3], generator=engine.Generator().manual_seed(1))
    assert [type(part.indices) for part in parts] == [list, list]
    assert {type(i) for part in parts for i in part.indices} == {int}
    assert sorted(chain(*(part.indices for part in parts))) == DATA


def plain(value):
    """Tensors as lists; containers with their kind."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, dict):
        return type(value), {key: plain(entry) for key, entry in value.items()}
    return type(value), [
        plain(entry) if isinstance(entry, (dict, list, tuple)) or hasattr(entry, "tolist") else entry for entry in value
    ]


@pytest.mark.parametrize(
    "batch",
    [
        [(1, "a"), (2, "b")],
        [[1, "a"], [2, "b"]],
        ["a", "b"],
        [b"a", b"b"],
        ("a", "b"),
        [{"x": 1, "s": "a"}, {"x": 2, "s": "b"}],
        [(("a", 1), {"s": "c"}), (("b", 2), {"s": "d"})],
        [OrderedDict(b=1, a="x"), OrderedDict(b=2, a="y")],
        [defaultdict(list, b=1), defaultdict(list, b=2)],
    ],
)
def test_what_is_put_together_is_as_in_pytorch(batch):
    torch = pytest.importorskip("torch")
    assert plain(default_collate(batch)) == plain(torch.utils.data.default_collate(batch))
