"""Putting a list of items together into one batch, and turning a single item into Tensors."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from engine.data._arrays import as_array, from_numpy, needs_ops
from engine.errors import BadType, BadValue, require
from engine.ops.shape import stack
from engine.tensor import Tensor

__all__ = ["default_collate", "default_convert"]

_OP = "default_collate"


def default_collate(batch: Sequence[Any]) -> Any:
    """Put the items of a batch together, as PyTorch's function of this name does.

    Tensors, arrays and NumPy numbers are stacked along a new first dimension; Python's numbers become a Tensor: float64 if there
    is a float among them, otherwise int64 if there is an integer, otherwise bool; strings and bytes stay as they are: in a list, or for entries
    of tuples in a tuple; mappings,
    named tuples, tuples and lists are put together entry by entry (tuples give a list). Items of a class with a static method
    `collate(items)`, such as `TextItem`, are put together by it.

    Args:
        batch: a non-empty list of items of the same kind.

    Raises:
        ValueError: if the batch is empty, if shapes, lengths or keys differ between items, or if an integer does not fit int64.
        TypeError: on items of another type, or of different kinds.
    """
    require(len(batch), _OP, "batch", "at least one item", "none")
    first = batch[0]
    collate = getattr(type(first), "collate", None)
    if collate is not None:
        return collate(batch)
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        _require_kind(batch, (Tensor, np.ndarray, *_NUMBERS), "Tensors, arrays or numbers")
        if any(needs_ops(item) for item in batch) and all(isinstance(item, Tensor) for item in batch):
            _require_alike([tuple(item.shape) for item in batch], "shape {} in every item")
            return stack(batch)
        arrays = [as_array(item) for item in batch]
        _require_alike([array.shape for array in arrays], "shape {} in every item")
        return from_numpy(np.stack(arrays))
    if isinstance(first, _NUMBERS):
        _require_kind(batch, _NUMBERS, "numbers")
        return from_numpy(_numbers(batch))
    if isinstance(first, (str, bytes)):
        _require_kind(batch, (str, bytes), "strings")
        return batch
    if isinstance(first, Mapping):
        _require_kind(batch, (Mapping,), "mappings")
        _require_alike([sorted(item, key=str) for item in batch], "the keys {}")
        return _like(first, {key: default_collate([item[key] for item in batch]) for key in first})
    if isinstance(first, (tuple, list)):
        _require_kind(batch, (tuple, list), "tuples or lists")
        _require_alike([len(item) for item in batch], "{} entries in every item")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    expected = "Tensors, arrays, numbers, strings, or mappings, tuples or lists of them"
    raise BadType(_OP, "batch", expected, type(first).__name__)


def _like(first: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    """The values as a mapping of the items' kind, if that can be made."""
    if type(first) is dict:
        return values
    try:
        if not isinstance(first, MutableMapping):
            return type(first)(values)  # type: ignore[call-arg]
        made = copy(first)
        made.update(values)
        return made
    except TypeError:
        return values


_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


def _numbers(batch: Sequence[Any]) -> np.ndarray:
    """Numbers as an array of the widest kind among them: bool, int64 or float64."""
    if all(isinstance(item, (bool, np.bool_)) for item in batch):
        return np.array(batch, np.bool_)
    if any(isinstance(item, (float, np.floating)) for item in batch):
        return np.array([float(item) for item in batch], np.float64)
    bounds = np.iinfo(np.int64)
    for row, item in enumerate(batch):
        require(bounds.min <= item <= bounds.max, _OP, "batch", "integers that fit int64", f"{item} in item {row}")
    return np.array([int(item) for item in batch], np.int64)


def _require_kind(batch: Sequence[Any], kinds: tuple[type, ...], expected: str) -> None:
    """Raises TypeError for the first item of another kind."""
    for row, item in enumerate(batch):
        if not isinstance(item, kinds):
            raise BadType(_OP, "batch", f"{expected} in every item", f"{type(item).__name__} in item {row}")


def _require_alike(values: list[Any], expected: str) -> None:
    """Raises ValueError for the first item whose value differs from that of item 0."""
    for row, value in enumerate(values):
        if value != values[0]:
            raise BadValue(_OP, "batch", expected.format(values[0]), f"{value} in item {row}")


def default_convert(data: Any) -> Any:
    """An item with its arrays and NumPy numbers turned into Tensors, also inside mappings, named tuples, tuples and lists."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "biuf":
        return from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    return data
