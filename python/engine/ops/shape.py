"""Views of a tensor's memory in another shape, and joining tensors.

Views copy nothing, forward or backward, with one exception: the gradient of a part is written into zeros of the whole
tensor's shape. The outputs of split, chunk and unbind belong to one node: their gradients are joined in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import Node, record, record_view
from engine.autograd.views import mark_view
from engine.errors import BadIndex, BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.convert import into
from engine.ops.operands import gradient, sum_to, zeros_array
from engine.ops.sizes import few_enough, listed, normal_dim, sizes_of
from engine.ops.strided import as_dtype
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concat",
    "flatten",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "reshape",
    "select",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "t",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
]

K = _core.kernels


# ---------------------------------------------------------------- one shape for another


_reshape_backward = gradient(Array.reshape)


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape; one size may be -1. A view if the strides allow it, otherwise a copy."""
    return _reshape(input, shape)


@tensor_method("reshape")
def _reshape(self: Tensor, *each: Any, shape: Sequence[int] = ()) -> Tensor:
    """`engine.reshape`; the sizes may be given one by one."""
    x = as_array("reshape", "input", self)
    y = x.reshape(sizes_of("reshape", "shape", each or (shape,)))
    if y.shares_storage(x):
        return record_view("reshape", y, self, _reshape_backward, x.shape)
    return record("reshape", y, (self,), _reshape_backward, x.shape)


@tensor_method
def view(input: Tensor, *shape: Any, size: Sequence[int] = (), dtype: DType | None = None) -> Tensor:
    """`reshape` that never copies. Raises ValueError if the strides do not allow a view.

    view(dtype): the same bytes as elements of that dtype, without a gradient; if these differ in size, the last dimension changes."""
    if dtype is not None or (len(shape) == 1 and type(shape[0]) is DType):
        return as_dtype(input, shape[0] if dtype is None else dtype)
    x = as_array("view", "input", input)
    return record_view("view", x.view(sizes_of("view", "shape", shape or (size,))), input, _reshape_backward, x.shape)


@tensor_method("view_as")
def _view_as(input: Tensor, other: Tensor) -> Tensor:
    """`view` in other's shape."""
    return view(input, as_array("view_as", "other", other).shape)


@tensor_method("reshape_as")
def _reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`reshape` to other's shape."""
    return reshape(input, as_array("reshape_as", "other", other).shape)


@tensor_method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim, both included, joined into one."""
    shape = as_array("flatten", "input", input).shape
    first = normal_dim("flatten", start_dim, len(shape), "start_dim")
    last = normal_dim("flatten", end_dim, len(shape), "end_dim")
    if first > last:
        raise BadValue("flatten", "end_dim", f"a dimension at or after start_dim, which is {start_dim}", end_dim)
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


@tensor_method
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension: a view if the strides allow it, otherwise a copy."""
    return reshape(input, (-1,))


@tensor_method
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Dimension `dim` replaced by dimensions of the given sizes, whose product is its size; one of them may be -1."""
    x = as_array("unflatten", "input", input)
    dim, shape = _part_dim("unflatten", x, dim), x.shape
    sizes = sizes_of("unflatten", "sizes", (listed("unflatten", "sizes", sizes),))
    known = prod(s for s in sizes if s != -1)
    if sizes.count(-1) > 1 or (known != shape[dim] if -1 not in sizes else known < 1 or shape[dim] % known):
        raise BadValue("unflatten", "sizes", f"sizes whose product is {shape[dim]}", sizes)
    return reshape(input, (*shape[:dim], *(shape[dim] // known if s == -1 else s for s in sizes), *shape[dim + 1 :]))


_squeeze_backward = gradient(Array.view)


@tensor_method
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The tensor without its dimensions of size 1. dim: consider only these dimensions."""
    x = as_array("squeeze", "input", input)
    dims = range(x.ndim) if dim is None else listed("squeeze", "dim", dim)
    chosen = {normal_dim("squeeze", d, x.ndim) for d in dims}
    shape = tuple([s for i, s in enumerate(x.shape) if s != 1 or i not in chosen])
    return record_view("squeeze", x.view(shape), input, _squeeze_backward, x.shape)


@tensor_method
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """The tensor with a new dimension of size 1 at position `dim` of the result."""
    x = as_array("unsqueeze", "input", input)
    try:
        y = x.unsqueeze(dim)
    except TypeError:
        y = x.unsqueeze(normal_dim("unsqueeze", dim, x.ndim + 1))
    return record_view("unsqueeze", y, input, _squeeze_backward, x.shape)


# ---------------------------------------------------------------- the order of dimensions


_permute_backward = gradient(Array.permute)


def _permuted(name: str, input: Tensor, dims: Sequence[int]) -> Tensor:
    y = input._data.permute(dims)
    inverse = sorted(range(len(dims)), key=lambda i: dims[i] % len(dims))
    return record_view(name, y, input, _permute_backward, inverse)


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The dimensions in the order `dims`."""
    return _permute(input, dims)


@tensor_method("permute")
def _permute(self: Tensor, *each: Any, dims: Sequence[int] = ()) -> Tensor:
    """`engine.permute`; the dimensions may be given one by one."""
    as_array("permute", "input", self)
    return _permuted("permute", self, sizes_of("permute", "dims", each or (dims,)))


_transpose_backward = gradient(Array.transpose)


@tensor_method("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions dim0 and dim1 exchanged."""
    x = as_array("transpose", "input", input)
    try:
        y = x.transpose(dim0, dim1)
    except TypeError:
        dim0, dim1 = normal_dim("transpose", dim0, x.ndim, "dim0"), normal_dim("transpose", dim1, x.ndim, "dim1")
        y = x.transpose(dim0, dim1)
    return record_view("transpose", y, input, _transpose_backward, dim0, dim1)


swapaxes = transpose


@tensor_method
def t(input: Tensor) -> Tensor:
    """A matrix transposed. Tensors with fewer than two dimensions stay as they are."""
    n = as_array("t", "input", input).ndim
    if n > 2:
        raise BadValue("t", "input", "at most 2 dimensions", n, "use .mT for a batch of matrices")
    return transpose(input, 0, 1) if n == 2 else view(input, input.shape)


def _last_two(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, which transposes every matrix of a batch."""
    require(input.ndim >= 2, "mT", "self", "at least 2 dimensions", input.ndim)
    return transpose(input, -2, -1)


def _all_reversed(input: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return _permuted("T", input, range(input.ndim)[::-1])


setattr(Tensor, "mT", property(_last_two))  # noqa: B010 - a property, as PyTorch has it
setattr(Tensor, "T", property(_all_reversed))  # noqa: B010


@tensor_method
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions `source` moved to the places `destination`; the others keep their order."""
    n = as_array("movedim", "input", input).ndim
    sources, targets = (
        [normal_dim("movedim", d, n, arg) for d in listed("movedim", arg, dims)]
        for dims, arg in ((source, "source"), (destination, "destination"))
    )
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise BadValue("movedim", "destination", f"as many different dimensions as source, {source}", destination)
    rest = iter([d for d in range(n) if d not in sources])
    return _permuted("movedim", input, [sources[targets.index(i)] if i in targets else next(rest) for i in range(n)])


# ---------------------------------------------------------------- expanding


_expand_backward = gradient(sum_to)


@tensor_method
def expand(input: Tensor, *sizes: Any, size: Sequence[int] = ()) -> Tensor:
    """Dimensions of size 1 repeated without a copy (stride 0). New dimensions come first; -1 keeps a size."""
    x = as_array("expand", "input", input)
    y = x.expand(sizes_of("expand", "sizes", sizes or (size,)))
    return record_view("expand", y, input, _expand_backward, x.shape)


@tensor_method
def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same as `Tensor.expand`."""
    return expand(input, shape)


@tensor_method("expand_as")
def _expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`expand` to other's shape."""
    return expand(input, as_array("expand_as", "other", other).shape)


# ---------------------------------------------------------------- parts


def narrow_array(array: Array, dim: int, start: int, length: int) -> Array:
    return array.slice(dim, start, start + length, 1)


@gradient
def _narrow_backward(dy: Array, shape: tuple[int, ...], dim: int, start: int) -> Array:
    dx = zeros_array(shape, dy)
    K.copy(narrow_array(dx, dim, start, dy.shape[dim]), dy)
    return dx


@tensor_method
@explained
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Elements start to start + length - 1 of dimension `dim`. A negative start counts from the end."""
    x = as_array("narrow", "input", input)
    dim = _part_dim("narrow", x, dim)
    n = x.shape[dim]
    if not -n <= start <= n:
        raise BadIndex("narrow", "start", f"a number in [{-n}, {n}]", start)
    start += n if start < 0 else 0
    if not 0 <= length <= n - start:
        raise BadValue("narrow", "length", f"a number in [0, {n - start}]", length)
    return record_view("narrow", narrow_array(x, dim, start, length), input, _narrow_backward, x.shape, dim, start)


@gradient
def _select_backward(dy: Array, shape: tuple[int, ...], dim: int, index: int) -> Array:
    dx = zeros_array(shape, dy)
    K.copy(dx.select(dim, index), dy)
    return dx


@tensor_method
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Element `index` of dimension `dim`, without that dimension."""
    x = as_array("select", "input", input)
    try:
        y = x.select(dim, index)
    except TypeError:
        dim = _part_dim("select", x, dim)
        index = normal_dim("select", index, x.shape[dim], "index")
        y = x.select(dim, index)
    return record_view("select", y, input, _select_backward, x.shape, dim, index)


def join(arrays: Sequence[Array], dim: int, shape: tuple[int, ...]) -> Array:
    """An array of `shape` that holds arrays of one dtype, contiguous or not, one after the other along `dim`."""
    y = _core.empty((prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])), arrays[0].dtype, arrays[0].device)
    K.cat(y, arrays)
    return y.view(shape)


def _parts_backward(ctx: Node, *gradients: Array | None) -> Any:
    shape, dim, lengths, drop = ctx.saved
    known = next(g for g in gradients if g is not None)
    # A part from which nothing was computed has no gradient: zeros of stride 0 take its place.
    nothing = zeros_array((1,) * len(shape), known)
    parts = [
        nothing.expand((*shape[:dim], n, *shape[dim + 1 :])) if g is None else g.unsqueeze(dim) if drop else g
        for g, n in zip(gradients, lengths)
    ]
    return join(parts, dim, shape)


def _parts(name: str, input: Tensor, dim: int, lengths: Sequence[int], drop: bool = False) -> tuple[Tensor, ...]:
    x = input._data
    arrays, start = [], 0
    for n in lengths:
        arrays.append(x.select(dim, start) if drop else narrow_array(x, dim, start, n))
        start += n
    saved = (x.shape, dim, lengths, drop)
    parts = record(name, tuple(arrays), (input,), _parts_backward, *saved)
    for part in parts:
        mark_view(part, input)
    return parts


@tensor_method("split")
@explained
def _split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views along `dim`: of the given size each (the last may be smaller), or of the given sizes one by one."""
    return split(self, split_size, dim)


@explained
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views along `dim`: of the given size each (the last may be smaller), or of the given sizes one by one."""
    x = as_array("split", "tensor", tensor)
    dim = _part_dim("split", x, dim)
    n = x.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n > 0):
            raise BadValue("split", "split_size_or_sections", "a number > 0", size)
        return _parts("split", tensor, dim, [min(size, n - at) for at in range(0, n, size)] if n else [0])
    given = listed("split", "split_size_or_sections", split_size_or_sections)
    lengths = sizes_of("split", "split_size_or_sections", (given,))
    if sum(lengths) != n or any(s < 0 for s in lengths):
        raise BadValue("split", "split_size_or_sections", f"sizes >= 0 that add up to {n}", lengths)
    return _parts("split", tensor, dim, lengths)


@tensor_method
@explained
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views along `dim`, of the same size except for the last, which may be smaller."""
    x = as_array("chunk", "input", input)
    require(chunks > 0, "chunk", "chunks", "a number > 0", chunks)
    dim = _part_dim("chunk", x, dim)
    if x.shape[dim] == 0:
        few_enough("chunk", "chunks", chunks)
        return _parts("chunk", input, dim, [0] * chunks)
    return split(input, -(-x.shape[dim] // chunks), dim)


@tensor_method
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view for each element of dimension `dim`, without that dimension."""
    x = as_array("unbind", "input", input)
    dim = _part_dim("unbind", x, dim)
    return _parts("unbind", input, dim, [1] * x.shape[dim], drop=True)


def _part_dim(op: str, x: Array, dim: int) -> int:
    if x.ndim == 0:
        raise BadValue(op, "input", "at least one dimension", "a 0-dim tensor")
    return normal_dim(op, dim, x.ndim)


@tensor_method("__iter__")
def _iter(input: Tensor) -> Iterator[Tensor]:
    require(input.ndim, "iter", "self", "at least one dimension", "a 0-dim tensor", error=BadType)
    return iter(unbind(input, 0))


# ---------------------------------------------------------------- joining


def _cat_backward(ctx: Node, dy: Array) -> Any:
    dim, lengths, dtypes = ctx.saved
    start, gradients = 0, []
    for n, dtype, needed in zip(lengths, dtypes, ctx.needs):
        if n is None:  # left out
            gradients.append(zeros_array((0,), dy).cast(dtype) if needed else None)
            continue
        gradients.append(narrow_array(dy, dim, start, n).cast(dtype) if needed else None)
        start += n
    return tuple(gradients)


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None) -> Tensor:
    """Tensors one after the other along dimension `dim` (or `axis`, NumPy's name). Their other sizes must be equal; dtypes are promoted.

    As in PyTorch, empty tensors of shape (0,) are left out.
    """
    if out is not None:
        return into("cat", out, cat(tensors, dim, axis=axis))
    dtype, arrays = _joined_arrays("cat", tensors)
    left_out = [a.shape == (0,) for a in arrays]
    if all(left_out):
        left_out = [False] * len(arrays)
    first = arrays[left_out.index(False)]
    if first.ndim == 0:
        raise BadValue("cat", "tensors", "at least one dimension", "a 0-dim tensor")
    dim = normal_dim("cat", dim if axis is None else axis, first.ndim)
    before, after = first.shape[:dim], first.shape[dim + 1 :]
    for i, (a, empty) in enumerate(zip(arrays, left_out)):
        if not empty and (a.ndim != first.ndim or a.shape[:dim] != before or a.shape[dim + 1 :] != after):
            raise BadValue(
                "cat", f"tensors[{i}]", f"the sizes of {tuple(first.shape)} except in dimension {dim}", a.shape
            )
    parts = [a.cast(dtype) for a, empty in zip(arrays, left_out) if not empty]
    lengths = [None if empty else a.shape[dim] for a, empty in zip(arrays, left_out)]
    y = join(parts, dim, (*before, sum(n or 0 for n in lengths), *after))
    return record("cat", y, list(tensors), _cat_backward, dim, lengths, [a.dtype for a in arrays])


concat = cat


def _stack_backward(ctx: Node, dy: Array) -> Any:
    dim, dtypes = ctx.saved
    return tuple([dy.select(dim, i).cast(d) if ctx.needs[i] else None for i, d in enumerate(dtypes)])


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape joined along a new dimension `dim` (or `axis`, NumPy's name); dtypes are promoted."""
    if out is not None:
        return into("stack", out, stack(tensors, dim, axis=axis))
    dtype, arrays = _joined_arrays("stack", tensors)
    shape = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise BadValue("stack", f"tensors[{i}]", f"shape {shape}", a.shape)
    dim = normal_dim("stack", dim if axis is None else axis, len(shape) + 1)
    y = join([a.cast(dtype).unsqueeze(dim) for a in arrays], dim, (*shape[:dim], len(arrays), *shape[dim:]))
    return record("stack", y, list(tensors), _stack_backward, dim, [a.dtype for a in arrays])


def _joined_arrays(op: str, tensors: Sequence[Tensor]) -> tuple[Any, list[Array]]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, list | tuple):
        raise BadType(op, "tensors", "a list or tuple of Tensors", type(tensors).__name__)
    arrays = [as_array(op, f"tensors[{i}]", x) for i, x in enumerate(tensors)]
    if not arrays:
        raise BadValue(op, "tensors", "at least one tensor", "none")
    dtype = arrays[0].dtype
    for a in arrays[1:]:
        dtype = _core.promote_types(dtype, a.dtype)
    return dtype, arrays
