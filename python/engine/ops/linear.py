"""Dense products: matmul over broadcast batches, linear layers, a linear layer with GELU behind it, and products of groups
of rows."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record, will_record
from engine.errors import BadValue
from engine.ops import precision
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["bmm", "grouped_mm", "linear", "linear_gelu", "matmul", "mm"]

K = _core.kernels


# ---------------------------------------------------------------- matmul


def _product_for(shape: tuple[int, ...], a: Array, b: Array) -> Array:
    """a · b, summed over the batch dimensions that `shape`, an operand's own, lacks or has only one of."""
    if a.shape[:-2] == shape[:-2]:
        return K.matmul(a, b)
    result = _core.empty(shape, a.dtype, a.device)
    K.matmul_into(result.expand((*a.shape[:-2], *shape[-2:])), a, b, False)
    return result


def _matmul_backward(ctx: Node, dy: Array) -> Any:
    # a and b as they were multiplied: at least two dimensions each, b not yet broadcast. Each gradient needs the other one.
    a, b, as_a, as_b, a_shape, b_shape = ctx.saved
    batch = dy.shape[: max(len(as_a), len(as_b)) - 2]
    dy = dy.reshape((*batch, as_a[-2], as_b[-1]))
    da = db = None
    if ctx.needs[0]:
        right = b.transpose(-1, -2).expand((*batch, as_b[-1], as_b[-2]))
        da = _product_for(as_a, dy, right).reshape(a_shape)
    if ctx.needs[1]:
        left = a.transpose(-1, -2).expand((*batch, as_a[-1], as_a[-2]))
        db = _product_for(as_b, left, dy).reshape(b_shape)
    return da, db


def _broadcast(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    n = max(len(a), len(b))
    left, right = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    for x, y in zip(left, right):
        if x != y and x != 1 and y != 1:
            raise BadValue(op, "other", f"batch dimensions that broadcast with {a}", b)
    return tuple([y if x == 1 else x for x, y in zip(left, right)])


@tensor_method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """Matrix product, by the rules of `torch.matmul`. float32 or float64.

    (m, k) and (k, n) give (m, n); leading dimensions are batches and broadcast; a one-dimensional `input` is a row, a
    one-dimensional `other` a column, and the dimension that this adds is dropped from the result.
    Raises ValueError where sizes do not fit, TypeError for other dtypes or different ones.
    """
    if precision.active:
        input, other = precision.lowered(input, other)
    a, b = as_array("matmul", "input", input), as_array("matmul", "other", other)
    if a.ndim == 2 and b.ndim == 2:
        return _recorded_matmul(K.matmul(a, b), input, other, a, b)
    if a.ndim == 0 or b.ndim == 0:
        name = "input" if a.ndim == 0 else "other"
        raise BadValue("matmul", name, "at least one dimension", "a 0-dim tensor")
    a_shape, b_shape = a.shape, b.shape
    if a.ndim == 1:
        a = a.unsqueeze(0)
    if b.ndim == 1:
        b = b.unsqueeze(1)
    batch = _broadcast("matmul", a.shape[:-2], b.shape[:-2])
    y = K.matmul(a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:])))
    if len(a_shape) == 1 or len(b_shape) == 1:
        y = y.view((*batch, *a_shape[-2:-1], *(b_shape[-1:] if len(b_shape) > 1 else ())))
    return _recorded_matmul(y, input, other, a, b)


def _recorded_matmul(y: Array, input: Tensor, other: Tensor, a: Array, b: Array) -> Tensor:
    first, second = a if other._requires_grad else None, b if input._requires_grad else None
    shapes = (a.shape, b.shape, input.shape, other.shape)
    return record("matmul", y, (input, other), _matmul_backward, first, second, *shapes)


@tensor_method("__rmatmul__")
def _rmatmul(other: Tensor, input: Tensor) -> Tensor:
    return matmul(input, other)


def _need_dimensions(op: str, name: str, array: Array, n: int) -> None:
    if array.ndim != n:
        raise BadValue(op, name, f"{n} dimensions", f"shape {array.shape}")


@tensor_method
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix product of (m, k) and (k, n), without broadcasting."""
    a, b = as_array("mm", "input", input), as_array("mm", "mat2", mat2)
    _need_dimensions("mm", "input", a, 2)
    _need_dimensions("mm", "mat2", b, 2)
    return matmul(input, mat2)


@tensor_method
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Matrix products of (b, m, k) and (b, k, n), without broadcasting."""
    a, b = as_array("bmm", "input", input), as_array("bmm", "mat2", mat2)
    _need_dimensions("bmm", "input", a, 3)
    _need_dimensions("bmm", "mat2", b, 3)
    if a.shape[0] != b.shape[0]:
        raise BadValue("bmm", "mat2", f"a batch of {a.shape[0]} matrices, as input", f"shape {b.shape}")
    return matmul(input, mat2)


# ---------------------------------------------------------------- linear


def _weight_gradients(ctx: Node, dy: Array, x: Array) -> tuple[Array | None, Array | None]:
    if not (ctx.needs[1] or ctx.needs[2]):
        return None, None
    dw, db = K.linear_backward_weight(dy, x)
    return dw, db


def _learns(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the input must be kept: that of a frozen layer need not."""
    return weight._requires_grad or (bias is not None and bias._requires_grad)


def _linear_backward(ctx: Node, dy: Array) -> Any:
    x, w = ctx.saved
    dx = K.linear_backward_input(dy, w) if ctx.needs[0] else None
    return dx, *_weight_gradients(ctx, dy, x)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input · weightᵀ + bias.

    input: (*, in_features), float32 or float64; weight: (out_features, in_features); bias: (out_features,).
    Returns (*, out_features). Raises ValueError where shapes do not fit, TypeError for other or different dtypes.
    """
    if precision.active:
        input, weight, bias = precision.lowered(input, weight, bias)
    x, w = as_array("linear", "input", input), as_array("linear", "weight", weight)
    b = None if bias is None else as_array("linear", "bias", bias)
    first = x if _learns(weight, bias) else None
    second = w if input._requires_grad else None
    return record("linear", K.linear(x, w, b), (input, weight, bias), _linear_backward, first, second)


def _linear_gelu_backward(ctx: Node, dy: Array) -> Any:
    x, w, z, tanh = ctx.saved
    if ctx.needs[0]:
        dx, dz = K.linear_gelu_backward(dy, z, w, tanh)
    else:
        dx, dz = None, K.gelu_backward(dy, z, tanh)
    return dx, *_weight_gradients(ctx, dz, x)


def linear_gelu(input: Tensor, weight: Tensor, bias: Tensor | None = None, approximate: str = "none") -> Tensor:
    """gelu(linear(input, weight, bias), approximate) in one pass (Hendrycks & Gimpel 2016, arXiv 1606.08415).

    Shapes and dtypes as for `linear`; approximate: 'none' (by erf) or 'tanh'.
    """
    if precision.active:
        input, weight, bias = precision.lowered(input, weight, bias)
    x, w = as_array("linear_gelu", "input", input), as_array("linear_gelu", "weight", weight)
    b = None if bias is None else as_array("linear_gelu", "bias", bias)
    if approximate not in ("none", "tanh"):
        raise BadValue("linear_gelu", "approximate", "'none' or 'tanh'", repr(approximate))
    tanh = approximate == "tanh"
    y, z = K.linear_gelu(x, w, b, tanh, will_record(input, weight, bias))
    first = x if _learns(weight, bias) else None
    second = w if input._requires_grad else None
    return record("linear_gelu", y, (input, weight, bias), _linear_gelu_backward, first, second, z, tanh)


# ---------------------------------------------------------------- groups of rows


def _grouped_mm_backward(ctx: Node, dy: Array) -> Any:
    a, b, offs = ctx.saved
    da = K.grouped_mm(dy, b.transpose(-1, -2), offs) if ctx.needs[0] else None
    db = K.grouped_mm_backward_mat_b(a, dy, offs) if ctx.needs[1] else None
    return da, db


def grouped_mm(mat_a: Tensor, mat_b: Tensor, *, offs: Tensor) -> Tensor:
    """Products of groups of rows, each with a matrix of its own: y[offs[i-1]:offs[i]] = mat_a[offs[i-1]:offs[i]] · mat_b[i].

    The case of PyTorch's `grouped_mm` that layers of experts need. mat_a: (t, k), float32 or float64, its rows group after
    group; mat_b: (g, k, n), transposed or not; offs: int32 (g,), where each group ends. Groups may be empty.
    Returns (t, n); rows behind the last group's are zeros (PyTorch leaves them undefined) and get no gradient.
    Raises ValueError where shapes do not fit or offs do not rise within [0, t], TypeError for other or different dtypes.
    """
    if precision.active:
        mat_a, mat_b = precision.lowered(mat_a, mat_b)
    op = "grouped_mm"
    a, b, ends = as_array(op, "mat_a", mat_a), as_array(op, "mat_b", mat_b), as_array(op, "offs", offs)
    first, second = a if mat_b._requires_grad else None, b if mat_a._requires_grad else None
    return record(op, K.grouped_mm(a, b, ends), (mat_a, mat_b), _grouped_mm_backward, first, second, ends)
