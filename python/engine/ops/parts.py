"""Products and differences along a dimension, and tensors with a part replaced: cross, gradient, select_scatter, slice_scatter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import BadValue, require
from engine.ops.blame import explained
from engine.ops.naming import called_as
from engine.ops.rearrange import dims_of, roll
from engine.ops.shape import cat, narrow
from engine.ops.sizes import normal_dim
from engine.ops.stacking import broadcast_tensors
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["cross", "gradient", "select_scatter", "slice_scatter"]


@tensor_method
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along `dim`, whose size is 3, broadcast otherwise. None: the first dimension of size 3."""
    as_array("cross", "input", input), as_array("cross", "other", other)
    a, b = called_as("cross", broadcast_tensors, input, other)
    if dim is None:
        found = [d for d, n in enumerate(a.shape) if n == 3]
        require(found, "cross", "input", "a dimension of size 3", f"shape {tuple(a.shape)}")
        dim = found[0]
    d = normal_dim("cross", dim, a.ndim)
    require(a.ndim and a.shape[d] == 3, "cross", "input", f"size 3 of dimension {dim}", f"shape {tuple(a.shape)}")
    return roll(a, -1, d) * roll(b, -2, d) - roll(a, -2, d) * roll(b, -1, d)


@tensor_method
@explained
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `input` with `src` in the place of `input.select(dim, index)`. Gradients flow to both."""
    as_array("select_scatter", "src", src)
    result = as_copy("select_scatter", input)
    place = called_as("select_scatter", result.select, dim, index)
    require(place.shape == src.shape, "select_scatter", "src", f"shape {tuple(place.shape)}", src.shape)
    place.copy_(src)
    return result


@tensor_method
@explained
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of `input` with `src` in the place of the entries start, start + step and so on, before end, of dimension `dim`."""
    as_array("slice_scatter", "src", src)
    result = as_copy("slice_scatter", input)
    d = normal_dim("slice_scatter", dim, result.ndim)
    require(step != 0, "slice_scatter", "step", "a number other than 0", step)
    place = called_as("slice_scatter", result.__getitem__, (*[slice(None)] * d, slice(start, end, step)))
    require(place.shape == src.shape, "slice_scatter", "src", f"shape {tuple(place.shape)}", src.shape)
    place.copy_(src)
    return result


def as_copy(op: str, input: Tensor) -> Tensor:
    as_array(op, "input", input)
    return input.clone()


def gradient(
    input: Tensor, *, spacing: Any = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The slopes of samples along each dimension of `dim` (None: all): central differences, at both ends one-sided ones.

    spacing: the distance of the samples; or one number, or one tensor of coordinates, for each dimension. edge_order: 1 or 2, the
    order of the formula at the ends, for which a dimension has at least edge_order + 1 samples (ValueError).
    """
    x = as_array("gradient", "input", input)
    require(edge_order in (1, 2), "gradient", "edge_order", "1 or 2", edge_order)
    along = dims_of("gradient", range(x.ndim) if dim is None else dim, x.ndim, "dim")
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(along)
    require(len(steps) == len(along), "gradient", "spacing", f"{len(along)} numbers or tensors", len(steps))
    return tuple([_slope(input, d, step, edge_order) for d, step in zip(along, steps)])


def _slope(x: Tensor, dim: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[dim]
    require(n > edge_order, "gradient", "input", f"at least {edge_order + 1} samples along dimension {dim}", n)

    def steps(start: int, length: int) -> Any:
        """The distances from these samples to the next ones."""
        if not isinstance(spacing, Tensor) or spacing.ndim == 0:
            return spacing
        if spacing.shape != (n,):
            raise BadValue(
                "gradient", "spacing", f"{n} coordinates for dimension {dim}", f"shape {tuple(spacing.shape)}"
            )
        apart = narrow(spacing, 0, start + 1, length) - narrow(spacing, 0, start, length)
        return apart.reshape((length,) + (1,) * (x.ndim - dim - 1))

    def samples(start: int, length: int = 1) -> Tensor:
        return narrow(x, dim, start, length)

    def edge(near: int, middle: int, far: int) -> Tensor:
        """The slope at sample `near`, an end; `middle` and `far` are the samples beside it."""
        sign = middle - near
        h = steps(min(near, middle), 1)
        first = (samples(middle) - samples(near)) / h * sign
        if edge_order == 1:
            return first
        g = steps(min(middle, far), 1)
        second = (samples(far) - samples(middle)) / g * sign
        return first + (first - second) * h / (h + g)

    parts = [edge(0, 1, 2)]
    if n > 2:
        h, g = steps(0, n - 2), steps(1, n - 2)
        left = (samples(1, n - 2) - samples(0, n - 2)) / h
        right = (samples(2, n - 2) - samples(1, n - 2)) / g
        parts.append((left * g + right * h) / (h + g))
    parts.append(edge(n - 1, n - 2, n - 3))
    return cat(parts, dim)
