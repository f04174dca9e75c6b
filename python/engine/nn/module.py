"""Module: a tree of parameters, buffers and submodules, with PyTorch's protocol.

Parameters, buffers and submodules are plain attributes, so that reading `self.weight` costs nothing extra. The registries
`_parameters`, `_buffers` and `_modules` list them by name, in the order of assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from engine import _core
from engine._core import Array, DType
from engine.device import device as Device
from engine.device import number_of, placed, refuse_float64
from engine.errors import BadAttribute, BadKey, BadType, BadValue, NotDefined, require
from engine.nn.hooks import ForwardHook, call_with_backward_hooks
from engine.nn.utils import zero_gradients
from engine.notices import say_once
from engine.ops.convert import copy_into
from engine.tensor import RemovableHandle, Tensor

__all__ = ["Buffer", "IncompatibleKeys", "Module", "Parameter"]

Self = TypeVar("Self", bound="Module")


class Parameter(Tensor):
    """A tensor that a Module trains: when it is assigned to an attribute, it becomes one of the module's parameters.

    data: a Tensor, whose memory the parameter shares. Raises TypeError for anything else.
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise BadType("Parameter", "data", "a Tensor", type(data).__name__)
        super().__init__(data._data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that becomes a buffer of a Module when it is assigned to an attribute. persistent: whether state_dict holds it."""

    def __init__(self, data: Tensor, persistent: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise BadType("Buffer", "data", "a Tensor", type(data).__name__)
        super().__init__(data._data)
        self.persistent = persistent


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def copy_state(
    op: str,
    owner: str,
    targets: Mapping[str, Tensor],
    state: Mapping[str, Any],
    strict: bool = True,
    assign: bool = False,
) -> IncompatibleKeys:
    """Copies a state into `targets` by name; dtypes are converted, and devices may differ. Everything is checked before anything is
    written.

    assign: the targets take over the memory of the state. Raises a ValueError that lists the missing, unexpected and mis-shaped
    entries; with strict=False missing and unexpected entries are only returned. The error speaks of the argument `state_dict` of `op`, and of the entries of `owner`.
    """
    missing = [name for name in targets if name not in state]
    unexpected = [name for name in state if name not in targets]
    misshaped = []
    for name, target in targets.items():
        source = state.get(name, target)
        if not isinstance(source, Tensor):
            misshaped.append(f"{name}: expected a Tensor, got {type(source).__name__}")
        elif source.shape != target.shape:
            misshaped.append(f"{name}: expected shape {target.shape}, got {source.shape}")
    problems = {
        "missing": ", ".join(missing) if strict else "",
        "unexpected": ", ".join(unexpected) if strict else "",
        "mis-shaped": "; ".join(misshaped),
    }
    got = "entries that differ:" + "".join(f"\n  {kind}: {names}" for kind, names in problems.items() if names)
    require(not any(problems.values()), op, "state_dict", f"the entries of {owner}", got)
    for name, target in targets.items():
        if name not in state:
            continue
        if assign:
            target.data = state[name]
        else:
            copy_into(target._data, state[name]._data)
    return IncompatibleKeys(missing, unexpected)


class Module:
    """The base of all layers and models: assign parameters and submodules in `__init__`, compute in `forward`."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent=set(),
            _forward_hooks={},
            _forward_pre_hooks={},
            _backward_hooks={},
            _backward_pre_hooks={},
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Call the module itself, not this method, so that hooks run."""
        raise NotDefined(type(self).__name__, "forward", "a class that defines this method", "one that does not")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mine = self.__dict__
        if mine["_backward_hooks"] or mine["_backward_pre_hooks"]:
            return call_with_backward_hooks(self, args, kwargs, self._call_forward)
        if mine["_forward_pre_hooks"] or mine["_forward_hooks"]:
            return self._call_forward(*args, **kwargs)
        return self.forward(*args, **kwargs)

    def _call_forward(self, *args: Any, **kwargs: Any) -> Any:
        before: dict[Any, Any] = self.__dict__["_forward_pre_hooks"]
        after: dict[Any, Any] = self.__dict__["_forward_hooks"]
        for hook in list(before.values()):
            args, kwargs = hook.before(self, args, kwargs)
        output = self.forward(*args, **kwargs)
        for hook in list(after.values()):
            output = hook.after(self, args, kwargs, output)
        return output

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args) before forward. If the hook returns something, forward gets that instead of args.

        with_kwargs: calls hook(module, args, kwargs), which returns None or both. prepend: before the hooks that are there."""
        return RemovableHandle(self.__dict__["_forward_pre_hooks"], ForwardHook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, args, output) after forward. If the hook returns something, that replaces the output.

        with_kwargs: calls hook(module, args, kwargs, output). prepend: before the hooks that are there. always_call=True, the call of
        a hook after an error, is refused (ValueError)."""
        require(not always_call, "register_forward_hook", "always_call", False, True)
        return RemovableHandle(self.__dict__["_forward_hooks"], ForwardHook(hook, with_kwargs), prepend)

    def register_full_backward_hook(
        self, hook: Callable[[Any, Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_input, grad_output) in backward when the gradients of the module's arguments are known. Both are tuples
        of Tensors, with None for what has no gradient. If the hook returns a tuple, that replaces grad_input.

        The arguments and the output of the module cannot be written in place then. prepend: before the hooks that are there.
        """
        return RemovableHandle(self.__dict__["_backward_hooks"], hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[[Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(module, grad_output) in backward before the gradients inside the module are computed. If the hook returns a tuple,
        that replaces grad_output. prepend: before the hooks that are there.
        """
        return RemovableHandle(self.__dict__["_backward_pre_hooks"], hook, prepend)

    def register_backward_hook(self, hook: Callable[[Any, Any, Any], Any]) -> RemovableHandle:
        """An older name of `register_full_backward_hook`."""
        return self.register_full_backward_hook(hook)

    # ---- attributes

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        elif isinstance(value, Buffer):
            self._register("_buffers", name, value)
            (self._non_persistent.discard if value.persistent else self._non_persistent.add)(name)
        else:
            mine = self.__dict__
            for registry, kind in _KINDS.items():
                if name in mine.get(registry, ()):
                    if value is not None and not isinstance(value, kind):
                        raise BadType(type(self).__name__, name, f"a {kind.__name__} or None", type(value).__name__)
                    mine[registry][name] = value
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for registry in _KINDS:
            self.__dict__.get(registry, {}).pop(name, None)
        object.__delattr__(self, name)

    def _register(self, registry: str, name: str, value: Any) -> None:
        mine = self.__dict__
        if registry not in mine:
            owner = type(self).__name__
            raise BadAttribute(owner, name, "a call of super().__init__() before this assignment", "none")
        if not isinstance(name, str) or not name or "." in name:
            raise BadValue(type(self).__name__, "name", "a string that is not empty and has no dots", repr(name))
        for other in _KINDS:
            if other != registry:
                mine[other].pop(name, None)
        mine[registry][name] = value
        mine[name] = value

    def _add(self, op: str, argument: str, registry: str, name: str, value: Any) -> None:
        kind = _KINDS[registry]
        fits = value is None or isinstance(value, kind)
        require(fits, op, argument, f"a {kind.__name__} or None", type(value).__name__, error=BadType)
        new = not hasattr(self, name) or name in self.__dict__.get(registry, ())
        require(new, op, "name", "a name that the module does not use yet", repr(name), error=BadKey)
        self._register(registry, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter, or None to reserve the name. Raises KeyError if the name is in use, TypeError for another type."""
        self._add("register_parameter", "param", "_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that belongs to the state but is not trained, or None. persistent: whether state_dict holds it. Raises KeyError
        if the name is in use, TypeError for another type."""
        self._add("register_buffer", "tensor", "_buffers", name, tensor)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule, or None. Raises KeyError if the name is in use, TypeError for another type."""
        self._add("add_module", "module", "_modules", name, module)

    register_module = add_module

    # ---- walking the tree

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (its name is `prefix`) and all modules below it, with dotted names, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The names and modules directly below this one."""
        return self._named("_modules", "", False, True)

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _named(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        tree = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in tree:
            for name, value in module.__dict__[registry].items():
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, in the order of assignment. A shared parameter comes once, unless remove_duplicate is False."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names, in the order of assignment. A shared buffer comes once, unless remove_duplicate is False."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module with that dotted name ("": this one). Raises AttributeError if there is none."""
        module: Module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise BadAttribute("get_submodule", "target", "the name of a submodule", repr(target))
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with that dotted name. Raises AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise BadAttribute("get_parameter", "target", "the name of a parameter", repr(target))
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with that dotted name. Raises AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise BadAttribute("get_buffer", "target", "the name of a buffer", repr(target))
        return found

    def set_submodule(self, target: str, module: Module) -> None:
        """Puts a module where the one with that dotted name is. Raises AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        self.get_submodule(target)
        setattr(self.get_submodule(path), name, module)

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Calls fn(module) for every module below, then for this one. Returns this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- modes

    def train(self: Self, mode: bool = True) -> Self:
        """Switches to training, in which dropout works, or with mode=False to evaluation. Returns this module."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: Self) -> Self:
        """Switches to evaluation. Returns this module."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Whether the parameters get gradients: False freezes them all. Returns this module."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Removes the gradients of all parameters, or with set_to_none=False fills them with zeros."""
        zero_gradients(self.parameters(), set_to_none)

    # ---- conversion

    def to(self: Self, *args: Any, dtype: DType | None = None, device: Any = None, non_blocking: bool = False) -> Self:
        """to(dtype), to(device), to(device, dtype) or to(tensor): moves all parameters and buffers with their gradients, and converts
        those that are floating-point. Returns this module.

        The Tensor objects stay the same; only their memory is replaced. Two of them that shared memory do not share it afterwards. An
        optimizer may be made before this call, but must not have made a step yet, because its state does not move along.

        Raises TypeError for a dtype that is not floating-point, and for float64 on a CUDA device; nothing is changed then.
        """
        for value in args:
            if isinstance(value, Tensor):
                dtype, device = value.dtype, value.device
            elif isinstance(value, DType):
                dtype = value
            elif isinstance(value, bool):
                non_blocking = value
            elif isinstance(value, str | int | Device):
                device = value
            elif value is not None:
                raise BadType("to", "arguments", "a dtype, a device or a Tensor", type(value).__name__)
        if dtype is not None and not dtype.is_floating_point:
            raise BadType("to", "dtype", "a floating-point dtype", dtype.name)
        number = None if device is None else number_of(device)

        def goal(a: Array) -> tuple[DType, int]:
            kind = dtype if dtype is not None and a.dtype.is_floating_point else a.dtype
            return kind, a.device if number is None else number

        def move(a: Array) -> Array:
            return placed(a, *goal(a), non_blocking)

        tensors = [*self.parameters(), *self.buffers()]
        for t in tensors:
            refuse_float64("to", *goal(t._data))
        for t in tensors:
            t._data = move(t._data)
            if t._grad is not None:
                t._grad = Tensor(move(t._grad._data))
        return self

    def float(self: Self) -> Self:
        """Floating-point parameters and buffers become float32."""
        return self.to(_core.float32)

    def double(self: Self) -> Self:
        """Floating-point parameters and buffers become float64."""
        return self.to(_core.float64)

    def bfloat16(self: Self) -> Self:
        """Floating-point parameters and buffers become bfloat16, in which only CUDA devices compute."""
        return self.to(_core.bfloat16)

    def half(self: Self) -> Self:
        """Floating-point parameters and buffers become float16, which is for storing."""
        return self.to(_core.float16)

    def type(self: Self, dst_type: DType) -> Self:
        """Floating-point parameters and buffers become `dst_type`."""
        return self.to(dst_type)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Moves parameters and buffers to the device. Their contents come along, which PyTorch leaves undefined."""
        return self.to(device)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Changes nothing, and says so once: engine runs models as they are, with its own kernels."""
        say_once("engine: Module.compile changes nothing: engine runs models as they are, with its own kernels")

    def cpu(self: Self) -> Self:
        """Moves parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """Moves parameters and buffers to that CUDA device; None: to the current one."""
        return self.to("cuda" if device is None else device)

    # ---- state

    def state_dict(
        self, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name. They are detached and share the module's memory; with keep_vars they are the
        Parameters themselves. destination: a dict to which they are added, and which is returned."""
        found = {prefix + name: value if keep_vars else value.detach() for name, value in self._entries()}
        if destination is None:
            return found
        destination.update(found)
        return destination

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The entries of `state_dict`. A layer whose memory is laid out differently from its published format overrides this, and gives
        the published entries as views of its memory."""
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None and name not in self._non_persistent:
                yield prefix + name, value
        for name, module in self._modules.items():
            if module is not None:
                yield from module._entries(f"{prefix}{name}.")

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies a state into parameters and buffers; dtypes are converted, and devices may differ. Everything is checked before anything
        is written.

        assign: parameters and buffers take over the memory of the state instead, with its dtype and device. Raises a ValueError that
        lists missing, unexpected and mis-shaped entries; with strict=False missing and unexpected entries are only returned. Differs
        from PyTorch, where the error is a RuntimeError.
        """
        if not isinstance(state_dict, Mapping):
            raise BadType("load_state_dict", "state_dict", "a mapping from names to Tensors", type(state_dict).__name__)
        state = dict(state_dict)
        for path, module in self.named_modules(remove_duplicate=False):
            module._load_from_state_dict(state, f"{path}." if path else "", {}, strict, [], [], [])
        targets = dict(self._entries())
        keys = copy_state("load_state_dict", type(self).__name__, targets, state, strict, assign)
        for module in self.modules():
            for hook in list(module.__dict__.get("_load_post_hooks", {}).values()):
                hook(module, keys)
        return keys

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Changes a state before it is loaded. A subclass overrides this to rename entries of older states; the entries are copied
        afterwards. The lists are PyTorch's and nothing reads them."""
        for hook in list(self.__dict__.get("_load_pre_hooks", {}).values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, ...) before a state is loaded. The hook may rename entries of state_dict, a copy."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        called = partial(hook, self) if with_module else hook
        return RemovableHandle(self.__dict__.setdefault("_load_pre_hooks", {}), called)

    def register_load_state_dict_post_hook(self, hook: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Calls hook(module, incompatible_keys) after a state is loaded."""
        return RemovableHandle(self.__dict__.setdefault("_load_post_hooks", {}), hook)

    # ---- printing

    def extra_repr(self) -> str:
        """The text that `repr` shows in the parentheses, before the submodules."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra, name = self.extra_repr(), self._get_name()
        lines = [extra] if extra else []
        lines += [f"({child}): {module!r}" for child, module in self._modules.items()]
        text = "\n".join(lines)
        if not self._modules and "\n" not in extra:
            return f"{name}({text})"
        return f"{name}(\n  " + text.replace("\n", "\n  ") + "\n)"


_KINDS: dict[str, type] = {"_parameters": Parameter, "_modules": Module, "_buffers": Tensor}  # what each registry holds
