"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import require
from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(Bounded):
    """Adadelta (Zeiler 2012): steps in proportion to the size of the steps before.

    rho: the factor of the running averages of squared gradients and squared steps, in [0, 1]. `foreach` and `capturable` change
    nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**defaults, **chosen})

    def _check(self, group: Group) -> None:
        super()._check(group)
        require(0 <= group["rho"] <= 1, "Adadelta", "rho", "a number in [0, 1]", group["rho"])

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, square_avg=zeros_like(p), acc_delta=zeros_like(p))
        state["step"] += 1
        rho, eps = group["rho"], group["eps"]
        state["square_avg"].mul_(rho).add_(gradient * gradient, alpha=1 - rho)
        delta = (state["acc_delta"] + eps).sqrt() / (state["square_avg"] + eps).sqrt() * gradient
        state["acc_delta"].mul_(rho).add_(delta * delta, alpha=1 - rho)
        p.add_(delta, alpha=-float(group["lr"]))
