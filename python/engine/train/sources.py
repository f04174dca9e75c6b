"""The sources of a `Trainer`'s batches: datasets, loaders, and streams of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.data import DataLoader
from engine.data.dataset import prefetch_of
from engine.data.loader import gives_batches
from engine.errors import Argument, BadType, BadValue, amount, require
from engine.tasks.base import check_data, is_list
from engine.train.config import TrainerConfig

__all__ = ["BatchStream"]


class BatchStream:
    """The batches of any iterable. Like a `DataLoader`, it knows epochs, its position, and how to go on from it.

        >>> Trainer(model, loss, config, BatchStream([(x[:8], y[:8]), (x[8:], y[8:])]))

    A `Trainer` makes one of each iterable of batches, apart from a plain list of Tensors or of structures of Tensors, whose items
    could be samples as well: put such a list into a `BatchStream`.

    Args:
        data: gives batches each time it is iterated. If it has `set_epoch(epoch)`, this is called before each epoch.
            If it has `state_dict()` and `load_state_dict(state)`, a resumed run uses them. Otherwise a resumed run draws the
            finished batches again and skips them; then it gives the same bits if each iteration of an epoch gives the same batches.
    """

    def __init__(self, data: Iterable[Any]) -> None:
        right = hasattr(data, "__iter__") and not isinstance(data, (type, str, bytes, Mapping))
        require(right, "BatchStream", "data", "an iterable of batches", type(data).__name__, error=BadType)
        self.data: Any = data
        self._epoch = self._position = 0
        self._skip: int | None = None  # batches to skip after a resume; None: the epoch has not begun

    def num_batches(self, epoch: int) -> int | None:
        """The number of batches of an epoch; None: the data do not say."""
        if hasattr(self.data, "num_batches"):
            return int(self.data.num_batches(epoch))
        return len(self.data) if hasattr(self.data, "__len__") else None

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration. If it is the epoch of a loaded state, the position in it is kept."""
        if self._skip is None or epoch != self._epoch:
            self._epoch, self._position, self._skip = epoch, 0, None
            if hasattr(self.data, "set_epoch"):
                self.data.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        skip, self._skip = self._skip or 0, None
        for batch in islice(self.data, skip, None):
            self._position += 1
            yield batch
        if not self._position:
            raise BadValue("Trainer", "train_data", f"at least one batch in epoch {self._epoch}", "none")

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the number of batches given out in it, and the data's own state if they have one."""
        state: dict[str, Any] = {"epoch": self._epoch, "position": self._position}
        if hasattr(self.data, "state_dict"):
            state["data"] = self.data.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken. Raises ValueError for a state of another kind of data."""
        own = hasattr(self.data, "load_state_dict")
        fits = own == ("data" in state) and {"epoch", "position"} <= set(state)
        require(fits, "Trainer", "train_data", "data of the same kind as in the checkpoint", "another kind")
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(self._epoch)
        if own:
            self.data.load_state_dict(state["data"])
        self._skip = 0 if own else self._position


def training_source(data: Any, config: TrainerConfig) -> DataLoader | BatchStream:
    """A loader of a dataset's shuffled batches, by the config; a loader unchanged; a stream of any other batches.

    Raises TypeError for anything else (see `check_data`), ValueError if the config sets what a loader or a stream decides."""
    check_data("Trainer", "train_data", data)
    if not is_list(data) and not gives_batches(data):
        require(len(data), "Trainer", "train_data", "at least one batch an epoch", "none")
        return DataLoader(
            data, config.batch_size, shuffle=True, bucket_by_length=config.bucket_by_length,
            max_tokens=config.max_tokens, seed=config.seed, prefetch=prefetch_of(data),
        )  # fmt: skip
    config.refuse((Argument("train_data"), " gives batches"), "batch_size", "max_tokens", "bucket_by_length")
    return data if isinstance(data, DataLoader) else BatchStream(data)


def in_groups(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` batches; the last list may be shorter. A batch is drawn only when its list is asked for."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


def shares(batches: Sequence[Any], weight: Callable[[Any], float]) -> list[float]:
    """The factors with which the mean losses of the batches add up to the mean loss of all; 1.0 for a single batch.

    Raises ValueError if the weight of all batches is 0."""
    if len(batches) == 1:
        return [1.0]
    weights = [weight(batch) for batch in batches]
    total = sum(weights)
    require(
        total > 0,
        "Trainer",
        "train_data",
        f"a target that counts in {amount(len(batches), 'batch', 'batches')}",
        "none",
    )
    return [w / total for w in weights]
