"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.ops.factory import full_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Bounded):
    """Adagrad (Duchi, Hazan and Singer 2011): divides each element's step by the root of the sum of its squared gradients.

    lr_decay: step t takes the rate lr / (1 + (t - 1) * lr_decay). `foreach` and `fused` change nothing; `differentiable=True`
    is refused (ValueError). Differs from PyTorch: the state of a parameter is made at its first step.
    """

    _buffers = ("sum",)
    _not_negative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, fused=fused, differentiable=differentiable)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, sum=full_like(p, group["initial_accumulator_value"]))
        state["step"] += 1
        state["sum"].add_(gradient * gradient)
        lr = float(group["lr"]) / (1 + (state["step"] - 1) * group["lr_decay"])
        p.add_(gradient / state["sum"].sqrt().add_(group["eps"]), alpha=-lr)
