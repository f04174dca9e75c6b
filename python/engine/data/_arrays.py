"""Lists, arrays and Tensors from callers: checked, and converted to NumPy arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from engine import _core
from engine.errors import BadIndex, BadType, BadValue, amount, require
from engine.tensor import Tensor

__all__ = [
    "as_array",
    "checked_indices",
    "flatten_ids",
    "flatten_like",
    "from_numpy",
    "integer",
    "integers_below",
    "item_index",
    "label_array",
    "narrow",
    "needs_ops",
]


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares an array's memory."""
    return Tensor(_core.from_buffer(array))


def needs_ops(value: Any) -> bool:
    """Whether value is a Tensor that is no array for NumPy: on a device, of a dtype that NumPy lacks, or with a gradient."""
    return isinstance(value, Tensor) and (value.is_cuda or value.dtype is _core.bfloat16 or value.requires_grad)


def as_array(value: Tensor | np.ndarray | Any) -> np.ndarray:
    """A Tensor, or anything that NumPy accepts, as an array."""
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def integer(op: str, name: str, value: Any) -> int:
    """An integer of any type as an int. Raises TypeError for anything else, floats and booleans included."""
    with suppress(TypeError):
        if not isinstance(value, bool):
            return operator.index(value)
    raise BadType(op, name, "an integer", repr(value))


def item_index(op: str, index: Any, size: int) -> int:
    """An index in [-size, size), where -1 is the last item, as a number in [0, size). Raises TypeError, IndexError."""
    number = integer(op, "index", index)
    if not -size <= number < size:
        raise BadIndex(op, "index", f"a value in [{-size}, {size})", number)
    return number % size


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
    """Join sequences of integers, which must be >= 0 unless `signed`: (flat ids int64 (total,), lengths int64 (n,)).

    Raises TypeError for sequences that are not flat lists of integers, ValueError for a negative number."""
    is_text = isinstance(sequences, (str, bytes))
    require(not is_text, op, name, "sequences of integers", type(sequences).__name__, error=BadType)
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
    """`flatten_ids` of sequences that must have the same lengths as the argument `owner`: flat int64 (total,)."""
    flat, others = flatten_ids(op, name, sequences, **options)
    if lengths.size != others.size:
        raise BadValue(op, name, f"{amount(lengths.size, 'sequence')}, as many as {owner}", others.size)
    if not np.array_equal(lengths, others):
        row = int(np.argmax(lengths != others))
        raise BadValue(op, name, f"length {lengths[row]} in row {row}, as in {owner}", others[row])
    return flat


def label_array(op: str, labels: Any) -> np.ndarray:
    """A copy of labels, (n, ...): integers and booleans become int64, Python floats float32 (PyTorch's default), arrays of
    floats keep their dtype."""
    array = as_array(labels)
    if array.ndim == 0:
        raise BadValue(op, "labels", "one label for each sequence", f"a single {array.dtype}")
    if array.dtype.kind in "iub" or not array.size:
        return np.array(array, dtype=np.int64, order="C")
    if array.dtype.kind == "f":
        keep = isinstance(labels, (np.ndarray, Tensor))
        return np.array(array, dtype=array.dtype if keep else np.float32, order="C")
    hints = ("engine.text.Labels turns names into numbers",) if array.dtype.kind in "UOST" else ()
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
    """Integers as int32, if all of them fit."""
    limits = np.iinfo(np.int32)
    fits = not values.size or (limits.min <= values.min() and values.max() <= limits.max)
    return values.astype(np.int32, copy=False) if fits else values
