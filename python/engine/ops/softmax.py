"""softmax, log_softmax and logsumexp. The kernels work along the last dimension; other dimensions are moved there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any
from warnings import warn

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import record
from engine.errors import require
from engine.ops import precision
from engine.ops.convert import cast
from engine.ops.operands import gradient
from engine.ops.sizes import listed, normal_dim
from engine.ops.special import floating
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["log_softmax", "logsumexp", "softmax"]

K = _core.kernels


def _swap(x: Array, dim: int) -> Array:
    """Dimensions `dim` and the last exchanged; its own inverse."""
    return x if dim >= x.ndim - 1 else x.transpose(dim, x.ndim - 1)


def _rows(x: Array) -> Array:
    return x.view((1,)) if x.ndim == 0 else x


def _backward(kernel: Callable[[Array, Array], Array]) -> Callable[..., Any]:
    return gradient(lambda dy, y, dim: _swap(kernel(_rows(_swap(dy, dim)), y), dim).reshape(dy.shape))


Kind = tuple[str, Any, Callable[..., Any]]
SOFTMAX: Kind = ("softmax", K.softmax, _backward(K.softmax_backward))
LOG_SOFTMAX: Kind = ("log_softmax", K.log_softmax, _backward(K.log_softmax_backward))


def _implied(op: str, ndim: int) -> int:
    """The dimension that PyTorch takes if none is given: 0 for 0, 1 and 3 dimensions, otherwise 1. A warning says which."""
    dim = 0 if ndim in (0, 1, 3) else 1
    warn(f"{op} without dim takes dimension {dim} of {ndim}, as in PyTorch; give dim", stacklevel=4)
    return dim


def along(kind: Kind, input: Tensor, dim: int | None, dtype: DType | None) -> Tensor:
    """The softmax of that kind along `dim`, recorded."""
    op, kernel, backward = kind
    if precision.active:
        input = precision.raised(input)
    x = as_array(op, "input", input)
    if dtype is not None and dtype is not x.dtype:
        input = cast(input, dtype)
        x = input._data
    dim = normal_dim(op, _implied(op, x.ndim) if dim is None else dim, x.ndim)
    y = kernel(_rows(_swap(x, dim)))
    result = _swap(y, dim).contiguous() if x.ndim else y.view(())  # as in PyTorch, contiguous whatever `dim` is
    return record(op, result, (input,), backward, y, dim)


@tensor_method
def softmax(input: Tensor, dim: int | None = None, dtype: DType | None = None) -> Tensor:
    """e^input divided by its sum along `dim`. dtype: the input is converted to it first. Without `dim` it warns, and takes dimension 0
    of 0, 1 or 3 dimensions, otherwise 1.

    If all elements along `dim` are -inf, the result is NaN, as in PyTorch.
    """
    return along(SOFTMAX, input, dim, dtype)


@tensor_method
def log_softmax(input: Tensor, dim: int | None = None, dtype: DType | None = None) -> Tensor:
    """The logarithm of softmax along `dim`, computed without the logarithm of a small number. dim and dtype as in `softmax`."""
    return along(LOG_SOFTMAX, input, dim, dtype)


@gradient
def _logsumexp_backward(dy: Array, x: Array, y: Array, order: Sequence[int], moved: Sequence[int]) -> Array:
    dx = K.logsumexp_backward(dy.reshape(y.shape), x, y).view(moved)
    return dx.permute(sorted(range(len(order)), key=order.__getitem__))


@tensor_method
def logsumexp(input: Tensor, dim: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """ln(sum(e^input)) over one or several dimensions ((): all). No sum overflows."""
    if precision.active:
        input = precision.raised(input)
    x = as_array("logsumexp", "input", input)
    x = x.cast(floating(x.dtype))
    dims = [normal_dim("logsumexp", d, x.ndim) for d in listed("logsumexp", "dim", dim) or range(x.ndim)]
    require(len(set(dims)) == len(dims), "logsumexp", "dim", "each dimension once", dim)
    if x.ndim == 0:  # normal_dim takes 0 and -1, but there is nothing to move
        dims = []
    kept = [d for d in range(x.ndim) if d not in dims]
    shape = tuple([1 if d in dims else x.shape[d] for d in range(x.ndim) if keepdim or d not in dims])
    order = (*kept, *dims)
    moved = tuple([x.shape[d] for d in order])
    rows = x.permute(order).reshape((*moved[: len(kept)], prod(moved[len(kept) :])))
    y = K.logsumexp(rows)
    return record("logsumexp", y.view(shape), (input,), _logsumexp_backward, rows, y, order, moved)
