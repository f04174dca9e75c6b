"""DataLoader: batches of a dataset, epoch after epoch, in an order that can be resumed.

It runs in the caller's thread by default: a batch of data that lies in memory takes microseconds, little beside a training
step. If a batch takes longer, `prefetch` or `num_workers` makes batches in another thread.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from engine import _core
from engine.data._arrays import integer
from engine.data.batch import Batch
from engine.data.collate import default_collate, default_convert
from engine.data.dataset import Dataset, IterableDataset, lengths_of, makes_batches, offers, prefetch_of, unwrap
from engine.data.epochs import Epochs, Place
from engine.data.plan import BatchesOfPlan, BatchPlan, ItemsOfPlan
from engine.data.samplers import BatchSampler, RandomSampler, SequentialSampler, in_lists, number_of_lists
from engine.errors import BadType, require
from engine.ops.generator import Generator as RandomGenerator
from engine.ops.random import randint

__all__ = ["DataLoader", "WorkerInfo", "get_worker_info", "gives_batches", "in_order"]

_OWN_SIZE: Any = object()  # no batch_size was given


class WorkerInfo(NamedTuple):
    """The thread that makes batches ahead: always number 0 of 1."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """In the thread that a `DataLoader` with num_workers > 0 starts: what it is. Elsewhere None."""
    return getattr(_worker, "info", None)


class DataLoader(Epochs):
    """Iterates over a dataset in batches.

        >>> loader = DataLoader(dataset, batch_size=32, shuffle=True)
        >>> for x, y in loader:
        ...     loss = cross_entropy(model(x), y)

    It differs from PyTorch's: without a sampler or a generator, the order depends only on `seed` and the epoch, so that a run can be
    resumed; a dataset may make whole batches itself (`gather`); and there are no worker processes: num_workers > 0 starts one thread.

    Each `iter(loader)` is an epoch. Epochs count up by themselves, so a plain loop over epochs sees a new order each
    time; `set_epoch` chooses the next one. `state_dict` keeps the place in the epoch. A loader with a sampler, a batch_sampler or a
    generator, or with an iterable dataset, draws its order or its items anew when it is resumed, and leaves out as many batches as
    were done.

    As in PyTorch, `sampler` gives item numbers, `batch_sampler` lists of them, and another loader may take either. Those of a loader
    that has its order from `seed` give the order of its current epoch, and each further time that they are read, of the next one.
    The loader itself does not read them: `plan` is what decides.

    Args:
        dataset: has a length and items by number, or gives items one after the other (`IterableDataset`). If it has a method
            `gather(indices)`, as `TextDataset` does, that method makes the batches, also for a `Subset` of it; otherwise
            `collate_fn` makes them from lists of items.
        batch_size: the most items in a batch; by default 1, and 32 for a dataset with `lengths` and `gather`. None: no batches, each item
            alone; for a dataset with these two 32, or no limit if `max_tokens` is given.
        shuffle: a new random order each epoch.
        sampler: gives the indices of an epoch, instead of `shuffle`.
        batch_sampler: gives the lists of indices of an epoch, instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: above 0, one background thread makes num_workers * prefetch_factor batches ahead. The thread has its own
            state of engine's random numbers, seeded anew in each epoch, so that what it draws does not depend on timing. The states
            of `random` and `numpy.random` belong to the whole program: a dataset that draws from them is not reproducible.
        collate_fn: makes a batch from a list of items; None: the dataset's `gather` if it has one, otherwise
            `default_collate`. With batch_size=None it takes an item; None: `default_convert`.
        timeout: above 0, the most seconds that the loop waits for a batch of the thread.
        pin_memory, pin_memory_device, multiprocessing_context, in_order: change nothing. Batches always come in order.
        drop_last: leave out the last batch formed unless it is full.
        worker_init_fn: called with 0 in the thread before the first item of an epoch. NumPy's random state is afterwards as it was
            before.
        persistent_workers: `worker_init_fn` is called in the first epoch only.
        generator: draws the random order of `shuffle`, instead of `seed`.
        prefetch_factor: 2 by default; only with num_workers > 0.
        bucket_by_length: put items of similar length together (chunks of 50 batches are sorted by length; with
            `shuffle` the batches are then shuffled). Without padding this saves no memory, but it evens out the
            lengths within a batch; it changes the order of items even without `shuffle`.
        max_tokens: the most tokens (positions) in a batch.
        seed: decides the random order of `shuffle`; None: 0.
        prefetch: how many batches a background thread makes ahead; 0: each batch is made when the loop asks for it. The
            batches, their order and `state_dict` are the same either way. The dataset and `collate_fn` run in that thread
            and should draw no random numbers there.

    Raises:
        TypeError: if the dataset has no length or no items by number and is not iterable, or a number is not an integer.
        ValueError: if a size is below 1, a number is negative, `max_tokens` or `bucket_by_length` is given for a dataset
            without lengths, an item is longer than `max_tokens`, or arguments exclude each other as said above.
        RuntimeError: in the loop, if a batch takes longer than `timeout`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = _OWN_SIZE,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: RandomGenerator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        bucket_by_length: bool = False,
        max_tokens: int | None = None,
        seed: int | None = None,
        prefetch: int = 0,
    ) -> None:
        self._iterable = isinstance(dataset, IterableDataset) or (
            offers(dataset, "__iter__") and not offers(dataset, "__getitem__") and not offers(dataset, "__next__")
        )
        ordered = sampler is not None or batch_sampler is not None
        by_number = offers(dataset, "__getitem__") and (ordered or offers(dataset, "__len__"))
        expected, kind = "an object with __len__ and __getitem__, or with __iter__", type(dataset).__name__
        require(self._iterable or by_number, "DataLoader", "dataset", expected, kind, error=BadType)
        self.dataset, self.collate_fn, self.generator = dataset, collate_fn, generator
        self.pin_memory, self.timeout, self.worker_init_fn = pin_memory, timeout, worker_init_fn
        self.multiprocessing_context, self.pin_memory_device, self.in_order = (
            multiprocessing_context,
            pin_memory_device,
            in_order,
        )
        require(timeout >= 0, "DataLoader", "timeout", "at least 0", timeout)
        self._set_prefetch(prefetch, num_workers, prefetch_factor, persistent_workers)

        self._base, self._rows = (dataset, None) if self._iterable else unwrap(dataset)
        lengths = None if self._iterable else lengths_of(self._base)
        if lengths is not None and self._rows is not None:
            lengths = lengths[self._rows]
        packs = lengths is not None and makes_batches(self._base)
        if batch_sampler is not None:
            size = None if batch_size is _OWN_SIZE or batch_size == 1 else batch_size
            chosen = (("batch_size", size), ("shuffle", shuffle), ("sampler", sampler), ("drop_last", drop_last))
            self._refuse("batch_sampler decides the batches", *chosen)
            batch_size = None
        elif batch_size is _OWN_SIZE or (batch_size is None and packs):
            batch_size = (32 if packs else 1) if max_tokens is None else None
        self._alone = batch_size is None and max_tokens is None and batch_sampler is None
        require(not (self._alone and drop_last), "DataLoader", "drop_last", "False with batch_size=None", drop_last)
        self.batch_size, self.drop_last = batch_size, bool(drop_last)
        self.sampler: Any = sampler
        self.batch_sampler: Any = batch_sampler
        self.plan: BatchPlan | None = None  # of the orders that `seed` decides
        drawn = bool(shuffle) and generator is not None
        if not shuffle or drawn:
            self._refuse("it is only read with shuffle=True and without a generator", ("seed", seed))
        if self._iterable or ordered or drawn:
            self._refuse(
                "only without a sampler and a generator",
                ("bucket_by_length", bucket_by_length),
                ("max_tokens", max_tokens),
            )
            if self._iterable:
                self._refuse("an iterable dataset decides the order", ("shuffle", shuffle), ("sampler", sampler))
                self._refuse("an iterable dataset decides the order", ("batch_sampler", batch_sampler))
            if sampler is not None:
                self._refuse("sampler decides the order", ("shuffle", shuffle))
            if drawn:
                self.sampler = RandomSampler(dataset, generator=generator)
        else:
            self.plan = BatchPlan(
                len(dataset), lengths, batch_size=1 if self._alone else batch_size, shuffle=bool(shuffle),
                bucket_by_length=bucket_by_length, max_tokens=max_tokens, drop_last=drop_last, seed=0 if seed is None else seed,
            )  # fmt: skip
            if bucket_by_length or max_tokens is not None:  # lengths decide the order
                self.sampler = ItemsOfPlan(self.plan)
            elif shuffle:
                self.sampler = RandomSampler(dataset)
                self.sampler._order = ItemsOfPlan(self.plan)
        if self.sampler is None and not self._iterable:
            self.sampler = SequentialSampler(dataset)
        if self.plan is not None and not self._alone:
            self.batch_sampler = BatchesOfPlan(self.sampler, self.plan)
        elif batch_size is not None and not self._iterable:
            self.batch_sampler = BatchSampler(self.sampler, batch_size, self.drop_last)
        elif batch_size is not None:
            right = integer("DataLoader", "batch_size", batch_size) >= 1
            require(right, "DataLoader", "batch_size", "at least 1", batch_size)
        self._gathers = collate_fn is None and not self._alone and makes_batches(self._base)
        self._planned: tuple[int, int, list[np.ndarray]] | None = None
        self._worker_began = False
        self._begin(0)

    def __iter__(self) -> LoaderIterator:
        return LoaderIterator(self._next_epoch(), self)

    def _begin(self, epoch: int, place: Place | None = None) -> None:
        super()._begin(epoch, place)
        if self.plan is not None:
            self.plan.epoch = epoch

    def _set_prefetch(self, prefetch: int, num_workers: int, factor: int | None, persistent: bool) -> None:
        op = "DataLoader"
        for name, value in (("prefetch", prefetch), ("num_workers", num_workers)):
            require(integer(op, name, value) >= 0, op, name, "at least 0", value)
        self._check_context(num_workers)
        if num_workers == 0:
            for name, given in (("prefetch_factor", factor), ("persistent_workers", persistent)):
                require(not given, op, "num_workers", f"at least 1 with {name}", num_workers)
        else:
            require(prefetch == 0, op, "prefetch", "0 with num_workers", prefetch)
            factor = 2 if factor is None else integer(op, "prefetch_factor", factor)
            require(factor >= 1, op, "prefetch_factor", "at least 1", factor)
            prefetch = num_workers * factor
        self.num_workers, self.prefetch_factor, self.persistent_workers = num_workers, factor, persistent
        self.prefetch = int(prefetch)

    def _check_context(self, num_workers: int) -> None:
        op, name, context = "DataLoader", "multiprocessing_context", self.multiprocessing_context
        if context is None:
            return
        require(num_workers > 0, op, "num_workers", f"at least 1 with {name}", num_workers)
        if isinstance(context, str):
            known = multiprocessing.get_all_start_methods()
            require(context in known, op, name, f"one of {known}", repr(context))
        elif not hasattr(context, "get_start_method"):
            raise BadType(op, name, "a context of multiprocessing, or its name", type(context).__name__)

    def _refuse(self, because: str, *arguments: tuple[str, Any]) -> None:
        for name, value in arguments:
            require(value is None or value is False, "DataLoader", name, "no value", value, because)

    def num_batches(self, epoch: int | None = None) -> int | None:
        """The number of batches in an epoch (None: the current one). It differs between epochs only with `max_tokens`.

        None if the sampler or the iterable dataset has no length."""
        if self.plan is not None:
            return len(self._batches(self.plan, self._epoch if epoch is None else epoch))
        given = self.batch_size is None and self.batch_sampler is not None
        source = self.dataset if self._iterable else self.batch_sampler if given else self.sampler
        if not offers(source, "__len__"):
            return None
        return len(source) if self.batch_size is None else number_of_lists(len(source), self.batch_size, self.drop_last)

    def __len__(self) -> int:
        """The number of batches in the current epoch, those already handed out included. Raises TypeError if it is unknown."""
        n = self.num_batches()
        if n is None:
            raise BadType("DataLoader", "len", "a dataset or a sampler that has a length", "one without")
        return n

    def _batches(self, plan: BatchPlan, epoch: int) -> list[np.ndarray]:
        key = (epoch, plan.seed)
        if self._planned is None or self._planned[:2] != key:
            self._planned = (*key, plan.plan(epoch))
        return self._planned[2]

    def _batches_from(self, epoch: int, place: Place) -> Generator[tuple[Any, Place]]:
        done = place["position"]
        seed = None
        if (
            self.num_workers or self.generator is not None
        ):  # with a generator always, so that the order is the same either way
            seed = int(randint(0, 2**63 - 1, (), generator=self.generator).item())
        rest: Iterable[Any]
        if self.plan is not None:
            rest = self._batches(self.plan, epoch)[
                done:
            ]  # planned here: a generator would do it in the background thread
        elif self._iterable:
            rest = islice(self._items(), done, None)
        else:
            rest = islice(iter(self.sampler if self.batch_sampler is None else self.batch_sampler), done, None)
        made = ((self._fetch(rows), {"position": number}) for number, rows in enumerate(rest, start=done + 1))
        return self._as_worker(made, seed) if self.num_workers and seed is not None else made

    def _items(self) -> Iterable[Any]:
        """The items of an iterable dataset, alone or in lists. The dataset is asked for them in the background thread if there is one."""
        items: Iterable[Any] = self.dataset  # type: ignore[assignment]
        yield from items if self._alone else in_lists(items, self.batch_size, self.drop_last)  # type: ignore[arg-type]

    def _as_worker(self, made: Generator[tuple[Any, Place]], seed: int) -> Generator[tuple[Any, Place]]:
        _worker.info = WorkerInfo(0, 1, seed, self.dataset)
        _core.separate_random_state(
            seed
        )  # what runs here draws the same numbers, whatever the main thread draws meanwhile
        if self.worker_init_fn is not None and not (self.persistent_workers and self._worker_began):
            self._worker_began = True
            state = np.random.get_state()  # a process of its own would leave the program's state alone
            try:
                self.worker_init_fn(0)
            finally:
                np.random.set_state(state)
        yield from made

    def _fetch(self, rows: Any) -> Any:
        """The batch of rows: indices, as an array or a list; or the items themselves; or one of either."""
        planned = self.plan is not None
        if self._alone:
            item = rows if self._iterable else self.dataset[int(rows[0]) if planned else rows]
            return (self.collate_fn or default_convert)(item)
        if self._gathers:
            rows = rows if planned else np.array([int(row) for row in rows], np.int64)
            return self._base.gather(rows if self._rows is None else self._rows[rows])  # type: ignore[attr-defined]
        if self._iterable:
            items = rows
        else:
            rows = rows.tolist() if planned else rows
            several = getattr(self.dataset, "__getitems__", None)
            items = [self.dataset[row] for row in rows] if several is None else several(rows)
        return (self.collate_fn or default_collate)(items)

    def _start(self) -> Place:
        return {"position": 0}  # batches handed out

    def _settings(self) -> dict[str, Any]:
        if self.plan is not None:
            return self.plan.settings()
        return {"size": self.num_batches(), "batch_size": self.batch_size, "drop_last": self.drop_last}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), **({} if self.plan is None else {"seed": self.plan.seed})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.plan is not None:
            self.plan.seed = int(state["seed"])  # keeps the saved order, even if this loader was made with another seed
        op, end = "DataLoader.load_state_dict", self.num_batches()
        right = state["position"] >= 0 and (end is None or state["position"] <= end)
        require(right, op, "position", f"a value in [0, {end}]", state["position"])


class LoaderIterator(Iterator[Any]):
    """The batches of an epoch. `len`: how many the epoch has, those already handed out included."""

    def __init__(self, batches: Generator[Any], loader: DataLoader) -> None:
        self._batches, self._loader, self._epoch = batches, loader, loader.epoch

    def __next__(self) -> Any:
        return next(self._batches)

    def __len__(self) -> int:
        n = self._loader.num_batches(self._epoch)
        return len(self._loader) if n is None else n  # that raises the error

    def close(self) -> None:
        """Ends the epoch here, and the thread that makes batches ahead."""
        self._batches.close()


def gives_batches(data: Any) -> bool:
    """Whether a loop over data gets batches, as from a loader or a list of batches, and not the items of a dataset."""
    if isinstance(data, DataLoader) or hasattr(data, "num_batches") or not offers(data, "__getitem__"):
        return True
    return isinstance(data, (list, tuple)) and bool(data) and isinstance(data[0], Batch)


def in_order(data: Any, batch_size: int) -> Any:
    """The batches of a dataset in its order. Loaders and iterables of batches are returned unchanged."""
    return data if gives_batches(data) else DataLoader(data, batch_size, prefetch=prefetch_of(data))
