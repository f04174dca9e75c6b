"""A model's answers to all batches of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine import _core
from engine.autograd import no_grad
from engine.device import device as Device
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.tensor import Tensor

__all__ = ["compute_logits", "counted_rows", "device_of_model", "evaluating"]


def device_of_model(model: Module) -> Device:
    """Where a model's parameters are; the CPU where it has none."""
    return next((p.device for p in model.parameters()), Device("cpu"))


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model in evaluation mode, nothing recorded; afterwards it is in the mode it had."""
    training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(training)


def compute_logits(model: Module, loader: Iterable[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits and labels, or None where there are none, of all batches in their order: (n, num_labels) and (n,) of texts,
    (total_tokens, num_labels) and (total_tokens,) of tokens, as the model and the batches have them.

    The model works in evaluation mode, on its device, and is left in the mode it had. Raises ValueError where there is no batch.
    """
    where = device_of_model(model)
    logits: list[Tensor] = []
    labels: list[np.ndarray] = []
    with evaluating(model):
        for batch in loader:
            logits.append(model(batch.to(where)))
            if batch.labels is not None:
                labels.append(batch.labels.cpu().numpy())
    if not logits:
        raise ValueError("[compute_logits] loader: expected at least one batch, got none")
    return np.concatenate(
        [(x.float() if x.dtype is _core.bfloat16 else x).cpu().numpy() for x in logits]
    ), np.concatenate(labels) if len(labels) == len(logits) else None


def counted_rows(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and logits (n, ...) without the rows whose class number is -100. Raises ValueError where n differs."""
    if len(labels) != len(logits):
        raise ValueError(f"[Trainer.evaluate] labels: expected one for each of {len(logits)} logits, got {len(labels)}")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return labels, logits
    counts = labels != IGNORE_INDEX
    return (labels, logits) if counts.all() else (labels[counts], logits[counts])
