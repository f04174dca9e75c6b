"""A model over batches: the one loop of evaluation, prediction, embedding and explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from engine.autograd import no_grad
from engine.data.batch import host_array, to_device
from engine.device import device as Device
from engine.errors import BadValue
from engine.nn import Module
from engine.ops.loss import IGNORE_INDEX
from engine.ops.precision import autocast as autocast_region
from engine.tensor import Tensor

__all__ = ["compute_logits", "counted_rows", "device_of_model", "evaluating", "run_batches"]


def device_of_model(model: Module) -> Device:
    """Where a model's parameters are; the CPU if it has none."""
    return next((p.device for p in model.parameters()), Device("cpu"))


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model in evaluation mode, nothing recorded; afterwards each of its modules is in the mode it had."""
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
    """(batch, output) for each batch, in their order, as they are asked for.

    Only while a batch is computed is the model in evaluation mode and nothing recorded; what the caller does in between is in the
    caller's modes. The outputs are not waited for.

    Args:
        model: the model.
        batches: Batches, or nested structures of Tensors (see `engine.data.to_device`). They are given back as they came.
        call: `call(model, batch)` makes the output of a batch that is on the device; None: `model(batch)`. One that needs gradients
            asks for them with `engine.enable_grad`.
        device: where to compute; None: where the model is.
        autocast: whether products run in bfloat16 (see `engine.autocast`); None: as around the caller.
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
    """Logits and labels, or None where a batch has none, of all batches in their order: (n, num_labels) and (n,) of texts,
    (total_tokens, num_labels) and (total_tokens,) of tokens, as the model and the batches have them.

    Arguments as `run_batches`. Raises ValueError if there is no batch.
    """
    logits: list[Tensor] = []
    labels: list[np.ndarray] = []
    for batch, output in run_batches(model, batches, device=device, autocast=autocast):
        logits.append(output)
        if batch.labels is not None:
            labels.append(batch.host("labels"))
    if not logits:
        raise BadValue("compute_logits", "batches", "at least one batch", "none")
    found = np.concatenate([host_array(x) for x in logits])
    return found, np.concatenate(labels) if len(labels) == len(logits) else None


def counted_rows(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and logits (n, ...) without the rows whose class number is -100. Raises ValueError where n differs."""
    if len(labels) != len(logits):
        raise BadValue("Trainer.evaluate", "labels", f"one for each of {len(logits)} logits", len(labels))
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return labels, logits
    counts = labels != IGNORE_INDEX
    return (labels, logits) if counts.all() else (labels[counts], logits[counts])
