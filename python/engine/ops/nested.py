"""Nested lists as NumPy reads them, and the dtypes of the numbers in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import _core
from engine._core import DType
from engine.dtypes import default
from engine.tensor import Tensor

_PYTHON = frozenset((bool, int, float))
_NUMPY = {
    np.dtype(kind.name): kind
    for kind in (
        _core.float16, _core.float32, _core.float64, _core.int8, _core.int16, _core.int32, _core.int64, _core.uint8, _core.bool,
    )
}  # fmt: skip


def plain(data: Any, dtypes: set[DType]) -> Any:
    """Nested lists with lists of numbers in place of Tensors. The dtypes of the numbers are added to `dtypes`.

    A Tensor of one element in a list is a number, as in PyTorch.
    """
    if isinstance(data, list | tuple):
        kinds = set(map(type, data))
        if kinds <= _PYTHON:
            dtypes.update([_of_python(kind) for kind in kinds])
            return data
        return [plain(v, dtypes) for v in data]
    if isinstance(data, Tensor):
        dtypes.add(data.dtype)
        return data.detach().item() if data.numel() == 1 else data.detach().tolist()
    if isinstance(data, bool | int | float) and not isinstance(data, np.generic):
        dtypes.add(_of_python(type(data)))
    elif isinstance(data, np.ndarray | np.generic) and data.dtype in _NUMPY:
        dtypes.add(_NUMPY[data.dtype])
    return data


def _of_python(kind: type) -> DType:
    if issubclass(kind, float):
        return default.dtype
    return _core.bool if kind is bool else _core.int64
