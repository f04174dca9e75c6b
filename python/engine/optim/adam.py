"""Adam and AdamW in one pass over all parameters; with amsgrad, one parameter at a time."""

from __future__ import annotations

import math
from array import array as buffer
from collections.abc import Iterable
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.rows import RowGradient, RowSum
from engine.ops.arithmetic import maximum
from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group, Scale
from engine.tensor import Tensor

__all__ = ["Adam", "AdamW"]

K = _core.kernels


class Adam(Bounded):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980). weight_decay * parameter is added to the gradient (an L2 penalty).

    One kernel call updates all parameters of a dtype and moves 28 bytes for each float32 element. Rows of an embedding's
    table that no batch has used yet have averages of zero: they are skipped or only decay, with the same result.

    amsgrad: divide by the largest second moment so far (Reddi, Kale and Kumar 2018). Such groups are updated with tensor ops, one
    parameter after the other. lr and betas may be tensors of one element. `foreach`, `fused` and `capturable` change nothing;
    `differentiable=True` is refused (ValueError). Differs from PyTorch: `state[p]["step"]` is an int.
    """

    _buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _caches = ("_rows", "_touched")
    # For a table: the rows that have averages, and the versions of the averages for which that holds.
    _touched: dict[Tensor, tuple[Array, list[Any]]]

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        chosen = self._accept(
            lr, *betas, foreach=foreach, fused=fused, capturable=capturable, differentiable=differentiable
        )  # fmt: skip
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, {**defaults, **chosen})

    def _values(self, group: Group) -> tuple[float, ...] | None:
        if group["amsgrad"]:
            return None
        beta1, beta2 = group["betas"]
        return (
            float(group["lr"]), float(beta1), float(beta2), group["eps"], group["weight_decay"],
            self._decoupled or group["decoupled_weight_decay"], group["maximize"],
        )  # fmt: skip

    def _begin(self, p: Tensor, state: dict[str, Any]) -> None:
        state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))

    def _line(self, values: tuple[float, ...], p: Tensor) -> tuple[float, ...]:
        state = self.state[p]
        if not state:
            self._begin(p, state)
        lr, beta1, beta2, eps, decay, decoupled, maximize = values
        return lr, beta1, beta2, eps, decay, state["step"] + 1, decoupled, maximize

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            self._begin(p, state)
        state["step"] += 1
        if "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = zeros_like(p)
        largest, step, (beta1, beta2) = state["max_exp_avg_sq"], state["step"], map(float, group["betas"])
        state["exp_avg"].mul_(beta1).add_(gradient, alpha=1 - beta1)
        state["exp_avg_sq"].mul_(beta2).add_(gradient * gradient, alpha=1 - beta2)
        largest.copy_(maximum(largest, state["exp_avg_sq"]))
        divisor = (largest.sqrt() / math.sqrt(1 - beta2**step)).add_(group["eps"])
        p.add_(state["exp_avg"] / divisor, alpha=-float(group["lr"]) / (1 - beta1**step))

    def _update_rows(self, p: Tensor, gradient: RowSum, line: tuple[float, ...], scale: Scale) -> None:
        state = self.state[p]
        table = _core.from_bytes(buffer("d", line).tobytes(), (len(line),), _core.float64)
        averages = (state["exp_avg"]._data, state["exp_avg_sq"]._data)
        # bool (v,): rows whose averages may differ from zero. They are searched again if something else wrote to the averages: a
        # step with a full gradient, a state that was loaded.
        touched, as_of = self._touched.get(p, (None, None))
        if touched is None or as_of != [(a, a.version) for a in averages]:
            touched = K.logical_or(*(K.any(a, 0b10, False) for a in averages))
        K.adam_rows(p._data, gradient.rows, gradient.values, *averages, touched, table, *scale)
        self._touched[p] = touched, [(a, a.version) for a in averages]
        state["step"] += 1

    def _update(self, params: list[Tensor], rows: list[int], lines: list[tuple[float, ...]], scale: Scale) -> None:
        kept = {i: p._grad.row_sum for i, p in enumerate(params) if type(p._grad) is RowGradient and p._grad.row_sum}
        if kept:
            for i, gradient in kept.items():
                self._update_rows(params[i], gradient, lines[rows[i]], scale)
            params = [p for i, p in enumerate(params) if i not in kept]
            rows = [r for i, r in enumerate(rows) if i not in kept]
        if not params:
            return
        states = [self.state[p] for p in params]
        row, table = self._table(rows, lines)
        K.adam_step(
            [p._data for p in params],
            [p._grad._data for p in params],  # type: ignore[union-attr]
            [s["exp_avg"]._data for s in states],
            [s["exp_avg_sq"]._data for s in states],
            row,
            table,
            *scale,
        )
        for state in states:
            state["step"] += 1


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101): Adam, except that weight decay is no part of the gradient. Each step
    multiplies parameters by 1 - lr * weight_decay."""

    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip
