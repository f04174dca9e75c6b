"""Normalisation over the last dimensions."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.tensor import Tensor, as_array

__all__ = ["layer_norm"]

K = _core.kernels


def _layer_norm_backward(ctx: Node, dy: Array) -> Any:
    x, weight, mean, rstd = ctx.saved
    return K.layer_norm_backward(dy, x, weight, mean, rstd)


def layer_norm(
    input: Tensor, normalized_shape: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450) over the last dimension.

    input: (*, d), float32 or float64; weight, bias: (d,). Returns (*, d).
    """
    x, w, b = (
        as_array("layer_norm", "input", input),
        as_array("layer_norm", "weight", weight),
        as_array("layer_norm", "bias", bias),
    )
    y, mean, rstd = K.layer_norm(x, w, b, eps)
    return record("layer_norm", y, (input, weight, bias), _layer_norm_backward, x, w, mean, rstd)
