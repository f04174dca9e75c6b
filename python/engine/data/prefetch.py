"""Prefetcher: a background thread that makes batches ahead of the loop.

The thread saves time if making a batch releases Python's lock, as tokenizing does, or waits for a disk.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from engine.data._arrays import integer
from engine.errors import BadState, BadType, require

__all__ = ["Prefetcher"]

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """An iterator over `source` that a background thread keeps `depth` items ahead.

    It gives the same items in the same order. If `source` raises, the error is raised in place of the item. The thread ends
    with the source, with `close`, or when nothing refers to the iterator any more; so a loop may be left at any item.

        >>> list(Prefetcher(range(3), depth=2))
        [0, 1, 2]

    `source` runs in the other thread: the code that reads the items must not use objects that `source` changes.

    Args:
        source: anything to iterate over. The thread begins with the first item at once.
        depth: the most items that are made ahead.
        timeout: the most seconds to wait for an item; 0: no limit. Then RuntimeError is raised.

    Raises:
        ValueError: if `depth` is below 1.
        TypeError: if `source` cannot be iterated over, or `depth` is not an integer.
    """

    def __init__(self, source: Iterable[T], depth: int = 2, timeout: float = 0) -> None:
        require(integer("Prefetcher", "depth", depth) >= 1, "Prefetcher", "depth", "at least 1", depth)
        try:
            items = iter(source)
        except TypeError:
            raise BadType("Prefetcher", "source", "an iterable", type(source).__name__) from None
        # The thread holds the channel and not this object, so that dropping this object ends it.
        self._channel: _Channel[T] = _Channel(depth)
        self._timeout = timeout
        self._thread = threading.Thread(
            target=_make, args=(items, self._channel), name="engine.data.Prefetcher", daemon=True
        )
        _alive.add(self)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._channel.take(self._thread, self._timeout)

    def close(self) -> None:
        """End the thread after its current item and drop the items made ahead. Iterating then stops."""
        self._channel.close()

    def __del__(self) -> None:
        channel = getattr(self, "_channel", None)
        if channel is not None:
            channel.close()


_alive: weakref.WeakSet[Prefetcher[Any]] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """A thread inside the tokenizers library must not be running when the interpreter ends."""
    for prefetcher in list(_alive):
        prefetcher.close()
        prefetcher._thread.join(timeout=10)


def _orphan_all() -> None:
    """The child of a fork has no such thread, and a lock that the thread held at the fork stays locked in the child."""
    for prefetcher in list(_alive):
        prefetcher._channel = _Channel(1)


os.register_at_fork(after_in_child=_orphan_all)


class _Channel(Generic[T]):
    """A bounded queue that either side may end.

    `Condition` uses a reentrant lock, so a finalizer that calls `close` in the middle of `take` does not deadlock.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False  # by the thread: there are no more items
        self._closed = False  # by the loop: it needs no more items
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Add an item when there is room. False: the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, maker: threading.Thread, timeout: float = 0) -> T:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (self._items or self._ended or self._closed):
                if not maker.is_alive():  # after a fork the child has the iterator, but not the thread
                    raise BadState("Prefetcher", "process", "the one that made the iterator", "a fork of it")
                if not self._changed.wait(max(deadline - time.monotonic(), 0) if timeout else None):
                    raise BadState("DataLoader", "timeout", f"a batch within {timeout} seconds", "none")
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration


def _make(items: Iterator[T], channel: _Channel[T]) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not channel.put(item):
                break
    except BaseException as caught:  # `take` raises it in the other thread
        error = caught
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        channel.end(error)
