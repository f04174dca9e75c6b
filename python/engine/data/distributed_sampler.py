"""DistributedSampler: the part of a dataset's indices that one of several processes reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

from engine.data.samplers import Sampler
from engine.errors import require
from engine.ops.generator import Generator
from engine.ops.random import randperm

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every num_replicas-th index, beginning with number `rank`, of all indices in an order that all processes share.

    num_replicas, rank: None: 1 and 0, because engine trains in one process. shuffle: a random order, of `seed` and the epoch
    (`set_epoch`). drop_last: leave out the last indices if they do not go round; otherwise the first ones come again. Raises
    ValueError for a rank that is not below num_replicas.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.num_replicas, self.rank = num_replicas or 1, rank or 0
        inside = 0 <= self.rank < self.num_replicas
        require(inside, "DistributedSampler", "rank", f"a number in [0, {self.num_replicas})", self.rank)
        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0
        n, parts = len(dataset), self.num_replicas
        self.num_samples = n // parts if drop_last else math.ceil(n / parts)
        self.total_size = self.num_samples * parts

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            order = randperm(n, generator=Generator().manual_seed(self.seed + self.epoch)).tolist()
        else:
            order = list(range(n))
        while order and len(order) < self.total_size:
            order += order[: self.total_size - len(order)]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose random order comes next."""
        self.epoch = epoch
