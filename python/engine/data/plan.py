"""Which items are in each batch: random order, buckets of similar length, limits on tokens.

The plan of an epoch depends only on the lengths (or the size), the settings, the seed and the epoch. It can be made again at
any time; so a run can resume in the middle of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from engine.data._arrays import integer
from engine.data._random import LOADER, check_seed, permutation
from engine.data.samplers import BatchSampler, Sampler
from engine.errors import BadValue, amount, require

__all__ = ["BatchPlan", "BatchesOfPlan", "ItemsOfPlan"]

# Bucketing sorts within chunks of this many batches, or of a quarter of a small data set. So the lengths in a batch are
# nearly equal, and yet each epoch has other batches.
_CHUNK_BATCHES = 50


class BatchPlan:
    """Plans the batches of each epoch.

    Args:
        size: number of items.
        lengths: tokens of each item, integers (size,); needed for `bucket_by_length` and `max_tokens`.
        batch_size: the most items in a batch; None: no limit, and `max_tokens` must be given.
        shuffle: a new random order each epoch.
        bucket_by_length: put items of similar length together: the order (random with `shuffle`) is cut into chunks
            of 50 batches (or a quarter of the items, if that is less), each chunk is sorted by length, and with
            `shuffle` the batches are shuffled.
        max_tokens: the most tokens in a batch; batches are filled in order until the next item would not fit.
        drop_last: leave out the last batch formed unless it is full.
        seed: decides the random orders, together with the epoch.

    Raises:
        ValueError: if a size is below 1, lengths are missing, or an item is longer than `max_tokens`.
        TypeError: if a size is not an integer.
    """

    epoch = 0  # the one that a loader is in

    def __init__(
        self,
        size: int,
        lengths: np.ndarray | None = None,
        *,
        batch_size: int | None = 32,
        shuffle: bool = False,
        bucket_by_length: bool = False,
        max_tokens: int | None = None,
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        op = "DataLoader"
        self.size, self.lengths, self.seed = size, lengths, check_seed(op, seed)
        self.batch_size = None if batch_size is None else integer(op, "batch_size", batch_size)
        self.max_tokens = None if max_tokens is None else integer(op, "max_tokens", max_tokens)
        self.shuffle, self.bucket_by_length, self.drop_last = bool(shuffle), bool(bucket_by_length), bool(drop_last)
        for name, value in (("batch_size", self.batch_size), ("max_tokens", self.max_tokens)):
            require(value is None or value >= 1, op, name, "at least 1", value)
        limited = batch_size is not None or max_tokens is not None
        require(limited, op, "batch_size", "a number, because max_tokens is None", "None")
        if lengths is None:
            for name, wanted in (("bucket_by_length", bucket_by_length), ("max_tokens", max_tokens)):
                require(not wanted, op, name, "a dataset with lengths, such as TextDataset", "one without")
            return
        require(len(lengths) == size, op, "dataset", amount(size, "length"), len(lengths))
        if max_tokens is not None and size and lengths.max() > max_tokens:
            expected = f"at least {lengths.max()}, the tokens of item {np.argmax(lengths)}"
            raise BadValue(op, "max_tokens", expected, max_tokens)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """Item numbers of each batch of an epoch, a list of int64 arrays."""
        # Streams 2e and 2e+1 of the seed: the order of items and the order of batches.
        batches = self._cut(self._items(epoch))
        if self.bucket_by_length and self.shuffle:
            batches = [batches[i] for i in self._shuffled(len(batches), 2 * epoch + 1)]
        return batches

    def order(self, epoch: int) -> np.ndarray:
        """Item numbers of an epoch in the order of its batches, before drop_last where only batch_size cuts: int64."""
        if self.bucket_by_length or self.max_tokens is not None:
            batches = self.plan(epoch)
            return np.concatenate(batches) if batches else np.empty(0, np.int64)
        return self._items(epoch)

    def settings(self) -> dict[str, Any]:
        """What decides a plan besides the seed and the epoch; fits JSON."""
        names = ("size", "batch_size", "shuffle", "bucket_by_length", "max_tokens", "drop_last")
        return {name: getattr(self, name) for name in names}

    def _items(self, epoch: int) -> np.ndarray:
        """The items in the order in which they are cut into batches."""
        order = self._shuffled(self.size, 2 * epoch) if self.shuffle else np.arange(self.size, dtype=np.int64)
        return self._bucketed(order) if self.bucket_by_length else order

    def _shuffled(self, n: int, stream: int) -> np.ndarray:
        return permutation(n, self.seed, stream, purpose=LOADER)

    def _bucketed(self, order: np.ndarray) -> np.ndarray:
        assert self.lengths is not None
        per_batch = self.batch_size or self.size
        if self.max_tokens is not None and self.size:
            per_batch = min(per_batch, int(self.max_tokens / max(float(self.lengths.mean()), 1.0)))
        per_batch = max(per_batch, 1)
        chunk = per_batch * min(_CHUNK_BATCHES, max(self.size // (4 * per_batch), 1))
        parts = []
        for number, start in enumerate(range(0, self.size, chunk)):
            part = order[start : start + chunk]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            # Up and down in turn, so that a batch across the border of two chunks has similar lengths too.
            parts.append(part[::-1] if number % 2 else part)
        return np.concatenate(parts) if parts else order

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        """Cut an order into batches that respect both limits."""
        size = self.size
        if self.max_tokens is None or self.lengths is None:
            starts = range(0, size, self.batch_size or 1)
            batches = [order[start : start + (self.batch_size or 1)] for start in starts]
            if self.drop_last and batches and batches[-1].size < (self.batch_size or 1):
                batches.pop()
            return batches
        filled = np.concatenate([[0], np.cumsum(self.lengths[order], dtype=np.int64)])
        batches = []
        start = 0
        while start < size:
            # The last end with filled[end] - filled[start] <= max_tokens; one item always fits.
            end = int(np.searchsorted(filled, filled[start] + self.max_tokens, side="right")) - 1
            if self.batch_size is not None:
                end = min(end, start + self.batch_size)
            full = end < size or end - start == self.batch_size or filled[end] - filled[start] == self.max_tokens
            if full or not self.drop_last:
                batches.append(order[start:end])
            start = end
        return batches


class _Reads:
    """Which epoch a reader of a plan gets: the plan's, and each further time the next one."""

    def __init__(self, plan: BatchPlan) -> None:
        self._plan, self._begin, self._times = plan, plan.epoch, 0

    def next(self) -> int:
        if self._begin != self._plan.epoch:
            self._begin, self._times = self._plan.epoch, 0
        self._times += 1
        return self._begin + self._times - 1


class ItemsOfPlan(Sampler[int]):
    """The item numbers of a plan's epoch, in the order of its batches; each time that it is read, of the epoch after."""

    def __init__(self, plan: BatchPlan) -> None:
        self._plan, self._reads = plan, _Reads(plan)

    def __iter__(self) -> Iterator[int]:
        return iter(self._plan.order(self._reads.next()).tolist())

    def __len__(self) -> int:
        return self._plan.size


class BatchesOfPlan(BatchSampler):
    """The batches of a plan's epoch, as lists of item numbers; each time that they are read, of the epoch after.

    sampler: gives the same items one by one.
    """

    def __init__(self, sampler: Iterable[int], plan: BatchPlan) -> None:
        self.sampler, self.drop_last = sampler, plan.drop_last
        self.batch_size = plan.batch_size  # type: ignore[assignment]  # None, if max_tokens alone decides
        self._plan, self._reads = plan, _Reads(plan)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([rows.tolist() for rows in self._plan.plan(self._reads.next())])

    def __len__(self) -> int:
        return len(self._plan.plan(self._plan.epoch))
