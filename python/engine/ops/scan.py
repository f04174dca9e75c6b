"""Running results along a dimension that have no kernel: each of log2(n) passes joins every element with one farther back."""

from __future__ import annotations

from collections.abc import Callable

from engine import _core
from engine.autograd.modes import no_grad
from engine.errors import BadType, amount, require
from engine.ops.arithmetic import sub
from engine.ops.binary import logaddexp
from engine.ops.blame import explained
from engine.ops.comparison import isnan, logical_xor, where
from engine.ops.factory import arange
from engine.ops.indexing import gather
from engine.ops.reduction import ValuesAndIndices
from engine.ops.shape import cat, narrow, reshape
from engine.ops.sizes import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["cummax", "cummin", "diff", "logcumsumexp"]


@tensor_method
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """ln of the running sums of e^input along a dimension, of a floating dtype. No sum overflows, and none loses small terms."""
    x = as_array("logcumsumexp", "input", input)
    require(x.dtype.is_floating_point, "logcumsumexp", "input", "a floating-point dtype", x.dtype.name, error=BadType)
    d = normal_dim("logcumsumexp", dim, x.ndim)
    result, n, reach = input, x.shape[d] if x.ndim else 1, 1
    while reach < n:
        joined = logaddexp(narrow(result, d, reach, n - reach), narrow(result, d, 0, n - reach))
        result = cat([narrow(result, d, 0, reach), joined], d)
        reach *= 2
    return result if result is not input else input.clone()


def _extreme(op: str, input: Tensor, dim: int, wins: Callable[[Tensor, Tensor], Tensor]) -> ValuesAndIndices:
    """wins(later, earlier): whether the later of two elements replaces the earlier one."""
    x = as_array(op, "input", input)
    d = normal_dim(op, dim, x.ndim)
    if x.ndim == 0:
        return ValuesAndIndices(input.clone(), arange(1, device=input.device).reshape(()))
    n, reach = x.shape[d], 1
    with no_grad():
        values = input.detach()
        at = reshape(arange(n, device=input.device), [n if i == d else 1 for i in range(x.ndim)]).expand(x.shape)
        while reach < n:
            late, early = (narrow(values, d, start, n - reach) for start in (reach, 0))
            chosen = wins(late, early)
            if late.is_floating_point():  # NaN wins over all numbers, and a later NaN over an earlier one
                chosen = isnan(late).logical_or(chosen.logical_and(isnan(early).logical_not()))
            values = cat([narrow(values, d, 0, reach), where(chosen, late, early)], d)
            late, early = (narrow(at, d, start, n - reach) for start in (reach, 0))
            at = cat([narrow(at, d, 0, reach), where(chosen, late, early)], d)
            reach *= 2
        at = at.contiguous()
    return ValuesAndIndices(gather(input, d, at), at)


@tensor_method
def cummax(input: Tensor, dim: int) -> ValuesAndIndices:
    """(values, indices): the largest element up to each place along a dimension, and where it is, the last of equal ones. NaN
    counts as the largest. The gradient goes to the element at the index."""
    return _extreme("cummax", input, dim, lambda late, early: late >= early)


@tensor_method
def cummin(input: Tensor, dim: int) -> ValuesAndIndices:
    """(values, indices): the smallest element up to each place along a dimension, and where it is, the last of equal ones. NaN
    counts as the smallest. The gradient goes to the element at the index."""
    return _extreme("cummin", input, dim, lambda late, early: late <= early)


@tensor_method
@explained
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along a dimension, taken n times; of bool, whether the two differ. prepend, append: joined to the
    input along `dim` first."""
    x = as_array("diff", "input", input)
    require(x.ndim, "diff", "input", "at least one dimension", "a 0-dim tensor")
    require(n >= 0, "diff", "n", "a number >= 0", n)
    d = normal_dim("diff", dim, x.ndim)
    parts = [t for t in (prepend, input, append) if t is not None]
    for name, t in (("prepend", prepend), ("append", append)):
        if t is not None:
            require(as_array("diff", name, t).ndim == x.ndim, "diff", name, amount(x.ndim, "dimension"), t.ndim)
    result = cat(parts, d) if len(parts) > 1 else input
    size = result.shape[d]
    if n >= size:
        return narrow(result, d, 0, 0)
    subtract = logical_xor if result.dtype is _core.bool else sub
    for _ in range(n):
        size -= 1
        result = subtract(narrow(result, d, 1, size), narrow(result, d, 0, size))
    return result if n else input.clone()
