"""RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["RAdam"]


class RAdam(Bounded):
    """RAdam (Liu et al. 2020): Adam whose first steps, while the second moment is uncertain, take the first moment alone.

    decoupled_weight_decay: as in AdamW. `foreach` and `capturable` change nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        state["step"] += 1
        step, (beta1, beta2) = state["step"], group["betas"]
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient, alpha=1 - beta2)
        rate = -float(group["lr"]) / (1 - beta1**step)
        left = 1 - beta2**step
        # The length of the average of squares, as if it were a simple average, now and in the end.
        last = 2 / (1 - beta2) - 1
        length = last - 2 * step * beta2**step / left
        if length <= 5:
            p.add_(state["exp_avg"], alpha=rate)
            return
        rectified = math.sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length))
        divisor = state["exp_avg_sq"].sqrt().add_(group["eps"])
        p.add_(state["exp_avg"] / divisor, alpha=rate * rectified * math.sqrt(left))
