"""The tape: what each differentiable op leaves behind, and the walk back over it.

An op computes on Arrays and calls `record`. If an input requires a gradient, the outputs get a Node, which holds the op's
backward function and what the op saved. `backward` visits nodes from the newest to the oldest. All nodes that use a node's
outputs are newer than it, so its gradient is complete when it is visited. There is no recursion, and each node frees what
it saved after its visit.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from heapq import heappop, heappush
from itertools import count
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.rows import RowGradient, RowSum, dense
from engine.device import device_of
from engine.errors import BadState, BadValue
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "Node",
    "backward",
    "check_inplace",
    "enable_grad",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "record",
    "record_inplace",
    "record_view",
    "set_grad_enabled",
]

K = _core.kernels
_numbers = count()  # nodes in the order in which they are made
_new = Tensor.__new__
_NOTHING: Any = {}  # never written to
Edge = Any  # None, a leaf Tensor, or (Node, output index)


class _GradMode(threading.local):
    enabled = True
    recorder: Any = None  # inside a checkpoint: recorder(node, saved) takes what a node saves and returns what it keeps


_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Whether ops are recorded in this thread."""
    return _mode.enabled


class _SetGrad:
    """Context manager and decorator that switches recording on or off in this thread."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_mode.enabled)
        _mode.enabled = self._enabled

    def __exit__(self, *_: object) -> None:
        _mode.enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from inspect import isgeneratorfunction

        @wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            """The mode holds while the body of the generator runs; in between the caller has its own."""
            inner = function(*args, **kwargs)
            resume: Any = inner.send
            value: Any = None
            while True:
                try:
                    with _SetGrad(self._enabled):
                        item = resume(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    resume, value = inner.send, (yield item)
                except BaseException as error:  # the caller threw it in; GeneratorExit if it closes the generator
                    resume, value = inner.throw, error

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _SetGrad(self._enabled):
                return function(*args, **kwargs)

        return generator if isgeneratorfunction(function) else wrapped


class no_grad(_SetGrad):
    """`with engine.no_grad():` or `@engine.no_grad()`: ops are not recorded."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_SetGrad):
    """`with engine.enable_grad():` or `@engine.enable_grad()`: ops are recorded, also inside no_grad."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(no_grad):
    """The same as no_grad. PyTorch's inference_mode restricts what can be done with the results; this one does not."""


class set_grad_enabled(_SetGrad):
    """Switches recording on or off at once. As a context manager it restores the mode of before at the end."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outer = _mode.enabled
        _mode.enabled = mode

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _mode.enabled = self._enabled


class Node:
    """One differentiable call. `backward(node, *gradients)` returns a gradient (Array or None) for each input."""

    # Defaults are set on the class, because every op of a training step pays for what `__init__` sets.
    outputs: tuple[tuple[tuple[int, ...], Any, int], ...] = ()  # shape, dtype and device of each
    _versions: Sequence[int | None] = ()
    _hooks: dict[int, dict[int, Any]] = _NOTHING  # by output, then by the hook's number
    _retained: dict[int, weakref.ref[Tensor]] = _NOTHING  # by output
    _call: Any = None  # the call of a checkpointed function, which runs again to make what the op saved

    def __init__(
        self, name: str, inputs: Sequence[Tensor | None], backward: Callable[..., Any], saved: tuple[Any, ...]
    ) -> None:
        self.name = name
        self.backward = backward
        self.number = next(_numbers)
        self.edges: list[Edge] = [
            None if x is None or not x._requires_grad else x if x._node is None else (x._node, x._index) for x in inputs
        ]
        self._saved: tuple[Any, ...] | None = saved
        if saved:
            self._versions = [a.version if type(a) is Array else None for a in saved]
            if _mode.recorder is not None:
                self._saved = _mode.recorder(self, saved)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs need a gradient."""
        return tuple([edge is not None for edge in self.edges])

    @property
    def saved(self) -> tuple[Any, ...]:
        """What the op saved. Raises RuntimeError if it was freed or has been overwritten since."""
        if self._call is not None:
            self._call.again()
        if self._saved is None:
            raise freed(self.name)
        for i, version in enumerate(self._versions):
            if version is not None and self._saved[i].version != version:
                array = self._saved[i]
                got = f"array {i} of shape {array.shape}, modified by an in-place operation"
                hint = f"it was saved at version {version} and is at version {array.version}"
                raise BadState(self.name, "backward", "the arrays that the op saved, unchanged", got, hint)
        return self._saved

    def hooks_of(self, index: int) -> dict[int, Any]:
        """The hooks of the output with that number; the caller may add to them."""
        self._hooks = self._hooks or {}
        return self._hooks.setdefault(index, {})

    def retain(self, index: int, tensor: Tensor) -> None:
        """Puts the gradient of that output into `tensor.grad` too, as long as the tensor lives."""
        self._retained = {**self._retained, index: weakref.ref(tensor)}

    def free(self) -> None:
        """Lets go of the arrays that the op saved. A node that saved no array stays as it is and can be visited again."""
        if any(version is not None for version in self._versions):
            self._saved = self._call = None


def freed(name: str) -> BadState:
    """The error of a second walk over a graph that the first one freed."""
    return BadState(
        name,
        "backward",
        "a graph that backward has not freed",
        "one that it has freed",
        "pass retain_graph=True to the first backward",
    )


def record(
    name: str,
    outputs: Array | tuple[Array, ...],
    inputs: Sequence[Tensor | None],
    backward: Callable[..., Any],
    *saved: Any,
) -> Any:
    """The Tensor of an op's output Array (or the tuple of them), with a Node if an input requires a gradient.

    name: of the op. inputs: the Tensors that gradients may flow to; None for other arguments. backward(node, *gradients):
    returns a gradient (Array or None) for each input. saved: what backward finds in `node.saved`; Arrays among it must not be
    overwritten before.
    """
    node = None
    if _mode.enabled:
        for x in inputs:
            if x is not None:
                if x._base is not None:
                    check_view(name, x)
                if x._requires_grad and node is None:
                    node = Node(name, inputs, backward, saved)
    if isinstance(outputs, Array):
        tensor = _new(Tensor)
        tensor._data = outputs
        if node is not None:
            node.outputs = (outputs.meta,)
            tensor._node = node
            tensor._requires_grad = True
        return tensor
    tensors = tuple(Tensor(a) for a in outputs)
    if node is not None:
        node.outputs = tuple([a.meta for a in outputs])
        for i, tensor in enumerate(tensors):
            if tensor.dtype.is_floating_point:  # indices, for example, have no gradient
                tensor._node, tensor._index, tensor._requires_grad = node, i, True
    return tensors


def will_record(*inputs: Tensor | None) -> bool:
    """Whether `record` will make a node for these inputs, so that the op has to compute what its backward needs."""
    return _mode.enabled and any(x is not None and x._requires_grad for x in inputs)


def record_view(name: str, output: Array, input: Tensor, backward: Callable[..., Any], *saved: Any) -> Tensor:
    """`record` for an op whose output shares the memory of its input. check_view and check_inplace rely on it."""
    tensor: Tensor = record(name, output, (input,), backward, *saved)
    mark_view(tensor, input)
    return tensor


def mark_view(tensor: Tensor, base: Tensor) -> None:
    """Notes that `tensor` is a view of `base`. A view taken under no_grad is cut off from the history of base on purpose."""
    followed = tensor._requires_grad or not base._requires_grad
    tensor._base = (base, base._node) if followed else (None, None)


def sole_owner(tensor: Tensor) -> Tensor:
    """The tensor, no longer marked as a view, so that it can be written in place: nobody else holds the memory under it."""
    tensor._base = None
    return tensor


def check_view(name: str, tensor: Tensor) -> None:
    """Raises RuntimeError if a recorded in-place op has written to the base of the view `tensor` since the view was taken: then
    the view's elements have changed, but its history does not say how."""
    view: Tensor | None = tensor
    while view is not None and view._base is not None:
        base, node = view._base
        if base is not None and base._node is not node:
            raise BadState(
                name,
                "input",
                "a view that is newer than the last in-place operation on its base",
                f"an older one, of shape {tensor.shape}",
                "take the view again after the operation",
            )
        view = base


def check_inplace(name: str, tensor: Tensor, value: Any = None) -> None:
    """Raises RuntimeError if writing `value` to `tensor` in place would make gradients wrong, or write to one place in memory
    twice. Call it before anything is written."""
    if tensor._data.overlaps_itself:
        raise BadState(
            name,
            "self",
            "a tensor whose elements lie in different places in memory",
            f"a view of shape {tensor.shape} in which some elements share a place",
            "use .clone() first",
        )
    if not _mode.enabled:
        return
    check_view(name, tensor)
    if isinstance(value, Tensor):
        check_view(name, value)
        if value._requires_grad and tensor._base is not None:
            hint = "the value requires grad: write to the tensor of which it is a view"
            raise BadState(name, "self", "a tensor that is not a view", "a view", hint)
    if not tensor._requires_grad:
        return
    if tensor._node is None:
        got = "a leaf that requires grad"
        raise BadState(name, "self", "a tensor that is not a leaf", got, "write under engine.no_grad()")
    if tensor._base is not None:
        got = "a view that requires grad"
        raise BadState(name, "self", "a tensor that is not a view", got, "use the op that is not in place")


def record_inplace(
    name: str, tensor: Tensor, inputs: Sequence[Tensor | None], backward: Callable[..., Any], *saved: Any
) -> Tensor:
    """Call it after an in-place op on `tensor`, one of `inputs`: the op becomes the last of the tensor's history."""
    if _mode.enabled and any(x is not None and x._requires_grad for x in inputs):
        node = Node(name, inputs, backward, saved)
        node.outputs = (tensor._data.meta,)
        tensor._node, tensor._index, tensor._requires_grad = node, 0, True
    return tensor


# ---------------------------------------------------------------- the walk


def _edge(tensor: Tensor) -> Edge:
    return tensor if tensor._node is None else (tensor._node, tensor._index)


def _described(array: Array) -> str:
    return f"shape {array.shape} and dtype {array.dtype.name} on {device_of(array.device)}"


def _run_hooks(hooks: dict[int, Any] | None, gradient: Array, where: str) -> Array:
    for hook in list(hooks.values()) if hooks else ():
        result = hook(Tensor(gradient))
        if result is not None:
            array = as_array(where, "hook", result)
            if array.meta != gradient.meta:
                raise BadValue(where, "hook", f"a gradient of {_described(gradient)}", _described(array))
            gradient = array
    return gradient


def filled(meta: tuple[tuple[int, ...], Any, int], value: float) -> Array:
    """An array of that shape, dtype and device, full of one number."""
    array = _core.empty(*meta)
    K.fill(array, value)
    return array


def _seed(op: str, output: Tensor, gradient: Tensor | None) -> Array:
    if not output._requires_grad:
        raise BadState(op, "self", "a tensor that requires grad", "one that does not")
    if gradient is None:
        if output.numel() != 1:
            raise BadState(op, "gradient", f"a Tensor of shape {output.shape}, as the output", "None")
        return filled(output._data.meta, 1.0)
    array = as_array(op, "gradient", gradient)
    if array.shape != output.shape:
        raise BadValue(op, "gradient", f"shape {output.shape}", array.shape)
    if array.device != output._data.device:
        raise BadValue(op, "gradient", f"a tensor on {output.device}", f"one on {gradient.device}")
    return array.cast(output.dtype)


def _starts(
    op: str,
    tensors: Tensor | Sequence[Tensor],
    gradients: Tensor | Sequence[Tensor | None] | None,
    argument: str,
    create_graph: bool,
) -> list[tuple[Edge, Array]]:
    """Where a walk starts, and with what gradients."""
    if create_graph:
        raise BadState(op, "create_graph", False, True, "gradients of gradients are not supported")
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    shared = gradients is None or isinstance(gradients, Tensor)
    given: list[Any] = [gradients] * len(outputs) if shared else list(gradients)  # type: ignore[arg-type]
    if len(given) != len(outputs):
        raise BadValue(op, argument, f"{len(outputs)} gradients, one for each output", len(given))
    for output in outputs:
        check_view(op, output)
    return [(_edge(output), _seed(op, output, gradient)) for output, gradient in zip(outputs, given)]


def _walk(
    starts: Sequence[tuple[Edge, Array]],
    retain_graph: bool,
    leaf: Callable[[Tensor, Array | RowSum], None],
    found: dict[Edge, Array | None] = _NOTHING,
) -> None:
    """Calls `leaf` with each leaf and its gradient, and puts the gradients of the outputs of nodes that `found` has into it."""
    pending: dict[Node, list[Array | None]] = {}
    heap: list[tuple[int, Node]] = []
    leaves: dict[Tensor, Array | RowSum] = {}

    def send(edge: Edge, gradient: Array | RowSum) -> None:
        if type(edge) is not tuple:
            first = edge not in leaves
            leaves[edge] = gradient if first else K.add(dense(leaves[edge]), dense(gradient))
            return
        gradient = dense(gradient)
        node, index = edge
        slots = pending.get(node)
        if slots is None:
            slots = pending[node] = [None] * len(node.outputs)
            heappush(heap, (-node.number, node))
        before = slots[index]
        slots[index] = gradient if before is None else K.add(before, gradient)

    for edge, seed in starts:
        send(edge, seed)
    while heap:
        node = heappop(heap)[1]
        slots = pending.pop(node)
        if node._hooks or node._retained or found:
            for i, g in enumerate(slots):
                if g is None:
                    continue
                g = slots[i] = _run_hooks(node._hooks.get(i), g, node.name)
                retained = node._retained.get(i)
                tensor = retained() if retained is not None else None
                if tensor is not None:
                    tensor._grad = Tensor(g.clone() if tensor._grad is None else K.add(tensor._grad._data, g))
                if (node, i) in found:
                    found[(node, i)] = g
        results = node.backward(node, *slots)
        if type(results) is not tuple:
            results = (results,)
        if not retain_graph:
            node.free()
        if len(results) != len(node.edges):
            raise BadState(node.name, "backward", f"{len(node.edges)} gradients, one for each input", len(results))
        for edge, g in zip(node.edges, results):
            if edge is not None and g is not None:
                send(edge, g)
    for tensor, total in leaves.items():
        leaf(tensor, _run_hooks(tensor._hooks, dense(total), "leaf") if tensor._hooks else total)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Adds the gradients of `tensors`, weighted by `grad_tensors`, to `.grad` of all leaves that require a gradient.

    grad_tensors: for each tensor one of its shape and dtype, or None for 1 if it has one element. retain_graph: keeps what the
    ops saved, so that the graph can be walked again. create_graph: must be False. Raises RuntimeError if a tensor does not
    require grad, or if the graph was freed or an array in it overwritten; ValueError for gradients of another shape.
    """
    starts = _starts("backward", tensors, grad_tensors, "grad_tensors", create_graph)
    # A gradient array becomes `.grad` itself, unless someone else may hold its memory: then a copy of it does.
    taken = {id(g): g for _, g in starts}

    def accumulate(tensor: Tensor, g: Array | RowSum) -> None:
        if type(g) is RowSum and tensor._grad is None:
            tensor._grad = RowGradient(g)
            return
        g = dense(g)
        if tensor._grad is not None:
            tensor._grad._data = K.add(tensor._grad._data, g)
            return
        if id(g) in taken or not g.owns_storage_alone or not g.is_contiguous:
            g = g.clone()
        taken[id(g)] = g
        tensor._grad = Tensor(g)

    _walk(starts, retain_graph, accumulate)


@tensor_method("backward")
def _backward(
    self: Tensor, gradient: Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Adds d(self)/d(leaf), weighted by `gradient`, to `.grad` of all leaves that require a gradient.

    gradient: of this tensor's shape and dtype; None: 1, if the tensor has one element. retain_graph: keeps what the ops saved,
    so that the graph can be walked again. create_graph: must be False. Errors as in `engine.autograd.backward`.
    """
    backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs`, weighted by `grad_outputs`, with respect to `inputs`. No `.grad` changes.

    allow_unused: gives None for an input on which the outputs do not depend; otherwise that is a RuntimeError. The other
    arguments and errors as in `backward`.
    """
    starts = _starts("grad", outputs, grad_outputs, "grad_outputs", create_graph)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, tensor in enumerate(wanted):
        if not tensor._requires_grad:
            raise BadState("grad", f"inputs[{i}]", "a tensor that requires grad", "one that does not")
    edges = [_edge(tensor) for tensor in wanted]
    found: dict[Edge, Array | None] = dict.fromkeys(edges)

    def keep(tensor: Tensor, g: Array | RowSum) -> None:
        if tensor in found:
            found[tensor] = dense(g)

    _walk(starts, retain_graph, keep, found)
    gradients = [found[edge] for edge in edges]
    if None in gradients and not allow_unused:
        i, expected = gradients.index(None), "a tensor on which the outputs depend"
        raise BadState("grad", f"inputs[{i}]", expected, "another", "allow_unused=True gives None for it")
    return tuple(None if g is None else Tensor(g.clone()) for g in gradients)
