"""Runs a model over batches: the one loop of evaluation, prediction, embedding and explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from engine.autograd import no_grad
from engine.data.batch import Batch, host_array, to_device
from engine.device import device as Device
from engine.errors import require
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.ops.precision import autocast as autocast_region
from engine.tensor import Tensor

__all__ = ["compute_logits", "counted_rows", "device_of_model", "evaluating", "labels_on_host", "run_batches"]


def device_of_model(model: Module) -> Device:
    """Where a model's parameters are; the CPU if it has none."""
    return next((p.device for p in model.parameters()), Device("cpu"))


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode and nothing is recorded. Afterwards each of its modules has its former mode again."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def run_batches(
    model: Module,
    batches: Iterable[Any],
    call: Callable[[Module, Any], Any] | None = None,
    *,
    device: Any = None,
    autocast: bool | None = None,
) -> Iterator[tuple[Any, Any]]:
    """(batch, output) for each batch, in order. A batch is computed when the caller asks for it.

    The model is in evaluation mode, and nothing is recorded, only while a batch is computed. In between, the caller's modes hold. The
    host does not wait for the outputs.

    Args:
        model: the model.
        batches: Batches, or nested structures of Tensors (see `engine.data.to_device`). They are returned unchanged.
        call: `call(model, batch)` computes the output of a batch that is already on the device; None: `model(batch)`. A call that
            needs gradients uses `engine.enable_grad`.
        device: where to compute; None: where the model is.
        autocast: whether products run in bfloat16 (see `engine.autocast`); None: as the caller has it.
    """
    where = device_of_model(model) if device is None else device
    for batch in batches:
        region = nullcontext() if autocast is None else autocast_region(enabled=autocast)
        with evaluating(model), region:
            moved = to_device(batch, where)
            output = model(moved) if call is None else call(model, moved)
        yield batch, output


def compute_logits(
    model: Module, batches: Iterable[Any], *, device: Any = None, autocast: bool | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The logits and the labels of all batches, in order. The labels are None if a batch has none.

    Of texts: (n, num_labels) and (n,). Of tokens: (total_tokens, num_labels) and (total_tokens,). Arguments as in `run_batches`. Raises
    ValueError if there is no batch.
    """
    logits: list[Tensor] = []
    labels: list[np.ndarray] = []
    for batch, output in run_batches(model, batches, device=device, autocast=autocast):
        logits.append(output)
        found = labels_on_host(batch)
        if found is not None:
            labels.append(found)
    require(logits, "compute_logits", "batches", "at least one batch", "none")
    all_logits = np.concatenate([host_array(x) for x in logits])
    return all_logits, np.concatenate(labels) if len(labels) == len(logits) else None


def labels_on_host(batch: Any) -> np.ndarray | None:
    """A batch's attribute `labels`, a Tensor or an array, as an array on the host; None if it has no such attribute."""
    labels = getattr(batch, "labels", None)
    if isinstance(labels, Tensor):
        labels = batch.host("labels") if isinstance(batch, Batch) else host_array(labels)
    return labels if isinstance(labels, np.ndarray) and labels.ndim else None


def counted_rows(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and logits (n, ...) without the rows whose class number is -100. Raises ValueError if the two differ in n."""
    n = len(logits)
    require(len(labels) == n, "Trainer.evaluate", "labels", f"one for each of {n} logits", len(labels))
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return labels, logits
    counts = labels != IGNORE_INDEX
    return (labels, logits) if counts.all() else (labels[counts], logits[counts])
