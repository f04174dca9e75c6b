"""Averages of a model's weights over training: equally weighted (Izmailov et al. 2018, arXiv 1803.05407) or exponential."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from engine import ops
from engine._core import int64
from engine.autograd import no_grad
from engine.errors import require
from engine.nn.module import Module
from engine.optim.lr_scheduler.base import LRScheduler, for_each_group
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Tensor]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The function decay * average + (1 - decay) * new, for `AveragedModel(avg_fn=)`. Raises ValueError unless decay is in [0, 1]."""
    require(0 <= decay <= 1, "get_ema_avg_fn", "decay", "a number in [0, 1]", decay)
    return lambda average, new, number: average * decay + new * (1 - decay)


def get_swa_avg_fn() -> Average:
    """The function that counts each model equally, for `AveragedModel(avg_fn=)`."""
    return lambda average, new, number: average + (new - average) / (number + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` for lists, written in place, for `AveragedModel(multi_avg_fn=)`."""
    return _of_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` for lists, written in place, for `AveragedModel(multi_avg_fn=)`."""
    return _of_lists(get_swa_avg_fn())


def _of_lists(one: Average) -> Averages:
    @no_grad()
    def average_lists(averages: Sequence[Tensor], new: Sequence[Tensor], number: Any) -> None:
        for average, value in zip(averages, new, strict=True):
            average.copy_(one(average, value, number))

    return average_lists


class AveragedModel(Module):
    """A copy of a model, in `module`, whose parameters are the average of those that `update_parameters` has seen.

    device: where the copy is; None: where the model is. avg_fn(average, new, n) returns the next average of one parameter after n
    models; multi_avg_fn(averages, new, n) writes those of a list. Default: each model counts equally. use_buffers: average the
    buffers too, instead of copying them.

    Raises ValueError if both functions are given.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        one = avg_fn is None or multi_avg_fn is None
        require(one, "AveragedModel", "multi_avg_fn", "None together with avg_fn", "a function")
        self.module = deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", ops.zeros((), dtype=int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Takes the model's parameters into the average; at the first call, copies them."""
        number = int(self.n_averaged.item())
        mine, theirs = self.module, model
        kept = list(chain(mine.parameters(), mine.buffers())) if self.use_buffers else list(mine.parameters())
        new = list(chain(theirs.parameters(), theirs.buffers())) if self.use_buffers else list(theirs.parameters())
        averages = [t.detach() for t in kept]
        values = [t.detach().to(a.device) for t, a in zip(new, averages, strict=True)]
        if number == 0:
            for average, value in zip(averages, values):
                average.copy_(value)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averages, values, number)
        else:
            _of_lists(self.avg_fn or get_swa_avg_fn())(averages, values, number)
        if not self.use_buffers:
            for buffer, value in zip(mine.buffers(), theirs.buffers(), strict=True):
                buffer.detach().copy_(value)
        self.n_averaged.add_(1)


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the statistics of a model's batch norms again, from one pass over the data. Without batch norms it does nothing, and
    does not touch the data.

    loader: gives batches, a Tensor each, or a list or tuple whose first element is the model's input. device: where inputs are moved.
    A batch norm is a module that has `reset_running_stats` and `momentum`.
    """
    norms = {m: m.momentum for m in model.modules() if hasattr(m, "reset_running_stats")}
    if not norms:
        return
    training = model.training
    model.train()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # each batch counts equally
        for batch in loader:
            input = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(input if device is None else input.to(device))
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """From the rates that the groups have to `swa_lr` (one number, or one for each group), in anneal_epochs steps along a half cosine
    ("cos") or a line ("linear"); then it stays there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        known = anneal_strategy in ("cos", "linear")
        require(known, "SWALR", "anneal_strategy", "'cos' or 'linear'", repr(anneal_strategy))
        right = isinstance(anneal_epochs, int) and anneal_epochs >= 0
        require(right, "SWALR", "anneal_epochs", "an integer >= 0", anneal_epochs)
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        self._take(optimizer)
        for group, rate in zip(optimizer.param_groups, for_each_group("SWALR", "swa_lr", optimizer, swa_lr)):
            group["swa_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the rate is `swa_lr` at that step."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        step = max(self._step_count - 1, 1 if self.anneal_epochs == 0 else 0)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for rate, group in zip(self._rates(), self.optimizer.param_groups):
            goal = float(group["swa_lr"])
            start = goal if before == 1 else (rate - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates
