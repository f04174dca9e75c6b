"""Augmentation of packed batches while training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from engine.data import PackedBatch
from engine.ops.factory import from_numpy

__all__ = ["TokenDropout"]

_PURPOSE = 0x746F6B656E  # sets these draws apart from others of the same seed


class TokenDropout:
    """Hides random tokens behind one token, such as [UNK] or [MASK] (word dropout: Iyyer et al., 2015).

    The model learns not to lean on single words, and what an unknown word may mean. Which tokens go is decided by
    (seed, step, position in the batch) alone, so a resumed run hides the same ones.

    Args:
        p: share of tokens to hide.
        token_id: what stands in their place.
        keep: ids that are never hidden, such as [CLS] and [SEP].
        seed: of the draws.

    Raises:
        ValueError: unless 0 <= p <= 1.
    """

    def __init__(self, p: float, token_id: int, keep: Iterable[int] = (), seed: int = 0) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"[TokenDropout] p: expected a number in [0, 1], got {p}")
        self.p, self.token_id, self.seed = p, token_id, seed
        self.keep = np.array(sorted(set(keep)), dtype=np.int64)

    def __call__(self, batch: PackedBatch, step: int) -> PackedBatch:
        """The batch with tokens hidden; the one given stays as it is."""
        if self.p == 0:
            return batch
        ids = batch.input_ids.cpu().numpy()
        bits = np.random.Philox(key=np.array([self.seed, step], np.uint64), counter=[0, 0, 0, _PURPOSE])
        hidden = (bits.random_raw(ids.size) >> np.uint64(11)) < round(self.p * 2**53)
        hidden &= ~np.isin(ids, self.keep)
        return replace(batch, input_ids=from_numpy(np.where(hidden, np.int64(self.token_id), ids)).to(batch.device))
