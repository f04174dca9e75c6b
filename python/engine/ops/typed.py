"""The names by which PyTorch tells tensors of one dtype from others: `FloatTensor`, `LongTensor`, `Tensor.type`."""

from __future__ import annotations

from typing import Any

from engine import _core, cuda
from engine._core import DType
from engine.device import number_of
from engine.dtypes import Size, get_default_dtype, set_default_dtype
from engine.errors import BadType, BadValue, require
from engine.ops.convert import cast, move
from engine.ops.factory import empty, tensor
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "is_complex",
    "is_floating_point",
    "is_nonzero",
    "is_tensor",
    "numel",
    "set_default_tensor_type",
]


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is float32, float64, bfloat16 or float16."""
    return as_array("is_floating_point", "input", input).dtype.is_floating_point


@tensor_method
def is_complex(input: Tensor) -> bool:
    """False: engine has no complex numbers."""
    as_array("is_complex", "input", input)
    return False


@tensor_method
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0. Raises ValueError if the tensor does not have exactly one element."""
    return bool(as_array("is_nonzero", "input", input).item())


def numel(input: Tensor) -> int:
    """The number of elements."""
    return as_array("numel", "input", input).size


# ---------------------------------------------------------------- constructors


def constructed(op: str, dtype: DType, args: tuple[Any, ...]) -> Tensor:
    """What PyTorch's old constructors make: of integers or a Size a tensor of these sizes with undefined contents, of nothing an empty
    tensor, and of a list, an array or a Tensor a tensor with its elements."""
    if len(args) == 1 and isinstance(args[0], Size):
        return empty(args[0], dtype=dtype)
    if len(args) == 1 and not isinstance(args[0], int):
        (data,) = args
        if isinstance(data, Tensor):
            if data.dtype is not dtype:
                raise BadType(op, "data", dtype.name, data.dtype.name, "use .to(dtype)")
            return data.detach()
        return tensor(data, dtype=dtype)
    return empty(*(args or (0,)), dtype=dtype)


class _Typed(type):
    """The type of FloatTensor and its siblings: `isinstance(x, FloatTensor)` asks for the dtype of x."""

    dtype: DType
    on_cuda = False  # whether it is one of the types in `engine.cuda`

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.is_cuda is cls.on_cuda

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        made = constructed(cls.__name__, cls.dtype, args)
        if device is None:
            return made.to("cuda") if cls.on_cuda else made
        on_cuda = number_of(device) >= 0
        require(on_cuda is cls.on_cuda, cls.__name__, "device", "a device of this type", repr(str(device)))
        return made.to(device)


class FloatTensor(metaclass=_Typed):
    """`FloatTensor(2, 3)`: float32 of these sizes, with undefined contents. `FloatTensor([1, 2])`: with these elements."""

    dtype = _core.float32


class DoubleTensor(metaclass=_Typed):
    """As `FloatTensor`, of float64."""

    dtype = _core.float64


class HalfTensor(metaclass=_Typed):
    """As `FloatTensor`, of float16."""

    dtype = _core.float16


class BFloat16Tensor(metaclass=_Typed):
    """As `FloatTensor`, of bfloat16."""

    dtype = _core.bfloat16


class LongTensor(metaclass=_Typed):
    """As `FloatTensor`, of int64."""

    dtype = _core.int64


class IntTensor(metaclass=_Typed):
    """As `FloatTensor`, of int32."""

    dtype = _core.int32


class ShortTensor(metaclass=_Typed):
    """As `FloatTensor`, of int16."""

    dtype = _core.int16


class CharTensor(metaclass=_Typed):
    """As `FloatTensor`, of int8."""

    dtype = _core.int8


class ByteTensor(metaclass=_Typed):
    """As `FloatTensor`, of uint8."""

    dtype = _core.uint8


class BoolTensor(metaclass=_Typed):
    """As `FloatTensor`, of bool."""

    dtype = _core.bool


_TYPES: tuple[Any, ...] = (
    FloatTensor, DoubleTensor, HalfTensor, BFloat16Tensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor,
)  # fmt: skip
_BY_NAME = {t.__name__: t.dtype for t in _TYPES}
for _type_here in _TYPES:  # `engine.cuda.FloatTensor` and its siblings, on the current CUDA device
    _doc = f"As `engine.{_type_here.__name__}`, on the current device."
    setattr(
        cuda,
        _type_here.__name__,
        _Typed(_type_here.__name__, (), {"dtype": _type_here.dtype, "on_cuda": True, "__doc__": _doc}),
    )
_NAMES = {t.dtype: t.__name__ for t in _TYPES}


@tensor_method("type")
def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """type(): the name of the tensor's type, such as "engine.FloatTensor" or "engine.cuda.LongTensor".

    type(dtype): the tensor converted to a dtype, a type such as `engine.LongTensor`, or the name of one. A name with "cuda" also moves
    the tensor there, and another name to the CPU. Raises TypeError for anything else, ValueError for another name.
    """
    if dtype is None:
        return f"engine.{'cuda.' if self.is_cuda else ''}{_NAMES.get(self.dtype, self.dtype.name)}"
    if isinstance(dtype, DType):
        return cast(self, dtype)
    if dtype is Tensor:
        return cast(self, get_default_dtype())
    if isinstance(dtype, _Typed):
        number = number_of("cuda") if dtype.on_cuda else -1
        return cast(self, dtype.dtype) if number == self._data.device else move(self, number, dtype.dtype, non_blocking)
    if not isinstance(dtype, str):
        raise BadType("type", "dtype", "a dtype, a type such as engine.LongTensor or its name", dtype)
    *room, name = dtype.split(".")
    if name not in _BY_NAME:
        raise BadValue("type", "dtype", f"one of {', '.join(_BY_NAME)}", repr(dtype))
    number = number_of("cuda") if "cuda" in room else -1
    if number == self._data.device:
        return cast(self, _BY_NAME[name])
    return move(self, number, _BY_NAME[name], non_blocking)


def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype` of the dtype of a type such as `engine.DoubleTensor`, or of its name. Raises TypeError for anything else,
    ValueError for another name and for a type of CUDA, because new tensors are on the CPU."""
    name = t if isinstance(t, str) else "cuda." * t.on_cuda + t.__name__ if isinstance(t, _Typed) else None
    if name is None:
        raise BadType("set_default_tensor_type", "t", "a type such as engine.FloatTensor, or its name", repr(t))
    *room, name = name.split(".")
    fits = name in _BY_NAME and "cuda" not in room
    require(fits, "set_default_tensor_type", "t", f"one of {', '.join(_BY_NAME)}", repr(t))
    set_default_dtype(_BY_NAME[name])


@tensor_method("new")
def _new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """new(2, 3): a tensor of these sizes with undefined contents, of this one's dtype and on its device. new([1, 2]): with these
    elements."""
    return constructed("new", self.dtype, args).to(self.device if device is None else device)


def _from_arguments(args: tuple[Any, ...]) -> Any:
    return constructed("Tensor", get_default_dtype(), args)._data


setattr(Tensor, "_from_arguments", staticmethod(_from_arguments))  # noqa: B010 - a static method
