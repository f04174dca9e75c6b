"""Epochs: batches epoch after epoch, from any place on. `DataLoader` and `TextCorpus` are made of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from engine.data._arrays import integer
from engine.data.prefetch import Prefetcher
from engine.errors import BadValue, require

__all__ = ["Epochs"]

Place = dict[str, Any]  # where an epoch continues; fits JSON


class Epochs(ABC):
    """An object whose every `iter` is one epoch.

    Epochs count up by themselves, so that a plain loop over epochs sees a new order each time. A subclass defines
    `_batches_from`, `_start` and `_settings`, sets `prefetch`, and calls `_begin(0)` when it is made.
    """

    prefetch: int  # how many batches a background thread makes ahead; 0: no thread
    timeout: float = 0  # the most seconds to wait for a batch of the thread; 0: no limit

    @abstractmethod
    def _batches_from(self, epoch: int, place: Place) -> Generator[tuple[Any, Place]]:
        """The batches of an epoch from a place on, each with the place after it."""

    @abstractmethod
    def _start(self) -> Place:
        """The place before the first batch of an epoch."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What decides the batches besides the epoch and the place; fits JSON."""

    @property
    def epoch(self) -> int:
        """The number of the current epoch, or of the next one if none is running."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next `iter` runs. After `load_state_dict`, choosing the same epoch keeps the place.

        Raises:
            ValueError: if `epoch` is not in [0, 2^39).
            TypeError: if it is not an integer.
        """
        op = f"{type(self).__name__}.set_epoch"
        require(0 <= integer(op, "epoch", epoch) < 2**39, op, "epoch", "a number in [0, 2^39)", epoch)
        if not (self._fresh and epoch == self._epoch):
            self._begin(int(epoch))

    def _begin(self, epoch: int, place: Place | None = None) -> None:
        self._epoch = epoch
        self._place = self._start() if place is None else place
        self._fresh = True  # no iterator has begun this epoch, or the rest of it after a resume
        self._current: object = None  # the iterator that moves `_place`: the newest

    def __iter__(self) -> Iterator[Any]:
        return self._next_epoch()

    def _next_epoch(self) -> Generator[Any]:
        if not self._fresh:
            self._begin(self._epoch + 1)
        self._fresh = False
        self._current = token = object()
        return self._iterate(token, self._batches_from(self._epoch, self._place))

    def _iterate(self, token: object, made: Generator[tuple[Any, Place]]) -> Generator[Any]:
        with closing(Prefetcher(made, self.prefetch, self.timeout) if self.prefetch else made) as batches:
            for batch, after in batches:
                if self._current is token:
                    self._place = after
                yield batch
        if self._current is token:
            self._begin(self._epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the place in it and the settings; fits JSON.

        Inside a loop, the batch that the loop has just received counts as done.
        """
        return {"epoch": self._epoch, **self._place, "settings": self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken: the next `iter` gives the remaining batches of that epoch.

        The data must be the same as then.

        Raises:
            ValueError: if the state belongs to an object with other settings.
        """
        kind = type(self).__name__
        op = f"{kind}.load_state_dict"
        missing = [key for key in self.state_dict() if key not in state]
        require(not missing, op, "state", f"the state of a {kind}", f"one without {', '.join(missing)}")
        for name, value in self._settings().items():
            there = state["settings"].get(name)
            if there != value:
                raise BadValue(op, name, f"{value!r} as in this {kind}", f"{there!r} in the state")
        self._begin(int(state["epoch"]), {name: state[name] for name in self._start()})
