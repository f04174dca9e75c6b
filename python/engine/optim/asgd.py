"""ASGD: averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(Bounded):
    """Gradient descent that also keeps the average of the parameters (Polyak and Juditsky 1992), in `state[p]["ax"]`.

    lambd: the decay of the parameters; alpha: the power by which the rate falls. t0: the step from which on `ax` is an average;
    before, it is a copy of the parameter. `foreach` and `capturable` change nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("ax",)
    _numbers = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        lr, lambd = float(group["lr"]), group["lambd"]
        if not state:
            state.update(step=0, eta=lr, mu=1.0, ax=zeros_like(p))
        state["step"] += 1
        p.mul_(1 - lambd * state["eta"]).add_(gradient, alpha=-state["eta"])
        if state["mu"] == 1:
            state["ax"].copy_(p)
        else:
            state["ax"].add_(p - state["ax"], alpha=state["mu"])
        state["eta"] = lr / (1 + lambd * lr * state["step"]) ** group["alpha"]
        state["mu"] = 1 / max(1, state["step"] - group["t0"])
