"""Datasets of texts: `TextDataset` holds tokenized texts in one flat array and gathers whole batches at once, `LazyTextDataset`
tokenizes what a batch needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.data._arrays import checked_indices, flatten_ids, flatten_like, integer, label_array, narrow
from engine.data.dataset import Dataset
from engine.errors import BadIndex, BadValue
from engine.layout import ranges
from engine.tensor import Tensor
from engine.text.packed import PackedBatch
from engine.text.tokenizer import Tokenizer, checked_texts

__all__ = ["LazyTextDataset", "TextDataset", "TextItem"]


class TextItem(NamedTuple):
    """One tokenized text: ids int64 (length,), its label or None, token types and token labels int64 (length,) or None."""

    input_ids: np.ndarray
    label: Any = None
    token_type_ids: np.ndarray | None = None
    token_labels: np.ndarray | None = None

    @staticmethod
    def collate(items: Sequence[TextItem]) -> PackedBatch:
        """The packed batch of items. Raises ValueError where only some of them have labels or types."""
        labels = [item.label for item in items]
        types = [item.token_type_ids for item in items]
        tags = [item.token_labels for item in items]
        for name, values in (("label", labels), ("token_type_ids", types), ("token_labels", tags)):
            missing = sum(value is None for value in values)
            if missing not in (0, len(items)):
                raise BadValue("default_collate", name, "one in every item or in none", f"{missing} without")
        return PackedBatch.from_sequences(
            [item.input_ids for item in items],
            labels=None if labels[0] is None else np.stack([np.asarray(label) for label in labels]),
            token_type_ids=None if types[0] is None else [ids for ids in types if ids is not None],
            token_labels=None if tags[0] is None else [ids for ids in tags if ids is not None],
        )


class TextDataset(Dataset[TextItem]):
    """Tokenized texts with optional labels, one a text or one a token.

    All ids lie in one flat array (int32 where they fit) with offsets, so a million texts are three arrays, and a
    batch is one gather.

    Args:
        sequences: token ids of each text; a text may have none.
        labels: n integers, or floating-point targets (n, ...), or None.
        token_type_ids: segment numbers, of the same lengths as `sequences`.
        token_labels: one class number a token instead of `labels`, of the same lengths as `sequences`; -100 where
            there is none. They become the `labels` of packed batches, int64 (total_tokens,).

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
        op = "TextDataset"
        if labels is not None and token_labels is not None:
            raise BadValue(op, "token_labels", "None beside labels", "both")
        flat, lengths = flatten_ids(op, "sequences", sequences)
        types = tags = None
        if token_type_ids is not None:
            types = flatten_like(op, "token_type_ids", token_type_ids, lengths, "sequences")
        if token_labels is not None:
            tags = flatten_like(op, "token_labels", token_labels, lengths, "sequences", signed=True)
        self._hold(flat, lengths, labels, types, tags)

    def _hold(
        self, flat: np.ndarray, lengths: np.ndarray, labels: Any, types: np.ndarray | None, tags: np.ndarray | None
    ) -> None:
        self._ids = narrow(flat)
        self._offsets = np.zeros(lengths.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=self._offsets[1:])
        self._types = None if types is None else narrow(types)
        self._token_labels = None if tags is None else narrow(tags)
        self._labels = None if labels is None else _row_labels("TextDataset", labels, lengths.size)

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

        Texts are tokenized some thousands at a time, on all cores; beside the dataset's arrays no more than that is held.

        Args:
            texts: n strings.
            tokenizer: what makes ids of them.
            labels: as in the constructor; names become numbers by `Labels.encode` before.
            max_length: the most tokens a text may have, special tokens included.
            pairs: n second texts, or None.
            progress: called as `progress(done, n)` after each chunk of texts.

        Raises:
            TypeError, ValueError: as `Tokenizer.encode_batch` and the constructor.
        """
        dataset = cls([])
        flat, lengths, types = tokenizer.encode_flat(texts, pairs, max_length, progress)
        dataset._hold(flat, lengths, labels, types, None)
        return dataset

    def __len__(self) -> int:
        return self._offsets.size - 1

    def __getitem__(self, index: int, /) -> TextItem:
        n, index = len(self), integer("TextDataset", "index", index)
        if not -n <= index < n:
            raise BadIndex("TextDataset", "index", f"a value in [{-n}, {n})", index)
        index %= n
        row = slice(self._offsets[index], self._offsets[index + 1])
        return TextItem(
            self._ids[row].astype(np.int64),
            None if self._labels is None else self._labels[index],
            None if self._types is None else self._types[row].astype(np.int64),
            None if self._token_labels is None else self._token_labels[row].astype(np.int64),
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
    def token_labels(self) -> np.ndarray | None:
        """Labels of all tokens back to back, int64 (total_tokens,), or None."""
        return None if self._token_labels is None else self._token_labels.astype(np.int64)

    @property
    def total_tokens(self) -> int:
        """Tokens of all texts together."""
        return int(self._offsets[-1])

    @property
    def nbytes(self) -> int:
        """Memory the arrays take, in bytes."""
        arrays = (self._ids, self._offsets, self._types, self._labels, self._token_labels)
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
        labels = None if self._labels is None else self._labels[rows]
        return PackedBatch.from_flat(
            self._ids[source],
            lengths,
            labels=labels if self._token_labels is None else self._token_labels[source],
            token_type_ids=None if self._types is None else self._types[source],
        )

    def __repr__(self) -> str:
        kinds = (("labels", self._labels), ("token labels", self._token_labels))
        labels = "".join(f", {name}" for name, values in kinds if values is not None)
        return f"{type(self).__name__}({len(self)} texts, {self.total_tokens} tokens{labels})"


class LazyTextDataset(Dataset[TextItem]):
    """Texts that are tokenized when a batch needs them, for corpora that are not worth tokenizing up front.

    `DataLoader(prefetch=...)` does that ahead of the training thread; a `Trainer` does it unasked. The lengths in tokens
    are not known, so a loader of it refuses `bucket_by_length` and `max_tokens`.

    Args:
        texts: n strings.
        tokenizer: what makes ids of them.
        labels: n integers, or floating-point targets (n, ...), or None.
        pairs: n second texts, or None; with them batches have token types.
        max_length: the most tokens a text may have, special tokens included.

    Raises:
        TypeError, ValueError: as `TextDataset.from_texts`; here, not in the middle of an epoch.
    """

    prefetch = 2  # batches that loaders make ahead unless they are told otherwise: tokenizing would delay each step

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
        self._texts = checked_texts(op, "texts", texts)
        self._pairs = None if pairs is None else checked_texts(op, "pairs", pairs)
        if self._pairs is not None and len(self._pairs) != len(self._texts):
            raise BadValue(op, "pairs", f"{len(self._texts)} texts, one a text", len(self._pairs))
        tokenizer.check_room(op, max_length, pair=pairs is not None)
        self._labels = None if labels is None else _row_labels(op, labels, len(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int, /) -> TextItem:
        n, index = len(self), integer("LazyTextDataset", "index", index)
        if not -n <= index < n:
            raise BadIndex("LazyTextDataset", "index", f"a value in [{-n}, {n})", index)
        ids, _, types = self._encode([index % n])
        return TextItem(
            ids.astype(np.int64),
            None if self._labels is None else self._labels[index],
            None if types is None else types.astype(np.int64),
        )

    @property
    def labels(self) -> np.ndarray | None:
        """Labels, (n, ...), or None."""
        return self._labels

    def gather(self, indices: Sequence[int] | np.ndarray) -> PackedBatch:
        """The packed batch of the given texts, in the order given, tokenized now.

        Raises:
            IndexError: if an index is not in [0, len(self)).
        """
        rows = checked_indices("LazyTextDataset.gather", indices, len(self))
        ids, lengths, types = self._encode(rows.tolist())
        labels = None if self._labels is None else self._labels[rows]
        return PackedBatch.from_flat(ids, lengths, labels=labels, token_type_ids=types)

    def _encode(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        texts = [self._texts[row] for row in rows]
        pairs = None if self._pairs is None else [self._pairs[row] for row in rows]
        return self.tokenizer.encode_flat(texts, pairs, self.max_length)

    def __repr__(self) -> str:
        return f"LazyTextDataset({len(self)} texts{'' if self._labels is None else ', labels'})"


def _row_labels(op: str, labels: Any, n: int) -> np.ndarray:
    array = label_array(op, labels)
    if array.shape[0] != n:
        raise BadValue(op, "labels", f"{n}, one a sequence", array.shape[0])
    return array
