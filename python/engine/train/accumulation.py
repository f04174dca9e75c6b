"""Several batches as one: which part each has in the mean over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.data import Batch
from engine.nn import CrossEntropyLoss, NLLLoss
from engine.ops.loss import IGNORE_INDEX

__all__ = ["counted_targets", "shares"]


def counted_targets(batch: Batch, loss_fn: Any = None) -> float:
    """What the mean loss of a batch was divided by: the number of its targets, class numbers of -100 left out; sequences where
    it has no labels. For a CrossEntropyLoss or NLLLoss by its `ignore_index`, and with class weights their sum."""
    if batch.labels is None:
        return batch.batch_size
    labels = batch.host("labels")
    if not np.issubdtype(labels.dtype, np.integer):
        return len(labels)
    by_class = isinstance(loss_fn, (CrossEntropyLoss, NLLLoss))
    counted = labels[labels != (loss_fn.ignore_index if by_class else IGNORE_INDEX)]
    if by_class and loss_fn.weight is not None:
        weights = loss_fn.weight.cpu().numpy()
        counted = counted[(counted >= 0) & (counted < len(weights))]  # others are the loss's to refuse
        return float(weights.astype(np.float64)[counted].sum())
    return counted.size


def shares(batches: Sequence[Any], weight: Callable[[Any], float]) -> list[float]:
    """The factors of the batches' mean losses that make them the mean over all: 1.0 for a single batch.

    Raises ValueError where no target of any batch counts."""
    if len(batches) == 1:
        return [1.0]
    weights = [float(weight(batch)) for batch in batches]
    total = sum(weights)
    if not total > 0:
        raise ValueError(f"[Trainer] train_data: expected a target that counts in {len(batches)} batches, got none")
    return [w / total for w in weights]
