"""Checked conversion of what callers hand in (lists, arrays, Tensors) to NumPy arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine import _core
from engine.errors import BadIndex, BadType, BadValue
from engine.tensor import Tensor

__all__ = [
    "as_array",
    "checked_indices",
    "first_difference",
    "flatten_ids",
    "flatten_like",
    "from_numpy",
    "integer",
    "integers_below",
    "label_array",
    "narrow",
]


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor of an array's memory."""
    return Tensor(_core.from_buffer(array))


def as_array(value: Tensor | np.ndarray | Any) -> np.ndarray:
    """The NumPy array of a Tensor or of anything that NumPy takes."""
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def integer(op: str, name: str, value: Any) -> int:
    """An integer of any type. Raises TypeError for anything else, floats included."""
    try:
        return operator.index(value)
    except TypeError:
        raise BadType(op, name, "an integer", repr(value)) from None


def integers_below(op: str, name: str, values: Iterable[Any], end: int) -> list[int]:
    """Integers in [0, end). Raises TypeError for a value that is not an integer, IndexError for one out of range."""
    numbers = [integer(op, name, value) for value in values]
    for position, number in enumerate(numbers):
        if not 0 <= number < end:
            raise BadIndex(op, name, f"values in [0, {end})", f"{number} at position {position}")
    return numbers


def flatten_ids(
    op: str, name: str, sequences: Iterable[Sequence[int] | np.ndarray], *, signed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Join sequences of integers, non-negative unless `signed`: flat ids int64 (total,), lengths int64 (n,)."""
    if isinstance(sequences, (str, bytes)):
        raise BadType(op, name, "sequences of integers", type(sequences).__name__)
    arrays = []
    for row, sequence in enumerate(sequences):
        try:
            array = as_array(sequence)
        except ValueError as error:  # a ragged list of lists
            raise BadType(op, name, f"a flat sequence of integers in row {row}", error) from None
        if array.ndim != 1:
            raise BadType(op, name, f"a flat sequence of integers in row {row}", f"{array.ndim}-D")
        if array.size and array.dtype.kind not in "iu":
            raise BadType(op, name, f"integers in row {row}", array.dtype)
        arrays.append(array)
    lengths = np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))
    flat = np.zeros(int(lengths.sum()), dtype=np.int64)
    filled = [array for array in arrays if array.size]
    if filled:
        np.concatenate(filled, out=flat, casting="unsafe")
    if flat.size and not signed and flat.min() < 0:
        row = int(np.searchsorted(np.cumsum(lengths), int(np.argmin(flat)), side="right"))
        raise BadValue(op, name, "ids >= 0", f"{flat.min()} in row {row}")
    return flat, lengths


def flatten_like(
    op: str,
    name: str,
    sequences: Iterable[Sequence[int] | np.ndarray],
    lengths: np.ndarray,
    owner: str,
    **options: bool,
) -> np.ndarray:
    """`flatten_ids` of what must have the lengths of `owner`: flat int64 (total,)."""
    flat, others = flatten_ids(op, name, sequences, **options)
    if not np.array_equal(lengths, others):
        got = first_difference(lengths, others)
        raise BadValue(op, name, f"the same lengths as {owner}", got)
    return flat


def first_difference(lengths: np.ndarray, others: np.ndarray) -> str:
    """Say where two lists of lengths first differ."""
    if lengths.size != others.size:
        return f"{others.size} sequences for {lengths.size}"
    row = int(np.argmax(lengths != others))
    return f"{others[row]} for {lengths[row]} in row {row}"


def label_array(op: str, labels: Any) -> np.ndarray:
    """A copy of labels: integers become int64, Python floats float32 (PyTorch's default), float arrays keep theirs."""
    array = as_array(labels)
    if array.ndim == 0:
        raise BadValue(op, "labels", "one label a sequence", f"a single {array.dtype}")
    if array.dtype.kind in "iub" or not array.size:
        return np.array(array, dtype=np.int64, order="C")
    if array.dtype.kind == "f":
        keep = isinstance(labels, (np.ndarray, Tensor))
        return np.array(array, dtype=array.dtype if keep else np.float32, order="C")
    hints = ("engine.text.Labels makes numbers of names",) if array.dtype.kind in "UOST" else ()
    raise BadType(op, "labels", "integers or floats", array.dtype, *hints)


def checked_indices(op: str, indices: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Indices as int64 (m,), each in [0, size)."""
    rows = as_array(indices)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise BadType(op, "indices", "a list of integers", f"{rows.dtype} of shape {rows.shape}")
    rows = rows.astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < size:
        worst = rows.min() if rows.min() < 0 else rows.max()
        raise BadIndex(op, "indices", f"values in [0, {size})", worst)
    return rows


def narrow(values: np.ndarray) -> np.ndarray:
    """Integers as int32 where all of them fit."""
    limits = np.iinfo(np.int32)
    fits = not values.size or (limits.min <= values.min() and values.max() <= limits.max)
    return values.astype(np.int32, copy=False) if fits else values
