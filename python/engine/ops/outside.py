"""Tensors from bytes and from NumPy's generators: frombuffer, poisson."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import _core
from engine._core import DType
from engine.errors import BadType, require
from engine.ops.blame import explained
from engine.ops.factory import from_numpy
from engine.ops.generator import Generator
from engine.ops.random import randint
from engine.tensor import Tensor, as_array

__all__ = ["frombuffer", "poisson"]


@explained
def frombuffer(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """(count,): a tensor that shares the memory of an object with Python's buffer protocol, such as bytes or bytearray.

    count: the number of elements; -1: all from byte `offset` on. In-place ops refuse a tensor of read-only memory. Raises ValueError
    for an empty buffer, and where the elements do not fit into the bytes.
    """
    try:
        size, length = dtype.itemsize, memoryview(buffer).nbytes
    except TypeError:
        expected = "an object with Python's buffer protocol, such as bytes"
        raise BadType("frombuffer", "buffer", expected, type(buffer).__name__) from None
    require(length, "frombuffer", "buffer", "at least one byte", "none")
    require(0 <= offset < length, "frombuffer", "offset", f"a number in [0, {length})", offset)
    room = length - offset
    if count < 0:
        require(count == -1, "frombuffer", "count", "a number > 0, or -1", count)
        require(room % size == 0, "frombuffer", "buffer", f"a multiple of {size} bytes behind offset", room)
        count = room // size
    require(0 < count * size <= room, "frombuffer", "count", f"a number of {dtype.name} in {room} bytes", count)
    whole = from_numpy(np.frombuffer(buffer, np.uint8, count * size, offset))
    result: Tensor = whole.view(dtype) if dtype is not _core.uint8 else whole
    return result.requires_grad_() if requires_grad else result


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the Poisson distributions with the rates of `input`, of its shape and dtype.

    NumPy draws them on the CPU, from a seed that the random state of engine (or the generator) gives. Raises ValueError for a rate
    below 0 or NaN.
    """
    as_array("poisson", "input", input)
    rates = input.detach().cpu().double().numpy()
    good = bool((rates >= 0).all())
    require(good, "poisson", "input", "rates >= 0", "a number below 0, or NaN")
    seed = int(randint(0, 2**62, (1,), generator=generator).item())
    drawn = np.asarray(np.random.default_rng(seed).poisson(rates), dtype=np.float64)
    return from_numpy(drawn).to(input.device, input.dtype)
