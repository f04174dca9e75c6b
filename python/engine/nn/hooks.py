"""Hooks on a module's forward pass, and on its backward pass: there its inputs and its output each pass through a node that copies nothing."""

from __future__ import annotations

from typing import Any

from engine._core import Array
from engine.autograd.tape import Node, filled, is_grad_enabled, record
from engine.autograd.views import mark_view
from engine.errors import BadState, BadType
from engine.tensor import Tensor


class ForwardHook:
    """A hook before or after forward. with_kwargs: whether it is told the keyword arguments, too."""

    def __init__(self, function: Any, with_kwargs: bool) -> None:
        self.function, self.with_kwargs = function, with_kwargs

    def before(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments for forward."""
        if self.with_kwargs:
            changed = self.function(module, args, kwargs)
            return (args, kwargs) if changed is None else changed
        changed = self.function(module, args)
        return args if changed is None else changed if isinstance(changed, tuple) else (changed,), kwargs

    def after(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """The output of the module."""
        told = (args, kwargs, output) if self.with_kwargs else (args, output)
        changed = self.function(module, *told)
        return output if changed is None else changed


_SHARED = "an input or output of a module with backward hooks"


def call_with_backward_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Any) -> Any:
    """call(*args, **kwargs), the forward pass of `module`, whose backward pass runs the module's backward hooks."""
    if not is_grad_enabled():
        return call(*args, **kwargs)
    state = _Backward(module)
    args = state.enter(args)
    return state.leave(call(*args, **kwargs))


class _Backward:
    """One call of a module: what its backward hooks are told."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: Any = None
        self.inputs = 0
        self.has_input_node = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that require grad as outputs of a node that calls the hooks."""
        self.inputs = len(args)
        places = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        if not places or not self.module.__dict__["_backward_hooks"]:
            return args
        self.has_input_node = True

        def backward(node: Node, *gradients: Array | None) -> Any:
            told = list(_told(args, places, gradients))
            for i, a in enumerate(args):
                if told[i] is None and isinstance(a, Tensor):
                    told[i] = Tensor(filled(a._data.meta, 0.0))
            results = self._call_hooks(tuple(told))
            return tuple([None if results[i] is None else results[i]._data for i in places])

        return _through("module_input", args, places, backward)

    def leave(self, output: Any) -> Any:
        """The output of the module, as the output of a node that notes the gradient."""
        single = not isinstance(output, tuple | list)
        outputs = (output,) if single else tuple(output)
        places = [i for i, t in enumerate(outputs) if isinstance(t, Tensor) and t.requires_grad]
        if not places:
            return output

        def backward(node: Node, *gradients: Array | None) -> Any:
            self.grad_output = _told(outputs, places, gradients)
            for hook in list(self.module.__dict__["_backward_pre_hooks"].values()):
                changed = hook(self.module, self.grad_output)
                if changed is not None:
                    self.grad_output = _checked("grad_output", changed, self.grad_output)
            if not self.has_input_node and self.module.__dict__["_backward_hooks"]:
                self._call_hooks((None,) * self.inputs)
            return tuple([None if self.grad_output[i] is None else self.grad_output[i]._data for i in places])

        passed = _through("module_output", outputs, places, backward)
        return passed[0] if single else type(output)(passed) if type(output) in (tuple, list) else passed

    def _call_hooks(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module.__dict__["_backward_hooks"].values()):
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                if not self.has_input_node:
                    expected, got = "None, because no input requires grad", "gradients"
                    raise BadState("register_full_backward_hook", "hook", expected, got)
                grad_input = _checked("grad_input", changed, grad_input)
        return grad_input


def _told(values: tuple[Any, ...], places: list[int], gradients: tuple[Array | None, ...]) -> tuple[Any, ...]:
    """The gradients as Tensors, one for each value; None for a value that has none."""
    told: list[Any] = [None] * len(values)
    for i, g in zip(places, gradients):
        told[i] = None if g is None else Tensor(g)
    return tuple(told)


def _checked(what: str, changed: Any, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a hook returned in place of gradients, as a tuple of as many."""
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(before) or not all(c is None or isinstance(c, Tensor) for c in changed):
        raise BadType("backward hook", what, f"a tuple of {len(before)} Tensors or None", repr(changed))
    return changed


def _through(name: str, values: tuple[Any, ...], places: list[int], backward: Any) -> tuple[Any, ...]:
    """The values, with the Tensors at `places` as outputs of one node."""
    chosen = tuple(values[i] for i in places)
    made = record(name, tuple(t._data for t in chosen), chosen, backward)
    result = list(values)
    for i, new in zip(places, made):
        mark_view(new, values[i], _SHARED)
        result[i] = new
    return tuple(result)
