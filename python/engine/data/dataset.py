"""Datasets: objects that have a length and give items by number. `TensorDataset` and `Subset` are as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from engine.data._arrays import as_array, checked_indices, from_numpy, integer
from engine.data._random import SPLIT, check_seed, permutation
from engine.errors import require
from engine.tensor import Tensor

__all__ = ["BatchSource", "Dataset", "Subset", "TensorDataset", "prefetch_of", "random_split", "unwrap"]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Protocol[T_co]):
    """What a `DataLoader` reads: `len(dataset)` items, `dataset[i]` for i in [0, len). Subclassing is optional."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__")

    def __getitem__(self, index: int, /) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")


@runtime_checkable
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
        return [from_numpy(as_array(tensor)[rows]) for tensor in self.tensors]


class Subset(Dataset[T_co]):
    """The items of `dataset` at `indices`, in that order.

    Raises:
        IndexError: if an index is not in [0, len(dataset)).
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = checked_indices("Subset", indices, len(dataset))

    def __len__(self) -> int:
        return self.indices.size

    def __getitem__(self, index: int, /) -> T_co:
        return self.dataset[int(self.indices[integer("Subset", "index", index)])]


def random_split(dataset: Dataset[T_co], lengths: Sequence[int | float], seed: int = 0) -> list[Subset[T_co]]:
    """Split a dataset at random into subsets of the given lengths, or fractions that sum to 1.

    Fractions are rounded down to whole items. The items left over go to the first subsets, one each, as in PyTorch.

    Raises:
        ValueError: if the lengths do not sum to `len(dataset)`, or the fractions to 1.
    """
    n = len(dataset)
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1.0) and all(0.0 <= size <= 1.0 for size in sizes):
        whole = [math.floor(n * size) for size in sizes]
        sizes = [size + (i < n - sum(whole)) for i, size in enumerate(whole)]
    right = sum(sizes) == n and all(size >= 0 and int(size) == size for size in sizes)
    expected = f"whole numbers that sum to {n} or fractions that sum to 1"
    require(right, "random_split", "lengths", expected, list(lengths))
    order = permutation(n, check_seed("random_split", seed), purpose=SPLIT)
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, order[end - int(size) : end]) for size, end in zip(sizes, ends, strict=True)]


def unwrap(dataset: Dataset[Any]) -> tuple[Dataset[Any], np.ndarray | None]:
    """The dataset under any number of `Subset`s, and the rows of it that they choose (None: all)."""
    rows: np.ndarray | None = None
    while type(dataset) is Subset:
        rows = dataset.indices if rows is None else dataset.indices[rows]
        dataset = dataset.dataset
    return dataset, rows


def prefetch_of(dataset: Dataset[Any]) -> int:
    """How many batches another thread should make ahead: the dataset's attribute `prefetch`; 0 if it has none."""
    return int(getattr(unwrap(dataset)[0], "prefetch", 0))
