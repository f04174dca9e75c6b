"""NumPy's numbers and arrays in PyTorch's files: what the names mean that a pickle calls for them. Nothing of the file is executed.

A pickle makes an array or a dtype in two steps: it calls a name, and then hands over a state. Only dtypes whose bytes are plain data are
made: booleans, numbers, text and bytes; no objects, no records and no dates.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from engine.torchfiles.unpickle import Known

__all__ = ["NAMES", "STATES"]

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6}")


def _dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    if type(name) is not str or not _PLAIN.fullmatch(name):
        raise TypeError(f"a NumPy dtype {name!r}, which is not plain data")
    return np.dtype(name, False, True)  # a copy, which may get another order of bytes


def _order(dtype: Any, state: Any) -> None:
    """The state of a dtype. Only the order of the bytes is taken from it."""
    order, *records = state[1:5]
    if order not in ("<", ">", "|") or records != [None, None, None]:
        raise TypeError("a NumPy dtype of records")
    mine = dtype.__reduce__()[2]
    if mine[1] != "|" and order != "|":
        dtype.__setstate__((mine[0], order, *mine[2:]))


def _empty(kind: Any, shape: Any, code: Any) -> np.ndarray[Any, Any]:
    if kind is not np.ndarray:
        raise TypeError("a subclass of a NumPy array")
    return np.ndarray((0,), np.int8)


def _contents(array: Any, state: Any) -> None:
    """The state of an array: version, shape, dtype, whether columns come first, and the bytes."""
    _, shape, dtype, by_columns, data = state
    if type(shape) is not tuple or any(type(n) is not int or not 0 <= n < 2**48 for n in shape):
        raise TypeError("a NumPy array of a shape that does not exist")
    _check(dtype, data, math.prod(shape))
    array.__setstate__((1, shape, dtype, by_columns is True, data))


def _check(dtype: Any, data: Any, count: int) -> None:
    """Whether `data` are the bytes of as many elements."""
    if not isinstance(dtype, np.dtype) or type(data) is not bytes or len(data) != count * dtype.itemsize:
        raise TypeError("NumPy values of another number of bytes than their dtype has")
    if dtype.kind == "b" and data.strip(b"\0\1"):
        raise TypeError("a boolean that is neither 0 nor 1")


def _scalar(dtype: Any, data: Any) -> np.generic:
    _check(dtype, data, 1)
    value: np.generic = np.frombuffer(data, dtype)[0]
    return value


NAMES = {
    "numpy dtype": Known(_dtype),
    "numpy ndarray": np.ndarray,
    **{
        f"numpy.{core}.multiarray {name}": known
        for core in ("core", "_core")  # before NumPy 2, and since
        for name, known in {"scalar": Known(_scalar), "_reconstruct": Known(_empty)}.items()
    },
}
STATES: dict[type, Any] = {
    np.ndarray: _contents,
    **dict.fromkeys(map(type, map(np.dtype, "?bBhHiIlLqQefdFDSU")), _order),
}
