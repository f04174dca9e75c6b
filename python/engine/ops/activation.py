"""Activation functions, element by element, of any floating-point dtype and shape."""

# Ops below `@unary` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from engine import _core
from engine.autograd.tape import record
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadValue
from engine.ops.inplace import in_place
from engine.ops.operands import gradient
from engine.ops.unary import unary
from engine.tensor import Tensor, as_array, tensor_method

K = _core.kernels

__all__ = ["erf", "gelu", "leaky_relu", "leaky_relu_", "log1p", "relu", "relu_", "sigmoid", "silu", "tanh"]


@tensor_method
@unary(K.sigmoid, K.sigmoid_backward, saves_output=True)
def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / (1 + e^-input)."""


@tensor_method
@unary(K.tanh, K.tanh_backward, saves_output=True)
def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic tangent."""


@tensor_method
@unary(K.erf, K.erf_backward)
def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The error function."""


@tensor_method
@unary(K.log1p, K.log1p_backward, in_float32=True)
def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """ln(1 + input), accurate for small input too."""


# ---------------------------------------------------------------- with options

_relu_backward = gradient(K.relu_backward)


@tensor_method
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0). inplace: the result is written to the memory of `input`, which is returned."""
    if inplace:
        return in_place("relu_", input, relu)
    x = as_array("relu", "input", input)
    if x.dtype in INTEGER_LIMITS:
        return Tensor(K.maximum(x, 0))
    y = K.relu(x)
    return record("relu", y, (input,), _relu_backward, y)


@tensor_method
def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, True)


_leaky_relu_backward = gradient(K.leaky_relu_backward)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where it is positive, negative_slope * input elsewhere. inplace as in `relu`."""
    if inplace:
        return in_place("leaky_relu_", input, leaky_relu, negative_slope)
    x = as_array("leaky_relu", "input", input)
    y = K.leaky_relu(x, negative_slope)
    return record("leaky_relu", y, (input,), _leaky_relu_backward, x, float(negative_slope))


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


_gelu_backward = gradient(K.gelu_backward)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input * Phi(input), Phi the normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    approximate: "none", or "tanh" for 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    """
    x = as_array("gelu", "input", input)
    tanh_form = is_tanh("gelu", approximate)
    return record("gelu", K.gelu(x, tanh_form), (input,), _gelu_backward, x, tanh_form)


def is_tanh(op: str, approximate: str) -> bool:
    """Whether `approximate` asks for the tanh form of GELU. Raises ValueError for an unknown word."""
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise BadValue(op, "approximate", "'none' or 'tanh'", repr(approximate))
    return approximate == "tanh"


_silu_backward = gradient(K.silu_backward)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input). inplace as in `relu`."""
    if inplace:
        return in_place("silu_", input, silu)
    x = as_array("silu", "input", input)
    return record("silu", K.silu(x), (input,), _silu_backward, x)
