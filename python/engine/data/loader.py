"""DataLoader: batches of a dataset, epoch after epoch, in an order that can be resumed.

It runs in the caller's thread by default: a batch of data that lies in memory takes microseconds, little beside a training
step. If a batch takes longer, `prefetch` makes batches in another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from engine.data._arrays import integer
from engine.data.batch import Batch
from engine.data.collate import default_collate
from engine.data.dataset import BatchSource, Dataset, prefetch_of, unwrap
from engine.data.epochs import Epochs, Place
from engine.data.sampler import BatchSampler
from engine.errors import BadType, require

__all__ = ["DataLoader", "gives_batches", "in_order"]


class DataLoader(Epochs):
    """Iterates over a dataset in batches.

    It differs from PyTorch's: the order depends only on `seed` and the epoch, `batch_size` is 32 by default, a dataset may
    make whole batches itself, and there are no worker processes.

        >>> loader = DataLoader(dataset, batch_size=32, shuffle=True, bucket_by_length=True)
        >>> for batch in loader:
        ...     loss = cross_entropy(model(batch), batch.labels)

    Each `iter(loader)` is an epoch. Epochs count up by themselves, so a plain loop over epochs sees a new order each
    time; `set_epoch` chooses the next one.

    Args:
        dataset: has a length and items by number. If it has a method `gather(indices)`, as `TextDataset` does, that method
            makes the batches, also for a `Subset` of it; otherwise `collate_fn` makes them from lists of items.
        batch_size: the most items in a batch; None: 32, or no limit if `max_tokens` is given.
        shuffle: a new random order each epoch.
        bucket_by_length: put items of similar length together (chunks of 50 batches are sorted by length; with
            `shuffle` the batches are then shuffled). Without padding this saves no memory, but it evens out the
            lengths within a batch; it changes the order of items even without `shuffle`.
        max_tokens: the most tokens (positions) in a batch.
        drop_last: leave out the last batch formed unless it is full.
        seed: decides the random orders.
        collate_fn: makes a batch from a list of items; None: the dataset's `gather` if it has one, otherwise
            `default_collate`.
        prefetch: how many batches a background thread makes ahead; 0: each batch is made when the loop asks for it. The
            batches, their order and `state_dict` are the same either way. The dataset and `collate_fn` run in that thread
            and should draw no random numbers there.

    Raises:
        TypeError: if the dataset has no length, or a number is not an integer.
        ValueError: if a size is below 1, `prefetch` is negative, `max_tokens` or `bucket_by_length` is given for a dataset
            without lengths, or an item is longer than `max_tokens`.
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
        is_dataset = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        kind = type(dataset).__name__
        require(is_dataset, "DataLoader", "dataset", "an object with __len__ and __getitem__", kind, error=BadType)
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.prefetch = integer("DataLoader", "prefetch", prefetch)
        require(self.prefetch >= 0, "DataLoader", "prefetch", "at least 0", prefetch)
        self._base, self._rows = unwrap(dataset)
        lengths = getattr(self._base, "lengths", None)
        if lengths is not None:
            lengths = np.asarray(lengths)[slice(None) if self._rows is None else self._rows]
        self.sampler = BatchSampler(
            len(dataset),
            lengths,
            batch_size=32 if batch_size is None and max_tokens is None else batch_size,
            shuffle=shuffle,
            bucket_by_length=bucket_by_length,
            max_tokens=max_tokens,
            drop_last=drop_last,
            seed=seed,
        )
        self._plan: tuple[int, int, list[np.ndarray]] | None = None
        self._begin(0)

    @property
    def batch_size(self) -> int | None:
        """The most items in a batch, or None."""
        return self.sampler.batch_size

    def num_batches(self, epoch: int | None = None) -> int:
        """The number of batches in an epoch (None: the current one). It differs between epochs only with `max_tokens`."""
        return len(self._batches(self._epoch if epoch is None else epoch))

    def __len__(self) -> int:
        """The number of batches in the current epoch, those already handed out included."""
        return self.num_batches()

    def _batches(self, epoch: int) -> list[np.ndarray]:
        key = (epoch, self.sampler.seed)
        if self._plan is None or self._plan[:2] != key:
            self._plan = (*key, self.sampler.plan(epoch))
        return self._plan[2]

    def _batches_from(self, epoch: int, place: Place) -> Generator[tuple[Any, Place]]:
        done = place["position"]
        rest = self._batches(epoch)[done:]  # planned here: a generator would do it in the background thread
        return ((self._fetch(rows), {"position": number}) for number, rows in enumerate(rest, start=done + 1))

    def _fetch(self, rows: np.ndarray) -> Any:
        if self.collate_fn is None and isinstance(self._base, BatchSource):
            return self._base.gather(rows if self._rows is None else self._rows[rows])
        items = [self.dataset[int(row)] for row in rows]
        return (self.collate_fn or default_collate)(items)

    def _start(self) -> Place:
        return {"position": 0}  # batches handed out

    def _settings(self) -> dict[str, Any]:
        return self.sampler.settings()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "seed": self.sampler.seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.sampler.seed = int(state["seed"])  # keeps the saved order, even if this loader was made with another seed
        op, end = "DataLoader.load_state_dict", len(self)
        require(0 <= state["position"] <= end, op, "position", f"a value in [0, {end}]", state["position"])


def gives_batches(data: Any) -> bool:
    """Whether a loop over data gets batches, as from a loader or a list of batches, and not the items of a dataset."""
    if isinstance(data, DataLoader) or hasattr(data, "num_batches") or not hasattr(data, "__getitem__"):
        return True
    return isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Batch)


def in_order(data: Any, batch_size: int) -> Any:
    """The batches of a dataset in its order. Loaders and iterables of batches are returned unchanged."""
    return data if gives_batches(data) else DataLoader(data, batch_size, prefetch=prefetch_of(data))
