"""Making one batch of a list of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.data._arrays import from_numpy
from engine.errors import BadType, BadValue
from engine.tensor import Tensor

__all__ = ["default_collate"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Put the items of a batch together, as PyTorch's function of this name does.

    Tensors, arrays and NumPy numbers are stacked along a new first dimension; Python integers become an int64 Tensor,
    booleans a bool one, floats a float64 one; strings and bytes stay a list; mappings, named tuples, tuples and lists
    are put together entry by entry (tuples give a list). Items of a class with a static method `collate(items)`, such as
    `TextItem`, are put together by it.

    Args:
        batch: a non-empty list of items of the same kind.

    Raises:
        ValueError: if the batch is empty, or shapes, lengths or keys differ between items.
        TypeError: on items of another type.
    """
    if not len(batch):
        raise BadValue("default_collate", "batch", "at least one item", "none")
    first = batch[0]
    collate = getattr(type(first), "collate", None)
    if collate is not None:
        return collate(batch)
    if isinstance(first, (Tensor, np.ndarray, np.generic)):
        return _stack([item.numpy() if isinstance(item, Tensor) else np.asarray(item) for item in batch])
    if isinstance(first, bool):
        return from_numpy(np.array(batch, dtype=np.bool_))
    if isinstance(first, int):
        return from_numpy(np.array(batch, dtype=np.int64))
    if isinstance(first, float):
        return from_numpy(np.array(batch, dtype=np.float64))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        for row, item in enumerate(batch):
            if set(item) != set(first):
                raise BadValue(
                    "default_collate",
                    "batch",
                    f"the keys {sorted(map(str, first))}",
                    f"{sorted(map(str, item))} in item {row}",
                )
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        for row, item in enumerate(batch):
            if len(item) != len(first):
                raise BadValue(
                    "default_collate", "batch", f"{len(first)} entries an item", f"{len(item)} in item {row}"
                )
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise BadType(
        "default_collate",
        "batch",
        "Tensors, arrays, numbers, strings, or mappings, tuples or lists of them",
        type(first).__name__,
    )


def _stack(arrays: list[np.ndarray]) -> Tensor:
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise BadValue(
                "default_collate", "batch", f"shape {arrays[0].shape} in every item", f"{array.shape} in item {row}"
            )
    return from_numpy(np.stack(arrays))
