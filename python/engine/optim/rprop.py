"""Rprop: resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import require
from engine.ops.factory import full_like, ones_like, zeros_like
from engine.ops.unary import sign
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(Bounded):
    """Rprop (Riedmiller and Braun 1993), for gradients of the whole data set: each element has a step size of its own, which grows
    while the sign of its gradient stays the same and shrinks when it changes.

    lr: the first step size. etas: the factors of a step that shrinks and of one that grows, 0 < etas[0] < 1 < etas[1]. step_sizes:
    the least and the largest step. `foreach` and `capturable` change nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("prev", "step_size")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize, **chosen})

    def _check(self, group: Group) -> None:
        super()._check(group)
        shrink, grow = group["etas"]
        require(0 < shrink < 1 < grow, "Rprop", "etas", "0 < etas[0] < 1 < etas[1]", group["etas"])

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, prev=zeros_like(p), step_size=full_like(p, float(group["lr"])))
        state["step"] += 1
        (shrink, grow), (least, largest) = group["etas"], group["step_sizes"]
        agree = gradient * state["prev"]
        turned = agree < 0
        factor = ones_like(p).masked_fill_(agree > 0, grow).masked_fill_(turned, shrink)
        size = state["step_size"].mul_(factor).clamp_(least, largest)
        gradient = gradient.masked_fill(turned, 0.0)
        p.sub_(sign(gradient) * size)
        state["prev"].copy_(gradient)
