"""Samplers, as in PyTorch: the order in which a `DataLoader` reads the items of a dataset.

A sampler without a generator draws from engine's random state (`engine.manual_seed`) when an epoch begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain, islice
from typing import Any, Generic, TypeVar

import numpy as np

from engine import _core
from engine.data._arrays import as_array, integer
from engine.errors import NotDefined, require
from engine.ops.generator import Generator
from engine.ops.random import rand, randint, randperm

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)
_DRAWN = 2**16  # indices that are drawn at a time


class Sampler(Generic[T_co]):
    """The base: a subclass defines `__iter__`, which gives indices (or lists of indices, as a batch sampler), and often `__len__`."""

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotDefined(type(self).__name__, "__iter__", "a method of this name in the subclass", "none")


class SequentialSampler(Sampler[int]):
    """All indices in their order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, or num_samples of them.

    replacement: draw each index on its own, so that it may come again. num_samples: without replacement, a number above the length
    begins another random order. Raises ValueError for num_samples below 1, and for a data_source without items.
    """

    _order: Iterable[int] | None = None  # that of a loader whose seed decides it

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None:
            right = integer("RandomSampler", "num_samples", num_samples) >= 1
            require(right, "RandomSampler", "num_samples", "at least 1", num_samples)
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        require(self.num_samples >= 1, "RandomSampler", "data_source", "at least one item", "none")

    @property
    def num_samples(self) -> int:
        """The number of indices in an epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        if self._order is not None:
            return iter(self._order)
        n, wanted = len(self.data_source), self.num_samples
        if n == 0:
            return iter(())
        if self.replacement:  # public code asks for 10^10 of them, to have no end
            sizes = (min(_DRAWN, wanted - done) for done in range(0, wanted, _DRAWN))
            return chain.from_iterable(randint(0, n, (size,), generator=self.generator).tolist() for size in sizes)
        orders = [randperm(n, generator=self.generator).numpy() for _ in range(-(-wanted // n))]
        return iter(np.concatenate(orders)[:wanted].tolist() if orders else ())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator).tolist()
        return iter([self.indices[i] for i in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """num_samples indices, index i with a probability in proportion to weights[i].

    weights: numbers >= 0 (n,), which need not sum to 1. replacement: whether an index may come again. Raises ValueError for other
    weights, and for more samples without replacement than there are weights above 0.
    """

    def __init__(
        self,
        weights: Sequence[float] | Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        op = "WeightedRandomSampler"
        require(integer(op, "num_samples", num_samples) >= 1, op, "num_samples", "at least 1", num_samples)
        self.weights = np.asarray(as_array(weights), dtype=np.float64)
        right = self.weights.ndim == 1 and np.isfinite(self.weights).all() and (self.weights >= 0).all()
        positive = int((self.weights > 0).sum())
        expected = "one row of finite numbers >= 0, not all of them 0"
        require(right and positive, op, "weights", expected, f"others of shape {tuple(self.weights.shape)}")
        enough = replacement or num_samples <= positive
        require(enough, op, "num_samples", f"at most {positive}, the number of weights above 0", num_samples)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        n = self.num_samples if self.replacement else self.weights.size
        drawn = rand(n, generator=self.generator, dtype=_core.float64).numpy()
        if self.replacement:
            ends = np.cumsum(self.weights)
            found = np.searchsorted(ends, drawn * ends[-1], side="right")
            last = np.flatnonzero(self.weights)[-1]  # a product may be rounded up to the sum
            return iter(np.minimum(found, last).tolist())
        # The least of n exponential waiting times with these rates is each one's with the wanted probability.
        with np.errstate(divide="ignore", invalid="ignore"):
            waits = np.where(self.weights > 0, -np.log1p(-drawn) / self.weights, np.inf)
        return iter(np.argsort(waits, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of batch_size indices of another sampler. drop_last: leave out the last list unless it is full.

    Raises ValueError for a batch_size below 1.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        op = "BatchSampler"
        require(integer(op, "batch_size", batch_size) >= 1, op, "batch_size", "at least 1", batch_size)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, bool(drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return in_lists(iter(self.sampler), self.batch_size, self.drop_last)  # drawn now, in this thread

    def __len__(self) -> int:
        return number_of_lists(len(self.sampler), self.batch_size, self.drop_last)  # type: ignore[arg-type]


def in_lists(items: Iterable[Any], size: int, drop_last: bool) -> Iterator[list[Any]]:
    """Lists of `size` items; the last one may be shorter, and is left out if drop_last."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        if len(part) == size or not drop_last:
            yield part


def number_of_lists(n: int, size: int, drop_last: bool) -> int:
    """How many lists `in_lists` makes of n items."""
    return n // size if drop_last else -(-n // size)
