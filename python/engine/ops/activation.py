"""Activation functions, element by element. float32 and float64, any shape."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import BadValue
from engine.ops import precision
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["erf", "gelu", "leaky_relu", "log1p", "relu", "sigmoid", "silu", "tanh"]

K = _core.kernels


def _relu_backward(ctx: Node, dy: Array) -> Any:
    return K.relu_backward(dy, ctx.saved[0])


@tensor_method
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0). `inplace` is accepted and changes nothing."""
    y = K.relu(as_array("relu", "input", input))
    return record("relu", y, (input,), _relu_backward, y)


def _leaky_relu_backward(ctx: Node, dy: Array) -> Any:
    x, slope = ctx.saved
    return K.leaky_relu_backward(dy, x, slope)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere. `inplace` is accepted and changes nothing."""
    x = as_array("leaky_relu", "input", input)
    y = K.leaky_relu(x, negative_slope)
    return record("leaky_relu", y, (input,), _leaky_relu_backward, x, float(negative_slope))


def _gelu_backward(ctx: Node, dy: Array) -> Any:
    x, tanh_form = ctx.saved
    return K.gelu_backward(dy, x, tanh_form)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input * Phi(input), Phi the normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    approximate: "none", or "tanh" for 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    """
    x = as_array("gelu", "input", input)
    if approximate not in ("none", "tanh"):
        raise BadValue("gelu", "approximate", "'none' or 'tanh'", repr(approximate))
    tanh_form = approximate == "tanh"
    return record("gelu", K.gelu(x, tanh_form), (input,), _gelu_backward, x, tanh_form)


def _silu_backward(ctx: Node, dy: Array) -> Any:
    return K.silu_backward(dy, ctx.saved[0])


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input). `inplace` is accepted and changes nothing."""
    x = as_array("silu", "input", input)
    return record("silu", K.silu(x), (input,), _silu_backward, x)


def _sigmoid_backward(ctx: Node, dy: Array) -> Any:
    return K.sigmoid_backward(dy, ctx.saved[0])


@tensor_method
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-input)."""
    y = K.sigmoid(as_array("sigmoid", "input", input))
    return record("sigmoid", y, (input,), _sigmoid_backward, y)


def _tanh_backward(ctx: Node, dy: Array) -> Any:
    return K.tanh_backward(dy, ctx.saved[0])


@tensor_method
def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    y = K.tanh(as_array("tanh", "input", input))
    return record("tanh", y, (input,), _tanh_backward, y)


def _erf_backward(ctx: Node, dy: Array) -> Any:
    return K.erf_backward(dy, ctx.saved[0])


@tensor_method
def erf(input: Tensor) -> Tensor:
    """The error function."""
    x = as_array("erf", "input", input)
    return record("erf", K.erf(x), (input,), _erf_backward, x)


def _log1p_backward(ctx: Node, dy: Array) -> Any:
    return K.log1p_backward(dy, ctx.saved[0])


@tensor_method
def log1p(input: Tensor) -> Tensor:
    """ln(1 + input), which keeps its digits for small input."""
    if precision.active:
        input = precision.raised(input)
    x = as_array("log1p", "input", input)
    return record("log1p", K.log1p(x), (input,), _log1p_backward, x)
