"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(Bounded):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum.

    momentum_decay: psi in the momentum of step t, betas[0] * (1 - 0.5 * 0.96 ** (t * psi)). decoupled_weight_decay: as in AdamW.
    `foreach` and `capturable` change nothing; `differentiable=True` is refused (ValueError).
    """

    _buffers = ("exp_avg", "exp_avg_sq")
    _numbers = ("step", "mu_product")
    _not_negative = (*Bounded._not_negative, "momentum_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        chosen = self._accept(lr, foreach=foreach, capturable=capturable, differentiable=differentiable)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state.update(step=0, mu_product=1.0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        state["step"] += 1
        step, lr, (beta1, beta2) = state["step"], float(group["lr"]), group["betas"]
        momentum, next_momentum = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] *= momentum
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient, alpha=1 - beta2)
        divisor = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt().add_(group["eps"])
        p.add_(gradient / divisor, alpha=-lr * (1 - momentum) / (1 - state["mu_product"]))
        p.add_(state["exp_avg"] / divisor, alpha=-lr * next_momentum / (1 - state["mu_product"] * next_momentum))
