"""PyTorch's names for dtypes, the limits of dtypes, the default dtype, and constants."""

from __future__ import annotations

import math
from typing import Any

from engine import _core
from engine._core import DType
from engine.errors import BadType, require

__all__ = [
    "Size",
    "can_cast",
    "channels_last",
    "contiguous_format",
    "double",
    "e",
    "finfo",
    "float",
    "get_default_dtype",
    "half",
    "iinfo",
    "inf",
    "int",
    "long",
    "memory_format",
    "nan",
    "newaxis",
    "pi",
    "preserve_format",
    "set_default_dtype",
    "short",
    "strided",
]

float, double, half = _core.float32, _core.float64, _core.float16
int, long, short = _core.int32, _core.int64, _core.int16
inf, nan, pi, e = math.inf, math.nan, math.pi, math.e
newaxis = None


Size = _core.Size


class _Named:
    """A name without behaviour: of a layout, or of an order of elements in memory."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"engine.{self._name}"


class memory_format(_Named):
    """The type of `contiguous_format`, `preserve_format` and `channels_last`.

    Functions take them as `memory_format=` and make contiguous tensors with all three: only the order in memory would differ."""


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
strided = _Named("strided")


# ---------------------------------------------------------------- limits

# Bits of the fraction, and the exponents of the smallest normal number and of the largest number.
_FLOATS = {
    "float64": (52, -1022, 1023),
    "float32": (23, -126, 127),
    "bfloat16": (7, -126, 127),
    "float16": (10, -14, 15),
}


class finfo:
    """What a floating-point dtype can hold: `max`, `min` = -max, `tiny` = `smallest_normal`, and `eps`, the distance from 1 to the
    next number. `resolution` is a power of 10 of about that size. No dtype: the default dtype.

    Raises TypeError for a dtype that is not floating-point.
    """

    def __init__(self, type: DType | None = None) -> None:
        dtype = get_default_dtype() if type is None else type
        if not isinstance(dtype, DType) or dtype.name not in _FLOATS:
            raise BadType("finfo", "type", "a floating-point dtype", dtype)
        fraction, lowest, highest = _FLOATS[dtype.name]
        self.dtype, self.bits = dtype.name, 8 * dtype.itemsize
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0**highest
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0**lowest
        self.resolution = 10.0 ** -math.floor(fraction * math.log10(2.0))

    def __repr__(self) -> str:
        return f"finfo(resolution={self.resolution}, min={self.min}, max={self.max}, eps={self.eps}, tiny={self.tiny}, dtype={self.dtype})"


# The least and the largest number of each integer dtype.
INTEGER_LIMITS = {
    _core.uint8: (0, 2**8 - 1),
    _core.int8: (-(2**7), 2**7 - 1),
    _core.int16: (-(2**15), 2**15 - 1),
    _core.int32: (-(2**31), 2**31 - 1),
    _core.int64: (-(2**63), 2**63 - 1),
}


class iinfo:
    """What an integer dtype can hold: `min` and `max`. Raises TypeError for a dtype that is not an integer."""

    def __init__(self, type: DType) -> None:
        if type not in INTEGER_LIMITS:
            raise BadType("iinfo", "type", "an integer dtype", type)
        self.dtype, self.bits = type.name, 8 * type.itemsize
        self.min, self.max = INTEGER_LIMITS[type]

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# ---------------------------------------------------------------- the default, and conversions


class _Default:
    dtype = _core.float32


default = _Default()


def get_default_dtype() -> DType:
    """The dtype of new tensors of floating-point numbers if no other is given: float32, unless `set_default_dtype` changed it."""
    return default.dtype


def set_default_dtype(d: DType) -> None:
    """Sets the dtype of new tensors of floating-point numbers: factories, parameters of layers, and `tensor` of floats.

    What is floating-point of integers, such as quotients, roots and sums with a Python float, has it too. Raises TypeError for a
    dtype that is not floating-point.
    """
    if not isinstance(d, DType) or not d.is_floating_point:
        raise BadType("set_default_dtype", "d", "a floating-point dtype", d)
    default.dtype = d
    _core.set_default_dtype(d)


def _category(dtype: DType) -> Any:
    require(
        isinstance(dtype, _core.DType),
        "can_cast",
        "from_ and to",
        "dtypes such as engine.float32",
        dtype,
        error=BadType,
    )
    return 2 if dtype.is_floating_point else 0 if dtype is _core.bool else 1


def can_cast(from_: DType, to: DType) -> bool:
    """Whether a result of dtype `from_` may be written in place to a tensor of dtype `to`: not from floating-point numbers to
    integers, and to bool only from bool."""
    return bool(_category(from_) <= _category(to))
