"""A new head is fitted to what the encoder gives: before the training, and perhaps again after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.autograd import no_grad
from engine.data import Batch
from engine.errors import BadType, require
from engine.models.forward import run_batches
from engine.nn import Dropout, Linear
from engine.nn import functional as F
from engine.ops.factory import zeros
from engine.ops.shape import cat
from engine.optim import LBFGS
from engine.tensor import Tensor
from engine.train.callbacks import Callback

if TYPE_CHECKING:
    from engine.train.trainer import Trainer

__all__ = ["HeadStart"]

MOST = 20_000  # samples to fit to: more would take time and change little
_ROWS = 4_000  # so many rows with dropout, if the samples are fewer


class HeadStart(Callback):
    """Fits the model's last layer to what the encoder gives, before the first step. `fit` does it at any time.

    A head of random numbers has large gradients, which spoil the encoder in the first steps (Kumar et al. 2022, arXiv 2202.10054). The
    loss is the task's own, with the dropout before the head as in training, plus decay / (2 n) times the squared norm of the weights,
    for n samples and features that are scaled to a variance of 1. It reads the batches of the first epoch, up to 20,000 samples. A
    training that is resumed after its first step is left alone.

    After a training on few texts, call `fit` again. Such a training sees each text many times, until its loss is nearly 0; its head is
    then too sure of what it says. The head with the least loss for the trained encoder, and a decay, is right more often.

    The last layer is `model.classifier`, a Linear; the dropout before it is `model.dropout`, if there is one. The task's loss calls the
    model once. decay: above 0.
    """

    def __init__(self, decay: float = 1.0) -> None:
        require(decay > 0, "HeadStart", "decay", "a number above 0", decay)
        self.decay = decay

    def on_train_begin(self, trainer: Trainer) -> None:
        if not trainer.state.step:
            self.fit(trainer)

    def fit(self, trainer: Trainer) -> None:
        """Fits the last layer of `trainer.model`. Dropout draws from the global generator."""
        head = getattr(trainer.model, "classifier", None)
        if not isinstance(head, Linear):
            raise BadType("HeadStart", "model", "a model with a Linear `classifier`", f"one with {type(head).__name__}")
        features, labels = _read(trainer, head)
        n, dropout = len(features), getattr(trainer.model, "dropout", None)
        if isinstance(dropout, Dropout) and dropout.p:
            copies = max(_ROWS // n, 1)  # each has its own draws, so that few samples see many
            features = F.dropout(cat([features] * copies), dropout.p)
            labels = cat([labels] * copies)
        batch = Batch({"labels": labels})
        decay = self.decay * len(features) / n
        task: Any = trainer.task  # its loss calls the model, which may be any function
        fit_linear(head, features, lambda model: task.loss(model, batch), decay)


def _read(trainer: Trainer, head: Linear) -> tuple[Tensor, Tensor]:
    """What the encoder gives to the head for the samples of the first epoch, (n, in_features), and their labels."""
    features: list[Tensor] = []
    labels: list[Tensor] = []
    count = 0
    for epoch in (1, 0):  # another one first: if it stays the same, a resumed loader keeps its place
        trainer.train_loader.set_epoch(epoch)
    handle = head.register_forward_pre_hook(lambda module, given: features.append(given[0]))
    try:
        for batch, _ in run_batches(trainer.model, trainer.train_loader):
            labels.append(batch.labels)
            count += len(batch.labels)
            if count >= MOST:
                break
    finally:
        handle.remove()
        trainer.train_loader.set_epoch(0)
    return cat(features), cat(labels).to(features[0].device)


def fit_linear(head: Linear, features: Tensor, loss: Callable[[Callable[[Any], Tensor]], Tensor], decay: float) -> None:
    """Sets the weights of `head` to those with the least loss, by L-BFGS.

    features: (n, in_features). loss(model): the mean loss of all samples, where model(anything) gives their outputs, (n,
    out_features). decay: as in `HeadStart`.
    """
    n, d = features.shape
    mean = features.mean(0)
    least = 0.01 * features.square().mean()  # so that what hardly varies is not blown up
    scale = (features.var(0, correction=0) + least + 1e-30).sqrt()
    scaled = (features - mean) / scale
    weight = zeros(head.out_features, d, device=features.device).requires_grad_()
    bias = zeros(head.out_features, device=features.device).requires_grad_()
    optimizer = LBFGS([weight, bias], max_iter=300, tolerance_grad=1e-5, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(lambda _: F.linear(scaled, weight, bias)) + decay / (2 * n) * weight.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    with no_grad():
        weight.div_(scale)
        head.weight.copy_(weight)
        if head.bias is not None:
            head.bias.copy_(bias - weight @ mean)
