"""Writing and reading at many places at once: index_put, take, masked_scatter."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import BadType, BadValue, amount, require
from engine.ops.blame import explained
from engine.ops.indexing import Plan, Rows, replay
from engine.ops.naming import called_as
from engine.ops.operands import gradient, ids_array, sum_to, zeros_array
from engine.ops.scatter import padded, written
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["index_put", "masked_scatter", "take"]

K = _core.kernels


def _index_put_backward(ctx: Node, dy: Array) -> Any:
    steps, rows, _, accumulate, shape = ctx.saved
    dx = dvalues = None
    if ctx.needs[0]:
        dx = dy
        if not accumulate:
            dx = dy.clone()
            rows.write(replay(dx, steps), zeros_array((), dy).expand(rows.result))
    if ctx.needs[1]:
        dvalues = sum_to(rows.read(replay(dy, steps)), shape)
    return dx, dvalues


def _index_put(
    op: str, inplace: bool, input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool
) -> Tensor:
    x, v = as_array(op, "input", input), as_array(op, "values", values)
    if v.dtype is not x.dtype:
        raise BadType(op, "values", f"the dtype of input, {x.dtype.name}", v.dtype.name)
    key: list[Any] = []
    for item in indices:
        if item is None:
            key.append(slice(None))
        else:  # a 0-dim index is an array here, not a number
            entry = as_array(op, "indices", item)
            key.append(item if entry.ndim or entry.dtype is _core.bool else Tensor(entry.view((1,))))
    plan = Plan(op, x, tuple(key))
    require(bool(plan.arrays), op, "indices", "at least one index tensor", "none")
    rows = Rows(plan)
    require(_broadcasts(v.shape, rows.result), op, "values", f"a shape that broadcasts to {rows.result}", v.shape)
    wide = v.to_device(x.device).expand(rows.result)

    def write(y: Array) -> None:
        (rows.add if accumulate else rows.write)(replay(y, plan.steps), wide)

    saved = (plan.steps, rows, rows.index, accumulate, v.shape)
    return written(op, input, values, inplace, write, _index_put_backward, *saved)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape[::-1], to[::-1]))


@tensor_method
@explained
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` (of its dtype, broadcast) written to input[indices].

    indices: integer tensors and bool masks, or None for a whole dimension. accumulate: adds the values instead; of an element
    that is named more than once, all are added, otherwise the last one stays.
    """
    return _index_put("index_put", False, input, indices, values, accumulate)


@tensor_method("index_put_")
@explained
def _index_put_(self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """`index_put` in place."""
    return _index_put("index_put_", True, self, indices, values, accumulate)


@gradient
def _take_backward(dy: Array, shape: tuple[int, ...], index: Array) -> Array:
    n = prod(shape)
    return K.index_rows_backward(dy.reshape((1, index.size, 1)), index, n).view(shape)


@tensor_method
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements `index` of the flattened input, in the shape of `index`. index: int64 or int32; negative ones count from the
    end. Raises IndexError for an index out of range."""
    x, entries = as_array("take", "input", input), ids_array("take", "index", index)
    flat = called_as("take", K.wrap_index, None, entries, x.size, 0).reshape((-1,))
    y = K.index_rows(x.reshape((1, x.size, 1)), flat).view(entries.shape)
    return record("take", y, (input,), _take_backward, x.shape, flat)


def _masked_scatter_backward(ctx: Node, dy: Array) -> Any:
    chosen, index, shape, source_shape = ctx.saved
    dx = dsource = None
    if ctx.needs[0]:
        dx = sum_to(K.where(chosen, 0, dy), shape)
    if ctx.needs[1]:
        taken = K.index_rows(dy.reshape((1, dy.size, 1)), index).view((index.size,))
        dsource = padded(taken, (prod(source_shape),)).view(source_shape)
    return dx, dsource


def _masked_scatter(op: str, inplace: bool, input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    x, chosen, s = as_array(op, "input", input), as_array(op, "mask", mask), as_array(op, "source", source)
    require(chosen.dtype is _core.bool, op, "mask", "bool", chosen.dtype.name, error=BadType)
    require(s.dtype is x.dtype, op, "source", f"the dtype of input, {x.dtype.name}", s.dtype.name, error=BadType)
    shape = x.shape
    if not inplace:
        try:
            shape = np.broadcast_shapes(x.shape, chosen.shape)
        except ValueError:
            raise BadValue(op, "mask", f"a shape that broadcasts with {tuple(x.shape)}", chosen.shape) from None
    require(_broadcasts(chosen.shape, shape), op, "mask", f"a shape that broadcasts to {shape}", chosen.shape)
    chosen = chosen.expand(shape)
    index = K.nonzero_flat(chosen, K.count_nonzero(chosen).item())
    require(
        s.size >= index.size, op, "source", f"at least {amount(index.size, 'element')}, as many as mask is true", s.size
    )
    values = s.reshape((s.size,)).slice(0, 0, index.size, 1).view((1, index.size, 1))

    def write(y: Array) -> None:
        flat = y if y.is_contiguous else y.clone()
        K.index_put(flat.view((1, y.size, 1)), index, values)
        if flat is not y:
            K.copy(y, flat)

    if x.shape != shape:
        y = x.expand(shape).clone()
        write(y)
        return record(op, y, (input, source), _masked_scatter_backward, chosen, index, x.shape, s.shape)
    return written(op, input, source, inplace, write, _masked_scatter_backward, chosen, index, x.shape, s.shape)


@tensor_method
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` in which the elements at which `mask` (bool) is true are the first ones of `source`, in row-major order.
    Input and mask are broadcast together. source: of input's dtype, with at least as many elements as mask is true."""
    return _masked_scatter("masked_scatter", False, input, mask, source)


@tensor_method("masked_scatter_")
def _masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`masked_scatter` in place; the mask is broadcast."""
    return _masked_scatter("masked_scatter_", True, self, mask, source)
