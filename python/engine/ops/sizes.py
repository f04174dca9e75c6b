"""Sizes and dimensions as callers give them, read and checked."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from engine.errors import BadIndex, BadType, BadValue, OutOfMemory


def sizes_of(op: str, arg: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as `f(2, 3)` or as `f((2, 3))`."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        values = tuple(values[0])
    try:
        sizes = tuple([operator.index(v) for v in values])
    except TypeError:
        raise BadType(op, arg, "integers", repr(values)) from None
    for size in sizes:
        if not -(2**63) <= size < 2**63:
            raise BadValue(op, arg, "integers of 64 bits", size)
    return sizes


def new_sizes(op: str, arg: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """`sizes_of` for a new tensor: no size may be negative."""
    sizes = sizes_of(op, arg, values)
    if min(sizes, default=0) < 0:
        raise BadValue(op, arg, "sizes >= 0", sizes)
    return sizes


def normal_dim(op: str, dim: int, ndim: int, arg: str = "dim") -> int:
    """A dimension counted from the front. Raises IndexError if it does not exist; a 0-dim tensor has dimensions 0 and -1."""
    try:
        dim = operator.index(dim)
    except TypeError:
        raise BadType(op, arg, "an integer", repr(dim)) from None
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise BadIndex(op, arg, f"a number in [{-limit}, {limit - 1}]", dim)
    return dim + limit if dim < 0 else dim


def few_enough(op: str, arg: str, views: int) -> None:
    """Raises MemoryError for a number of views that would take gigabytes, each of which is an object."""
    if views > 2**24:
        raise OutOfMemory(op, arg, "at most 2^24 views", views)


def listed(op: str, arg: str, values: Any) -> Sequence[Any]:
    """One dimension or number, or several, as a list. Raises TypeError for what is neither."""
    if isinstance(values, int):
        return (values,)
    if isinstance(values, list | tuple):
        return values
    try:
        return (operator.index(values),)
    except TypeError:
        if getattr(values, "ndim", 1) == 1:
            try:
                return tuple(values)
            except TypeError:
                pass
        raise BadType(op, arg, "an integer, or a list of integers", type(values).__name__) from None
