"""Datasets of texts: `TextDataset` holds tokenized texts in one flat array and gathers whole batches at once,
`LazyTextDataset` tokenizes the texts of a batch when the batch is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.data._arrays import checked_indices, item_index, label_array, narrow
from engine.data.dataset import Dataset
from engine.errors import amount, require
from engine.layout import ranges
from engine.tensor import Tensor
from engine.text.packed import PackedBatch, flatten_texts
from engine.text.tokenizer import Tokenizer

__all__ = ["LazyTextDataset", "TextDataset", "TextItem"]


class TextItem(NamedTuple):
    """One tokenized text: its ids, int64 (length,); its label or None; token types and token labels, int64 (length,) or None."""

    input_ids: np.ndarray
    label: Any = None
    token_type_ids: np.ndarray | None = None
    token_labels: np.ndarray | None = None

    @staticmethod
    def collate(items: Sequence[TextItem]) -> PackedBatch:
        """The packed batch of items. Raises ValueError if only some of them have labels or token types."""
        ids, labels, types, tags = zip(*items)
        for name, values in (("label", labels), ("token_type_ids", types), ("token_labels", tags)):
            missing = sum(value is None for value in values)
            all_or_none = missing in (0, len(items))
            require(all_or_none, "default_collate", name, "one in every item or in none", f"{missing} without")
        return PackedBatch.from_sequences(
            ids,
            labels=None if labels[0] is None else np.stack([np.asarray(label) for label in labels]),
            token_type_ids=None if types[0] is None else types,
            token_labels=None if tags[0] is None else tags,
        )


class TextDataset(Dataset[TextItem]):
    """Tokenized texts with optional labels, one for each text or one for each token.

    All ids lie in one flat array (int32 if they fit) with offsets. So a million texts are three arrays, and a batch is one
    gather.

    Args:
        sequences: token ids of each text; a text may have none.
        labels: n integers, or floating-point targets (n, ...), or None.
        token_type_ids: segment numbers, of the same lengths as `sequences`.
        token_labels: instead of `labels`, one class number for each token, of the same lengths as `sequences`; -100 for a
            token without a label. They become the `labels` of packed batches, int64 (total_tokens,).

    Attributes:
        labels: (n, ...), or None.

    Raises:
        TypeError, ValueError: as `PackedBatch.from_sequences`.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[int] | np.ndarray],
        labels: Sequence[Any] | np.ndarray | Tensor | None = None,
        token_type_ids: Iterable[Sequence[int] | np.ndarray] | None = None,
        token_labels: Iterable[Sequence[int] | np.ndarray] | None = None,
    ) -> None:
        texts = flatten_texts("TextDataset", "sequences", sequences, labels, token_type_ids, token_labels)
        self._hold(*texts, labels)

    def _hold(
        self, flat: np.ndarray, lengths: np.ndarray, types: np.ndarray | None, tags: np.ndarray | None, labels: Any
    ) -> None:
        self._ids = narrow(flat)
        self._offsets = np.zeros(lengths.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=self._offsets[1:])
        self._types = None if types is None else narrow(types)
        self._token_labels = None if tags is None else narrow(tags)
        self.labels = _row_labels("TextDataset", labels, lengths.size)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        tokenizer: Tokenizer,
        labels: Sequence[Any] | np.ndarray | Tensor | None = None,
        max_length: int | None = None,
        pairs: Iterable[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> TextDataset:
        """Tokenize texts (or pairs of texts, with token types) into a dataset.

        Texts are tokenized some thousands at a time, on all cores. Only those are in memory besides the dataset's arrays.

        Args:
            texts: n strings.
            tokenizer: turns them into ids.
            labels: as in the constructor; `Labels.encode` turns names into numbers.
            max_length: the most tokens a text may have, special tokens included.
            pairs: n second texts, or None.
            progress: called as `progress(done, n)` after each chunk of texts.

        Raises:
            TypeError, ValueError: as `Tokenizer.encode_batch` and the constructor.
        """
        dataset = cls([])
        flat, lengths, types = tokenizer.encode_flat(texts, pairs, max_length, progress)
        dataset._hold(flat, lengths, types, None, labels)
        return dataset

    def __len__(self) -> int:
        return self._offsets.size - 1

    def __getitem__(self, index: int, /) -> TextItem:
        index = item_index("TextDataset", index, len(self))
        row = slice(self._offsets[index], self._offsets[index + 1])
        return TextItem(
            self._ids[row].astype(np.int64),
            None if self.labels is None else self.labels[index],
            None if self._types is None else self._types[row].astype(np.int64),
            None if self._token_labels is None else self._token_labels[row].astype(np.int64),
        )

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each text, int64 (n,)."""
        return np.diff(self._offsets)

    @property
    def token_labels(self) -> np.ndarray | None:
        """The labels of all tokens back to back, int64 (total_tokens,), or None."""
        return None if self._token_labels is None else self._token_labels.astype(np.int64)

    @property
    def total_tokens(self) -> int:
        """The number of tokens of all texts together."""
        return int(self._offsets[-1])

    def count_of(self, ids: Sequence[int]) -> np.ndarray:
        """How many tokens of each text have one of these ids, int64 (n,)."""
        before = np.zeros(self._ids.size + 1, dtype=np.int64)
        np.cumsum(np.isin(self._ids, ids), out=before[1:])
        return before[self._offsets[1:]] - before[self._offsets[:-1]]

    @property
    def nbytes(self) -> int:
        """The memory of the arrays, in bytes."""
        arrays = (self._ids, self._offsets, self._types, self.labels, self._token_labels)
        return sum(array.nbytes for array in arrays if array is not None)

    def gather(self, indices: Sequence[int] | np.ndarray) -> PackedBatch:
        """The packed batch of the given texts, in the order given.

        Raises:
            IndexError: if an index is not in [0, len(self)).
        """
        rows = checked_indices("TextDataset.gather", indices, len(self))
        starts = self._offsets[rows]
        lengths = self._offsets[rows + 1] - starts
        source = ranges(starts, lengths)
        labels = None if self.labels is None else self.labels[rows]
        return PackedBatch.from_flat(
            self._ids[source],
            lengths,
            labels=labels if self._token_labels is None else self._token_labels[source],
            token_type_ids=None if self._types is None else self._types[source],
        )

    def __repr__(self) -> str:
        kinds = (("labels", self.labels), ("token labels", self._token_labels))
        labels = "".join(f", {name}" for name, values in kinds if values is not None)
        return f"{type(self).__name__}({amount(len(self), 'text')}, {amount(self.total_tokens, 'token')}{labels})"


class LazyTextDataset(Dataset[TextItem]):
    """Texts that are tokenized when a batch needs them. A run then starts at once, however many texts there are.

    `DataLoader(prefetch=...)` tokenizes ahead of the training thread; a `Trainer` does so by default. The lengths in tokens are
    not known, so a loader of this dataset refuses `bucket_by_length` and `max_tokens`.

    Args:
        texts: n strings.
        tokenizer: turns them into ids.
        labels: n integers, or floating-point targets (n, ...), or None.
        pairs: n second texts, or None; with them batches have token types.
        max_length: the most tokens a text may have, special tokens included.

    Attributes:
        labels: (n, ...), or None.

    Raises:
        TypeError, ValueError: as `TextDataset.from_texts`; by this constructor, not in the middle of an epoch.
    """

    prefetch = 2  # see `engine.data.dataset.prefetch_of`: tokenizing would delay each step

    def __init__(
        self,
        texts: Iterable[str],
        tokenizer: Tokenizer,
        labels: Sequence[Any] | np.ndarray | Tensor | None = None,
        pairs: Iterable[str] | None = None,
        max_length: int | None = None,
    ) -> None:
        op = "LazyTextDataset"
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._texts, self._pairs, _ = tokenizer.check_texts(op, texts, pairs, max_length)
        self.labels = _row_labels(op, labels, len(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int, /) -> TextItem:
        index = item_index("LazyTextDataset", index, len(self))
        ids, _, types = self._encode([index])
        return TextItem(
            ids.astype(np.int64),
            None if self.labels is None else self.labels[index],
            None if types is None else types.astype(np.int64),
        )

    def gather(self, indices: Sequence[int] | np.ndarray) -> PackedBatch:
        """The packed batch of the given texts, in the order given, tokenized now.

        Raises:
            IndexError: if an index is not in [0, len(self)).
        """
        rows = checked_indices("LazyTextDataset.gather", indices, len(self))
        ids, lengths, types = self._encode(rows.tolist())
        labels = None if self.labels is None else self.labels[rows]
        return PackedBatch.from_flat(ids, lengths, labels=labels, token_type_ids=types)

    def _encode(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        texts = [self._texts[row] for row in rows]
        pairs = None if self._pairs is None else [self._pairs[row] for row in rows]
        return self.tokenizer.encode_flat(texts, pairs, self.max_length)

    def __repr__(self) -> str:
        return f"LazyTextDataset({amount(len(self), 'text')}{'' if self.labels is None else ', labels'})"


def _row_labels(op: str, labels: Any, n: int) -> np.ndarray | None:
    if labels is None:
        return None
    array = label_array(op, labels)
    require(array.shape[0] == n, op, "labels", f"{n}, one for each text", array.shape[0])
    return array
