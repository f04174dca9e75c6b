"""Copies, conversions and the printed form of a tensor."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record
from engine.tensor import Tensor, as_array, device, tensor_method

__all__ = ["clone", "from_dlpack"]


def _clone_backward(ctx: Node, dy: Array) -> Any:
    return dy


@tensor_method
def clone(input: Tensor) -> Tensor:
    """A contiguous copy; gradients flow through."""
    y = as_array("clone", "input", input).clone()
    result: Tensor = record("clone", y, (input,), _clone_backward)
    return result


@tensor_method("contiguous")
def _contiguous(self: Tensor) -> Tensor:
    """The tensor itself where its memory is contiguous in order, else a copy."""
    return self if self._data.is_contiguous else clone(self)


def _cast_backward(ctx: Node, dy: Array) -> Any:
    (dtype,) = ctx.saved
    return dy.cast(dtype)


def cast(input: Tensor, dtype: DType, copy: bool = False) -> Tensor:
    """`input` converted; the tensor itself where it has that dtype already. Conversions between floating dtypes are
    differentiable."""
    x = input._data
    if x.dtype is dtype:
        return clone(input) if copy else input
    if not dtype.is_floating_point:
        return Tensor(x.cast(dtype))
    result: Tensor = record("to", x.cast(dtype), (input,), _cast_backward, x.dtype)
    return result


@tensor_method("to")
def _to(
    self: Tensor,
    *args: Any,
    dtype: DType | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """`to(dtype)`, `to(device)`, `to(device, dtype)` or `to(other)`: converted; itself where nothing changes.

    Raises ValueError for a device that does not exist, TypeError for anything else.
    """
    for arg in args:
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, str | _device):
            device = arg
        elif type(arg) is bool or arg is None:  # positional non_blocking
            continue
        else:
            raise TypeError(f"[to] argument: expected a dtype, a device or a Tensor, got {type(arg).__name__}")
    if device is not None:
        _device(device)
    return cast(self, self._data.dtype if dtype is None else dtype, copy)


_device = device


def _conversion(name: str, dtype: DType) -> None:
    def convert(self: Tensor) -> Tensor:
        return cast(self, dtype)

    convert.__name__ = name
    convert.__doc__ = f"`to(engine.{dtype.name})`."
    setattr(Tensor, name, convert)


for _name, _dtype in {
    "float": _core.float32,
    "double": _core.float64,
    "half": _core.float16,
    "bfloat16": _core.bfloat16,
    "long": _core.int64,
    "int": _core.int32,
    "byte": _core.uint8,
    "bool": _core.bool,
}.items():
    _conversion(_name, _dtype)


@tensor_method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """Converted to other's dtype; itself where it has that already."""
    return cast(self, as_array("type_as", "other", other).dtype)


@tensor_method("cpu")
def _cpu(self: Tensor) -> Tensor:
    """The tensor itself: everything lives on the CPU."""
    return self


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor of the same memory as an object with `__dlpack__` (NumPy, PyTorch, JAX arrays) or a DLPack capsule."""
    return Tensor(_core.from_dlpack(ext_tensor))


@tensor_method("__format__")
def _format(self: Tensor, spec: str) -> str:
    """f"{loss:.4f}" of a 0-dim tensor formats its number; others have no format but the empty one."""
    if self.ndim == 0 and spec:
        return format(self.detach().item(), spec)
    return object.__format__(self, spec)


@tensor_method("__repr__")
def _repr(self: Tensor) -> str:
    import numpy as np

    x = self._data.cast(_core.float32) if self._data.dtype is _core.bfloat16 else self._data
    suffix = "" if x.size or x.ndim == 1 else f", size={self.shape}"
    if self.dtype not in (_core.float32, _core.int64, _core.bool):
        suffix += f", dtype={self.dtype}"
    if self.grad_fn is not None:
        suffix += f", grad_fn={self.grad_fn}"
    elif self.requires_grad:
        suffix += ", requires_grad=True"
    text = np.array2string(np.asarray(x), separator=", ", precision=4, prefix="tensor(") if x.size else "[]"
    return f"tensor({text}{suffix})"
