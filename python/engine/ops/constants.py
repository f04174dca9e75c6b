"""Tensors that follow from a few numbers or from one tensor's shape: `logspace` and `fill`."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record
from engine.device import placed, target
from engine.dtypes import INTEGER_LIMITS, default
from engine.errors import require
from engine.ops.arithmetic import pow
from engine.ops.blame import explained
from engine.ops.factory import fill_array, linspace, new_array_like
from engine.ops.operands import zeros_array
from engine.tensor import Tensor, as_array

__all__ = ["fill", "logspace"]

K = _core.kernels


@explained
def logspace(
    start: float | Tensor,
    end: float | Tensor,
    steps: int,
    base: float = 10.0,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base ^ each of `steps` evenly spaced exponents from start to end, both included. float32 by default. For an integer dtype the
    fractions of start and end are dropped first, and then those of the numbers."""
    dtype = default.dtype if dtype is None else dtype
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    if dtype in INTEGER_LIMITS:
        start, end = int(start), int(end)
    wide = pow(float(base), linspace(start, end, steps, dtype=_core.float64))
    return Tensor(placed(wide._data, dtype, target("logspace", device, dtype)), requires_grad)


def _fill_backward(ctx: Node, dy: Array) -> Any:
    dtype, number = ctx.saved
    value = K.sum(dy, (1 << dy.ndim) - 1, False) if ctx.needs[1] else None
    dinput = zeros_array(dy.shape, dy) if ctx.needs[0] else None
    return dinput, None if value is None else placed(value, dtype, number)


@explained
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the shape, dtype and device of `input` in which every element is `value`, a number or a 0-dim Tensor."""
    x = as_array("fill", "input", input)
    y = new_array_like("fill", input, None, None)
    if not isinstance(value, Tensor):
        return record("fill", fill_array("fill", y, value, "value"), (input, None), _fill_backward, x.dtype, -1)
    number = as_array("fill", "value", value)
    require(number.ndim == 0, "fill", "value", "a number or a 0-dim Tensor", f"shape {tuple(number.shape)}")
    K.copy(y, placed(number, x.dtype, x.device))
    return record("fill", y, (input, value), _fill_backward, number.dtype, number.device)
