"""Tensors that share memory, and writing in place: how the history of each of them follows.

All views of a tensor, and views of those, know one base: the tensor that is no view. A recorded in-place op on a view becomes the
last op in the history of the base, because the base's elements have changed. Other views of the base then lag behind. A view
that lags behind gets a new history when it is used: a part of the base as it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.modes import mode
from engine.autograd.node import Node
from engine.errors import BadState
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["check_inplace", "mark_view", "record_inplace"]

K = _core.kernels

_UNRECORDED = "a view that was taken under no_grad"
OF_FUNCTION = "an output of a Function that shares memory with its input"


def mark_view(tensor: Tensor, source: Tensor, refused: str = "") -> None:
    """Notes that `tensor` is a view of `source`. refused: why gradients cannot follow an in-place op on it; "": they can.

    A view taken under no_grad is cut off from the history of its source on purpose."""
    if source._requires_grad and not tensor._requires_grad:
        tensor._base = (None, None, _UNRECORDED)
    elif source._base is None:
        tensor._base = (source, source._node, refused)
    else:
        base, node, reason = source._base
        tensor._base = (base, node, refused) if refused else (base, node, reason)


def sole_owner(tensor: Tensor) -> Tensor:
    """The tensor, no longer marked as a view, so that it can be written in place: nobody else holds the memory under it."""
    tensor._base = None
    return tensor


class Place:
    """Where a view and its base lie in memory, from the first of their elements on. as_strided makes views that reach beyond the base."""

    def __init__(self, view: Array, base: Array) -> None:
        shift = view.offset - base.offset
        self.base, self.view = (base.shape, base.strides, max(-shift, 0)), (view.shape, view.strides, max(shift, 0))
        self.room = max(_end(*self.base), _end(*self.view), 1)
        self.beyond = shift < 0 or self.room > _end(*self.base)  # whether memory of the view may lie outside the base

    def memory(self, like: Array) -> Array:
        """The memory of both, with undefined contents; of the dtype and on the device of `like`."""
        return _core.empty((self.room,), like.dtype, like.device)

    def whole(self, memory: Array) -> Array:
        """The base in its memory."""
        return memory.as_strided(*self.base)

    def part(self, memory: Array) -> Array:
        """The view in the memory of its base."""
        return memory.as_strided(*self.view)


def _end(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> int:
    return offset + 1 + sum((n - 1) * stride for n, stride in zip(shape, strides))


def part_backward(node: Node, dy: Array) -> Array:
    """The gradient of the base from that of a view; `node` saved their Place."""
    (place,) = node.saved
    memory = place.memory(dy)
    K.fill(memory, 0.0)
    part = place.part(memory)
    if part.overlaps_itself:
        numbers = K.arange(memory.size, 0.0, 1.0, 0, 1, _core.int64.code, device=dy.device)
        K.scatter_add(memory, 0, place.part(numbers).reshape((-1,)), dy.reshape((-1,)))
    else:
        K.copy(part, dy)
    return place.whole(memory)


def _set_history(tensor: Tensor, node: Node) -> None:
    before = tensor._node
    if before is not None and before._retained:  # retain_grad means the tensor's present value
        before.hand_over(tensor._index, tensor, node)
    node.outputs = (tensor._data.meta,)
    tensor._node, tensor._index, tensor._requires_grad = node, 0, True


def refresh(name: str, tensor: Tensor) -> None:
    """Gives the view `tensor` a new history if a recorded in-place op has written to its base since the view was taken.

    Raises RuntimeError for an output of a Function, whose backward knows nothing of what was written.
    """
    assert tensor._base is not None
    base, node, refused = tensor._base
    if base is None or base._node is node:
        return
    if refused:
        expected = "memory that no in-place operation has changed since the Function was called"
        raise BadState(name, "input", expected, refused, "use .clone() in forward")
    x, y = tensor._data, base._data
    if not x.shares_storage(y):
        expected, got = "a view that is newer than the last operation on its base", "an older one"
        raise BadState(name, "input", expected, f"{got}, of shape {x.shape}", "the base has got other memory since")
    tensor._base = (base, base._node, "")
    _set_history(tensor, Node("view", (base,), part_backward, (Place(x, y),)))


@tensor_method("_follow_base")
def _follow_base(self: Tensor) -> None:
    refresh("autograd", self)


def check_inplace(name: str, tensor: Tensor, value: Any = None) -> None:
    """Raises RuntimeError if writing `value` to `tensor` in place would make gradients wrong, or write to one place in memory
    twice. Call it before anything is written."""
    if as_array(name, "self", tensor).overlaps_itself:
        raise BadState(
            name,
            "self",
            "a tensor whose elements lie in different places in memory",
            f"a view of shape {tuple(tensor.shape)} in which some elements share a place",
            "use .clone() first",
        )
    if not mode.enabled:
        return
    if tensor._base is not None:
        refresh(name, tensor)
    needed = tensor._requires_grad
    if isinstance(value, Tensor):
        if value._base is not None:
            refresh(name, value)
        needed = needed or value._requires_grad
    if not needed:
        if tensor._base is not None and tensor._base[2] is _UNRECORDED:  # the source's history would not follow
            raise BadState(
                name, "self", "a view that follows its source", _UNRECORDED, "write under engine.no_grad() too"
            )
        return
    if tensor._requires_grad and tensor._node is None:
        got = "a leaf that requires grad"
        raise BadState(name, "self", "a tensor that is not a leaf", got, "write under engine.no_grad()")
    if tensor._base is None:
        return
    base, _, refused = tensor._base
    if refused:
        raise BadState(name, "self", "a tensor whose memory no other tensor shares", refused, "use .clone() first")
    if tensor._requires_grad and base is not None and base._node is None:
        got = "a view of a leaf that requires grad"
        raise BadState(name, "self", "a tensor that is not a view of a leaf", got, "write under engine.no_grad()")


def record_inplace(
    name: str, tensor: Tensor, inputs: Sequence[Tensor | None], backward: Callable[..., Any], *saved: Any
) -> Tensor:
    """Call it after an in-place op on `tensor`, one of `inputs`: the op becomes the last of the tensor's history.

    Nothing is recorded for an integer tensor, which has no gradient."""
    if mode.enabled and any(x is not None and x._requires_grad for x in inputs):
        if not tensor._data.dtype.is_floating_point:
            return tensor
        node = Node(name, inputs, backward, saved)
        if tensor._base is None:
            _set_history(tensor, node)
        else:
            base = tensor._base[0]
            assert base is not None  # check_inplace has refused others
            node.outputs = (tensor._data.meta,)
            at = next(i for i, x in enumerate(inputs) if x is tensor)
            _set_history(base, _PartWritten(node, at, base, Place(tensor._data, base._data)))
            refresh(name, tensor)
    return tensor


class _PartWritten(Node):
    """An in-place op on a view, as an op on the base: its first input is the base, the others are those of the op."""

    def __init__(self, inner: Node, at: int, base: Tensor, place: Place) -> None:
        super().__init__(inner.op, (base,), _PartWritten.run, ())
        self.inner, self.at, self.place = inner, at, place
        self.edges += [edge for i, edge in enumerate(inner.edges) if i != at]

    def run(self, dy: Array) -> tuple[Any, ...]:
        """The gradients of the base as it was, and of the op's other inputs."""
        memory = self.place.memory(dy)
        whole, part = self.place.whole(memory), self.place.part(memory)
        if self.place.beyond:
            K.fill(memory, 0.0)
        K.copy(whole, dy)
        results = self.inner.backward(self.inner, part.clone())
        results = list(results) if type(results) is tuple else [results]
        through = results.pop(self.at)
        if through is None:
            K.fill(part, 0.0)
        else:
            K.copy(part, through)
        return (None if self.edges[0] is None else whole, *results)

    def free(self) -> None:
        self.inner.free()
