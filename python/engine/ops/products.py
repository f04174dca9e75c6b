"""Products of vectors and matrices: sums of products with a bias (`addmm` and so on), outer and inner products, distances, einsum."""

from __future__ import annotations

import math
from typing import Any

from engine.errors import BadType, BadValue, require
from engine.ops.arithmetic import mul
from engine.ops.convert import cast, into
from engine.ops.linear import bmm, matmul, mm
from engine.ops.naming import called_as, in_old_order
from engine.ops.operands import Number, promote_types
from engine.ops.reduction import norm, sum
from engine.ops.shape import reshape, unsqueeze
from engine.ops.sizes import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "cdist",
    "dot",
    "ger",
    "inner",
    "kron",
    "mv",
    "outer",
    "tensordot",
    "vdot",
]


# ---------------------------------------------------------------- beta * input + alpha * product


def _plus(op: str, input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    x = as_array(op, "input", input)
    same = x.dtype is product.dtype
    require(same, op, "input", f"dtype {product.dtype.name}, as the product", x.dtype.name, error=BadType)
    if not product.is_floating_point():
        for name, factor in (("beta", beta), ("alpha", alpha)):
            whole = not isinstance(factor, float)
            require(whole, op, name, f"an integer for {product.dtype.name}", factor, error=BadType)
    shape = product.shape
    fits = x.ndim <= len(shape) and all(a in (1, b) for a, b in zip(x.shape[::-1], shape[::-1]))
    require(fits, op, "input", f"a shape that broadcasts to {shape}", x.shape)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:  # as in PyTorch, NaN in input then does not count
        return scaled
    return (input if beta == 1 else input * beta) + scaled


def _old_order(op: str, *arguments: Any) -> tuple[Any, ...]:
    """Three tensors, beta and alpha of a call in PyTorch's order before version 1.5: op(beta, input, alpha, a, b), or without alpha.
    As a method, input comes first."""
    tensors = [v for v in arguments if isinstance(v, Tensor)]
    numbers = [v for v in arguments if not isinstance(v, Tensor)]
    fits = len(tensors) == 3 and len(numbers) <= 2
    require(fits, op, "arguments", "three tensors, and beta and alpha", f"{len(arguments)} arguments", error=BadType)
    in_old_order(op, "beta=number, alpha")
    return (*tensors, *numbers, 1)[:5]


@tensor_method
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *old: Any, beta: Number = 1, alpha: Number = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * mat1 · mat2. mat1: (m, k); mat2: (k, n); input broadcasts to (m, n), and is not read if beta is 0."""
    if out is not None:
        return into("addmm", out, addmm(input, mat1, mat2, *old, beta=beta, alpha=alpha))
    if old:
        input, mat1, mat2, beta, alpha = _old_order("addmm", input, mat1, mat2, *old)
    return _plus("addmm", input, called_as("addmm", mm, mat1, mat2, input_as="mat1"), beta, alpha)


@tensor_method
def baddbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *old: Any,
    beta: Number = 1,
    alpha: Number = 1,
    out: Tensor | None = None,
) -> Tensor:
    """beta * input + alpha * batch1 · batch2. batch1: (b, m, k); batch2: (b, k, n); input broadcasts to (b, m, n), and is not
    read if beta is 0."""
    if out is not None:
        return into("baddbmm", out, baddbmm(input, batch1, batch2, *old, beta=beta, alpha=alpha))
    if old:
        input, batch1, batch2, beta, alpha = _old_order("baddbmm", input, batch1, batch2, *old)
    return _plus("baddbmm", input, called_as("baddbmm", bmm, batch1, batch2, input_as="batch1"), beta, alpha)


@tensor_method
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *old: Any, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * the sum over the batch of batch1 · batch2. batch1: (b, m, k); batch2: (b, k, n); input broadcasts
    to (m, n), and is not read if beta is 0."""
    if old:
        input, batch1, batch2, beta, alpha = _old_order("addbmm", input, batch1, batch2, *old)
    product = called_as("addbmm", bmm, batch1, batch2, input_as="batch1")
    return _plus("addbmm", input, sum(product, 0, dtype=product.dtype), beta, alpha)


@tensor_method
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *old: Any, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * mat · vec. mat: (m, n); vec: (n,); input broadcasts to (m,), and is not read if beta is 0."""
    if old:
        input, mat, vec, beta, alpha = _old_order("addmv", input, mat, vec, *old)
    return _plus("addmv", input, called_as("addmv", mv, mat, vec, input_as="mat"), beta, alpha)


@tensor_method
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *old: Any, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2). vec1: (m,); vec2: (n,); input broadcasts to (m, n), and is not read if beta is 0."""
    if old:
        input, vec1, vec2, beta, alpha = _old_order("addr", input, vec1, vec2, *old)
    product = called_as("addr", outer, vec1, vec2, input_as="vec1")
    dtype = promote_types(as_array("addr", "input", input).dtype, product.dtype)
    return _plus("addr", cast(input, dtype), cast(product, dtype), beta, alpha)


# ---------------------------------------------------------------- vectors


def _need(op: str, ndim: int, **tensors: Any) -> None:
    """Raises unless all are Tensors of `ndim` dimensions and of one dtype."""
    dtype = None
    for name, tensor in tensors.items():
        x = as_array(op, name, tensor)
        require(x.ndim == ndim, op, name, f"{ndim} dimension{'s' if ndim > 1 else ''}", f"shape {tuple(x.shape)}")
        dtype = x.dtype if dtype is None else dtype
        require(x.dtype is dtype, op, name, f"dtype {dtype.name}", x.dtype.name, error=BadType)


@tensor_method
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of the products of the elements of two vectors (n,) of one dtype: 0-dim."""
    if out is not None:
        return into("dot", out, dot(input, tensor))
    _need("dot", 1, input=input, tensor=tensor)
    require(input.shape == tensor.shape, "dot", "tensor", f"shape {tuple(input.shape)}, as input", tensor.shape)
    return sum(mul(input, tensor), dtype=input.dtype)


@tensor_method
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """`dot`: the numbers are real."""
    return called_as("vdot", dot, input, other)


@tensor_method
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of a matrix (m, n) and a vector (n,): (m,)."""
    if out is not None:
        return into("mv", out, mv(input, vec))
    as_array("mv", "input", input), as_array("mv", "vec", vec)
    require(input.ndim == 2, "mv", "input", "2 dimensions", f"shape {tuple(input.shape)}")
    require(vec.ndim == 1, "mv", "vec", "1 dimension", f"shape {tuple(vec.shape)}")
    return called_as("mv", matmul, input, vec)


@tensor_method("outer", "ger")
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of an element of (m,) and one of (n,): (m, n)."""
    if out is not None:
        return into("outer", out, outer(input, vec2))
    for name, value in (("input", input), ("vec2", vec2)):
        ndim = as_array("outer", name, value).ndim
        require(ndim == 1, "outer", name, "1 dimension", f"{ndim} dimensions")
    return mul(unsqueeze(input, 1), vec2)


ger = outer


@tensor_method
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products over the last dimensions, which must be equal: (*, k) and (+, k) give (*, +). A 0-dim tensor
    multiplies the other."""
    a, b = as_array("inner", "input", input), as_array("inner", "other", other)
    if not a.ndim or not b.ndim:
        return mul(input, other)
    require(
        a.shape[-1] == b.shape[-1], "inner", "other", f"a last dimension of {a.shape[-1]}", f"shape {tuple(b.shape)}"
    )
    return called_as("inner", tensordot, input, other, ([-1], [-1]))


@tensor_method
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: every element of `input` times all of `other`, in blocks. Each size is the product of both sizes."""
    n = max(as_array("kron", "input", input).ndim, as_array("kron", "other", other).ndim)
    require(n <= 4, "kron", "input", "at most 4 dimensions", n)
    a, b = ((1,) * (n - t.ndim) + t.shape for t in (input, other))
    product = mul(
        reshape(input, [s for size in a for s in (size, 1)]), reshape(other, [s for size in b for s in (1, size)])
    )
    return reshape(product, [x * y for x, y in zip(a, b)])


# ---------------------------------------------------------------- tensors


def _dims_pair(dims: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        require(dims >= 0, "tensordot", "dims", "a number >= 0", dims)
        fits = dims <= min(a.ndim, b.ndim)
        require(fits, "tensordot", "dims", f"at most {min(a.ndim, b.ndim)}, the dimensions of the smaller one", dims)
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    first = [normal_dim("tensordot", d, a.ndim) for d in first]
    second = [normal_dim("tensordot", d, b.ndim) for d in second]
    require(len(first) == len(second), "tensordot", "dims", "as many dimensions of a as of b", dims)
    return first, second


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over pairs of dimensions of a and b; the other dimensions of a come first, then those of b.

    dims: a number n for the last n of a and the first n of b, or (dimensions of a, dimensions of b).
    """
    as_array("tensordot", "a", a), as_array("tensordot", "b", b)
    first, second = _dims_pair(dims, a, b)
    for i, j in zip(first, second):
        fits = a.shape[i] == b.shape[j] or 1 in (a.shape[i], b.shape[j])
        require(fits, "tensordot", "b", f"size {a.shape[i]} in dimension {j}", b.shape[j])
        if a.shape[i] != b.shape[j]:  # as in PyTorch, the one that is not of size 1 is summed
            a, b = (sum(t, d, True) if t.shape[d] != 1 else t for t, d in ((a, i), (b, j)))
    rest_a, rest_b = ([d for d in range(t.ndim) if d not in used] for t, used in ((a, first), (b, second)))
    k = math.prod(a.shape[d] for d in first)
    shape = [a.shape[d] for d in rest_a] + [b.shape[d] for d in rest_b]
    m, n = math.prod(a.shape[d] for d in rest_a), math.prod(b.shape[d] for d in rest_b)
    left, right = reshape(a.permute(rest_a + first), (m, k)), reshape(b.permute(second + rest_b), (k, n))
    return reshape(called_as("tensordot", mm, left, right, input_as="a"), shape)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norms of all differences of rows: (*, m, d) and (*, n, d) give (*, m, n), through m · n · d differences in memory.

    p: 2 for the Euclidean distance, 0 counts the elements that differ, infinity takes the largest difference. compute_mode is
    accepted and changes nothing. The gradient of a distance of 0 is 0.
    """
    a, b = as_array("cdist", "x1", x1), as_array("cdist", "x2", x2)
    for name, x in (("x1", a), ("x2", b)):
        require(x.ndim >= 2, "cdist", name, "at least 2 dimensions", x.ndim)
        require(x.dtype.is_floating_point, "cdist", name, "a floating-point dtype", x.dtype.name, error=BadType)
    require(a.shape[-1] == b.shape[-1], "cdist", "x2", f"{a.shape[-1]} columns, as x1", b.shape[-1])
    modes = (None, "use_mm_for_euclid_dist", "use_mm_for_euclid_dist_if_necessary", "donot_use_mm_for_euclid_dist")
    require(compute_mode in modes, "cdist", "compute_mode", "None or one of PyTorch's modes", repr(compute_mode))
    if p < 0:
        raise BadValue("cdist", "p", "a number >= 0", p)
    difference = unsqueeze(x1, -2) - unsqueeze(x2, -3)
    if not difference.shape[-1]:
        return sum(difference, -1)
    return called_as("cdist", norm, difference, p, -1)
