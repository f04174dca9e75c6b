"""Windows of signals: weights that rise from the ends of a piece to its middle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine._core import DType
from engine.dtypes import default
from engine.errors import BadType, require
from engine.ops.blame import explained
from engine.ops.factory import arange, ones, zeros
from engine.ops.unary import abs, cos
from engine.tensor import Tensor

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window"]


def _window(
    op: str,
    length: int,
    periodic: bool,
    dtype: DType | None,
    device: Any,
    grad: bool,
    curve: Callable[[Tensor], Tensor],
) -> Tensor:
    """curve(x) at `length` places x in [0, 1]; periodic: those of a window that is one longer, without the last."""
    require(length >= 0, op, "window_length", "a number >= 0", length)
    dtype = default.dtype if dtype is None else dtype
    if not isinstance(dtype, DType) or not dtype.is_floating_point:
        raise BadType(op, "dtype", "a floating-point dtype", getattr(dtype, "name", type(dtype).__name__))
    if length < 2:
        made = ones(length, dtype=dtype, device=device) if length else zeros(0, dtype=dtype, device=device)
    else:
        made = curve(arange(length, device=device).float() / (length if periodic else length - 1)).to(dtype)
    return made.requires_grad_() if grad else made


@explained
def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """(window_length,): 1/2 - 1/2 cos(2 pi x). periodic: for windows that follow each other; otherwise both ends are equal."""
    return hamming_window(window_length, periodic, 0.5, 0.5, dtype=dtype, device=device, requires_grad=requires_grad)


@explained
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """(window_length,): alpha - beta cos(2 pi x). periodic as in `hann_window`."""

    def curve(x: Tensor) -> Tensor:
        return alpha - beta * cos(2 * math.pi * x)

    return _window("hamming_window", window_length, periodic, dtype, device, requires_grad, curve)


@explained
def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """(window_length,): 0.42 - 0.5 cos(2 pi x) + 0.08 cos(4 pi x). periodic as in `hann_window`."""

    def curve(x: Tensor) -> Tensor:
        return 0.42 - 0.5 * cos(2 * math.pi * x) + 0.08 * cos(4 * math.pi * x)

    return _window("blackman_window", window_length, periodic, dtype, device, requires_grad, curve)


@explained
def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """(window_length,): a triangle, 1 - |2 x - 1|. periodic as in `hann_window`."""

    def curve(x: Tensor) -> Tensor:
        return 1 - abs(2 * x - 1)

    return _window("bartlett_window", window_length, periodic, dtype, device, requires_grad, curve)
