"""Where a `Trainer` gets its batches from: datasets, loaders, and streams of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from engine.data import DataLoader
from engine.data.dataset import prefetch_of
from engine.data.loader import gives_batches
from engine.errors import BadType, BadValue
from engine.train.config import TrainerConfig

__all__ = ["BatchStream", "in_groups", "shares", "training_source"]


class BatchStream:
    """Batches of any iterable, with what the Trainer asks of a `DataLoader`: epochs, a place, and how to go on from it.

    Args:
        data: gives batches each time it is iterated. If it has `set_epoch(epoch)`, that is called before each epoch;
            if it has `state_dict()` and `load_state_dict(state)`, a resumed run goes on through them. Otherwise the batches
            that were done are drawn again and passed over, which gives the same bits where each iteration of an epoch gives
            the same batches.
    """

    def __init__(self, data: Iterable[Any]) -> None:
        self.data: Any = data
        self._epoch = self._position = 0
        self._skip: int | None = None  # batches to pass over after a resume; None: the data begin an epoch

    def num_batches(self, epoch: int) -> int | None:
        """Batches of an epoch; None where the data do not say."""
        count = getattr(self.data, "num_batches", None)
        if count is not None:
            return int(count(epoch))
        return len(self.data) if hasattr(self.data, "__len__") else None

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch that the next iteration runs; naming that of a loaded state keeps its place."""
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
        """Epoch, batches handed out, and the data's own state where they have one."""
        state: dict[str, Any] = {"epoch": self._epoch, "position": self._position}
        if hasattr(self.data, "state_dict"):
            state["data"] = self.data.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises ValueError where that was of data of another kind."""
        own = hasattr(self.data, "load_state_dict")
        if own != ("data" in state) or not {"epoch", "position"} <= set(state):
            expected = "with" if own else "without"
            raise BadValue("Trainer", "train_data", f"a state of data {expected} a state of its own", "another")
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(self._epoch)
        if own:
            self.data.load_state_dict(state["data"])
        self._skip = 0 if own else self._position


def training_source(data: Any, config: TrainerConfig) -> DataLoader | BatchStream:
    """Shuffled batches of a dataset by the config; loaders and streams as they are.

    Raises TypeError for anything else, ValueError if the config sets what a loader or stream decides itself."""
    if not gives_batches(data):
        return DataLoader(
            data, config.batch_size, shuffle=True, bucket_by_length=config.bucket_by_length,
            max_tokens=config.max_tokens, seed=config.seed, prefetch=prefetch_of(data),
        )  # fmt: skip
    if not hasattr(data, "__iter__"):
        raise BadType("Trainer", "train_data", "a dataset, a loader or batches", type(data).__name__)
    config.refuse("train_data gives batches", "batch_size", "max_tokens", "bucket_by_length")
    return data if isinstance(data, DataLoader) else BatchStream(data)


def in_groups(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` batches, the last one perhaps shorter; none is drawn before it is wanted."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


def shares(batches: Sequence[Any], weight: Callable[[Any], float]) -> list[float]:
    """The factors of the batches' mean losses that make them the mean over all: 1.0 for a single batch.

    Raises ValueError where no target of any batch counts."""
    if len(batches) == 1:
        return [1.0]
    weights = [float(weight(batch)) for batch in batches]
    total = sum(weights)
    if not total > 0:
        raise BadValue("Trainer", "train_data", f"a target that counts in {len(batches)} batches", "none")
    return [w / total for w in weights]
