"""Stochastic gradient descent in one pass over all parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine import _core
from engine.autograd.rows import kept_rows
from engine.errors import require
from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group, Scale
from engine.tensor import Tensor

__all__ = ["SGD"]


class SGD(Bounded):
    """Gradient descent with momentum (Sutskever et al. 2013) in PyTorch's form: the buffer holds gradients, not steps.

    momentum: the factor of the buffer at each step; 0 needs no buffer. dampening: the share of each gradient that is not added
    to the buffer. nesterov: looks ahead along the momentum; needs momentum > 0 and dampening 0. lr may be a tensor of one element.
    `foreach` and `fused` change nothing; `differentiable=True` is refused (ValueError). Without momentum and weight decay, the rows of an embedding's table that are not in the batch
    are not read.
    """

    _buffers = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, fused=fused, differentiable=differentiable)
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _check(self, group: Group) -> None:
        super()._check(group)
        right = not group["nesterov"] or (group["momentum"] > 0 and group["dampening"] == 0)
        got = f"momentum {group['momentum']} and dampening {group['dampening']}"
        require(right, "SGD", "nesterov", "momentum > 0 and dampening 0 if it is True", got)

    def _values(self, group: Group) -> tuple[float, ...]:
        return (
            float(group["lr"]), group["weight_decay"], group["maximize"], group["momentum"], group["dampening"],
            group["nesterov"],
        )  # fmt: skip

    def _line(self, values: tuple[float, ...], p: Tensor) -> tuple[float, ...]:
        first = values[3] != 0 and "momentum_buffer" not in self.state.get(p, ())
        if first:
            self.state[p]["momentum_buffer"] = zeros_like(p)
        return (*values, first)

    def _update_rows(self, p: Tensor, line: tuple[float, ...], scale: Scale) -> bool:
        """Updates only the rows that have a gradient, and returns True. False if the other rows change too."""
        gradient, (lr, decay) = kept_rows(p._grad), line[:2]
        if gradient is None or decay != 0 or not math.isfinite(lr * scale[1]):  # 0 * inf moves a row too
            return False
        row, table = self._table([0], [line])
        whole = p._data.view((1, *p.shape))
        part = _core.kernels.index_rows(whole, gradient.rows)
        _core.kernels.sgd_step([part.view(gradient.values.shape)], [gradient.values], row, table, *scale)
        _core.kernels.index_put(whole, gradient.rows, part)
        return True

    def _update(self, params: list[Tensor], rows: list[int], lines: list[tuple[float, ...]], scale: Scale) -> None:
        for with_momentum in (False, True):
            chosen = [i for i, r in enumerate(rows) if (lines[r][3] != 0) is with_momentum]
            if not with_momentum:
                chosen = [i for i in chosen if not self._update_rows(params[i], lines[rows[i]], scale)]
            if not chosen:
                continue
            row, table = self._table([rows[i] for i in chosen], lines)
            arrays = [params[i]._data for i in chosen]
            gradients = [params[i]._grad._data for i in chosen]  # type: ignore[union-attr]
            if with_momentum:
                buffers = [self.state[params[i]]["momentum_buffer"]._data for i in chosen]
                _core.kernels.sgd_momentum_step(arrays, gradients, buffers, row, table, *scale)
            else:
                _core.kernels.sgd_step(arrays, gradients, row, table, *scale)
