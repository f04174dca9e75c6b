"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine.dtypes import finfo
from engine.errors import require
from engine.ops.factory import zeros, zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(Bounded):
    """Adafactor (Shazeer and Stern 2018): of a matrix it keeps the second moments of rows and of columns, not of elements.

    lr: the largest relative step; step t takes min(lr, 1 / sqrt(t)) times the root mean square of the parameter. beta2_decay: step t
    mixes t ** beta2_decay of the new squares into the averages. eps: (the least second moment's root, None for the dtype's epsilon;
    the least size of a parameter in relative steps). d: updates with a larger root mean square are scaled down to it. weight_decay: as
    in AdamW. A parameter of two or more dimensions is a stack of matrices. `foreach` changes nothing.
    """

    _not_negative = ("lr", "d", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        self._accept(lr)
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        right = group["beta2_decay"] <= 0
        require(right, "Adafactor", "beta2_decay", "a number <= 0", group["beta2_decay"])
        for i, eps in enumerate(group["eps"]):
            right = eps >= 0 if eps is not None else i == 0
            require(right, "Adafactor", f"eps[{i}]", "a number >= 0", eps)
        require(group["d"] >= 1, "Adafactor", "d", "a number >= 1", group["d"])

    def _decay(self, p: Tensor, gradient: Tensor, group: Group) -> Tensor:
        return gradient  # the size of the parameter counts before it decays

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        factored = p.dim() > 1
        if not state:
            state["step"] = 0
            if factored:
                for name, dim in (("row_var", -1), ("col_var", -2)):
                    shape = list(p.shape)
                    shape[dim] = 1
                    state[name] = zeros(shape, dtype=p.dtype, device=p.device)
            else:
                state["variance"] = zeros_like(p)
        state["step"] += 1
        new, lr = state["step"] ** group["beta2_decay"], float(group["lr"])
        least, least_size = group["eps"]
        least = finfo(p.dtype).eps if least is None else least
        step = max(least_size, _size(p)) * min(lr, 1 / math.sqrt(state["step"]))
        if group["weight_decay"] != 0:
            p.mul_(1 - lr * group["weight_decay"])
        square = gradient * gradient
        if factored:
            for name, dim in (("row_var", -1), ("col_var", -2)):
                state[name].mul_(1 - new).add_(square.mean(dim, keepdim=True), alpha=new)
            rows = state["row_var"]
            variance = (rows @ state["col_var"]).div_(rows.mean(-2, keepdim=True).clamp(min=least))
        else:
            variance = state["variance"].mul_(1 - new).add_(square, alpha=new)
        update = variance.clamp(min=least * least).rsqrt() * gradient
        p.add_(update, alpha=-step / max(1.0, _size(update) / group["d"]))


def _size(x: Tensor) -> float:
    """The root mean square."""
    return float(x.norm().item()) / math.sqrt(max(x.numel(), 1))
