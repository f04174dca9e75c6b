"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.ops.arithmetic import maximum
from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(Bounded):
    """Adamax (Kingma and Ba 2015, section 7.1): Adam with the decayed largest magnitude of the gradient as its divisor.

    `foreach` and `capturable` change nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_inf=zeros_like(p))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        largest = state["exp_inf"]
        largest.copy_(maximum(largest * beta2, gradient.abs() + group["eps"]))
        p.add_(state["exp_avg"] / largest, alpha=-float(group["lr"]) / (1 - beta1 ** state["step"]))
