"""Counts, histograms, quantiles and areas."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from engine import _core
from engine._core import DType
from engine.errors import BadType, require
from engine.ops.arithmetic import clamp, pow
from engine.ops.binary import lerp
from engine.ops.blame import explained
from engine.ops.comparison import isnan, logical_not, where
from engine.ops.convert import cast
from engine.ops.factory import arange, as_tensor, ones, zeros
from engine.ops.indexing import gather
from engine.ops.rearrange import flip
from engine.ops.reduction import Dims, amax, amin, any, sum
from engine.ops.shape import movedim, narrow, reshape, unsqueeze
from engine.ops.sizes import normal_dim
from engine.ops.sorting import sort
from engine.ops.special import floating
from engine.ops.unary import ceil, floor, round
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "aminmax",
    "bincount",
    "corrcoef",
    "cov",
    "histc",
    "nanmean",
    "nanquantile",
    "nansum",
    "quantile",
    "trapezoid",
    "trapz",
    "vander",
]


# ---------------------------------------------------------------- reductions


class MinAndMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


@tensor_method
@explained
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinAndMax:
    """(min, max) along one dimension (None: over all), as `amin` and `amax`."""
    dims: Any = () if dim is None else dim
    return MinAndMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


@tensor_method
@explained
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """`sum` in which NaN counts as 0 and gets no gradient."""
    x = as_array("nansum", "input", input)
    return sum(where(isnan(input), 0, input) if x.dtype.is_floating_point else input, dim, keepdim, dtype=dtype)


@tensor_method
@explained
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The mean of the elements that are not NaN, of a floating dtype; NaN if there are none."""
    x = as_array("nanmean", "input", input)
    require(x.dtype.is_floating_point, "nanmean", "input", "a floating-point dtype", x.dtype.name, error=BadType)
    count = sum(logical_not(isnan(input)), dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


# ---------------------------------------------------------------- counts


@tensor_method
@explained
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on comes in `input`, integers >= 0 of shape (n,): int64 (largest + 1,), or longer with minlength.

    weights: (n,), summed instead of counted; the result is float64, or float32 for float32 weights.
    """
    x = as_array("bincount", "input", input)
    whole = not x.dtype.is_floating_point and x.dtype is not _core.bool
    require(whole, "bincount", "input", "integers", x.dtype.name, error=BadType)
    require(x.ndim == 1, "bincount", "input", "1 dimension", f"shape {tuple(x.shape)}")
    require(minlength >= 0, "bincount", "minlength", "a number >= 0", minlength)
    index = input.long()
    if x.size:
        least = amin(index).item()
        require(least >= 0, "bincount", "input", "numbers >= 0", least)
    length = max(minlength, int(amax(index).item()) + 1 if x.size else 0)
    if weights is None:
        weights = ones(x.size, dtype=_core.int64, device=input.device)
    else:
        fits = as_array("bincount", "weights", weights).shape == x.shape
        require(fits, "bincount", "weights", f"shape {tuple(x.shape)}, as input", weights.shape)
        weights = weights if weights.dtype is _core.float32 else weights.double()
    counts: Tensor = zeros(length, dtype=weights.dtype, device=input.device).scatter_add_(0, index, weights.detach())
    return counts


@tensor_method
@explained
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` parts of equal width between min and max, of the input's floating dtype: (bins,).

    The last part includes max; elements outside and NaN do not count. min = max: the least and the largest element.
    """
    x = as_array("histc", "input", input)
    require(bins > 0, "histc", "bins", "a number > 0", bins)
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (min, max))
    values = reshape(input.detach(), (-1,))
    if low == high and x.size:
        low, high = amin(values).item(), amax(values).item()
    if low == high:
        low, high = low - 1, high + 1
    finite = math.isfinite(low) and math.isfinite(high)
    require(finite and low < high, "histc", "min", "finite min and max, min below max", f"{low} and {high}")
    if not x.dtype.is_floating_point:
        values = values.float()
    place = clamp(floor((values - low) * (bins / (high - low))), 0, bins - 1)
    inside = (values >= low).logical_and(values <= high)
    place = where(inside, place, 0.0).long()
    counts = zeros(bins, dtype=values.dtype, device=input.device).scatter_add_(0, place, inside.to(values.dtype))
    return cast(counts, x.dtype)


# ---------------------------------------------------------------- quantiles


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(op: str, input: Tensor, q: float | Tensor, dim: int | None, keepdim: bool, interpolation: str) -> Tensor:
    x = as_array(op, "input", input)
    right = x.dtype in (_core.float32, _core.float64)
    require(right, op, "input", "float32 or float64", x.dtype.name, error=BadType)
    require(x.size, op, "input", "at least one element", f"shape {tuple(x.shape)}")
    words = " or ".join(map(repr, _INTERPOLATIONS))
    require(interpolation in _INTERPOLATIONS, op, "interpolation", words, repr(interpolation))
    ranks = q if isinstance(q, Tensor) else as_tensor(float(q), dtype=x.dtype, device=input.device)
    require(ranks.ndim <= 1, op, "q", "at most 1 dimension", f"shape {tuple(ranks.shape)}")
    require(ranks.dtype is x.dtype, op, "q", f"dtype {x.dtype.name}, as input", ranks.dtype.name, error=BadType)
    inside = not bool(any((ranks < 0).logical_or(ranks > 1)))
    require(inside, op, "q", "numbers in [0, 1]", ranks.tolist())
    shape = x.shape
    if dim is None:
        flat = reshape(input, (-1,))
        kept = (1,) * len(shape)
    else:
        d = normal_dim(op, dim, x.ndim)
        flat = movedim(input, d, -1) if shape else reshape(input, (1,))
        kept = (*shape[:d], 1, *shape[d + 1 :]) if shape else ()
    rows = sort(flat, -1, stable=True)[0]  # NaN is last
    missing = isnan(rows.detach())
    counted = sum(logical_not(missing), -1, True)
    last = clamp(counted - 1, 0) if op == "nanquantile" else counted * 0 + (rows.shape[-1] - 1)
    at = reshape(ranks, (-1,)) * last.to(x.dtype)  # (*, one for each of q)
    if interpolation in ("lower", "higher", "nearest"):
        at = {"lower": floor, "higher": ceil, "nearest": round}[interpolation](at)
    low = floor(at)
    result = gather(rows, -1, low.long())
    if interpolation in ("linear", "midpoint"):
        weight = at - low if interpolation == "linear" else (at != low).to(x.dtype) * 0.5
        result = lerp(result, gather(rows, -1, ceil(at).long()), weight)
    nothing = counted == 0 if op == "nanquantile" else any(missing, -1, True)
    result = movedim(where(nothing, math.nan, result), -1, 0)
    if keepdim:
        result = reshape(result, (result.shape[0], *kept))
    elif not shape:
        result = reshape(result, (result.shape[0],))
    return result if ranks.ndim else reshape(result, result.shape[1:])


@tensor_method
@explained
def quantile(
    input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The number below which the share q of the elements along a dimension lies (None: of all). NaN if one is NaN.

    input: float32 or float64. q: a number in [0, 1], or (k,) of input's dtype, which makes a new dimension in front.
    interpolation: where the place q * (n - 1) is between two elements, "linear", "lower", "higher", "midpoint" or "nearest".
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation)


@tensor_method
@explained
def nanquantile(
    input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN if there are none."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation)


# ---------------------------------------------------------------- areas and powers


@explained
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The area under y along a dimension, of trapezoids between neighbours. x: the places of y, broadcast with it or (n,); without
    x they are `dx` apart."""
    n = as_array("trapezoid", "y", y).ndim
    require(n, "trapezoid", "y", "at least one dimension", "a 0-dim tensor")
    d = normal_dim("trapezoid", dim, n)
    size = y.shape[d]
    if not size:
        return sum(y, d).to(floating(y.dtype))
    both = narrow(y, d, 1, size - 1) + narrow(y, d, 0, size - 1)
    if x is None:
        return sum(both, d) * dx / 2.0
    if as_array("trapezoid", "x", x).ndim == 1:
        require(x.shape[0] == size, "trapezoid", "x", f"{size} places", x.shape[0])
        x = reshape(x, (size, *(1,) * (n - 1 - d)))
    along = d if x.ndim > n else x.ndim - (n - d)  # as in PyTorch, of more dimensions the one at the place that y's has
    require(along >= 0, "trapezoid", "x", f"a shape that broadcasts with {tuple(y.shape)}", x.shape)
    length = x.shape[along]
    step = narrow(x, along, 1, length - 1) - narrow(x, along, 0, length - 1)
    return sum(step * both, d) / 2.0


trapz = trapezoid


@explained
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """(n,) -> (n, N), the powers x^(N-1) to x^0 of each element; in rising order with increasing. None: N = n."""
    a = as_array("vander", "x", x)
    require(a.ndim == 1, "vander", "x", "1 dimension", f"shape {tuple(a.shape)}")
    count = a.size if N is None else N
    require(count >= 0, "vander", "N", "a number >= 0", count)
    values = x.long() if a.dtype is _core.bool else x
    exponents = arange(count, device=x.device)
    powers = pow(unsqueeze(values, -1), exponents.to(values.dtype) if a.dtype.is_floating_point else exponents)
    return powers if increasing else flip(powers, (1,))


# ---------------------------------------------------------------- of several variables


@tensor_method
@explained
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of the rows of `input` (variables, observations), or the variance of one row, a 0-dim tensor.

    The sum of products is divided by the number of observations less `correction`. fweights: how often each observation counts,
    integers (observations,); aweights: how much each counts, of the input's dtype.
    """
    x = as_array("cov", "input", input)
    require(x.ndim <= 2, "cov", "input", "at most 2 dimensions", x.shape)
    rows = (reshape(input, (1, -1)) if x.ndim < 2 else input).to(floating(x.dtype))
    weights = ones(rows.shape[1], dtype=rows.dtype, device=rows.device)
    whole = fweights is None or not as_array("cov", "fweights", fweights).dtype.is_floating_point
    require(whole, "cov", "fweights", "integers", "floating-point numbers", error=BadType)
    for name, given in (("fweights", fweights), ("aweights", aweights)):
        if given is not None:
            fits = as_array("cov", name, given).shape == weights.shape
            require(fits, "cov", name, f"shape {tuple(weights.shape)}", given.shape)
            weights = weights * given.to(rows.dtype)
    total = sum(weights)
    # With weights of importance, the observations that `correction` takes away count as much as they do on average.
    away = 1.0 if aweights is None else sum(weights * aweights.to(rows.dtype)) / total
    divisor = total - correction * away
    centred = rows - sum(rows * weights, 1, keepdim=True) / total
    result = (centred * weights) @ centred.T / clamp(divisor, 0)
    return reshape(result, ()) if rows.shape[0] == 1 else result


@tensor_method
@explained
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows of `input` (variables, observations), each in [-1, 1]; of one row, a 0-dim 1."""
    together = cov(input)
    if together.ndim == 0:
        return together / together
    deviations = pow(together.diagonal(), 0.5)
    return clamp(together / unsqueeze(deviations, 1) / deviations, -1, 1)
