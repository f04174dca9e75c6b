"""Elements in another order, or repeated: flip, roll, rot90, repeat, tile and repeat_interleave."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from engine import _core
from engine._core import Array
from engine.autograd.tape import record
from engine.errors import BadIndex, BadType, BadValue, OutOfMemory, amount, require
from engine.ops.blame import explained
from engine.ops.convert import clone
from engine.ops.factory import from_numpy
from engine.ops.indexing import index_select
from engine.ops.naming import called_as
from engine.ops.operands import gradient
from engine.ops.shape import cat, narrow, reshape, transpose
from engine.ops.sizes import listed, new_sizes, normal_dim, sizes_of
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "flip",
    "fliplr",
    "flipud",
    "repeat_interleave",
    "roll",
    "rot90",
    "tile",
]

K = _core.kernels


def dims_of(op: str, dims: Any, ndim: int, arg: str = "dims") -> list[int]:
    """Dimensions given as one number or several, counted from the front. Raises ValueError if one comes twice."""
    found = [normal_dim(op, d, ndim, arg) for d in listed(op, arg, dims)]
    require(len(set(found)) == len(found), op, arg, "each dimension once", dims)
    return found


# ---------------------------------------------------------------- another order


def _flipped(x: Array, dims: Sequence[int]) -> Array:
    for d in dims if x.ndim else ():
        n = x.shape[d]
        backwards = K.arange(n, 0.0, 0.0, n - 1, -1, _core.int64.code, device=x.device)
        shape = x.shape
        x = K.index_rows(x.reshape((prod(shape[:d]), n, prod(shape[d + 1 :]))), backwards).view(shape)
    return x


_flip_backward = gradient(_flipped)


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """A copy with the order of the elements reversed along the dimensions `dims`."""
    return _flip(input, dims)


@tensor_method("flip")
def _flip(self: Tensor, *each: Any, dims: Sequence[int] = ()) -> Tensor:
    """`engine.flip`; the dimensions may be given one by one."""
    x = as_array("flip", "input", self)
    chosen = dims_of("flip", sizes_of("flip", "dims", each or (dims,)), x.ndim)
    return record(
        "flip", _flipped(x.clone() if not chosen or not x.ndim else x, chosen), (self,), _flip_backward, chosen
    )


@tensor_method
def fliplr(input: Tensor) -> Tensor:
    """`flip` along dimension 1."""
    require(as_array("fliplr", "input", input).ndim >= 2, "fliplr", "input", "at least 2 dimensions", input.ndim)
    return flip(input, (1,))


@tensor_method
def flipud(input: Tensor) -> Tensor:
    """`flip` along dimension 0."""
    require(as_array("flipud", "input", input).ndim >= 1, "flipud", "input", "at least 1 dimension", input.ndim)
    return flip(input, (0,))


@tensor_method
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved by `shifts` places along `dims`; those that leave at the end come in at the start.

    One shift for each dimension; a dimension may come more than once. None: the flattened tensor is rolled by one shift.
    """
    x = as_array("roll", "input", input)
    by = sizes_of("roll", "shifts", (listed("roll", "shifts", shifts),))
    require(by, "roll", "shifts", "at least one number", "none")
    along = () if dims is None else listed("roll", "dims", dims)
    if not along:
        require(len(by) == 1, "roll", "shifts", "one number, because dims is not given", shifts)
        return reshape(_rolled(reshape(input, (-1,)), by[0], 0), x.shape)
    require(len(along) == len(by), "roll", "dims", f"{amount(len(by), 'dimension')}, as many as shifts", dims)
    result = input
    for shift, dim in zip(by, along):
        if x.ndim == 0:
            raise BadIndex("roll", "dims", "None for a 0-dim tensor", dim)
        result = _rolled(result, shift, normal_dim("roll", dim, x.ndim, "dims"))
    return result


def _rolled(input: Tensor, shift: int, dim: int) -> Tensor:
    n = input.shape[dim]
    at = n - shift % n if n else 0
    return cat(
        [narrow(input, dim, at % n if n else 0, n - at if at < n else n), narrow(input, dim, 0, at % n if n else 0)],
        dim,
    )


@tensor_method
@explained
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The planes of the two dimensions `dims` turned k times by 90 degrees, from the first dimension towards the second."""
    n = as_array("rot90", "input", input).ndim
    require(len(dims) == 2 and n >= 2, "rot90", "dims", f"two of the input's dimensions, of which it has {n}", dims)
    a, b = dims_of("rot90", dims, n)
    if k % 4 == 0:
        return input.clone()
    if k % 4 == 2:
        return flip(input, (a, b))
    return transpose(flip(input, (b,)), a, b) if k % 4 == 1 else flip(transpose(input, a, b), (b,))


# ---------------------------------------------------------------- repeated


@tensor_method("repeat")
def _repeat(self: Tensor, *each: Any, repeats: Sequence[int] = ()) -> Tensor:
    """A copy in which the whole tensor is repeated along each dimension; the numbers may be given one by one.

    More numbers than dimensions make new ones in front. Raises ValueError for fewer numbers and for negative ones.
    """
    x = as_array("repeat", "input", self)
    times = new_sizes("repeat", "repeats", each or (repeats,))
    require(
        len(times) >= x.ndim, "repeat", "repeats", f"at least {amount(x.ndim, 'number')}, one for each dimension", times
    )
    shape = (1,) * (len(times) - x.ndim) + x.shape
    if all(r == 1 for r in times):
        return reshape(self, shape).clone()
    if len(times) > 4:  # an Array has at most 8 dimensions
        result = reshape(self, shape)
        for d, r in enumerate(times):
            result = called_as("repeat", cat, [result] * r, d) if r else narrow(result, d, 0, 0)
        return result
    apart = reshape(self, [n for size in shape for n in (1, size)])
    repeated = apart.expand([n for pair in zip(times, shape) for n in pair])
    # The copy: `reshape` alone would give a view where it can.
    return reshape(clone(repeated), [r * s for r, s in zip(times, shape)])


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """`Tensor.repeat`, with ones in front of `dims` if it has fewer numbers than the input has dimensions."""
    return _tile(input, dims)


@tensor_method("tile")
def _tile(self: Tensor, *each: Any, dims: Sequence[int] = ()) -> Tensor:
    """`engine.tile`; the numbers may be given one by one."""
    n = as_array("tile", "input", self).ndim
    times = new_sizes("tile", "dims", each or (dims,))
    result: Tensor = self.repeat((1,) * (n - len(times)) + times)
    return result


@tensor_method
@explained
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element repeated on its place along `dim` (None: of the flattened tensor): [a, b] becomes [a, a, b, b].

    repeats: a number, or int64 or int32 with one number for all or one for each element along `dim`.
    repeat_interleave(repeats) gives the indices: int64, i repeats[i] times. output_size: the length along `dim`, checked.
    """
    x = as_array("repeat_interleave", "input", input)
    if repeats is None:
        require(x.ndim == 1, "repeat_interleave", "repeats", "1 dimension", f"shape {tuple(x.shape)}")
        return _repeated_index(input, x.shape[0])
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    dim = normal_dim("repeat_interleave", dim, input.ndim)
    if input.ndim == 0:
        input = reshape(input, (1,))
    n = input.shape[dim]
    if isinstance(repeats, Tensor):
        index = _repeated_index(repeats, n)
    else:
        require(repeats >= 0, "repeat_interleave", "repeats", "a number >= 0", repeats)
        index = from_numpy(_repeated(n, repeats, n * int(repeats)))
    if output_size is not None and output_size != index.numel():
        raise BadValue("repeat_interleave", "output_size", index.numel(), output_size)
    return index_select(input, dim, index.to(input.device))


def _repeated_index(repeats: Tensor, n: int) -> Tensor:
    x = as_array("repeat_interleave", "repeats", repeats)
    if x.dtype not in (_core.int64, _core.int32):
        raise BadType("repeat_interleave", "repeats", "int64 or int32", x.dtype.name)
    times = np.asarray(x.to_device(-1)).reshape(-1)
    fits = x.ndim <= 1 and times.size in (1, n)
    require(
        fits, "repeat_interleave", "repeats", f"one number, or {n}, one for each element", f"shape {tuple(x.shape)}"
    )
    require(times.min(initial=0) >= 0, "repeat_interleave", "repeats", "numbers >= 0", times.min(initial=0))
    most = float(np.sum(times, dtype=np.float64)) * (n if times.size == 1 else 1)  # a sum of int64 could wrap around
    return from_numpy(_repeated(n, times, most)).to(repeats.device)


def _repeated(n: int, times: Any, total: float) -> np.ndarray:
    """The numbers below n, each as often as `times` says; `total` in all. NumPy itself reads beyond its memory if n * times is beyond
    64 bits."""
    try:
        if total < 2**48:
            return np.repeat(np.arange(n), times)
    except MemoryError:
        pass
    raise OutOfMemory("repeat_interleave", "repeats", "a result that fits in memory", f"{total:.3g} elements")
