"""Functions of one operand, element by element; and how a family declares them."""

# Ops below `@unary` have no body: the decorator makes it.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import wraps
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import check_inplace, record, record_inplace
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadValue, require
from engine.ops import precision
from engine.ops.blame import explained
from engine.ops.convert import into
from engine.ops.operands import gradient, zeros_array
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


def unary(
    kernel: Callable[[Array], Array],
    backward: Callable[[Array, Array], Array] | None = None,
    *,
    saves_output: bool = False,
    in_float32: bool = False,
) -> Callable[..., Any]:
    """Makes an op, y = kernel(input), of a function that has a name and a docstring but no body.

    backward: the gradient, backward(dy, input), or backward(dy, y) with saves_output; None: the op has no gradient.
    in_float32: `autocast` gives the op its input as float32.
    """

    def declare(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        name = function.__name__

        @wraps(function)
        def plain(input: Tensor, *, out: Tensor | None = None) -> Tensor:
            if out is not None:
                return into(name, out, plain(input))
            return Tensor(kernel(as_array(name, "input", input)))

        if backward is None:
            return plain
        dx = gradient(backward)

        @wraps(function)
        def differentiable(input: Tensor, *, out: Tensor | None = None) -> Tensor:
            if out is not None:
                return into(name, out, differentiable(input))
            if in_float32 and precision.active:
                input = precision.raised(input)
            x = as_array(name, "input", input)
            y = kernel(x)
            return record(name, y, (input,), dx, y if saves_output else x)

        return differentiable

    return declare


@tensor_method("abs", "absolute", "__abs__")
@unary(K.abs, K.abs_backward)
def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """|input|. The gradient at 0 is 0."""


@tensor_method
@unary(K.exp, K.mul, saves_output=True, in_float32=True)
def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """e ^ input. Integers give the default dtype."""


@tensor_method
@unary(K.log, K.div, in_float32=True)
def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Natural logarithm: NaN below 0, minus infinity at 0. Integers give the default dtype."""


@tensor_method
@unary(K.sqrt, K.sqrt_backward, saves_output=True)
def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Square root: NaN below 0. The gradient at 0 is infinite. Integers give the default dtype."""


@tensor_method
@unary(K.rsqrt, K.rsqrt_backward, saves_output=True, in_float32=True)
def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / sqrt(input). The root and the quotient are each correctly rounded. Integers give the default dtype."""


@tensor_method
@unary(K.sin, K.sin_backward)
def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sine of an angle in radians. Integers give the default dtype."""


@tensor_method
@unary(K.cos, K.cos_backward)
def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Cosine of an angle in radians. Integers give the default dtype."""


@tensor_method
@unary(lambda x: K.div(1, x), lambda dy, y: K.neg(K.mul(dy, K.pow(y, 2))), saves_output=True, in_float32=True)
def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """1 / input. Integers give the default dtype."""


# ---------------------------------------------------------------- gradients that need nothing saved

_neg_backward = gradient(K.neg)


@tensor_method("neg", "__neg__")
def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-input. Raises TypeError for bool."""
    if out is not None:
        return into("neg", out, neg(input))
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


_zero_backward = gradient(lambda dy: zeros_array(dy.shape, dy))


@tensor_method
def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1; 0 for NaN. Its gradient is 0."""
    if out is not None:
        return into("sign", out, sign(input))
    x = as_array("sign", "input", input)
    return record("sign", x.clone() if x.dtype is _core.bool else K.sign(x), (input,), _zero_backward)


def _rounded(name: str, kernel: Any, input: Tensor) -> Tensor:
    x = as_array(name, "input", input)
    if x.dtype in INTEGER_LIMITS:  # integers stay as they are
        return Tensor(x.clone())
    return record(name, kernel(x), (input,), _zero_backward)


@tensor_method
def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The largest integer not above the element, in the input's dtype. Its gradient is 0."""
    if out is not None:
        return into("floor", out, floor(input))
    return _rounded("floor", K.floor, input)


@tensor_method
def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smallest integer not below the element, in the input's dtype. Its gradient is 0."""
    if out is not None:
        return into("ceil", out, ceil(input))
    return _rounded("ceil", K.ceil, input)


@tensor_method
@explained
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """The nearest integer, the even one of two that are equally near, in the input's dtype. Its gradient is 0.

    decimals: round to this many places after the decimal point; a negative number rounds to tens, hundreds and so on. Raises
    ValueError for decimals other than 0 of an integer tensor.
    """
    if out is not None:
        return into("round", out, round(input, decimals=decimals))
    if not decimals:
        return _rounded("round", K.round, input)
    x = as_array("round", "input", input)
    if not x.dtype.is_floating_point:
        raise BadValue("round", "decimals", f"0 for {x.dtype.name}", decimals)
    require(-300 <= decimals <= 300, "round", "decimals", "a number from -300 to 300", decimals)
    scale = 10.0 ** builtins.abs(decimals)
    there, back = (K.mul, K.div) if decimals > 0 else (K.div, K.mul)
    return record("round", back(K.round(there(x, scale)), scale), (input,), _zero_backward)


absolute, negative = abs, neg
