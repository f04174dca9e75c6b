"""Masked language modelling as a task."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine import ops
from engine.models.forward import device_of_model
from engine.nn import Module
from engine.nn import functional as F
from engine.ops.loss import IGNORE_INDEX
from engine.text import PackedBatch

__all__ = ["evaluate_masked"]


def evaluate_masked(model: Module, batches: Iterable[PackedBatch]) -> dict[str, float]:
    """Loss and perplexity a hidden token, and the share of them guessed right, over masked batches of a `BertForMaskedLM`.

    The model is used in the mode it is in. Raises ValueError where no batch has a label.
    """
    where = device_of_model(model)
    loss, right, count = 0.0, 0, 0
    for batch in batches:
        if batch.labels is None:
            raise ValueError("[evaluate_masked] batches: expected labels, got a batch without")
        labels = batch.labels.cpu().numpy()
        (rows,) = (labels != IGNORE_INDEX).nonzero()
        if not rows.size:
            continue
        logits: Any = model(batch.to(where), rows=rows)
        wanted = labels[rows]
        loss += float(F.cross_entropy(logits, ops.from_numpy(wanted).to(where), reduction="sum").item())
        right += int((logits.argmax(-1).cpu().numpy() == wanted).sum())
        count += rows.size
    if not count:
        raise ValueError("[evaluate_masked] batches: expected at least one token to guess, got none")
    return {"loss": loss / count, "perplexity": math.exp(min(loss / count, 700.0)), "accuracy": right / count}
