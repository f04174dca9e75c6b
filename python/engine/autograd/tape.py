"""The tape: what each differentiable op leaves behind, and the walk back over it.

An op computes on Arrays and calls `record`. If an input requires a gradient, the outputs get a Node, which holds the op's
backward function and what the op saved. `backward` visits nodes from the newest to the oldest. All nodes that use a node's
outputs are newer than it, so its gradient is complete when it is visited. There is no recursion, and each node frees what
it saved after its visit.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd import anomaly
from engine.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from engine.autograd.modes import mode as _mode
from engine.autograd.node import NOTHING, Edge, Node, described
from engine.autograd.rows import RowGradient, RowSum, dense
from engine.autograd.views import check_inplace, mark_view, record_inplace, refresh
from engine.errors import BadState, BadType, BadValue, amount, require
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
_new = Tensor.__new__
_accumulating = RLock()  # held while a gradient is added to `.grad`


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
        needed = False
        for x in inputs:
            if x is not None:
                if x._base is not None:
                    refresh(name, x)
                if x._requires_grad:
                    needed = True
        if needed:  # all inputs are fresh now
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
    if not _mode.enabled:
        return False
    for x in inputs:
        if x is not None:
            if x._base is not None:
                refresh("autograd", x)
            if x._requires_grad:
                return True
    return False


def needs_grad(operand: Any) -> bool:
    """Whether `operand` is a Tensor that requires grad. A view's answer is that of its base as it is now."""
    if not isinstance(operand, Tensor):
        return False
    if operand._base is not None and _mode.enabled:
        refresh("autograd", operand)
    return operand._requires_grad


def record_view(name: str, output: Array, input: Tensor, backward: Callable[..., Any], *saved: Any) -> Tensor:
    """`record` for an op whose output shares the memory of its input."""
    tensor: Tensor = record(name, output, (input,), backward, *saved)
    mark_view(tensor, input)
    return tensor


# ---------------------------------------------------------------- the walk


def _edge(tensor: Tensor) -> Edge:
    return tensor if tensor._node is None else (tensor._node, tensor._index)


def _run_hooks(hooks: dict[int, Any] | None, gradient: Array, where: str) -> Array:
    for hook in list(hooks.values()) if hooks else ():
        result = hook(Tensor(gradient))
        if result is not None:
            array = as_array(where, "hook", result)
            if array.meta != gradient.meta:
                raise BadValue(where, "hook", f"a gradient of {described(gradient)}", described(array))
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
            raise BadState(op, "gradient", f"a Tensor of shape {tuple(output.shape)}, as the output", "None")
        return filled(output._data.meta, 1.0)
    array = as_array(op, "gradient", gradient)
    if array.shape != output.shape:
        raise BadValue(op, "gradient", f"shape {tuple(output.shape)}", array.shape)
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
        raise BadState(op, "create_graph", False, True, "engine does not compute gradients of gradients")
    if gradients is None and isinstance(tensors, Tensor):  # nearly always
        if tensors._base is not None:
            refresh(op, tensors)
        return [(_edge(tensors), _seed(op, tensors, None))]
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    shared = gradients is None or isinstance(gradients, Tensor)
    if not shared and not isinstance(gradients, list | tuple):
        raise BadType(op, argument, "None, a Tensor or a list of Tensors", type(gradients).__name__)
    given: list[Any] = [gradients] * len(outputs) if shared else list(gradients)  # type: ignore[arg-type]
    if len(given) != len(outputs):
        raise BadValue(op, argument, f"{amount(len(outputs), 'gradient')}, one for each output", len(given))
    for output in outputs:
        if isinstance(output, Tensor) and output._base is not None:
            refresh(op, output)
    return [(_edge(output), _seed(op, output, gradient)) for output, gradient in zip(outputs, given)]


def _walk(
    starts: Sequence[tuple[Edge, Array]],
    retain_graph: bool | None,
    leaf: Callable[[Tensor, Array | RowSum], None],
    found: dict[Edge, Array | None] = NOTHING,
    asked: set[Tensor] | None = None,
) -> None:
    """Calls `leaf` with each leaf and its gradient, and puts the gradients of the outputs of nodes that `found` has into it.

    asked: the only leaves that count; the hooks of others do not run."""
    from heapq import heappop, heappush

    pending: dict[int, tuple[Node, list[Array | None]]] = {}  # by -number of the node
    heap: list[int] = []
    leaves: dict[Tensor, Array | RowSum] = {}

    def send(edge: Edge, gradient: Array | RowSum) -> None:
        if type(edge) is not tuple:
            first = edge not in leaves
            leaves[edge] = gradient if first else K.add(dense(leaves[edge]), dense(gradient))
            return
        if type(gradient) is not Array:
            gradient = dense(gradient)
        node, index = edge
        number = -node.number
        if number in pending:
            slots = pending[number][1]
        else:
            slots = [None] * len(node.outputs)
            pending[number] = node, slots
            heappush(heap, number)
        before = slots[index]
        slots[index] = gradient if before is None else K.add(before, gradient)

    look_for_nan = anomaly.state.enabled and anomaly.state.check_nan
    before, _mode.enabled = _mode.enabled, False  # as in PyTorch, hooks are not recorded
    try:
        for edge, seed in starts:
            send(edge, seed)
        while heap:
            node, slots = pending.pop(heappop(heap))
            if node._hooks or node._retained or found:
                for i, g in enumerate(slots):
                    if g is None:
                        continue
                    g = slots[i] = _run_hooks(node._hooks.get(i), g, node.op)
                    retained = node._retained.get(i)
                    tensor = retained() if retained is not None else None
                    if tensor is not None:
                        with _accumulating:
                            if tensor._grad is None:
                                tensor._grad = Tensor(g.clone())
                            else:
                                K.add_(tensor._grad._data, g)
                    if (node, i) in found:
                        found[(node, i)] = g
            results = node.backward(node, *slots)
            if type(results) is not tuple:
                results = (results,)
            if look_for_nan:
                anomaly.check(node.op, node.made_at, results)
            if not retain_graph:
                node.free()
            if len(results) != len(node.edges):
                raise BadState(
                    node.op, "backward", f"{amount(len(node.edges), 'gradient')}, one for each input", len(results)
                )
            for edge, g in zip(node.edges, results):
                if edge is not None and g is not None:
                    send(edge, g)
        for tensor, total in leaves.items():
            if asked is not None and tensor not in asked:
                continue
            leaf(tensor, _run_hooks(tensor._hooks, dense(total), "leaf") if tensor._hooks else total)
    finally:
        _mode.enabled = before


def _wanted(op: str, inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The tensors of which gradients are asked for."""
    if not isinstance(inputs, Tensor | list | tuple):
        inputs = tuple(inputs) if isinstance(inputs, Iterable) else (inputs,)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, tensor in enumerate(wanted):
        as_array(op, f"inputs[{i}]", tensor)
        if not tensor._requires_grad:
            raise BadState(op, f"inputs[{i}]", "a tensor that requires grad", "one that does not")
        if tensor._base is not None:
            refresh(op, tensor)
    return wanted


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Adds the gradients of `tensors`, weighted by `grad_tensors`, to `.grad` of all leaves that require a gradient.

    grad_tensors: for each tensor one of its shape and dtype, or None for 1 if it has one element. retain_graph: keeps what the
    ops saved, so that the graph can be walked again. create_graph: must be False. inputs: only these tensors get a gradient, and
    they need not be leaves. Raises RuntimeError if a tensor does not require grad, or if the graph was freed or an array in it overwritten; ValueError for gradients of another shape.
    """
    starts = _starts("backward", tensors, grad_tensors, "grad_tensors", create_graph)
    wanted = None if inputs is None else _wanted("backward", inputs)
    # A gradient array becomes `.grad` itself, unless someone else may hold its memory: then a copy of it does.
    taken = {id(g): g for _, g in starts}

    def accumulate(tensor: Tensor, g: Array | RowSum) -> None:
        with _accumulating:  # threads may share the leaf
            if tensor._grad is not None:  # in its own memory, so that views of it stay true
                K.add_(tensor._grad._data, dense(g))
            elif type(g) is RowSum:
                tensor._grad = RowGradient(g)
            else:
                if type(g) is not Array:
                    g = dense(g)
                if id(g) in taken or not g.owns_storage_alone or not g.is_contiguous:
                    g = g.clone()
                taken[id(g)] = g
                tensor._grad = Tensor(g)
        if tensor._post_hooks:
            for hook in list(tensor._post_hooks.values()):
                hook(tensor)

    found: dict[Edge, Array | None] = NOTHING
    if wanted is not None:
        found = {_edge(x): None for x in wanted if x._node is not None}
    _walk(starts, retain_graph, accumulate, found, None if wanted is None else set(wanted))
    for x in wanted or ():
        g = None if x._node is None else found.pop(_edge(x), None)
        if g is not None:
            accumulate(x, g.clone())


@tensor_method("backward")
def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Adds d(self)/d(leaf), weighted by `gradient`, to `.grad` of all leaves that require a gradient.

    gradient: of this tensor's shape and dtype; None: 1, if the tensor has one element. retain_graph: keeps what the ops saved,
    so that the graph can be walked again. create_graph: must be False. inputs: only these get a gradient. Errors as in `engine.autograd.backward`.
    """
    backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph, inputs=inputs)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    *,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs`, weighted by `grad_outputs`, with respect to `inputs`. No `.grad` changes.

    allow_unused: gives None for an input on which the outputs do not depend; otherwise that is a RuntimeError.
    materialize_grads: gives zeros instead. only_inputs is PyTorch's, and must be True. The other arguments and errors as in `backward`. An input may be named twice.
    """
    require(only_inputs, "grad", "only_inputs", "True", only_inputs)
    starts = _starts("grad", outputs, grad_outputs, "grad_outputs", create_graph)
    wanted = _wanted("grad", inputs)
    edges = [_edge(tensor) for tensor in wanted]
    found: dict[Edge, Array | None] = dict.fromkeys(edges)

    def keep(tensor: Tensor, g: Array | RowSum) -> None:
        found[tensor] = dense(g)

    if materialize_grads and allow_unused is False:
        raise BadValue("grad", "allow_unused", "True or None with materialize_grads", False)
    _walk(starts, retain_graph, keep, found, set(wanted))
    gradients = [found[edge] for edge in edges]
    if materialize_grads:
        gradients = [filled(x._data.meta, 0.0) if g is None else g for x, g in zip(wanted, gradients)]
    if None in gradients and not allow_unused:
        i, expected = gradients.index(None), "a tensor on which the outputs depend"
        raise BadState("grad", f"inputs[{i}]", expected, "another", "allow_unused=True gives None for it")
    return tuple(None if g is None else Tensor(g.clone()) for g in gradients)
