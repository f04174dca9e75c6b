"""The tape: what each differentiable op leaves behind, and the walk back over it.

An op computes on Arrays and calls `record`; if gradients are wanted, a Node with the op's backward function and what it
saved is hung on the outputs. `backward` visits nodes from the newest to the oldest: every consumer of a node's outputs is
newer than the node, so its gradient is complete when its turn comes. No recursion, and each node frees what it saved.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.rows import RowGradient, RowSum, dense
from engine.errors import BadState, BadType, BadValue
from engine.tensor import Tensor, tensor_method

_numbers = count()  # nodes in the order of their making
_new = Tensor.__new__
Edge = Any  # None, a leaf Tensor, or (Node, output index)


class _GradMode(threading.local):
    enabled = True
    recorder: Any = None  # takes what nodes save, within a checkpoint


_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Whether ops record in this thread."""
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
        from functools import wraps
        from inspect import isgeneratorfunction

        @wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            """The mode holds while the generator's body runs, and is the caller's in between."""
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
                except BaseException as error:  # thrown in by the caller; GeneratorExit where it is done
                    resume, value = inner.throw, error

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _SetGrad(self._enabled):
                return function(*args, **kwargs)

        return generator if isgeneratorfunction(function) else wrapped


class no_grad(_SetGrad):
    """`with engine.no_grad():` or `@engine.no_grad()`: ops record nothing."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_SetGrad):
    """The opposite of no_grad, to use inside it."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(no_grad):
    """The same as no_grad here."""


class set_grad_enabled(_SetGrad):
    """Switches recording on or off, at once; as a context manager it restores what was before."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outer = _mode.enabled
        _mode.enabled = mode

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _mode.enabled = self._enabled


class Node:
    """One differentiable call. `backward(node, *gradients)` returns a gradient (Array or None) for each input."""

    # Defaults on the class: every op of a training step pays for what is set here.
    outputs: tuple[tuple[tuple[int, ...], Any, int], ...] = ()  # shape, dtype and device of each
    _versions: Sequence[int | None] = ()
    _hooks: dict[int, dict[int, Any]] | None = None
    _retained: dict[int, weakref.ref[Tensor]] | None = None
    _call: Any = None  # of a checkpointed function, which runs again for what was saved

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
                self._saved = _mode.recorder.take(self, saved)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def needs(self) -> tuple[bool, ...]:
        """Which inputs need a gradient."""
        return tuple([edge is not None for edge in self.edges])

    @property
    def saved(self) -> tuple[Any, ...]:
        """What the op saved. Raises RuntimeError if it was freed, or overwritten since."""
        if self._call is not None:
            self._call.again()
        if self._saved is None:
            raise BadState(
                self.name,
                "backward",
                "a graph that backward has not freed",
                "one that it has freed",
                "pass retain_graph=True to the first backward",
            )
        for i, (array, version) in enumerate(zip(self._saved, self._versions)):
            if version is not None and array.version != version:
                raise BadState(
                    self.name,
                    "backward",
                    "the arrays that the op saved, unchanged",
                    f"array {i} of shape {array.shape}, modified by an in-place operation",
                    f"it was saved at version {version} and is at version {array.version}",
                )
        return self._saved

    def hooks_of(self, index: int) -> dict[int, Any]:
        """The hooks of the output with that number, to add to."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, {})

    def retain(self, index: int, tensor: Tensor) -> None:
        """Puts the gradient of that output into `tensor.grad` too, as long as the tensor lives."""
        if self._retained is None:
            self._retained = {}
        self._retained[index] = weakref.ref(tensor)

    def free(self) -> None:
        """Lets go of the arrays that the op saved; an op without any may be walked again."""
        if any(version is not None for version in self._versions):
            self._saved = self._call = None


def record(
    name: str,
    outputs: Array | tuple[Array, ...],
    inputs: Sequence[Tensor | None],
    backward: Callable[..., Any],
    *saved: Any,
) -> Any:
    """Wraps an op's output Array (or tuple of them) into Tensors, with a Node if any input requires a gradient."""
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
            if tensor.dtype.is_floating_point:  # indices that come beside values need no gradient
                tensor._node, tensor._index, tensor._requires_grad = node, i, True
    return tensors


def will_record(*inputs: Tensor | None) -> bool:
    """Whether `record` of these inputs will want what a backward needs."""
    return _mode.enabled and any(x is not None and x._requires_grad for x in inputs)


def record_view(name: str, output: Array, input: Tensor, backward: Callable[..., Any], *saved: Any) -> Tensor:
    """`record` for an op whose output shares its input's memory: see check_view and check_inplace."""
    tensor: Tensor = record(name, output, (input,), backward, *saved)
    mark_view(tensor, input)
    return tensor


def mark_view(tensor: Tensor, base: Tensor) -> None:
    """`tensor` is a view of `base`. What was taken out of a history on purpose, under no_grad, does not follow it."""
    followed = tensor._requires_grad or not base._requires_grad
    tensor._base = (base, base._node) if followed else (None, None)


def sole_owner(tensor: Tensor) -> Tensor:
    """A view of what nobody else holds, as modules make: as good as none, so that it may be written in place."""
    tensor._base = None
    return tensor


def check_view(name: str, tensor: Tensor) -> None:
    """Raises RuntimeError where what `tensor` is a view of was since written in place by an op that is recorded: the view's
    elements changed, and its history does not say how."""
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
    """Raises RuntimeError where an in-place op that reads `value` would falsify gradients, or write to one place twice; call
    it before anything is written."""
    if tensor._data.overlaps_itself:
        raise BadState(
            name,
            "self",
            "a tensor whose elements lie in different places in memory",
            f"a view of shape {tensor.shape} in which some share a place",
            "use .clone() first",
        )
    if not _mode.enabled:
        return
    check_view(name, tensor)
    if isinstance(value, Tensor):
        check_view(name, value)
        if value._requires_grad and tensor._base is not None:
            raise BadState(
                name, "self", "no view where the value requires grad", "one", "write to the tensor it is a view of"
            )
    if not tensor._requires_grad:
        return
    if tensor._node is None:
        raise BadState(name, "self", "no leaf tensor that requires grad", "one", "write under engine.no_grad()")
    if tensor._base is not None:
        raise BadState(name, "self", "no view of a tensor that requires grad", "one", "use the op that is not in place")


def record_inplace(
    name: str, tensor: Tensor, inputs: Sequence[Tensor | None], backward: Callable[..., Any], *saved: Any
) -> Tensor:
    """After an in-place op on `tensor` (one of `inputs`): its history continues with this op."""
    if _mode.enabled and any(x is not None and x._requires_grad for x in inputs):
        node = Node(name, inputs, backward, saved)
        node.outputs = (tensor._data.meta,)
        tensor._node, tensor._index, tensor._requires_grad = node, 0, True
    return tensor


# ---------------------------------------------------------------- the walk


def _add(a: Array, b: Array) -> Array:
    return _core.kernels.add(a, b)


def _run_hooks(hooks: dict[int, Any] | None, gradient: Array, where: str) -> Array:
    for hook in list(hooks.values()) if hooks else ():
        result = hook(Tensor(gradient))
        if result is not None:
            if result.shape != gradient.shape or result.dtype is not gradient.dtype:
                raise BadValue(
                    where,
                    "hook",
                    f"a gradient of shape {gradient.shape} and dtype {gradient.dtype.name}",
                    f"shape {result.shape} and dtype {result.dtype.name}",
                )
            if result._data.device != gradient.device:
                raise BadValue(where, "hook", "a gradient on the device of its tensor", f"one on {result.device}")
            gradient = result._data
    return gradient


def _seed(output: Tensor, gradient: Tensor | None) -> Array:
    if not output._requires_grad:
        raise BadState("backward", "self", "a tensor that requires grad", "one that does not")
    if gradient is None:
        if output.numel() != 1:
            raise BadState("backward", "gradient", f"one of shape {output.shape}, as the output", "None")
        array = _core.empty(output.shape, output.dtype, output._data.device)
        _core.kernels.fill(array, 1.0)
        return array
    if not isinstance(gradient, Tensor):
        raise BadType("backward", "gradient", "a Tensor", type(gradient).__name__)
    if gradient.shape != output.shape:
        raise BadValue("backward", "gradient", f"shape {output.shape}", gradient.shape)
    if gradient._data.device != output._data.device:
        raise BadValue("backward", "gradient", f"a tensor on {output.device}", f"one on {gradient.device}")
    return gradient._data.cast(output.dtype)


def _walk(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool,
    leaf: Callable[[Tensor, Array | RowSum], None],
    capture: dict[tuple[Node, int], Callable[[Array], None]] | None = None,
) -> None:
    pending: dict[Node, list[Array | None]] = {}
    heap: list[tuple[int, Node]] = []
    leaves: dict[Tensor, Array | RowSum] = {}

    def send(edge: Edge, gradient: Array | RowSum) -> None:
        if type(edge) is not tuple:
            first = edge not in leaves
            leaves[edge] = gradient if first else _add(dense(leaves[edge]), dense(gradient))
            return
        gradient = dense(gradient)
        node, index = edge
        slots = pending.get(node)
        if slots is None:
            slots = pending[node] = [None] * len(node.outputs)
            heappush(heap, (-node.number, node))
        before = slots[index]
        slots[index] = gradient if before is None else _add(before, gradient)

    for output, gradient in zip(outputs, gradients):
        check_view("backward", output)
        send(output if output._node is None else (output._node, output._index), _seed(output, gradient))
    while heap:
        node = heappop(heap)[1]
        slots = pending.pop(node)
        if node._hooks or node._retained or capture:
            for i, g in enumerate(slots):
                if g is None:
                    continue
                if node._hooks:
                    g = slots[i] = _run_hooks(node._hooks.get(i), g, node.name)
                kept = node._retained.get(i) if node._retained else None
                tensor = kept() if kept is not None else None
                if tensor is not None:
                    tensor._grad = Tensor(g.clone() if tensor._grad is None else _add(tensor._grad._data, g))
                if capture and (node, i) in capture:
                    capture[(node, i)](g)
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


def _refuse_double(create_graph: bool) -> None:
    if create_graph:
        raise BadState("backward", "create_graph", False, True, "gradients of gradients are not supported")


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Adds the gradients of `tensors`, weighted by `grad_tensors`, to `.grad` of the leaves that require them."""
    _refuse_double(create_graph)
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    given = (
        [grad_tensors] * len(outputs)
        if grad_tensors is None or isinstance(grad_tensors, Tensor)
        else list(grad_tensors)
    )
    if len(given) != len(outputs):
        raise BadValue("backward", "grad_tensors", f"{len(outputs)} gradients, one for each tensor", len(given))
    # A gradient array becomes `.grad` as it is, unless someone else may hold its memory: then a copy does.
    taken = {id(g._data): g._data for g in given if g is not None}

    def accumulate(tensor: Tensor, g: Array | RowSum) -> None:
        if type(g) is RowSum and tensor._grad is None:
            tensor._grad = RowGradient(g)
            return
        g = dense(g)
        if tensor._grad is not None:
            tensor._grad._data = _add(tensor._grad._data, g)
            return
        if id(g) in taken or not g.owns_storage_alone or not g.is_contiguous:
            g = g.clone()
        taken[id(g)] = g
        tensor._grad = Tensor(g)

    _walk(outputs, given, retain_graph, accumulate)


@tensor_method("backward")
def _backward(
    self: Tensor, gradient: Tensor | None = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Adds d(self)/d(leaf), weighted by `gradient`, to `.grad` of every leaf that requires it.

    gradient: of this tensor's shape and dtype; may be left out for a single element (then 1).
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
    """The gradients of `outputs` with respect to `inputs`, without touching any `.grad`."""
    _refuse_double(create_graph)
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = (
        [grad_outputs] * len(outs) if grad_outputs is None or isinstance(grad_outputs, Tensor) else list(grad_outputs)
    )
    found: dict[int, Array] = {}
    capture: dict[tuple[Node, int], Callable[[Array], None]] = {}
    by_leaf: dict[Tensor, int] = {}
    for i, tensor in enumerate(wanted):
        if not tensor._requires_grad:
            raise BadState("grad", f"inputs[{i}]", "a tensor that requires grad", "one that does not")
        if tensor._node is None:
            by_leaf[tensor] = i
        else:
            capture[(tensor._node, tensor._index)] = lambda g, i=i: found.__setitem__(i, g)  # type: ignore[misc]

    def keep(tensor: Tensor, g: Array | RowSum) -> None:
        if tensor in by_leaf:
            found[by_leaf[tensor]] = dense(g)

    _walk(outs, given, retain_graph, keep, capture)
    missing = [i for i in range(len(wanted)) if i not in found]
    if missing and not allow_unused:
        raise BadState(
            "grad",
            f"inputs[{missing[0]}]",
            "a tensor that the outputs depend on",
            "another",
            "allow_unused=True gives None for it",
        )
    return tuple(Tensor(found[i].clone()) if i in found else None for i in range(len(wanted)))
