"""Datasets: objects that have a length and give items by number, or that give items one after the other. As in PyTorch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from engine.data._arrays import as_array, checked_indices, from_numpy, integer, item_index, needs_ops
from engine.data._random import SPLIT, check_seed, permutation
from engine.errors import BadType, NotDefined, require
from engine.ops.generator import Generator
from engine.ops.random import randperm
from engine.tensor import Tensor

__all__ = [
    "BatchSource",
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "makes_batches",
    "offers",
    "prefetch_of",
    "random_split",
    "unwrap",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """What a `DataLoader` reads: `len(dataset)` items, `dataset[i]` for i in [0, len). Subclassing is optional.

    `a + b` is the `ConcatDataset` of both.
    """

    if TYPE_CHECKING:  # a base without it says truly that there is no length

        def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Items one after the other: a subclass defines `__iter__`, and `__len__` if the number of items is known.

    `a + b` is the `ChainDataset` of both.
    """

    __getitem__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[T_co]:
        raise NotDefined(type(self).__name__, "__iter__", "a method of this name in the subclass", "none")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class BatchSource(Protocol):
    """A dataset that makes a whole batch at once, as `TextDataset` and `TensorDataset` do.

    If it also has `lengths`, int64 (n,), a `DataLoader` can group items of similar length and limit the positions in a batch.
    If a batch takes long to make, its attribute `prefetch` says how many batches another thread should make ahead; see
    `prefetch_of`.
    """

    def gather(self, indices: np.ndarray) -> Any:
        """The batch of the given items, in the order given."""


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Rows of several Tensors or arrays: item i is `tuple(t[i] for t in tensors)`.

    Raises:
        ValueError: if there is no Tensor, or their first dimensions differ.
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        alike = len({shape[:1] for shape in shapes}) == 1 and shapes[0] != ()
        require(alike, "TensorDataset", "tensors", "one or more with the same first dimension", f"shapes {shapes}")
        self.tensors: tuple[Any, ...] = tensors

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def __getitem__(self, index: int, /) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def gather(self, indices: Sequence[int] | np.ndarray) -> list[Tensor]:
        """The given rows of each, stacked.

        Raises:
            IndexError: if an index is not in [0, len(self)).
        """
        rows = checked_indices("TensorDataset.gather", indices, len(self))
        return [
            tensor[from_numpy(rows)] if needs_ops(tensor) else from_numpy(as_array(tensor)[rows])
            for tensor in self.tensors
        ]


class Subset(Dataset[T_co]):
    """The items of `dataset` at `indices`, in that order.

    Raises:
        IndexError: if an index is not in [0, len(dataset)).
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int] | np.ndarray) -> None:
        self.dataset, self.indices = dataset, indices  # the object given, which may be changed
        self.rows()

    def rows(self) -> np.ndarray:
        """`indices` as int64 (len(self),), checked."""
        return checked_indices("Subset", self.indices, len(self.dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> T_co:
        return self.dataset[int(self.indices[integer("Subset", "index", index)])]


class ConcatDataset(Dataset[T_co]):
    """The items of several datasets, one after the other; index -1 is the last.

    Raises:
        ValueError: if there is no dataset.
        TypeError: if one has no length or no items by number.
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        require(self.datasets, "ConcatDataset", "datasets", "at least one dataset", "none")
        for i, dataset in enumerate(self.datasets):
            right, got = offers(dataset, "__len__", "__getitem__"), type(dataset).__name__
            expected = "an object with __len__ and __getitem__"
            require(right, "ConcatDataset", f"datasets[{i}]", expected, got, error=BadType)
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int, /) -> T_co:
        number = item_index("ConcatDataset", index, len(self))
        part = bisect_right(self.cumulative_sizes, number)
        return self.datasets[part][number - self.cumulative_sizes[part - 1] if part else number]


class ChainDataset(IterableDataset[T_co]):
    """The items of several iterable datasets, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        for i, dataset in enumerate(self.datasets):
            right, got = offers(dataset, "__iter__"), type(dataset).__name__
            require(right, "ChainDataset", f"datasets[{i}]", "an object with __iter__", got, error=BadType)

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset[Any]):
    """Items of several datasets side by side: a tuple of each one's item, or by keywords a dict.

    Raises:
        ValueError: if there is no dataset, if both forms are used, or if the lengths differ.
    """

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        require(
            bool(args) != bool(kwargs), "StackDataset", "datasets", "datasets, or datasets by keywords", "both or none"
        )
        self.datasets: Any = kwargs or args
        sizes = [len(dataset) for dataset in (kwargs.values() if kwargs else args)]
        require(len(set(sizes)) == 1, "StackDataset", "datasets", "the same length", f"lengths {sizes}")
        self._length = sizes[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int, /) -> Any:
        if isinstance(self.datasets, Mapping):
            return {key: dataset[index] for key, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int | float], generator: Generator | None = None, *, seed: int = 0
) -> list[Subset[T_co]]:
    """Split a dataset at random into subsets of the given lengths, or fractions that sum to 1.

    Fractions are rounded down to whole items. The items left over go to the first subsets, one each, as in PyTorch. Differs from
    PyTorch: without a generator the split depends only on `seed`, and is the same in each run.

    Raises:
        ValueError: if the lengths do not sum to `len(dataset)`, or the fractions to 1.
        TypeError: if `generator` is not a Generator.
    """
    n = len(dataset)
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1.0) and all(0.0 <= size <= 1.0 for size in sizes):
        whole = [math.floor(n * size) for size in sizes]
        sizes = [size + (i < n - sum(whole)) for i, size in enumerate(whole)]
    right = sum(sizes) == n and all(size >= 0 and int(size) == size for size in sizes)
    expected = f"whole numbers that sum to {n} or fractions that sum to 1"
    require(right, "random_split", "lengths", expected, list(lengths))
    if generator is None:
        order = permutation(n, check_seed("random_split", seed), purpose=SPLIT)
    else:
        order = randperm(n, generator=generator).numpy()
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, order[end - int(size) : end].tolist()) for size, end in zip(sizes, ends, strict=True)]


def offers(dataset: Any, *methods: str) -> bool:
    """Whether an object has all these methods."""
    return all(getattr(dataset, method, None) is not None for method in methods)


def makes_batches(dataset: Any) -> bool:
    """Whether a dataset's `gather` makes a batch of rows, and gives what its items give: no subclass has changed `__getitem__` alone.

    A method of that name that takes other arguments than one is the dataset's own matter. So is that of a Tensor."""
    for cls in type(dataset).__mro__:
        if "gather" in vars(cls) or "__getitem__" in vars(cls):
            return "gather" in vars(cls) and _takes_one(dataset.gather)
    return False


def _takes_one(method: Any) -> bool:
    """Whether it can be called with one argument."""
    try:
        signature(method).bind(None)
    except (TypeError, ValueError):
        return False
    return True


def lengths_of(dataset: Any) -> np.ndarray | None:
    """The `lengths` of a dataset that has one integer for each item; None for a dataset without, or with something else of that name."""
    found = getattr(dataset, "lengths", None)
    if isinstance(found, Tensor):
        found = found.detach().cpu().numpy()
    if isinstance(found, list | tuple) and all(isinstance(n, int | np.integer) for n in found):
        found = np.asarray(found, np.int64)
    right = isinstance(found, np.ndarray) and found.dtype.kind in "iu" and found.shape == (len(dataset),)
    return found if right else None


def unwrap(dataset: Dataset[Any]) -> tuple[Dataset[Any], np.ndarray | None]:
    """The dataset under any number of `Subset`s, and the rows of it that they choose (None: all)."""
    rows: np.ndarray | None = None
    while type(dataset) is Subset:
        mine = dataset.rows()
        rows = mine if rows is None else mine[rows]
        dataset = dataset.dataset
    return dataset, rows


def prefetch_of(dataset: Dataset[Any]) -> int:
    """How many batches another thread should make ahead: the dataset's attribute `prefetch`; 0 if it has none."""
    return int(getattr(unwrap(dataset)[0], "prefetch", 0))
