"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(Bounded):
    """RMSprop (Hinton 2012): divides the gradient by the root of a running average of its square, as in PyTorch: eps is added to
    the root.

    alpha: the factor of the running average at each step. momentum: the factor of a buffer of steps; 0 needs no buffer. centered:
    divide by the standard deviation of the gradient instead. `foreach` and `capturable` change nothing; `differentiable=True` is
    refused (ValueError).
    """

    _buffers = ("square_avg", "momentum_buffer", "grad_avg")
    _not_negative = (*Bounded._not_negative, "alpha")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, square_avg=zeros_like(p))
        for name, used in (("momentum_buffer", group["momentum"] > 0), ("grad_avg", group["centered"])):
            if used and name not in state:
                state[name] = zeros_like(p)
        state["step"] += 1
        alpha, square = group["alpha"], state["square_avg"]
        square.mul_(alpha).add_(gradient * gradient, alpha=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"].mul_(alpha).add_(gradient, alpha=1 - alpha)
            square = square - mean * mean
        update = gradient / square.sqrt().add_(group["eps"])
        if group["momentum"] > 0:
            update = state["momentum_buffer"].mul_(group["momentum"]).add_(update)
        p.add_(update, alpha=-float(group["lr"]))
