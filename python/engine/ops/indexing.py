"""Reading and writing by index: `x[...]`, `x[...] = y`, gather, masks.

Integers, slices, None and Ellipsis make views. Index arrays and boolean masks become one array of flat positions in the
dimensions that they index; one kernel then reads or writes whole rows at these positions. If an element was read more than
once, its gradients are summed in a fixed order.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any
from warnings import warn

import numpy as np

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, check_inplace, record, record_inplace, record_view
from engine.device import placed
from engine.errors import BadIndex, BadType, BadValue
from engine.ops.blame import explained
from engine.ops.convert import into
from engine.ops.factory import as_tensor, fill_array
from engine.ops.naming import called_as
from engine.ops.operands import gradient, ids_array, sum_to, zeros_array
from engine.ops.reduction import sum
from engine.ops.sizes import normal_dim
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "argwhere",
    "count_nonzero",
    "gather",
    "index_select",
    "masked_select",
    "nonzero",
    "take_along_dim",
]

K = _core.kernels
Step = tuple[str, tuple[int, ...]]  # a method of Array and its arguments
_PLAIN = {int, slice, type(None), type(Ellipsis)}
_ALL = slice(None)


# ---------------------------------------------------------------- reading keys


def _index_array(op: str, item: Any, number: int) -> Array | None:
    """An item of a key as an int64 or bool Array on the device with that number; None if it is not an index array or mask."""
    if isinstance(item, Tensor):
        array = item._data
    elif isinstance(item, np.ndarray | list | tuple | range | bool | np.bool_):
        try:
            values = np.asarray(
                [v.item() if isinstance(v, Tensor) else v for v in item] if isinstance(item, list) else item
            )
        except ValueError:
            raise BadType(op, "index", "nested lists of equal lengths", repr(item)) from None
        if values.dtype.kind == "i" or (values.size == 0 and not isinstance(item, np.ndarray)):
            values = values.astype(np.int64)
        if values.dtype.kind not in "bi":
            raise BadType(op, "index", "integers or bool", values.dtype)
        array = _core.from_buffer(np.ascontiguousarray(values).reshape(values.shape))
    else:
        return None
    if array.dtype is _core.int32 or (array.ndim == 0 and array.dtype in (_core.int8, _core.int16)):
        array = array.cast(_core.int64)
    if array.dtype is _core.uint8:
        warn(f"{op} takes an index of uint8 as a mask, as PyTorch does; write bool", stacklevel=2)
        array = array.cast(_core.bool)
    if array.dtype is not _core.int64 and array.dtype is not _core.bool:
        raise BadType(op, "index", "integers (int32, int64) or bool", array.dtype.name)
    # An integer (0-dim) selects: the host reads it, wherever it is.
    return array if array.ndim == 0 and array.dtype is _core.int64 else array.to_device(number)


class Plan:
    """What a key asks of an array `x`.

    steps: the views to take first, which make `base` of x. arrays: the index arrays and masks that then apply to base, each
    as (first dimension in base, number of dimensions, array, first dimension in x).
    """

    __slots__ = ("arrays", "base", "shift", "steps")

    def __init__(self, op: str, x: Array, key: Any) -> None:
        items = list(key) if isinstance(key, tuple) else [key]
        arrays = [None if type(item) in _PLAIN else _index_array(op, item, x.device) for item in items]
        used = 0
        for item, array in zip(items, arrays):
            if item is not None and item is not Ellipsis:
                used += array.ndim if array is not None and array.dtype is _core.bool else 1
        if used > x.ndim:
            raise BadIndex(op, "index", f"at most {x.ndim} indices", used)
        rest = x.ndim - used  # the first Ellipsis stands for these dimensions, and another one for none
        self.steps: list[Step] = []
        self.arrays: list[tuple[int, int, Array, int]] = []
        self.base, dim = x, 0
        self.shift = 0  # what to add to a dimension of base to get that of x
        for item, array in zip(items, arrays):
            if item is Ellipsis:
                dim += rest
                rest = 0
            elif item is None:
                self._step("unsqueeze", dim)
                dim += 1
            elif isinstance(item, slice):
                if item != _ALL:
                    self._slice(op, item, dim)
                dim += 1
            elif array is None or (array.ndim == 0 and array.dtype is _core.int64):
                self._select(op, item, dim)
            else:
                if array.ndim == 0:  # a mask; as in PyTorch, it makes a new dimension of size 1 or 0
                    self._step("unsqueeze", dim)
                    array = array.reshape((1,))
                count = array.ndim if array.dtype is _core.bool else 1
                covered = self.base.shape[dim : dim + count]
                if array.dtype is _core.bool and array.shape != covered:
                    raise BadIndex(op, "index", f"a mask of shape {covered}", array.shape)
                self.arrays.append((dim, count, array, dim + self.shift))
                dim += count

    def _step(self, method: str, *arguments: int) -> None:
        self.steps.append((method, arguments))
        self.base = getattr(self.base, method)(*arguments)
        self.shift += 1 if method == "select" else -1 if method == "unsqueeze" else 0

    def _select(self, op: str, item: Any, dim: int) -> None:
        try:
            index = operator.index(item)
        except TypeError:
            raise BadType(
                op, "index", "integers, slices, None, Ellipsis, index arrays or masks", type(item).__name__
            ) from None
        n = self.base.shape[dim]
        if not -n <= index < n:
            raise BadIndex(op, "index", f"a number in [{-n}, {n}) along dimension {dim + self.shift}", index)
        self._step("select", dim, index)

    def _slice(self, op: str, item: slice, dim: int) -> None:
        n = self.base.shape[dim]
        start, stop, step = item.indices(n)
        if step < 0:
            raise BadValue(op, "index", "a slice with a step > 0", item.step)
        if start != 0 or stop < n or step != 1:
            self._step("slice", dim, start, max(start, stop), step)


def replay(array: Array, steps: Sequence[Step]) -> Array:
    for method, arguments in steps:
        array = getattr(array, method)(*arguments)
    return array


class Rows:
    """Index arrays of a plan as the kernels take them: `index`, positions (m,) along the n of a base seen as (o, n, i)."""

    __slots__ = ("index", "order", "result", "rising", "shape", "three")

    def __init__(self, plan: Plan) -> None:
        base, arrays = plan.base, plan.arrays
        index: Array | None = None
        for dim, k, array, axis in arrays:
            n = prod(base.shape[dim : dim + k])
            if array.dtype is _core.bool:
                array = K.nonzero_flat(array, K.count_nonzero(array).item())
                if len(arrays) == 1:
                    index = array
                    break
            index = K.wrap_index(index, array, n, axis)
        assert index is not None
        self.rising = len(arrays) == 1 and arrays[0][2].dtype is _core.bool
        indexed = [d for dim, k, *_ in arrays for d in range(dim, dim + k)]
        first, last = indexed[0], indexed[-1] + 1
        self.order: list[int] | None = None
        if indexed != list(range(first, last)):  # not neighbours: as in NumPy, their common dimensions come first
            self.order = indexed + [d for d in range(base.ndim) if d not in indexed]
            base = base.permute(self.order)
            first, last = 0, len(indexed)
        self.shape = base.shape
        self.three = (prod(base.shape[:first]), prod(base.shape[first:last]), prod(base.shape[last:]))
        self.result = (*base.shape[:first], *index.shape, *base.shape[last:])
        self.index = index.reshape((-1,))

    def _ordered(self, base: Array) -> Array:
        return base if self.order is None else base.permute(self.order)

    def read(self, base: Array) -> Array:
        """The elements that are indexed."""
        return K.index_rows(self._ordered(base).reshape(self.three), self.index).view(self.result)

    def write(self, base: Array, values: Array) -> None:
        """Writes values of the result's shape."""
        o, _, i = self.three
        values = values.reshape((o, self.index.size, i))
        target = self._ordered(base)
        try:
            three = target.view(self.three)
        except ValueError:  # strides that (o, n, i) cannot have
            copy = target.clone()
            K.index_put(copy.view(self.three), self.index, values)
            K.copy(target, copy)
        else:
            K.index_put(three, self.index, values)

    def add(self, base: Array, values: Array) -> None:
        """Adds values of the result's shape, all of those that go to one element."""
        o, _, i = self.three
        target = self._ordered(base)
        try:
            three = target.view(self.three)
        except ValueError:  # strides that (o, n, i) cannot have
            three = target.reshape(self.three)
        index = self.index.view((1, self.index.size, 1)).expand((o, self.index.size, i))
        K.scatter_reduce(three, 1, index, values.reshape(index.shape), 0)
        if not three.shares_storage(target):
            K.copy(target, three.view(target.shape))

    def gradient(self, dy: Array) -> Array:
        """The gradient of the base from that of what was read."""
        o, n, i = self.three
        if self.rising and o == 1:
            dbase = K.put_rows(dy.reshape((self.index.size, i)), self.index, n, 0.0)
        else:
            dbase = K.index_rows_backward(dy.reshape((o, self.index.size, i)), self.index, n)
        dbase = dbase.reshape(self.shape)
        if self.order is None:
            return dbase
        return dbase.permute(sorted(range(len(self.order)), key=self.order.__getitem__))


# ---------------------------------------------------------------- x[...]


@gradient
def _view_backward(dy: Array, shape: tuple[int, ...], steps: Sequence[Step]) -> Array:
    dx = zeros_array(shape, dy)
    K.copy(replay(dx, steps), dy)
    return dx


@gradient
def _index_backward(dy: Array, shape: tuple[int, ...], steps: Sequence[Step], rows: Rows, index: Array) -> Array:
    dbase = rows.gradient(dy)
    if not steps:
        return dbase
    dx = zeros_array(shape, dy)
    K.copy(replay(dx, steps), dbase)
    return dx


@tensor_method("__getitem__")
def _getitem(self: Tensor, key: Any) -> Tensor:
    """Part of a tensor, by PyTorch's rules. Integers, slices, None and Ellipsis give a view. A key with index arrays
    (integers of any shape, broadcast together) or boolean masks gives a copy; its integers are applied first.

    Raises IndexError for an index out of range or a mask of the wrong shape, TypeError for keys of other types.
    """
    x = self._data
    if type(key) is int and x.ndim and -x.shape[0] <= key < x.shape[0]:  # the most frequent key
        return record_view("select", x.select(0, key), self, _view_backward, x.shape, (("select", (0, key)),))
    plan = Plan("index", x, key)
    if not plan.arrays:
        return record_view("index", plan.base, self, _view_backward, x.shape, plan.steps)
    rows = Rows(plan)
    # rows.index is named once more, so that the node frees it.
    return record("index", rows.read(plan.base), (self,), _index_backward, x.shape, plan.steps, rows, rows.index)


def _setitem_backward(ctx: Node, dy: Array) -> Any:
    steps, rows, _, value_shape, value_dtype, number = ctx.saved
    dself = dvalue = None
    if ctx.needs[0]:
        dself = dy.clone()
        overwritten = replay(dself, steps)
        if rows is None:
            K.fill(overwritten, 0.0)
        else:
            rows.write(overwritten, zeros_array((), dy).expand(rows.result))
    if ctx.needs[1]:
        dvalue = replay(dy, steps)
        if rows is not None:
            dvalue = rows.read(dvalue)
        while dvalue.ndim < len(value_shape):  # leading dimensions of size 1 that were dropped
            dvalue = dvalue.unsqueeze(0)
        dvalue = placed(sum_to(dvalue, value_shape), value_dtype, number)
    return dself, dvalue


@tensor_method("__setitem__")
def _setitem(self: Tensor, key: Any, value: Any) -> None:
    """Writes a number or a tensor, broadcast to the part's shape and converted to this tensor's dtype. If the key names an
    element more than once, its last value wins. Gradients flow to `value` and to the elements that are not overwritten.

    Raises RuntimeError for a leaf that requires grad and for views of one, ValueError for a value whose shape does not fit,
    and the errors of reading.
    """
    x = self._data
    check_inplace("setitem", self, value)
    plan = Plan("setitem", x, key)
    rows = Rows(plan) if plan.arrays else None
    shape = plan.base.shape if rows is None else rows.result
    source = value if isinstance(value, Tensor) else None
    if isinstance(value, np.ndarray | list | tuple):
        value = as_tensor(value)
    if isinstance(value, Tensor):
        array = value._data
    else:
        array = fill_array("setitem", _core.empty((), x.dtype, x.device), value, "value")
    origin = (array.shape, array.dtype, array.device)
    while array.ndim > len(shape) and array.shape[0] == 1:
        array = array.squeeze(0)
    if array.ndim > len(shape) or any(a not in (1, b) for a, b in zip(array.shape[::-1], shape[::-1])):
        raise BadValue("setitem", "value", f"a shape that broadcasts to {shape}", origin[0])
    if array.shares_storage(x):
        array = array.clone()
    array = placed(array, x.dtype, x.device).expand(shape)
    if rows is None:
        K.copy(plan.base, array)
    else:
        rows.write(plan.base, array)
    index = None if rows is None else rows.index
    record_inplace("setitem", self, (self, source), _setitem_backward, plan.steps, rows, index, *origin)


# ---------------------------------------------------------------- by dimension


@gradient
def _index_select_backward(dy: Array, shape: tuple[int, ...], dim: int, index: Array) -> Array:
    three = (prod(shape[:dim]), index.size, prod(shape[dim + 1 :]))
    return K.index_rows_backward(dy.reshape(three), index, shape[dim]).view(shape)


@tensor_method
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A copy of the entries `index` of dimension `dim`, which gets the length of `index`: (m,), int64 or int32.

    Raises IndexError for an index outside [0, size).
    """
    if out is not None:
        return into("index_select", out, index_select(input, dim, index))
    x, entries = as_array("index_select", "input", input), ids_array("index_select", "index", index)
    if entries.ndim != 1:
        if entries.ndim:
            raise BadValue("index_select", "index", "1 dimension", f"shape {tuple(entries.shape)}")
        entries = entries.view((1,))
    if x.ndim == 0:
        return index_select(input.reshape(1), dim, index).reshape(())
    dim = normal_dim("index_select", dim, x.ndim)
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    y = K.index_rows(x.reshape((prod(before), x.shape[dim], prod(after))), entries)
    y = y.view((*before, entries.size, *after))
    return record("index_select", y, (input,), _index_select_backward, x.shape, dim, entries)


@gradient
def _gather_backward(dy: Array, shape: tuple[int, ...], dim: int, index: Array) -> Array:
    dx = zeros_array(shape, dy)
    if index.size:
        K.scatter_add(dx, dim, index, dy)
    return dx


@tensor_method
def gather(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """y[i][j][k] = input[index[i][j][k]][j][k] for dim = 0 and three dimensions, and so on. Returns the shape of `index`.

    index: int64 or int32, with as many dimensions as `input`; none of its sizes may exceed that of input, except in `dim`.

    Raises IndexError for an index outside [0, size).
    """
    if out is not None:
        return into("gather", out, gather(input, dim, index))
    x, entries = as_array("gather", "input", input), as_array("gather", "index", index)
    entries = ids_array("gather", "index", index) if entries.size else entries.cast(_core.int64)
    dim = normal_dim("gather", dim, x.ndim)
    if x.ndim == 0 and entries.ndim <= 1:
        return gather(input.reshape(1), 0, index.reshape(-1)).reshape(entries.shape)
    y = K.gather(x, dim, entries) if entries.size else _core.empty(entries.shape, x.dtype, x.device)
    return record("gather", y, (input,), _gather_backward, x.shape, dim, entries)


@tensor_method
@explained
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with input and indices broadcast in all dimensions except `dim`; negative indices count from the end. None: both are
    flattened first."""
    if dim is None:
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    n, entries = as_array("take_along_dim", "input", input).ndim, ids_array("take_along_dim", "indices", indices)
    if indices.ndim != n:
        raise BadValue("take_along_dim", "indices", f"as many dimensions as input, which has {n}", indices.ndim)
    dim = normal_dim("take_along_dim", dim, n)
    common = np.broadcast_shapes(*((*s[:dim], 1, *s[dim + 1 :]) for s in (input.shape, indices.shape)))
    sizes = [-1 if d == dim else s for d, s in enumerate(common)]
    wrapped = Tensor(called_as("take_along_dim", K.wrap_index, None, entries, input.shape[dim], dim))
    return gather(input.expand(sizes), dim, wrapped.expand(sizes))


# ---------------------------------------------------------------- masks


@gradient
def _masked_select_backward(dy: Array, input_shape: tuple[int, ...], shape: tuple[int, ...], index: Array) -> Array:
    dx = K.put_rows(dy.reshape((index.size, 1)), index, prod(shape), 0.0).view(shape)
    return sum_to(dx, input_shape)


@tensor_method
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements at which `mask` (bool) is true, (m,), in row-major order. Input and mask are broadcast together."""
    x, chosen = as_array("masked_select", "input", input), as_array("masked_select", "mask", mask)
    if chosen.dtype is not _core.bool:
        raise BadType("masked_select", "mask", "bool", chosen.dtype.name)
    try:
        shape = np.broadcast_shapes(x.shape, chosen.shape)
    except ValueError:
        raise BadValue(
            "masked_select", "mask", f"a shape that broadcasts with {tuple(x.shape)}", chosen.shape
        ) from None
    chosen = chosen.expand(shape)
    index = K.nonzero_flat(chosen, K.count_nonzero(chosen).item())
    y = K.index_rows(x.expand(shape).reshape((1, prod(shape), 1)), index).view((index.size,))
    return record("masked_select", y, (input,), _masked_select_backward, x.shape, shape, index)


@tensor_method
@explained
def count_nonzero(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The number of elements that are not 0, over the dimensions `dim` (None: all): int64."""
    x = as_array("count_nonzero", "input", input)
    if dim is None:
        return Tensor(K.count_nonzero(x))
    return called_as("count_nonzero", sum, Tensor(K.ne(x, 0)), dim)


@tensor_method
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: int64 (count, ndim), in row-major order.

    as_tuple: a tuple of int64 (count,), one for each dimension, instead."""
    x = as_array("nonzero", "input", input)
    if as_tuple and x.ndim == 0:
        x = x.reshape((1,))
    found = K.nonzero(x, K.count_nonzero(x).item(), x.ndim)
    return tuple([Tensor(found.select(1, d)) for d in range(x.ndim)]) if as_tuple else Tensor(found)


@tensor_method
def argwhere(input: Tensor) -> Tensor:
    """`nonzero(input)`: the indices of the elements that are not 0, int64 (count, ndim)."""
    return nonzero(input)
