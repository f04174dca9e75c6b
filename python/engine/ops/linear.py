"""Dense products: matmul over broadcast batches, linear layers, a linear layer followed by GELU, and products of groups of
rows."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, needs_grad, record, will_record
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, BadValue, amount
from engine.ops import precision
from engine.ops.activation import is_tanh
from engine.ops.convert import into
from engine.ops.naming import called_as
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["bmm", "grouped_mm", "linear", "linear_gelu", "matmul", "mm"]

K = _core.kernels


# ---------------------------------------------------------------- matmul


def _product_for(shape: tuple[int, ...], a: Array, b: Array) -> Array:
    """a · b as the gradient of an operand of `shape`: summed over the batch dimensions along which it was broadcast."""
    if a.shape[:-2] == shape[:-2]:
        return K.matmul(a, b)
    result = _core.empty(shape, a.dtype, a.device)
    K.matmul_into(result.expand((*a.shape[:-2], *shape[-2:])), a, b, False)
    return result


def _matmul_backward(ctx: Node, dy: Array) -> Any:
    # a and b have at least two dimensions and are not broadcast yet. Each gradient needs the other operand, so one that is not
    # needed was not saved.
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


def _of_integers(a: Array, b: Array) -> Array:
    """The product in their dtype: computed in int64, so that it is exact but for wrapping around."""
    dtype = a.dtype
    if b.dtype is not dtype:
        raise BadType("matmul", "other", dtype.name, b.dtype.name)
    return K.matmul_integers(a.cast(_core.int64), b.cast(_core.int64)).cast(dtype)


@tensor_method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix product, by the rules of `torch.matmul`, of floating-point numbers or integers of one dtype.

    (m, k) and (k, n) give (m, n). Leading dimensions are batches and are broadcast. A one-dimensional `input` is taken as a
    row and a one-dimensional `other` as a column; the result does not have the dimension that this adds.
    Raises ValueError for sizes that do not fit, TypeError for other or different dtypes.
    """
    if out is not None:
        return into("matmul", out, matmul(input, other))
    if precision.active:
        input, other = precision.lowered(input, other)
    a, b = as_array("matmul", "input", input), as_array("matmul", "other", other)
    product = _of_integers if a.dtype in INTEGER_LIMITS else K.matmul
    if a.ndim == 2 and b.ndim == 2:
        return _recorded_matmul(product(a, b), input, other, a, b)
    for name, array in (("input", a), ("other", b)):
        if array.ndim == 0:
            raise BadValue("matmul", name, "at least one dimension", "a 0-dim tensor")
    a_shape, b_shape = a.shape, b.shape
    if a.ndim == 1:
        a = a.unsqueeze(0)
    if b.ndim == 1:
        b = b.unsqueeze(1)
    batch = _broadcast("matmul", a.shape[:-2], b.shape[:-2])
    y = product(a.expand((*batch, *a.shape[-2:])), b.expand((*batch, *b.shape[-2:])))
    if len(a_shape) == 1 or len(b_shape) == 1:
        y = y.view((*batch, *a_shape[-2:-1], *(b_shape[-1:] if len(b_shape) > 1 else ())))
    return _recorded_matmul(y, input, other, a, b)


def _recorded_matmul(y: Array, input: Tensor, other: Tensor, a: Array, b: Array) -> Tensor:
    first, second = a if needs_grad(other) else None, b if needs_grad(input) else None
    shapes = (a.shape, b.shape, input.shape, other.shape)
    return record("matmul", y, (input, other), _matmul_backward, first, second, *shapes)


@tensor_method("__rmatmul__")
def _rmatmul(other: Tensor, input: Tensor) -> Tensor:
    return matmul(input, other)


def _without_broadcasting(op: str, input: Tensor, mat2: Tensor, ndim: int) -> Tensor:
    a, b = as_array(op, "input", input), as_array(op, "mat2", mat2)
    for name, array in (("input", a), ("mat2", b)):
        if array.ndim != ndim:
            raise BadValue(op, name, amount(ndim, "dimension"), f"shape {tuple(array.shape)}")
    if a.shape[:-2] != b.shape[:-2]:
        raise BadValue(op, "mat2", f"a batch of {a.shape[0]} matrices, as input", f"shape {tuple(b.shape)}")
    return matmul(input, mat2)


@tensor_method
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix product of (m, k) and (k, n), without broadcasting. Otherwise like `matmul`."""
    if out is not None:
        return into("mm", out, mm(input, mat2))
    return _without_broadcasting("mm", input, mat2, 2)


@tensor_method
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix products of (b, m, k) and (b, k, n), without broadcasting. Otherwise like `matmul`."""
    if out is not None:
        return into("bmm", out, bmm(input, mat2))
    return _without_broadcasting("bmm", input, mat2, 3)


# ---------------------------------------------------------------- linear


def _weight_gradients(ctx: Node, dy: Array, x: Array) -> tuple[Array | None, Array | None]:
    if not (ctx.needs[1] or ctx.needs[2]):
        return None, None
    dw, db = K.linear_backward_weight(dy, x)
    return dw, db


def _learns(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the input must be kept for backward. A frozen layer does not need it."""
    return weight._requires_grad or (bias is not None and bias._requires_grad)


def _linear_backward(ctx: Node, dy: Array) -> Any:
    x, w = ctx.saved
    dx = K.linear_backward_input(dy, w) if ctx.needs[0] else None
    return dx, *_weight_gradients(ctx, dy, x)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input · weightᵀ + bias.

    input: (*, in_features), floating-point; weight: (out_features, in_features); bias: (out_features,).
    Returns (*, out_features); with a weight (in_features,) and a 0-dim bias (*). Raises ValueError for shapes that do not fit, TypeError for other or different dtypes.
    """
    if precision.active:
        input, weight, bias = precision.lowered(input, weight, bias)
    x, w = as_array("linear", "input", input), as_array("linear", "weight", weight)
    b = None if bias is None else as_array("linear", "bias", bias)
    try:
        y = K.linear(x, w, b)
    except (TypeError, ValueError):
        one_output = w.ndim == 1 and (b is None or b.ndim == 0)
        if not one_output and (x.dtype not in INTEGER_LIMITS or w.ndim != 2):
            raise
        product = called_as("linear", matmul, input, weight if one_output else weight.transpose(-1, -2))
        return product if bias is None else product + bias
    first = x if _learns(weight, bias) else None
    second = w if input._requires_grad or (input._base is not None and needs_grad(input)) else None
    return record("linear", y, (input, weight, bias), _linear_backward, first, second)


def _linear_gelu_backward(ctx: Node, dy: Array) -> Any:
    x, w, z, tanh = ctx.saved
    if ctx.needs[0]:
        dx, dz = K.linear_gelu_backward(dy, z, w, tanh)
    else:
        dx, dz = None, K.gelu_backward(dy, z, tanh)
    return dx, *_weight_gradients(ctx, dz, x)


def linear_gelu(input: Tensor, weight: Tensor, bias: Tensor | None = None, approximate: str = "none") -> Tensor:
    """gelu(linear(input, weight, bias), approximate) in one pass (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    Shapes, dtypes and errors as in `linear`. approximate: "none" (erf) or "tanh", as in `gelu`.
    """
    if precision.active:
        input, weight, bias = precision.lowered(input, weight, bias)
    x, w = as_array("linear_gelu", "input", input), as_array("linear_gelu", "weight", weight)
    b = None if bias is None else as_array("linear_gelu", "bias", bias)
    tanh = is_tanh("linear_gelu", approximate)
    y, z = K.linear_gelu(x, w, b, tanh, will_record(input, weight, bias))
    first = x if _learns(weight, bias) else None
    second = w if input._requires_grad or (input._base is not None and needs_grad(input)) else None
    return record("linear_gelu", y, (input, weight, bias), _linear_gelu_backward, first, second, z, tanh)


# ---------------------------------------------------------------- groups of rows


def _grouped_mm_backward(ctx: Node, dy: Array) -> Any:
    a, b, offs = ctx.saved
    da = K.grouped_mm(dy, b.transpose(-1, -2), offs) if ctx.needs[0] else None
    db = K.grouped_mm_backward_mat_b(a, dy, offs) if ctx.needs[1] else None
    return da, db


def grouped_mm(mat_a: Tensor, mat_b: Tensor, *, offs: Tensor) -> Tensor:
    """Products of groups of rows with one matrix for each group: y[start:offs[i]] = mat_a[start:offs[i]] · mat_b[i], where
    start is offs[i - 1], or 0 for the first group.

    PyTorch's `grouped_mm` in the form that layers of experts need. mat_a: (t, k), floating-point, the rows of each group
    after those of the group before; mat_b: (g, k, n), transposed or not; offs: int32 (g,), where each group ends. Groups may
    be empty. Returns (t, n). Rows after the last group are zeros (PyTorch leaves them undefined) and get no gradient.

    Raises ValueError for shapes that do not fit and for offs that fall or leave [0, t], TypeError for other or different
    dtypes.
    """
    if precision.active:
        mat_a, mat_b = precision.lowered(mat_a, mat_b)
    op = "grouped_mm"
    a, b, ends = as_array(op, "mat_a", mat_a), as_array(op, "mat_b", mat_b), as_array(op, "offs", offs)
    first, second = a if needs_grad(mat_b) else None, b if needs_grad(mat_a) else None
    return record(op, K.grouped_mm(a, b, ends), (mat_a, mat_b), _grouped_mm_backward, first, second, ends)
