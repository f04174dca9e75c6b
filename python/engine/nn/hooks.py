"""Hooks on the forward and the backward pass of a module. For the backward pass its inputs and its output each pass through a node
that copies nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine._core import Array
from engine.autograd.tape import Node, filled, is_grad_enabled, record
from engine.autograd.views import mark_view
from engine.errors import BadState, BadType
from engine.tensor import RemovableHandle, Tensor

__all__ = ["Hooks", "call_with_backward_hooks"]


_SHARED = "an input or output of a module with backward hooks"


class Hooks:
    """The part of a Module that keeps hooks and calls `forward` with them."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def _call_forward(self, *args: Any, **kwargs: Any) -> Any:
        before: dict[Any, Any] = self.__dict__["_forward_pre_hooks"]
        after: dict[Any, Any] = self.__dict__["_forward_hooks"]
        waiting = dict(after)
        output = None
        try:
            for hook, with_kwargs in list(before.values()):
                args, kwargs = _before(
                    hook(self, args, kwargs) if with_kwargs else hook(self, args), args, kwargs, with_kwargs
                )
            output = self.forward(*args, **kwargs)
            for key, (hook, with_kwargs, _) in list(after.items()):
                del waiting[key]
                changed = hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
                output = output if changed is None else changed
        except Exception:
            for hook, with_kwargs, always in waiting.values():
                if always:
                    hook(self, args, kwargs, output) if with_kwargs else hook(self, args, output)
            raise
        return output

    def _has_hooks(self) -> bool:
        """Whether something is to happen before or after `forward`, or in its backward pass."""
        mine = self.__dict__
        return any(
            mine[name] for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        )

    def _check_called(self, op: str) -> None:
        """Raises RuntimeError for a module without `forward`, which nobody calls, so that its hooks would never run.

        Lists and dicts of modules are such modules, too. As in PyTorch, they take hooks, so that a loop over all modules works."""
        from engine.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList
        from engine.nn.module import Module

        lists = (ModuleDict, ModuleList, ParameterDict, ParameterList)
        kind: Any = type(self)
        if kind.forward is Module.forward and "forward" not in vars(self) and not isinstance(self, lists):
            parts = ", ".join(self._modules) or "none"
            got = f"a {type(self).__name__} without forward, whose parts are called one by one"
            raise BadState(
                op, "self", "a module that is called", got, f"register the hook on one of its parts: {parts}"
            )

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args) before forward. If the hook returns something, forward gets that instead of args.

        with_kwargs: calls hook(module, args, kwargs), which returns None or (args, kwargs). prepend: before the hooks that are there.
        """
        self._check_called("register_forward_pre_hook")
        return RemovableHandle(self.__dict__["_forward_pre_hooks"], (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls hook(module, args, output) after forward. If the hook returns something, that replaces the output.

        with_kwargs: calls hook(module, args, kwargs, output). prepend: before the hooks that are there. always_call: also if forward or
        another hook raises an error; the output is then None, or what it was before the other hook.
        """
        self._check_called("register_forward_hook")
        return RemovableHandle(self.__dict__["_forward_hooks"], (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(
        self, hook: Callable[[Any, Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_input, grad_output) in backward when the gradients of the module's arguments are known. Both are tuples
        of Tensors, with None for what has no gradient. If the hook returns a tuple, that replaces grad_input.

        The arguments and the output of the module cannot be written in place then. prepend: before the hooks that are there.
        """
        self._check_called("register_full_backward_hook")
        return RemovableHandle(self.__dict__["_backward_hooks"], hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[[Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_output) in backward before the gradients inside the module are computed. If the hook returns a tuple,
        that replaces grad_output. prepend: before the hooks that are there.
        """
        self._check_called("register_full_backward_pre_hook")
        return RemovableHandle(self.__dict__["_backward_pre_hooks"], hook, prepend)


def _before(changed: Any, args: Any, kwargs: Any, with_kwargs: bool) -> tuple[Any, Any]:
    """The arguments of `forward` after a hook that returned `changed`."""
    if changed is None:
        return args, kwargs
    if not with_kwargs:
        return changed if isinstance(changed, tuple) else (changed,), kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise BadType("forward pre-hook", "result", "None or (args, kwargs)", repr(changed))
    return changed


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
