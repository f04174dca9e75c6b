"""Copies and conversions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.modes import is_grad_enabled
from engine.autograd.tape import record
from engine.device import device, device_of, number_of, placed, refuse_float64
from engine.dtypes import can_cast
from engine.errors import BadState, BadType, require
from engine.ops.operands import gradient
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["clone", "from_dlpack"]

K = _core.kernels


_clone_backward = gradient(lambda dy: dy)


@tensor_method
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A contiguous copy, whatever `memory_format`; gradients flow through."""
    y = as_array("clone", "input", input).clone()
    return record("clone", y, (input,), _clone_backward)


@tensor_method("contiguous")
def _contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its memory is contiguous, otherwise a copy, whatever `memory_format`."""
    return self if self._data.is_contiguous else clone(self)


_cast_backward = gradient(Array.cast)


def copy_into(dst: Array, src: Array, non_blocking: bool = False) -> None:
    """dst = src, broadcast and converted, from any device."""
    if src.device == dst.device:
        K.copy(dst, src)
    else:
        _core.copy(dst, src, non_blocking)


@contextmanager
def packed(tensors: Iterable[Tensor]) -> Iterator[None]:
    """A block in which strided tensors lie in contiguous memory, which some kernels need; at its end they are copied back."""
    strided = [(t, t._data) for t in tensors]
    for t, array in strided:
        t._data = array.contiguous()
    try:
        yield
        for t, array in strided:
            copy_into(array, t._data)
    finally:
        for t, array in strided:
            t._data = array


def cast(input: Tensor, dtype: DType, copy: bool = False) -> Tensor:
    """`input` converted to `dtype`; the tensor itself if it has that dtype already, unless `copy`. Gradients flow through
    conversions between floating dtypes."""
    x = input._data
    if x.dtype is dtype:
        return clone(input) if copy else input
    if not isinstance(dtype, DType):
        raise BadType("to", "dtype", "a dtype such as engine.float32", type(dtype).__name__)
    if x.device >= 0:
        refuse_float64("to", dtype, x.device)
    if not dtype.is_floating_point:
        return Tensor(x.cast(dtype))
    return record("to", x.cast(dtype), (input,), _cast_backward, x.dtype)


_move_backward = gradient(placed)


def move(input: Tensor, number: int, dtype: DType | None = None, non_blocking: bool = False) -> Tensor:
    """`input` on the device with that number, converted if `dtype` is given. Its gradient goes back to the first device."""
    x = input._data
    dtype = x.dtype if dtype is None else dtype
    refuse_float64("to", dtype, number)
    y = placed(x, dtype, number, non_blocking)
    if not dtype.is_floating_point:
        return Tensor(y)
    return record("to", y, (input,), _move_backward, x.dtype, x.device)


@tensor_method("to")
def _to(
    self: Tensor,
    *args: Any,
    dtype: DType | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`: the tensor converted and moved, or itself if nothing
    changes. The gradient comes back in the dtype and on the device of this tensor.

    non_blocking: a copy from pinned memory (`pin_memory`) to a CUDA device is only queued; do not write to the source before
    it is done. Copies to the host always wait. copy: a copy even if nothing changes. memory_format: changes nothing.

    Raises ValueError for a device that does not exist, RuntimeError if there is no CUDA device, TypeError for float64 on a
    CUDA device and for arguments of other types.
    """
    for arg in args:
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, str | _device) or type(arg) is int:
            device = arg
        elif type(arg) is bool:
            non_blocking = arg
        elif arg is None:
            continue
        else:
            raise BadType("to", "argument", "a dtype, a device or a Tensor", type(arg).__name__)
    if device is not None and (number := number_of(device)) != self._data.device:
        return move(self, number, dtype, non_blocking)
    return cast(self, self._data.dtype if dtype is None else dtype, copy)


_device = device
_DLPACK_CUDA = 2


def _conversion(name: str, dtype: DType) -> None:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        return cast(self, dtype)

    convert.__name__ = name
    convert.__doc__ = f"`to(engine.{dtype.name})`. memory_format changes nothing."
    setattr(Tensor, name, convert)


for _name, _dtype in {
    "float": _core.float32,
    "double": _core.float64,
    "half": _core.float16,
    "bfloat16": _core.bfloat16,
    "long": _core.int64,
    "int": _core.int32,
    "short": _core.int16,
    "byte": _core.uint8,
    "char": _core.int8,
    "bool": _core.bool,
}.items():
    _conversion(_name, _dtype)


@tensor_method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor with the dtype and on the device of `other`; itself if it is so already."""
    like = as_array("type_as", "other", other)
    return self.to(device_of(like.device), like.dtype)


@tensor_method("cpu")
def _cpu(self: Tensor) -> Tensor:
    """The tensor itself if it is on the CPU, otherwise a copy there, which waits for the device."""
    return self if self._data.device < 0 else move(self, -1)


@tensor_method("cuda")
def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor on the current CUDA device, or on the given one; itself if it is there already. non_blocking as in `to`."""
    number = number_of("cuda" if device is None else device)
    return self if self._data.device == number else move(self, number, None, non_blocking)


@tensor_method("pin_memory")
def _pin_memory(self: Tensor) -> Tensor:
    """A copy in page-locked memory of the host, from which `to("cuda", non_blocking=True)` does not wait; itself if it is in
    such memory already. Raises RuntimeError if there is no CUDA device, ValueError for a tensor on one."""
    if self._data.is_pinned:
        return self
    number_of("cuda")
    return record("pin_memory", self._data.pin(), (self,), _clone_backward)


@tensor_method("is_pinned")
def _is_pinned(self: Tensor) -> bool:
    """Whether the memory is page-locked."""
    return self._data.is_pinned


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor that shares the memory of a DLPack capsule or of an object with `__dlpack__`, such as an array of NumPy, PyTorch
    or JAX, on the CPU or a CUDA device."""
    where = getattr(ext_tensor, "__dlpack_device__", None)
    place = None if where is None else where()
    if isinstance(place, tuple) and place[:1] == (_DLPACK_CUDA,):  # the extension refuses other answers
        number_of("cuda")  # loads the backend, or raises an error that says why there is none
    return Tensor(_core.from_dlpack(ext_tensor))


@tensor_method("__format__")
def _format(self: Tensor, spec: str) -> str:
    """The number of a 0-dim tensor in that format, as in f"{loss}" or f"{loss:.4f}". Other tensors, and parameters, take the empty
    format only."""
    if self.ndim == 0 and (spec or type(self) is Tensor):
        return format(self.detach().item(), spec)
    return object.__format__(self, spec)


def into(op: str, out: Tensor, result: Tensor) -> Tensor:
    """Writes the result of `op` to `out` and returns it: what the argument `out` asks for. An `out` without elements gets the
    result's shape.

    Raises RuntimeError if the result or `out` requires grad, because nothing is recorded, and if elements of `out` share memory;
    ValueError if `out` has another shape; TypeError if its dtype cannot hold the result (float to integer, anything to bool).
    """
    as_array(op, "out", out)
    if out.requires_grad and is_grad_enabled():
        raise BadState(op, "out", "a tensor that does not require grad", "one that does")
    require(not result.requires_grad, op, "out", "operands that do not require grad", "one that does", error=BadState)
    if not can_cast(result.dtype, out.dtype):
        raise BadType(op, "out", f"a dtype that can hold the result, {result.dtype.name}", out.dtype.name)
    if out.numel() == 0 and out.shape != result.shape:
        out._data = placed(result._data, out.dtype, out._data.device).clone()
        return out
    require(out.shape == result.shape, op, "out", f"shape {tuple(result.shape)}", out.shape)
    if out._data.overlaps_itself:
        expected = "a tensor whose elements lie in different places in memory"
        raise BadState(op, "out", expected, f"an expanded one of shape {tuple(out.shape)}", "use .clone()")
    copy_into(out._data, result._data)
    return out
