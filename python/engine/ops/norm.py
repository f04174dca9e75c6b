"""Normalisation over the last dimensions, also fused with the dropout and addition that precede it in a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record, will_record
from engine.errors import BadValue
from engine.ops import precision
from engine.ops.dropout import drawn
from engine.ops.operands import zeros_array
from engine.ops.sizes import listed, sizes_of
from engine.tensor import Tensor, as_array

__all__ = ["dropout_add_layer_norm", "layer_norm", "rms_norm"]

K = _core.kernels

_EPSILON = {_core.float32: 2.0**-23, _core.bfloat16: 2.0**-7, _core.float16: 2.0**-10}


def _optional(op: str, name: str, value: Tensor | None) -> Array | None:
    return None if value is None else as_array(op, name, value)


def _flat(op: str, name: str, value: Tensor | None, shape: tuple[int, ...]) -> Array | None:
    """A weight or bias of the normalised shape as one dimension."""
    if value is None:
        return None
    array = as_array(op, name, value)
    if array.shape != shape:
        raise BadValue(op, name, f"shape {shape}", array.shape)
    return array if len(shape) == 1 else array.reshape((prod(shape),))


def _normal_shape(op: str, x: Array, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if type(normalized_shape) is tuple and normalized_shape == x.shape[-1:] != () and type(normalized_shape[0]) is int:
        return normalized_shape  # as a module gives it
    given = listed(op, "normalized_shape", normalized_shape)
    shape = sizes_of(op, "normalized_shape", (given,))
    if not shape:
        raise BadValue(op, "normalized_shape", "at least one dimension", "()")
    if x.shape[-len(shape) :] != shape:
        raise BadValue(op, "input", f"a shape that ends in {shape}", x.shape)
    return shape


def _rows(x: Array, shape: tuple[int, ...]) -> Array:
    """The normalised dimensions, which are the last, joined into one."""
    return x if len(shape) == 1 else x.reshape((*x.shape[: x.ndim - len(shape)], prod(shape)))


def _layer_norm_backward(ctx: Node, dy: Array) -> Any:
    x, weight, mean, rstd, shape = ctx.saved
    dx, dw, db = K.layer_norm_backward(_rows(dy, shape), x, weight, mean, rstd)
    if len(shape) > 1:
        dx, dw, db = dx.view(dy.shape), dw.view(shape), db.view(shape)
    return dx, dw, db


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450) over the last dimensions.

    input: (*, *normalized_shape), floating-point; weight, bias: of shape normalized_shape, or None for ones and zeros.
    Returns (input - mean) / sqrt(variance + eps) * weight + bias, of the input's shape. Raises ValueError for shapes that
    do not fit.
    """
    if precision.active:
        input, weight, bias = map(precision.raised, (input, weight, bias))
    x = as_array("layer_norm", "input", input)
    shape = _normal_shape("layer_norm", x, normalized_shape)
    w, b = _flat("layer_norm", "weight", weight, shape), _flat("layer_norm", "bias", bias, shape)
    rows = _rows(x, shape)
    y, mean, rstd = K.layer_norm(rows, w, b, eps)
    if len(shape) > 1:
        y = y.view(x.shape)
    return record("layer_norm", y, (input, weight, bias), _layer_norm_backward, rows, w, mean, rstd, shape)


def _rms_norm_backward(ctx: Node, dy: Array) -> Any:
    x, weight, rstd, shape = ctx.saved
    dx, dw = K.rms_norm_backward(_rows(dy, shape), x, weight, rstd)
    return (dx, dw) if len(shape) == 1 else (dx.view(dy.shape), dw.view(shape))


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Root mean square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467) over the last dimensions.

    input: (*, *normalized_shape), floating-point; weight: of shape normalized_shape, or None for ones. eps: None means
    the dtype's machine epsilon. Returns input / sqrt(mean(input^2) + eps) * weight, of the input's shape. Raises ValueError
    for shapes that do not fit.
    """
    if precision.active:
        input, weight = map(precision.raised, (input, weight))
    x = as_array("rms_norm", "input", input)
    shape = _normal_shape("rms_norm", x, normalized_shape)
    w = _flat("rms_norm", "weight", weight, shape)
    if eps is None:
        eps = _EPSILON.get(x.dtype, 2.0**-52)
    rows = _rows(x, shape)
    y, rstd = K.rms_norm(rows, w, eps)
    if len(shape) > 1:
        y = y.view(x.shape)
    return record("rms_norm", y, (input, weight), _rms_norm_backward, rows, w, rstd, shape)


def _dropout_add_layer_norm_backward(ctx: Node, dy: Array | None, dsum: Array | None = None) -> Any:
    total, weight, mean, rstd, p, seed, call = ctx.saved
    if dy is None:  # only the sum was used
        dy = zeros_array(total.shape, total)
    rows = prod(total.shape[:-1])
    input_rows = rows if p > 0 and ctx.needs[0] else 0
    residual_rows = rows if ctx.needs[1] or (ctx.needs[0] and p == 0) else 0
    dresidual, dx, dw, db = K.dropout_add_layer_norm_backward(
        dy, dsum, total, weight, mean, rstd, p, seed, call, residual_rows, input_rows
    )
    through = dresidual.view(total.shape) if residual_rows else None
    return (dx.view(total.shape) if input_rows else through), through, dw, db


def dropout_add_layer_norm(
    input: Tensor,
    residual: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    p: float = 0.5,
    training: bool = True,
    eps: float = 1e-5,
    prenorm: bool = False,
) -> Any:
    """layer_norm(residual + dropout(input, p)) over the last dimension, in one pass forward and one backward.

    input, residual: (*, d), floating-point; residual may be None. weight, bias: (d,) or None. Returns (*, d); with prenorm
    a pair of it and the sum residual + dropout(input), for layers that normalise first. With training=False or p = 0 nothing
    is dropped and no random numbers are drawn.
    """
    op = "dropout_add_layer_norm"
    if precision.active:
        input, residual, weight, bias = map(precision.raised, (input, residual, weight, bias))
    x, r = as_array(op, "input", input), _optional(op, "residual", residual)
    if x.ndim == 0:
        raise BadValue(op, "input", "at least one dimension", "()")
    w, b = _optional(op, "weight", weight), _optional(op, "bias", bias)
    p, seed, call = drawn(op, p, training)
    keep = prenorm or will_record(input, residual, weight, bias)
    y, total, mean, rstd = K.dropout_add_layer_norm(x, r, w, b, p, eps, seed, call, keep)
    saved = (total, w, mean, rstd, p, seed, call)
    outputs = (y, total) if prenorm else y
    return record(op, outputs, (input, residual, weight, bias), _dropout_add_layer_norm_backward, *saved)
