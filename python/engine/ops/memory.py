"""Methods about the memory under a tensor: where it begins, its size, and what `resize_` and `share_memory_` put in its place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine import _core
from engine._core import Array
from engine.device import device, device_of
from engine.errors import BadState, BadType, require
from engine.ops.blame import explained
from engine.ops.reduction import sum
from engine.ops.shape import reshape
from engine.ops.sizes import new_sizes
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["UntypedStorage"]

K = _core.kernels


class UntypedStorage:
    """The whole memory under a tensor, which its views share, as `Tensor.untyped_storage()` returns it."""

    __slots__ = ("_array",)

    def __init__(self, array: Array) -> None:
        self._array = array.as_strided((array.storage_size,), (1,), 0)

    def data_ptr(self) -> int:
        """The address of the first byte. Tensors of one address share memory."""
        return self._array.data_ptr

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._array.size * self._array.dtype.itemsize

    size = __len__ = nbytes

    @property
    def device(self) -> device:
        """The device on which the memory is."""
        return device_of(self._array.device)

    def __repr__(self) -> str:
        return f"<UntypedStorage of {self.nbytes()} bytes on {self.device}>"


@tensor_method("untyped_storage")
def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The whole memory under the tensor, with `data_ptr()` and `nbytes()`."""
    return UntypedStorage(self._data)


@tensor_method("storage_offset")
def _storage_offset(self: Tensor) -> int:
    """Where the first element lies in the memory that the tensor's views share, in elements."""
    return self._data.offset


@tensor_method("detach_")
def _detach_(self: Tensor) -> Tensor:
    """Makes this tensor a leaf that does not require grad, and returns it.

    Raises RuntimeError for a view, whose base would keep its history: use `detach()`.
    """
    as_array("detach_", "self", self)
    require(
        self._base is None, "detach_", "self", "a tensor that is no view", "a view", "use .detach()", error=BadState
    )
    self._node, self._index, self._requires_grad = None, 0, False
    return self


@tensor_method("sum_to_size")
def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions along which a tensor of this size would be repeated to get this one's shape.

    Raises ValueError for a size that does not broadcast to this one's shape."""
    wanted, shape = new_sizes("sum_to_size", "size", size), self.shape
    lead = len(shape) - len(wanted)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(wanted, shape[lead:]))
    require(fits, "sum_to_size", "size", f"a shape that broadcasts to {tuple(shape)}", tuple(wanted))
    dims = [d for d, m in enumerate(shape) if d < lead or (wanted[d - lead] == 1 and m != 1)]
    return reshape(sum(self, dims, True), wanted) if dims else self


def _resized(op: str, self: Tensor, sizes: tuple[int, ...]) -> Tensor:
    require(not self.requires_grad, op, "self", "a tensor that does not require grad", "one that does", error=BadState)
    require(all(n >= 0 for n in sizes), op, "sizes", "numbers >= 0", sizes)
    x, n = self._data, math.prod(sizes)
    if n > x.storage_size - x.offset:
        grown = _core.empty((n,), x.dtype, x.device)
        kept = x.storage_size - x.offset
        _core.copy(grown.slice(0, 0, kept, 1), x.as_strided((kept,), (1,), x.offset))
        x = grown
    strides = [math.prod(max(m, 1) for m in sizes[d + 1 :]) for d in range(len(sizes))]
    self._data, self._base = x.as_strided(sizes, strides, x.offset), None
    return self


@tensor_method("resize_")
def _resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Gives the tensor these sizes, and returns it. The elements stay in the order of memory; new ones are undefined.

    If its memory is too small, the tensor gets other memory with a copy of the elements; unlike in PyTorch, its views then keep the
    old memory. Raises RuntimeError for a tensor that requires grad. memory_format changes nothing.
    """
    return _resized("resize_", self, new_sizes("resize_", "sizes", sizes))


@tensor_method("resize_as_")
@explained
def _resize_as_(self: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """`resize_` to the sizes of another tensor."""
    return _resized("resize_as_", self, as_array("resize_as_", "the_template", the_template).shape)


@tensor_method("share_memory_")
def _share_memory_(self: Tensor) -> Tensor:
    """Moves the elements to memory that processes made by a fork share with this one, and returns the tensor.

    A tensor on a CUDA device stays as it is. Unlike in PyTorch, a tensor that is sent to another process by pickle is copied. Raises
    RuntimeError if another tensor shares the memory, because that one would keep the old memory; TypeError for bfloat16.
    """
    import mmap

    x = self._data
    if x.device >= 0 or not x.size:
        return self
    alone, hint = x.owns_storage_alone, "call it before the views are made"
    require(
        alone, "share_memory_", "self", "memory of its own", "memory shared with another tensor", hint, error=BadState
    )
    require(
        x.dtype is not _core.bfloat16, "share_memory_", "dtype", "a dtype that NumPy has", "bfloat16", error=BadType
    )
    memory = mmap.mmap(-1, x.size * x.dtype.itemsize)
    shared = _core.from_buffer(np.frombuffer(memory, x.dtype.name)).view(x.shape)
    K.copy(shared, x)
    self._data = shared
    return self
