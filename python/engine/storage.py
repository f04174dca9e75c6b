"""Copies and pickles of Arrays: those that share memory share it again afterwards, as in PyTorch.

Arrays made of one NumPy array may begin at one address and have different lengths. The shorter one shares the copy of the longer one
if the longer one comes first; otherwise it has a copy of its own, because a copy cannot grow.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from engine import _core
from engine._core import Array, DType


class Storage:
    """The whole memory under an Array, as a flat array. Pickles hold it once for all Arrays that share it."""

    __slots__ = ("__weakref__", "array")

    def __init__(self, array: Array) -> None:
        self.array = array

    def __reduce__(self) -> Any:
        a = self.array
        return _restored, (_core.to_bytes(a), a.dtype, a.device)


_pickled: WeakValueDictionary[tuple[int, DType, int], Storage] = WeakValueDictionary()  # while a pickle is written


def _restored(raw: bytes, dtype: DType, number: int) -> Storage:
    return Storage(_core.from_bytes(raw, (len(raw) // dtype.itemsize,), dtype).to_device(number))


def _begin(array: Array) -> tuple[int, DType, int]:
    """Where the memory under an array begins. It says nothing of how long that memory is."""
    return array.data_ptr - array.offset * array.dtype.itemsize, array.dtype, array.device


def _whole(array: Array) -> Array:
    return array.as_strided((array.storage_size,), (1,), 0)


def copied(self: Array, memo: dict[Any, Any]) -> Array:
    """A copy of the array. The copies of arrays that share memory share it, if they are made with the same memo."""
    key = _begin(self)
    if key not in memo or memo[key][1].size < self.storage_size:
        whole = _whole(self)
        memo[key] = whole.clone(), whole  # held, so that no other memory gets its address
    return memo[key][0].as_strided(self.shape, self.strides, self.offset)


def _reduce(self: Array, protocol: Any) -> Any:
    key = _begin(self)
    storage = _pickled.get(key)
    if storage is None or storage.array.size < self.storage_size:
        storage = _pickled[key] = Storage(_whole(self))
    return _part, (storage, self.shape, self.strides, self.offset)


def _part(storage: Storage, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Array:
    return storage.array.as_strided(shape, strides, offset)


Array.__deepcopy__ = copied  # type: ignore[attr-defined]
Array.__reduce_ex__ = _reduce  # type: ignore[method-assign,assignment]
