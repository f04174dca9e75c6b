"""Tensors brought to a common shape, joined and split: meshgrid, the stack and the split functions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import _core
from engine.dtypes import Size
from engine.errors import BadType, BadValue, amount, require
from engine.ops.blame import explained
from engine.ops.factory import tensor
from engine.ops.naming import called_as
from engine.ops.shape import cat, narrow, reshape, split, stack
from engine.ops.sizes import few_enough, listed, normal_dim, sizes_of
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "meshgrid",
    "row_stack",
    "split_with_sizes",
    "tensor_split",
    "vsplit",
    "vstack",
]


# ---------------------------------------------------------------- to a common shape


def _given(op: str, tensors: tuple[Any, ...]) -> list[Tensor]:
    """Tensors given as `f(a, b)` or as `f([a, b])`."""
    items = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
    for i, item in enumerate(items):
        as_array(op, f"tensors[{i}]", item)
    return items


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which all the shapes broadcast. Raises ValueError if they do not."""
    sizes = [sizes_of("broadcast_shapes", "shapes", (listed("broadcast_shapes", "shapes", s),)) for s in shapes]
    try:
        return Size(np.broadcast_shapes(*sizes))
    except ValueError:
        text = " and ".join(map(str, sizes))
        raise BadValue("broadcast_shapes", "shapes", "shapes that broadcast with each other", text) from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded, without a copy, to the shape to which they broadcast."""
    items = _given("broadcast_tensors", tensors)
    shape = called_as("broadcast_tensors", broadcast_shapes, *(t.shape for t in items))
    return tuple([t.expand(shape) for t in items])


def cartesian_prod(*tensors: Any) -> Tensor:
    """All rows that take one number from each of n tensors (m1,), (m2,) and so on: (m1 * m2 * …, n); of one tensor, itself."""
    items = _given("cartesian_prod", tensors)
    return items[0] if len(items) == 1 else stack(meshgrid(*items), -1).reshape(-1, len(items))


@explained
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a tensor (n,), in the order of their positions: (choices, r). with_replacement: an element may be
    chosen again."""
    x = as_array("combinations", "input", input)
    require(x.ndim == 1, "combinations", "input", "1 dimension", x.ndim)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    require(r >= 0, "combinations", "r", "a number >= 0", r)
    rows = list(choose(range(input.shape[0]), r))
    return input[tensor(rows, dtype=_core.int64, device=input.device).reshape(len(rows), r)]


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """For each of n tensors, (m1,), (m2,) and so on or 0-dim, its numbers over the whole grid: n tensors (m1, m2, …).

    indexing: "ij", or "xy" for grids (m2, m1, …).
    """
    items = _given("meshgrid", tensors)
    require(indexing in ("ij", "xy"), "meshgrid", "indexing", "'ij' or 'xy'", repr(indexing))
    require(items, "meshgrid", "tensors", "at least one tensor", "none")
    for i, item in enumerate(items):
        require(item.ndim <= 1, "meshgrid", f"tensors[{i}]", "at most 1 dimension", f"shape {tuple(item.shape)}")
        same = item.dtype is items[0].dtype
        require(same, "meshgrid", f"tensors[{i}]", f"dtype {items[0].dtype.name}", item.dtype.name, error=BadType)
    swapped = indexing == "xy" and len(items) > 1
    if swapped:
        items[:2] = items[1::-1]
    shape = tuple([t.numel() for t in items])
    grids = [
        reshape(t, (1,) * i + (t.numel(),) + (1,) * (len(items) - 1 - i)).expand(shape) for i, t in enumerate(items)
    ]
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def _atleast(op: str, tensors: tuple[Any, ...], shape_of: Any) -> Any:
    single = len(tensors) == 1 and isinstance(tensors[0], Tensor)
    results = tuple([reshape(t, shape_of(t.shape)) for t in _given(op, tensors)])
    return results[0] if single else results


def _shape_1d(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape or (1,)


def _shape_2d(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) > 1 else (1, *_shape_1d(shape))


def _shape_3d(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) > 2 else (*_shape_2d(shape), 1)


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension. Returns a Tensor for one, a tuple for several."""
    return _atleast("atleast_1d", tensors, _shape_1d)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions; (n,) becomes (1, n). Returns a Tensor for one, a tuple for several."""
    return _atleast("atleast_2d", tensors, _shape_2d)


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions; (n,) becomes (1, n, 1), and (m, n) becomes (m, n, 1). Returns a Tensor for
    one, a tuple for several."""
    return _atleast("atleast_3d", tensors, _shape_3d)


# ---------------------------------------------------------------- joining and splitting


def _several(op: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors given in a list."""
    right = isinstance(tensors, list | tuple)
    require(right, op, "tensors", "a list or tuple of Tensors", type(tensors).__name__, error=BadType)
    return _given(op, (list(tensors),))


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 1, or 0 if they have one dimension."""
    items = list(atleast_1d(_several("hstack", tensors)))
    return called_as("hstack", cat, items, 0 if items and items[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 0; (n,) counts as (1, n)."""
    return called_as("vstack", cat, list(atleast_2d(_several("vstack", tensors))), 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 2; (n,) counts as (1, n, 1), and (m, n) as (m, n, 1)."""
    return called_as("dstack", cat, list(atleast_3d(_several("dstack", tensors))), 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 1; (n,) counts as a column (n, 1)."""
    items = _several("column_stack", tensors)
    return called_as("column_stack", cat, [t if t.ndim > 1 else reshape(t, (t.numel(), 1)) for t in items], 1)


@tensor_method
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the given sizes along `dim`, one after the other."""
    return called_as("split_with_sizes", split, input, split_sizes, dim)


@tensor_method
@explained
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views along `dim`. A number n, or a 0-dim Tensor: n views whose sizes differ by 1 at most. Several numbers, or a Tensor
    (m,): the views end before these indices, and the last at the end."""
    return _tensor_split("tensor_split", input, indices_or_sections, dim)


def _tensor_split(op: str, input: Tensor, cuts: Any, dim: int) -> tuple[Tensor, ...]:
    x = as_array(op, "input", input)
    require(x.ndim, op, "input", "at least one dimension", "a 0-dim tensor")
    dim = normal_dim(op, dim, x.ndim)
    n = x.shape[dim]
    if isinstance(cuts, Tensor):
        right = cuts.dtype is _core.int64 and cuts.ndim <= 1
        require(
            right,
            op,
            "indices_or_sections",
            "int64, of at most 1 dimension",
            f"{cuts.dtype.name} of shape {tuple(cuts.shape)}",
        )
        cuts = cuts.tolist()
    if isinstance(cuts, int):
        require(cuts > 0, op, "sections", "a number > 0", cuts)
        few_enough(op, "sections", cuts)
        small, more = divmod(n, cuts)
        return called_as(op, split, input, [small + (i < more) for i in range(cuts)], dim)
    ends = [
        min(max(c + n if c < 0 else c, 0), n)
        for c in sizes_of(op, "indices", (listed(op, "indices_or_sections", cuts),))
    ]
    starts = [0, *ends]
    return tuple([narrow(input, dim, a, max(b - a, 0)) for a, b in zip(starts, [*ends, n])])


def _split_even(op: str, input: Tensor, cuts: Any, dim: int, least: int) -> tuple[Tensor, ...]:
    x = as_array(op, "input", input)
    require(x.ndim >= least, op, "input", f"at least {amount(least, 'dimension')}", x.ndim)
    if isinstance(cuts, int):
        n = x.shape[dim]
        require(cuts > 0 and n % cuts == 0, op, "sections", f"a number that divides {n}", cuts)
    return _tensor_split(op, input, cuts, dim)


@tensor_method
def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 1, or 0 if there is one dimension. A number must divide the size."""
    one = as_array("hsplit", "input", input).ndim == 1
    return _split_even("hsplit", input, indices_or_sections, 0 if one else 1, 1)


@tensor_method
def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 0 of at least two dimensions. A number must divide the size."""
    return _split_even("vsplit", input, indices_or_sections, 0, 2)


@tensor_method
def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 2 of at least three dimensions. A number must divide the size."""
    return _split_even("dsplit", input, indices_or_sections, 2, 3)
