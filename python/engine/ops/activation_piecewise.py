"""Activation functions that are made of straight pieces. Any shape."""

from __future__ import annotations

from engine import _core
from engine._core import Array
from engine.autograd.tape import record
from engine.errors import BadValue, require
from engine.ops.activation_smooth import floating_array
from engine.ops.arithmetic import clamp
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.inplace import in_place
from engine.ops.operands import gradient
from engine.ops.random import rand_like
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "prelu",
    "relu6",
    "rrelu",
    "rrelu_",
    "softshrink",
    "threshold",
    "threshold_",
]

K = _core.kernels


@gradient
def _hardtanh_backward(dy: Array, x: Array, low: float, high: float) -> Array:
    return K.where(K.logical_or(K.le(x, low), K.ge(x, high)), 0, dy)


def _hardtanh(op: str, input: Tensor, low: float, high: float) -> Tensor:
    x = as_array(op, "input", input)
    if x.dtype is _core.bool:
        raise BadValue(op, "input", "a floating-point or integer dtype", "bool")
    y = K.clamp(x, low, high)
    if y.dtype is not x.dtype:  # an integer tensor between bounds that are floats
        y = y.cast(x.dtype)
    return record(op, y, (input,), _hardtanh_backward, x, low, high)


@explained
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """min(max(input, min_val), max_val). Unlike in `clamp`, the gradient at the bounds is 0.

    inplace: the result is written to the memory of `input`, which is returned. Raises ValueError if min_val > max_val.
    """
    require(min_val <= max_val, "hardtanh", "min_val", f"a number <= max_val ({max_val})", min_val)
    if inplace:
        return in_place("hardtanh_", input, hardtanh, min_val, max_val)
    return _hardtanh("hardtanh", input, min_val, max_val)


@explained
def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input, 0), 6). inplace as in `hardtanh`."""
    return in_place("relu6_", input, relu6) if inplace else _hardtanh("relu6", input, 0, 6)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(input + 3, 0), 6) / 6 (Howard et al. 2019, arXiv 1905.02244). inplace as in `hardtanh`."""
    floating_array("hardsigmoid", input)
    if inplace:
        return in_place("hardsigmoid_", input, hardsigmoid)
    return _hardtanh("hardsigmoid", input + 3, 0, 6) / 6


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input) (Howard et al. 2019, arXiv 1905.02244). inplace as in `hardtanh`."""
    floating_array("hardswish", input)
    return in_place("hardswish_", input, hardswish) if inplace else input * hardsigmoid(input)


@explained
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input if it is above `threshold`, otherwise `value`. inplace as in `hardtanh`."""
    x = as_array("threshold", "input", input)
    if x.dtype is _core.bool:
        raise BadValue("threshold", "input", "a floating-point or integer dtype", "bool")
    if inplace:
        return in_place("threshold_", input, _threshold, threshold, value)
    return _threshold(input, threshold, value)


def _threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    return input.masked_fill(input <= threshold, value if input.is_floating_point() else int(value))


@explained
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return in_place("threshold_", input, _threshold, threshold, value)


@tensor_method
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 if |input| <= lambd, otherwise input."""
    floating_array("hardshrink", input)
    return input.masked_fill(abs(input.detach()) <= lambd, 0.0)


@explained
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input moved towards 0 by lambd, and 0 if |input| <= lambd. Raises ValueError for lambd < 0."""
    floating_array("softshrink", input)
    require(lambd >= 0, "softshrink", "lambd", "a number >= 0", lambd)
    # The difference is 0 between the bounds, and so is its gradient, except that of the bounds themselves.
    return where(abs(input.detach()) <= lambd, input.detach() * 0, input - clamp(input.detach(), -lambd, lambd))


def _not_above_0(input: Tensor) -> Tensor:
    """min(input, 0), whose gradient is 0 above 0, so that it makes no NaN of infinity there; NaN stays NaN with its gradient."""
    return where(input > 0, 0.0, input)


@tensor_method
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """input if it is positive, otherwise weight * input (He et al. 2015, arXiv 1502.01852).

    weight: one number, or (c,) with a number for each entry of dimension 1 of input. Raises ValueError for other shapes, TypeError
    if the dtypes differ.
    """
    x, w = floating_array("prelu", input), as_array("prelu", "weight", weight)
    require(w.ndim <= 1, "prelu", "weight", "0 or 1 dimensions", f"shape {tuple(w.shape)}")
    require(w.dtype is x.dtype, "prelu", "weight", x.dtype.name, w.dtype.name)
    if w.size != 1:
        require(x.ndim, "prelu", "weight", "one number for a 0-dim input", f"shape {tuple(w.shape)}")
        channels = x.shape[1] if x.ndim > 1 else 1
        require(w.size == channels, "prelu", "weight", f"1 or {channels} numbers", w.size)
    shape = [1] * x.ndim
    if x.ndim > 1:
        shape[1] = w.size
    return where(input > 0, input, _not_above_0(input) * weight.reshape(shape))


@explained
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """input if it is positive, otherwise a * input (Xu et al. 2015, arXiv 1505.00853).

    In training each a is drawn evenly from [lower, upper), otherwise it is their mean. inplace as in `hardtanh`. Raises ValueError
    if lower > upper or a bound is not finite.
    """
    floating_array("rrelu", input)
    right = -float("inf") < lower <= upper < float("inf")
    require(right, "rrelu", "lower", f"a finite number <= upper ({upper})", lower)
    if inplace:
        return in_place("rrelu_", input, rrelu, lower, upper, training)
    slope = rand_like(input.detach()) * (upper - lower) + lower if training else (lower + upper) / 2
    return where(input > 0, input, _not_above_0(input) * slope)


@explained
def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, True)
