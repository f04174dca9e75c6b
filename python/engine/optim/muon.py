"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine import _core
from engine.errors import require
from engine.ops.factory import zeros_like
from engine.optim.optimizer import Bounded, Group
from engine.tensor import Tensor

__all__ = ["Muon"]


class Muon(Bounded):
    """Muon (Jordan et al. 2024) for matrices: momentum whose update is made nearly orthogonal by Newton and Schulz's iteration.

    Other parameters, and embeddings and the last layer by custom, need another optimizer. ns_coefficients, ns_steps: the polynomial
    of the iteration and how often it runs. adjust_lr_fn: "original" (also None) multiplies lr by sqrt(max(1, rows / columns)),
    "match_rms_adamw" by 0.2 * sqrt(max(rows, columns)). weight_decay: as in AdamW. As in PyTorch, values in the iteration are rounded
    to bfloat16. Raises ValueError for a parameter that is not a matrix.
    """

    _buffers = ("momentum_buffer",)
    _decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        self._accept(lr)
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        choice, steps, coefficients = group["adjust_lr_fn"], group["ns_steps"], group["ns_coefficients"]
        known = (None, "original", "match_rms_adamw")
        require(choice in known, "Muon", "adjust_lr_fn", "None, 'original' or 'match_rms_adamw'", repr(choice))
        require(steps < 100, "Muon", "ns_steps", "a number below 100", steps)
        require(len(coefficients) == 3, "Muon", "ns_coefficients", "three numbers", len(coefficients))
        for i, p in enumerate(group["params"]):
            require(p.dim() == 2, "Muon", f"params[{i}]", "a matrix", f"shape {tuple(p.shape)}")

    def _update_one(self, p: Tensor, gradient: Tensor, state: dict[str, Any], group: Group) -> None:
        if not state:
            state["momentum_buffer"] = zeros_like(p)
        share = 1 - group["momentum"]
        update = state["momentum_buffer"]
        update.add_(gradient - update, alpha=share)
        if group["nesterov"]:
            update = update.add(gradient - update, alpha=share)
        update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        p.add_(update.to(p.dtype), alpha=-float(group["lr"] * ratio))  # a rate in float32 rounds the product


def _orthogonal(x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix float32 near the orthogonal one that is nearest to x: its singular values are moved towards 1."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = _rounded(x.T if tall else x)
    x = _rounded(x / _rounded(x.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        gram = _rounded(gram * b + (gram @ gram) * c)
        x = _rounded(x * a + gram @ x)
    return x.T if tall else x


def _rounded(x: Tensor) -> Tensor:
    """The values of bfloat16 as float32, in which the CPU computes."""
    return x.to(_core.bfloat16).to(_core.float32)
