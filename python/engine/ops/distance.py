"""Distances and similarities of vectors, unit vectors, and the bilinear form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from engine._core import Array
from engine.errors import BadType, BadValue, require
from engine.ops.arithmetic import clamp
from engine.ops.blame import explained
from engine.ops.convert import cast
from engine.ops.linear import matmul
from engine.ops.operands import promote_types
from engine.ops.reduction import norm, sum
from engine.tensor import Tensor, as_array

__all__ = ["bilinear", "cosine_similarity", "normalize", "pairwise_distance"]


@explained
def normalize(
    input: Tensor, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """input divided by its p-norm along `dim`, or by eps where the norm is smaller. Floating-point dtypes.

    out: None. A tensor to write to is not supported.
    """
    x = as_array("normalize", "input", input)
    require(x.dtype.is_floating_point, "normalize", "input", "a floating-point dtype", x.dtype.name, error=BadType)
    require(out is None, "normalize", "out", "None (writing to a tensor is not supported)", "a Tensor")
    return input / clamp(norm(input, p, dim, True), min=eps)


def _arrays(op: str, x1: Tensor, x2: Tensor) -> tuple[Array, Array]:
    return as_array(op, "x1", x1), as_array(op, "x2", x2)


def broadcast_shape(op: str, name: str, a: Array, b: Array) -> tuple[int, ...]:
    """The shape to which a and b broadcast. Raises ValueError, which names the argument b, if they do not."""
    ndim = max(a.ndim, b.ndim)
    m, n = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    if any(i != j and 1 not in (i, j) for i, j in zip(m, n)):
        raise BadValue(op, name, f"a shape that broadcasts with {tuple(a.shape)}", b.shape)
    return tuple([j if i == 1 else i for i, j in zip(m, n)])


@explained
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along `dim`, which the result lacks. The two are broadcast.

    Norms below eps count as eps. Raises TypeError unless the common dtype is floating-point.
    """
    op = "cosine_similarity"
    a, b = _arrays(op, x1, x2)
    dtype, shape = promote_types(a.dtype, b.dtype), broadcast_shape(op, "x2", a, b)
    require(dtype.is_floating_point, op, "x1", "a floating-point dtype", a.dtype.name, error=BadType)
    x1, x2 = cast(x1, dtype).expand(shape), cast(x2, dtype).expand(shape)
    return sum(_unit(x1, dim, eps) * _unit(x2, dim, eps), dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    length = norm(x, 2, dim, True)
    # The bound changes the value of the norm and not its gradient, as in PyTorch.
    return x / (length + (clamp(length.detach(), min=eps) - length.detach()))


@explained
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension: (n, d) and (n, d) -> (n,). The two are broadcast.

    keepdim: the last dimension stays, with size 1.
    """
    broadcast_shape("pairwise_distance", "x2", *_arrays("pairwise_distance", x1, x2))
    return norm(x1 - x2 + eps, p, -1, keepdim)


@explained
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., k] = input1 weight[k] input2 + bias[k]: (*, m) and (*, n) -> (*, k).

    weight: (k, m, n); bias: (k,) or None. Both inputs have the same leading dimensions. Raises ValueError for other shapes.
    """
    op = "bilinear"
    a, b, w = as_array(op, "input1", input1), as_array(op, "input2", input2), as_array(op, "weight", weight)
    require(w.ndim == 3, op, "weight", "3 dimensions", f"shape {tuple(w.shape)}")
    k, m, n = w.shape
    require(a.ndim and a.shape[-1] == m, op, "input1", f"a last dimension of size {m}", f"shape {tuple(a.shape)}")
    require(b.shape == (*a.shape[:-1], n), op, "input2", f"shape {(*a.shape[:-1], n)}", b.shape)
    rows = prod(a.shape[:-1])
    left = matmul(input1.reshape(rows, m), weight.permute(1, 0, 2).reshape(m, k * n)).reshape(rows, k, n)
    y = matmul(left, input2.reshape(rows, n, 1)).reshape(*a.shape[:-1], k)
    if bias is None:
        return y
    require(as_array(op, "bias", bias).shape == (k,), op, "bias", f"shape {(k,)}", bias.shape)
    return y + bias
