"""Datasets: what has a length and gives items by number.

`TextDataset` holds tokenized texts in one flat array and gathers whole batches at once; `TensorDataset` and `Subset`
are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from engine.data._arrays import (
    as_array,
    checked_indices,
    first_difference,
    flatten_ids,
    from_numpy,
    integer,
    label_array,
    narrow,
)
from engine.data._random import SPLIT, check_seed, permutation
from engine.data.packed import PackedBatch
from engine.data.tokenizer import Tokenizer
from engine.tensor import Tensor

__all__ = ["BatchSource", "Dataset", "Subset", "TensorDataset", "TextDataset", "TextItem", "random_split"]

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

    If it also has `lengths`, int64 (n,), a `DataLoader` can bucket it and keep token budgets.
    """

    def gather(self, indices: np.ndarray) -> Any:
        """The batch of the given items, in the order given."""


class TextItem(NamedTuple):
    """One tokenized text: ids int64 (length,), its label or None, token types int64 (length,) or None."""

    input_ids: np.ndarray
    label: Any = None
    token_type_ids: np.ndarray | None = None


class TextDataset(Dataset[TextItem]):
    """Tokenized texts with optional labels.

    All ids lie in one flat array (int32 where they fit) with offsets, so a million texts are three arrays, and a
    batch is one gather.

    Args:
        sequences: token ids of each text; a text may have none.
        labels: n integers, or floating-point targets (n, ...), or None.
        token_type_ids: segment numbers, of the same lengths as `sequences`.

    Raises:
        TypeError, ValueError: as `PackedBatch.from_sequences`.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[int] | np.ndarray],
        labels: Sequence[Any] | np.ndarray | Tensor | None = None,
        token_type_ids: Iterable[Sequence[int] | np.ndarray] | None = None,
    ) -> None:
        flat, lengths = flatten_ids("TextDataset", "sequences", sequences)
        self._ids = narrow(flat)
        self._offsets = np.zeros(lengths.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=self._offsets[1:])
        self._types: np.ndarray | None = None
        if token_type_ids is not None:
            types, type_lengths = flatten_ids("TextDataset", "token_type_ids", token_type_ids)
            if not np.array_equal(lengths, type_lengths):
                raise ValueError(
                    "[TextDataset] token_type_ids: expected the same lengths as sequences, got "
                    + first_difference(lengths, type_lengths)
                )
            self._types = narrow(types)
        self._labels: np.ndarray | None = None
        if labels is not None:
            self._labels = label_array("TextDataset", labels)
            if self._labels.shape[0] != lengths.size:
                raise ValueError(
                    f"[TextDataset] labels: expected {lengths.size}, one a sequence, got {self._labels.shape[0]}"
                )

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        tokenizer: Tokenizer,
        labels: Sequence[Any] | np.ndarray | Tensor | None = None,
        max_length: int | None = None,
        pairs: Iterable[str] | None = None,
    ) -> TextDataset:
        """Tokenize texts (or pairs of texts, with token types) into a dataset.

        Args:
            texts: n strings.
            tokenizer: what makes ids of them.
            labels: as in the constructor; names become numbers by `Labels.encode` before.
            max_length: the most tokens a text may have, special tokens included.
            pairs: n second texts, or None.

        Raises:
            TypeError, ValueError: as `Tokenizer.encode_batch` and the constructor.
        """
        if pairs is None:
            return cls(tokenizer.encode_batch(texts, max_length), labels)
        ids, types = tokenizer.encode_pairs(texts, pairs, max_length)
        return cls(ids, labels, types)

    def __len__(self) -> int:
        return self._offsets.size - 1

    def __getitem__(self, index: int, /) -> TextItem:
        n, index = len(self), integer("TextDataset", "index", index)
        if not -n <= index < n:
            raise IndexError(f"[TextDataset] index: expected a value in [{-n}, {n}), got {index}")
        index %= n
        row = slice(self._offsets[index], self._offsets[index + 1])
        return TextItem(
            self._ids[row].astype(np.int64),
            None if self._labels is None else self._labels[index],
            None if self._types is None else self._types[row].astype(np.int64),
        )

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 (n,)."""
        return np.diff(self._offsets)

    @property
    def labels(self) -> np.ndarray | None:
        """Labels, (n, ...), or None."""
        return self._labels

    @property
    def total_tokens(self) -> int:
        """Tokens of all texts together."""
        return int(self._offsets[-1])

    @property
    def nbytes(self) -> int:
        """Memory the arrays take, in bytes."""
        return sum(a.nbytes for a in (self._ids, self._offsets, self._types, self._labels) if a is not None)

    def gather(self, indices: Sequence[int] | np.ndarray) -> PackedBatch:
        """The packed batch of the given texts, in the order given.

        Raises:
            IndexError: if an index is not in [0, len(self)).
        """
        rows = checked_indices("TextDataset.gather", indices, len(self))
        starts = self._offsets[rows]
        lengths = self._offsets[rows + 1] - starts
        # Where each token comes from: its place in the batch, moved by (start in the dataset - start in the batch).
        shift = starts - (np.cumsum(lengths) - lengths)
        source = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(shift, lengths)
        return PackedBatch.from_flat(
            self._ids[source],
            lengths,
            labels=None if self._labels is None else self._labels[rows],
            token_type_ids=None if self._types is None else self._types[source],
        )

    def __repr__(self) -> str:
        labels = "" if self._labels is None else ", labels"
        return f"TextDataset({len(self)} texts, {self.total_tokens} tokens{labels})"


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Rows of several Tensors or arrays side by side: item i is `(t[i] for t in tensors)`.

    Raises:
        ValueError: if none is given, or their first dimensions differ.
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        sizes = [tuple(tensor.shape)[:1] for tensor in tensors]
        if not sizes or sizes[0] == () or sizes.count(sizes[0]) != len(sizes):
            raise ValueError(
                f"[TensorDataset] tensors: expected one or more with the same first dimension, got shapes "
                f"{[tuple(tensor.shape) for tensor in tensors]}"
            )
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

    With fractions, rows left over by rounding down go to the first subsets, one each, as in PyTorch.

    Raises:
        ValueError: if the lengths do not sum to `len(dataset)`, or the fractions to 1.
    """
    n = len(dataset)
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1.0) and all(0.0 <= size <= 1.0 for size in sizes):
        whole = [math.floor(n * size) for size in sizes]
        sizes = [size + (i < n - sum(whole)) for i, size in enumerate(whole)]
    if sum(sizes) != n or any(size < 0 or int(size) != size for size in sizes):
        raise ValueError(
            f"[random_split] lengths: expected whole numbers that sum to {n} or fractions that sum to 1, got "
            f"{list(lengths)}"
        )
    order = permutation(n, check_seed("random_split", seed), purpose=SPLIT)
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, order[end - int(size) : end]) for size, end in zip(sizes, ends, strict=True)]


def unwrap(dataset: Dataset[Any]) -> tuple[Dataset[Any], np.ndarray | None]:
    """The dataset under any number of `Subset`s, and the rows of it that are meant (None: all)."""
    rows: np.ndarray | None = None
    while type(dataset) is Subset:
        rows = dataset.indices if rows is None else dataset.indices[rows]
        dataset = dataset.dataset
    return dataset, rows
