"""Functions of one operand, element by element."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, check_inplace, record, record_inplace
from engine.ops import precision
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "abs",
    "absolute",
    "ceil",
    "cos",
    "exp",
    "floor",
    "log",
    "neg",
    "negative",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
]

K = _core.kernels


def _neg_backward(ctx: Node, dy: Array) -> Any:
    return K.neg(dy)


@tensor_method("neg", "__neg__")
def neg(input: Tensor) -> Tensor:
    """-input. Not for bool."""
    return record("neg", K.neg(as_array("neg", "input", input)), (input,), _neg_backward)


@tensor_method("neg_")
def _neg_(self: Tensor) -> Tensor:
    """self = -self, in place."""
    check_inplace("neg_", self)
    K.neg_(self._data)
    return record_inplace("neg_", self, (self,), _neg_backward)


@tensor_method("__pos__")
def _pos(input: Tensor) -> Tensor:
    return input


def _abs_backward(ctx: Node, dy: Array) -> Any:
    return K.abs_backward(dy, *ctx.saved)


@tensor_method("abs", "absolute", "__abs__")
def abs(input: Tensor) -> Tensor:
    """|input|. The gradient at 0 is 0."""
    x = as_array("abs", "input", input)
    return record("abs", K.abs(x), (input,), _abs_backward, x)


def _exp_backward(ctx: Node, dy: Array) -> Any:
    return K.mul(dy, *ctx.saved)


@tensor_method
def exp(input: Tensor) -> Tensor:
    """e ^ input; of integers float32."""
    if precision.active:
        input = precision.raised(input)
    y = K.exp(as_array("exp", "input", input))
    return record("exp", y, (input,), _exp_backward, y)


def _log_backward(ctx: Node, dy: Array) -> Any:
    return K.div(dy, *ctx.saved)


@tensor_method
def log(input: Tensor) -> Tensor:
    """Natural logarithm; of integers float32. NaN below 0, minus infinity at 0."""
    if precision.active:
        input = precision.raised(input)
    x = as_array("log", "input", input)
    return record("log", K.log(x), (input,), _log_backward, x)


def _sqrt_backward(ctx: Node, dy: Array) -> Any:
    return K.sqrt_backward(dy, *ctx.saved)


@tensor_method
def sqrt(input: Tensor) -> Tensor:
    """Square root; of integers float32. NaN below 0; the gradient at 0 is infinite."""
    y = K.sqrt(as_array("sqrt", "input", input))
    return record("sqrt", y, (input,), _sqrt_backward, y)


def _rsqrt_backward(ctx: Node, dy: Array) -> Any:
    return K.rsqrt_backward(dy, *ctx.saved)


@tensor_method
def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(input), correctly rounded up to its two roundings; of integers float32."""
    if precision.active:
        input = precision.raised(input)
    y = K.rsqrt(as_array("rsqrt", "input", input))
    return record("rsqrt", y, (input,), _rsqrt_backward, y)


def _sin_backward(ctx: Node, dy: Array) -> Any:
    return K.sin_backward(dy, *ctx.saved)


@tensor_method
def sin(input: Tensor) -> Tensor:
    """Sine of an angle in radians; of integers float32."""
    x = as_array("sin", "input", input)
    return record("sin", K.sin(x), (input,), _sin_backward, x)


def _cos_backward(ctx: Node, dy: Array) -> Any:
    return K.cos_backward(dy, *ctx.saved)


@tensor_method
def cos(input: Tensor) -> Tensor:
    """Cosine of an angle in radians; of integers float32."""
    x = as_array("cos", "input", input)
    return record("cos", K.cos(x), (input,), _cos_backward, x)


def _zero_backward(ctx: Node, dy: Array) -> Any:
    zeros = _core.empty(dy.shape, dy.dtype, dy.device)
    K.fill(zeros, 0.0)
    return zeros


@tensor_method
def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1; 0 for NaN. Its gradient is 0."""
    return record("sign", K.sign(as_array("sign", "input", input)), (input,), _zero_backward)


def _rounded(name: str, kernel: Any, input: Tensor) -> Tensor:
    x = as_array(name, "input", input)
    if x.dtype in (_core.int32, _core.int64, _core.uint8):  # integers are what they round to
        return Tensor(x.clone())
    return record(name, kernel(x), (input,), _zero_backward)


@tensor_method
def floor(input: Tensor) -> Tensor:
    """The largest integer not above the element, in the input's dtype. Its gradient is 0."""
    return _rounded("floor", K.floor, input)


@tensor_method
def ceil(input: Tensor) -> Tensor:
    """The smallest integer not below the element, in the input's dtype. Its gradient is 0."""
    return _rounded("ceil", K.ceil, input)


@tensor_method
def round(input: Tensor) -> Tensor:
    """The nearest integer, the even one where two are as near, in the input's dtype. Its gradient is 0."""
    return _rounded("round", K.round, input)


def _reciprocal_backward(ctx: Node, dy: Array) -> Any:
    (y,) = ctx.saved
    return K.neg(K.mul(dy, K.pow(y, 2)))


@tensor_method
def reciprocal(input: Tensor) -> Tensor:
    """1 / input; of integers float32."""
    if precision.active:
        input = precision.raised(input)
    y = K.div(1, as_array("reciprocal", "input", input))
    return record("reciprocal", y, (input,), _reciprocal_backward, y)


absolute, negative = abs, neg
