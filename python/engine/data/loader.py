"""DataLoader: batches of a dataset, epoch after epoch, in an order that can be resumed.

Runs in the caller's thread unless told otherwise: making a batch of what lies in memory is one gather, microseconds beside
a training step. Where it costs more, `prefetch` makes batches in another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from engine.data._arrays import integer
from engine.data.batch import Batch
from engine.data.collate import default_collate
from engine.data.dataset import BatchSource, Dataset, prefetch_of, unwrap
from engine.data.prefetch import Prefetcher
from engine.data.sampler import BatchSampler
from engine.errors import BadType, BadValue

__all__ = ["DataLoader", "gives_batches", "in_order"]


class DataLoader:
    """Iterates over a dataset in batches.

    Differs from PyTorch's: the order depends on `seed` and the epoch alone, `batch_size` is 32 unless told otherwise, a
    dataset may make whole batches itself, and there are no worker processes.

        >>> loader = DataLoader(dataset, batch_size=32, shuffle=True, bucket_by_length=True)
        >>> for batch in loader:
        ...     loss = cross_entropy(model(batch), batch.labels)

    Each `iter(loader)` is an epoch. Epochs count up by themselves, so a plain loop over epochs sees a new order each
    time; `set_epoch` names the next one.

    Args:
        dataset: one with a method `gather(indices)` gives the batches that this makes, as `TextDataset` does, and so does a
            `Subset` of it; any other gives what `collate_fn` makes of a list of items.
        batch_size: the most items in a batch; None: 32, or no limit where `max_tokens` is given.
        shuffle: a new random order each epoch.
        bucket_by_length: put items of similar length together (chunks of 50 batches are sorted by length; with
            `shuffle` the batches are then shuffled). Without padding this saves no memory, but it evens out the
            lengths within a batch; it changes the order of items even without `shuffle`.
        max_tokens: the most tokens (positions) in a batch.
        drop_last: leave out the last batch formed unless it is full.
        seed: decides the random orders.
        collate_fn: makes a batch of a list of items; None: the dataset's `gather` where it has one,
            `default_collate` otherwise.
        prefetch: how many batches a background thread makes ahead; 0: none, they are made when asked for. The batches,
            their order and `state_dict` are the same: batches made and not handed out do not count. The dataset and
            `collate_fn` then run in that thread and should draw no random numbers there.

    Raises:
        TypeError: if the dataset has no length.
        ValueError: on sizes below 1, a negative `prefetch`, a budget or buckets for a dataset without lengths, or an item longer than
            `max_tokens`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = None,
        shuffle: bool = False,
        *,
        bucket_by_length: bool = False,
        max_tokens: int | None = None,
        drop_last: bool = False,
        seed: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch: int = 0,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise BadType("DataLoader", "dataset", "__len__ and __getitem__", f"{type(dataset).__name__} without")
        if batch_size is None and max_tokens is None:
            batch_size = 32
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.prefetch = integer("DataLoader", "prefetch", prefetch)
        if self.prefetch < 0:
            raise BadValue("DataLoader", "prefetch", "at least 0", prefetch)
        self._base, self._rows = unwrap(dataset)
        lengths = getattr(self._base, "lengths", None)
        if lengths is not None:
            lengths = np.asarray(lengths)
            lengths = lengths if self._rows is None else lengths[self._rows]
        self.sampler = BatchSampler(
            len(dataset),
            lengths,
            batch_size=batch_size,
            shuffle=shuffle,
            bucket_by_length=bucket_by_length,
            max_tokens=max_tokens,
            drop_last=drop_last,
            seed=seed,
        )
        self._epoch = 0
        self._position = 0  # batches of this epoch handed out
        self._fresh = True  # no iterator has begun this epoch (or this resumed rest of it)
        self._current: object = None  # the iterator that `_position` counts for
        self._plan: tuple[int, int, list[np.ndarray]] | None = None

    @property
    def batch_size(self) -> int | None:
        """The most items in a batch, or None."""
        return self.sampler.batch_size

    @property
    def epoch(self) -> int:
        """The epoch under way, or about to begin."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch that the next `iter` runs. After `load_state_dict`, naming the same epoch keeps the place.

        Raises:
            ValueError: if `epoch` is negative.
        """
        if epoch < 0:
            raise BadValue("DataLoader.set_epoch", "epoch", "at least 0", epoch)
        if not (self._fresh and epoch == self._epoch):
            self._begin(int(epoch), 0)

    def num_batches(self, epoch: int | None = None) -> int:
        """Batches of an epoch (None: of the present one). Only token budgets make it differ between epochs."""
        return len(self._batches(self._epoch if epoch is None else epoch))

    def __len__(self) -> int:
        """Batches of the present epoch, those already handed out included."""
        return self.num_batches()

    def __iter__(self) -> Iterator[Any]:
        if not self._fresh:
            self._begin(self._epoch + 1, 0)
        self._fresh = False
        self._current = token = object()
        return self._iterate(token, self._batches(self._epoch)[self._position :])

    def _iterate(self, token: object, batches: list[np.ndarray]) -> Iterator[Any]:
        made = (self._fetch(rows) for rows in batches)
        ahead = Prefetcher(made, self.prefetch) if self.prefetch and batches else None
        try:
            for batch in made if ahead is None else ahead:
                if self._current is token:
                    self._position += 1
                yield batch
        finally:
            if ahead is not None:
                ahead.close()
        if self._current is token:
            self._begin(self._epoch + 1, 0)

    def _fetch(self, rows: np.ndarray) -> Any:
        if self.collate_fn is None and isinstance(self._base, BatchSource):
            return self._base.gather(rows if self._rows is None else self._rows[rows])
        items = [self.dataset[int(row)] for row in rows]
        return (self.collate_fn or default_collate)(items)

    def _begin(self, epoch: int, position: int) -> None:
        self._epoch, self._position, self._fresh, self._current = epoch, position, True, None

    def _batches(self, epoch: int) -> list[np.ndarray]:
        key = (epoch, self.sampler.seed)
        if self._plan is None or self._plan[:2] != key:
            self._plan = (*key, self.sampler.plan(epoch))
        return self._plan[2]

    # --- resuming ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: epoch, batches handed out, seed and settings; fits JSON.

        Taken inside the loop, the batch in hand counts as done.
        """
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self.sampler.seed,
            "settings": self.sampler.settings(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next `iter` gives the batches that were left of that epoch.

        Raises:
            ValueError: if the state is of a loader with other settings or a dataset of another size.
        """
        op = "DataLoader.load_state_dict"
        missing = [key for key in ("epoch", "position", "seed", "settings") if key not in state]
        if missing:
            raise BadValue(op, "state", "the keys epoch, position, seed, settings", f"none of {missing}")
        for name, value in self.sampler.settings().items():
            if state["settings"].get(name) != value:
                raise BadValue(op, name, repr(value), repr(state["settings"].get(name)))
        self.sampler.seed = int(state["seed"])
        self._begin(int(state["epoch"]), int(state["position"]))
        if not 0 <= self._position <= len(self):
            raise BadValue(op, "position", f"a value in [0, {len(self)}]", state["position"])


def gives_batches(data: Any) -> bool:
    """Whether iterating over data gives batches, as a loader or a list of batches does, and not the items of a dataset."""
    if isinstance(data, DataLoader) or hasattr(data, "num_batches") or not hasattr(data, "__getitem__"):
        return True
    return isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Batch)


def in_order(data: Any, batch_size: int) -> Any:
    """Batches of a dataset in its order; loaders and iterables of batches as they are."""
    return data if gives_batches(data) else DataLoader(data, batch_size, prefetch=prefetch_of(data))
