"""Adam and AdamW in one pass over all parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine import _core
from engine.optim.optimizer import Group, Optimizer, zeros_like
from engine.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980); `weight_decay` is added to the gradient (an L2 penalty).

    Each step moves 28 bytes a float32 parameter and treats all parameters in one kernel call. Differs from PyTorch: `amsgrad`
    is not there; `foreach`, `fused` are accepted and change nothing; `state[p]["step"]` is an int.
    """

    _decoupled = False
    _buffers = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        if amsgrad:
            raise ValueError(f"[{self._name}] amsgrad: expected False (it is not supported), got True")
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def _line(self, group: Group, p: Tensor) -> tuple[float, ...]:
        state = self.state.get(p)
        if state is None:
            state = self.state[p] = {"step": 0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
        beta1, beta2 = group["betas"]
        return (
            group["lr"], beta1, beta2, group["eps"], group["weight_decay"], state["step"] + 1, self._decoupled,
            group["maximize"],
        )  # fmt: skip

    def _update(self, params: list[Tensor], rows: list[int], lines: list[tuple[float, ...]], scale: float) -> None:
        states = [self.state[p] for p in params]
        row, table = self._table(rows, lines)
        _core.kernels.adam_step(
            [p._data for p in params],
            [p._grad._data for p in params],  # type: ignore[union-attr]
            [s["exp_avg"]._data for s in states],
            [s["exp_avg_sq"]._data for s in states],
            row,
            table,
            scale,
        )
        for state in states:
            state["step"] += 1


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): parameters decay by lr * weight_decay beside Adam's step."""

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
