"""Views that read the memory under a tensor in another way: with other sizes and strides, or as another dtype."""

from __future__ import annotations

from collections.abc import Sequence

from engine import _core
from engine._core import DType
from engine.autograd.tape import needs_grad, record_view
from engine.autograd.views import Place, part_backward
from engine.errors import BadState, BadType, require
from engine.ops.sizes import listed, sizes_of
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["as_strided"]

K = _core.kernels


@tensor_method
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view of the memory under `input` with this size and these strides, in elements. storage_offset: where it begins in that
    memory; None: where input begins.

    Raises ValueError if the view would not lie in the memory, and RuntimeError if input requires grad and some of its elements share
    a place in memory.
    """
    x = as_array("as_strided", "input", input)
    sizes, strides = (
        sizes_of("as_strided", name, (listed("as_strided", name, v),))
        for name, v in (("size", size), ("stride", stride))
    )
    (start,) = (x.offset,) if storage_offset is None else sizes_of("as_strided", "storage_offset", (storage_offset,))
    y = x.as_strided(sizes, strides, start)
    if needs_grad(input):
        alone = not x.overlaps_itself
        expected = "a tensor whose elements lie in different places in memory, if it requires grad"
        require(alone, "as_strided", "input", expected, "one in which some share a place", error=BadState)
    return record_view("as_strided", y, input, part_backward, Place(y, x))


def as_dtype(input: Tensor, dtype: DType) -> Tensor:
    """The bytes under `input` as elements of another dtype, without a gradient. The last dimension changes by the ratio of the sizes of
    the elements.

    Raises ValueError if the last dimension does not fill whole elements, or holds bytes other than 0 and 1 that are to be bool.
    """
    x = as_array("view", "input", input)
    require(isinstance(dtype, DType), "view", "dtype", "a dtype such as engine.float32", dtype, error=BadType)
    if x.dtype is dtype:
        return input.view(x.shape)
    if dtype is _core.bool and x.size:
        largest = K.amax(x.view_as(_core.uint8), (1 << x.ndim) - 1, False).item()
        require(largest <= 1, "view", "input", "bytes that are 0 or 1, for bool", f"a byte {largest}", "write != 0")
    return Tensor(x.view_as(dtype))
