"""softmax, log_softmax and logsumexp. The kernels work along the last dimension; another one is brought there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record
from engine.errors import BadValue
from engine.ops import precision
from engine.ops.shape import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["log_softmax", "logsumexp", "softmax"]

K = _core.kernels


def _along(op: str, input: Any, dim: int, dtype: DType | None) -> tuple[Tensor, Array, int]:
    """The input (converted to dtype), its array with `dim` last, and `dim` counted from the front."""
    if precision.active:
        input = precision.raised(input)
    x = as_array(op, "input", input)
    if dtype is not None and dtype is not x.dtype:
        input = input.to(dtype)
        x = input._data
    dim = normal_dim(op, dim, x.ndim)
    return input, _swap(x, dim), dim


def _swap(x: Array, dim: int) -> Array:
    """Dimensions `dim` and the last exchanged; its own inverse."""
    return x if dim >= x.ndim - 1 else x.transpose(dim, x.ndim - 1)


def _rows(x: Array) -> Array:
    return x.view((1,)) if x.ndim == 0 else x


def _softmax_backward(ctx: Node, dy: Array) -> Any:
    y, dim = ctx.saved
    return _swap(K.softmax_backward(_rows(_swap(dy, dim)), y), dim).reshape(dy.shape)


@tensor_method
def softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """e^input over its sum along `dim`. dtype: what to convert the input to first.

    A line of nothing but -inf gives NaNs, as in PyTorch.
    """
    input, x, dim = _along("softmax", input, dim, dtype)
    y = K.softmax(_rows(x))
    result = _swap(y, dim) if x.ndim else y.view(())
    return record("softmax", result, (input,), _softmax_backward, y, dim)


def _log_softmax_backward(ctx: Node, dy: Array) -> Any:
    y, dim = ctx.saved
    return _swap(K.log_softmax_backward(_rows(_swap(dy, dim)), y), dim).reshape(dy.shape)


@tensor_method
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """The logarithm of softmax along `dim`, without taking the logarithm of small numbers."""
    input, x, dim = _along("log_softmax", input, dim, dtype)
    y = K.log_softmax(_rows(x))
    result = _swap(y, dim) if x.ndim else y.view(())
    return record("log_softmax", result, (input,), _log_softmax_backward, y, dim)


def _logsumexp_backward(ctx: Node, dy: Array) -> Any:
    x, y, order, moved = ctx.saved
    dx = K.logsumexp_backward(dy.reshape(y.shape), x, y).view(moved)
    inverse = [0] * len(order)
    for i, d in enumerate(order):
        inverse[d] = i
    return dx.permute(inverse)


@tensor_method
def logsumexp(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """ln(sum(e^input)) over one or several dimensions, (): all; no sum overflows."""
    if precision.active:
        input = precision.raised(input)
    x = as_array("logsumexp", "input", input)
    dims = [normal_dim("logsumexp", d, x.ndim) for d in ([dim] if isinstance(dim, int) else dim or range(x.ndim))]
    if len(set(dims)) != len(dims):
        raise BadValue("logsumexp", "dim", "each dimension once", dim)
    if x.ndim == 0:  # has dimension 0 by name only
        dims = []
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple([1 if d in dims else x.shape[d] for d in range(x.ndim) if keepdim or d not in dims])
    order = (*kept, *dims)
    moved = tuple([x.shape[d] for d in order])
    width = 1
    for d in dims:
        width *= x.shape[d]
    rows = x.permute(order).reshape((*moved[: len(kept)], width))
    y = K.logsumexp(rows)
    return record("logsumexp", y.view(shape), (input,), _logsumexp_backward, rows, y, order, moved)
