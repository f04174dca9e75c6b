"""Module: a tree of parameters, buffers and submodules, with PyTorch's protocol.

Parameters, buffers and submodules are plain attributes, so that reading `self.weight` costs nothing extra. The registries
`_parameters`, `_buffers` and `_modules` list them by name, in the order of assignment; what is written there becomes an attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, TypeVar

from engine import _core
from engine._core import Array, DType
from engine.autograd.modes import no_grad
from engine.device import device as Device
from engine.device import number_of, placed, refuse_float64
from engine.errors import BadAttribute, BadKey, BadType, BadValue, NotDefined, require
from engine.nn.hooks import Hooks
from engine.nn.parameter import Buffer, Parameter
from engine.nn.registry import Registry
from engine.nn.state import State
from engine.nn.utils import zero_gradients
from engine.notices import say_once
from engine.tensor import Tensor

__all__ = ["Module"]

Self = TypeVar("Self", bound="Module")


class _NotFound:
    """What `super().__getattr__` comes to. Only classes with their own `__getattr__` have this base: with such a method, reading any
    attribute takes longer."""

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__:
            return self.__dict__[name]
        raise BadAttribute(type(self).__name__, name, "an attribute of the module", "no such attribute")


class Module(Hooks, State):
    """The base of all layers and models: assign parameters and submodules in `__init__`, compute in `forward`."""

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters=Registry(),
            _buffers=Registry(),
            _modules=Registry(),
            _non_persistent_buffers_set=set(),
            _state_hooks={},
        )
        for registry in _KINDS:
            self.__dict__[registry].adopt(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for registry in _KINDS:
            if registry in state:
                self._take(registry, state[registry])

    def _take(self, registry: str, entries: dict[str, Any]) -> None:
        """Makes a dict the registry of that name: it lists the attributes from now on."""
        mine = self.__dict__
        before = mine.get(registry)
        new = entries if isinstance(entries, Registry) else Registry(entries)
        if isinstance(before, Registry) and before is not new:
            before.leave(self)
        mine[registry] = new
        new.adopt(self)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Call the module itself, not this method, so that hooks run."""
        raise NotDefined(type(self).__name__, "forward", "a class that defines this method", "one that does not")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if "_forward_hooks" in self.__dict__ and self._has_hooks():
            return self._call_with_hooks(*args, **kwargs)
        return self.forward(*args, **kwargs)

    # ---- attributes

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "__getattr__") and not issubclass(cls, _NotFound):
            cls.__bases__ = (*cls.__bases__, _NotFound)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        elif isinstance(value, Buffer):
            self._register("_buffers", name, value)
            (self._non_persistent_buffers_set.discard if value.persistent else self._non_persistent_buffers_set.add)(
                name
            )
        elif name in _KINDS and isinstance(value, dict):
            self._take(name, value)
        else:
            mine = self.__dict__
            for registry, kind in _KINDS.items():
                if name in mine.get(registry, ()):
                    if value is not None and not isinstance(value, kind):
                        raise BadType(type(self).__name__, name, f"a {kind.__name__} or None", type(value).__name__)
                    mine[registry][name] = value
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        mine = self.__dict__
        listed = False
        for registry in _KINDS:
            if name in mine.get(registry, ()):
                del mine[registry][name]
                listed = True
        if not listed or name in mine:
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
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

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

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it. A shared module comes once, unless remove_duplicate is False."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The names and modules directly below this one."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """Names and values that get_members_fn gives for this module and those below it."""
        seen = set()
        tree = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in tree:
            for name, value in get_members_fn(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names, in the order of assignment. A shared parameter comes once, unless remove_duplicate is False."""
        return self._named_members(lambda module: module._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names, in the order of assignment. A shared buffer comes once, unless remove_duplicate is False."""
        return self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

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

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Puts a module where the dotted name says. strict: only in place of one that is there.

        Raises AttributeError if there is no module above it, or with strict no module there; ValueError for an empty name.
        """
        path, _, name = target.rpartition(".")
        require(name, "set_submodule", "target", "the name of a submodule", repr(target))
        owner = self.get_submodule(path)
        there = name in owner._modules if strict else name in owner._modules or not hasattr(owner, name)
        require(there, "set_submodule", "target", "the name of a submodule", repr(target), error=BadAttribute)
        fits = isinstance(module, Module)
        require(fits, "set_submodule", "module", "a Module", type(module).__name__, error=BadType)
        setattr(owner, name, module)

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Calls fn(module) for every module below, then for this one. Returns this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- modes

    def train(self: Self, mode: bool = True) -> Self:
        """Switches to training, in which dropout works, or with mode=False to evaluation. Returns this module."""
        require(isinstance(mode, bool), "train", "mode", "True or False", repr(mode))
        self.training = mode
        for module in self.children():
            module.train(mode)
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

    def to(
        self: Self,
        *args: Any,
        dtype: DType | None = None,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """to(dtype), to(device), to(device, dtype) or to(tensor): moves all parameters and buffers with their gradients, and converts
        those that are floating-point. Returns this module.

        The Parameters stay the same objects; only their memory is replaced. Buffers are replaced by new tensors. Two of them that shared memory do not share it afterwards. An
        optimizer may be made before this call, but must not have made a step yet, because its state does not move along.
        memory_format changes nothing.

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
        return self._convert("to", dtype, device, non_blocking)

    def _convert(self: Self, op: str, dtype: DType | None, device: Any = None, non_blocking: bool = False) -> Self:
        if dtype is not None and not dtype.is_floating_point:
            raise BadType(op, "dtype", "a floating-point dtype", dtype.name)
        number = None if device is None else number_of(device)

        def goal(a: Array) -> tuple[DType, int]:
            kind = dtype if dtype is not None and a.dtype.is_floating_point else a.dtype
            return kind, a.device if number is None else number

        for t in (*self.parameters(), *self.buffers()):
            refuse_float64(op, *goal(t._data))
        return self._apply(lambda t: Tensor(placed(t._data, *goal(t._data), non_blocking)))

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Gives the parameters and their gradients the memory of fn(tensor); the objects stay the same. A buffer is replaced by
        fn(buffer), and the tensor that was registered stays as it is. Modules below come first, by this method of theirs, unless recurse is False. All conversions go through it, so a module that holds other
        tensors overrides it. Returns this module."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for t in self._parameters.values():
                if t is not None:
                    t._data = fn(t)._data
                    if t._grad is not None:
                        t._grad._data = fn(t._grad)._data
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = _replaced(buffer, fn(buffer))
        return self

    def float(self: Self) -> Self:
        """Floating-point parameters and buffers become float32."""
        return self._convert("float", _core.float32)

    def double(self: Self) -> Self:
        """Floating-point parameters and buffers become float64."""
        return self._convert("double", _core.float64)

    def type(self: Self, dst_type: DType) -> Self:
        """As `to(dst_type)`."""
        return self._convert("type", dst_type)

    def bfloat16(self: Self) -> Self:
        """Floating-point parameters and buffers become bfloat16."""
        return self._convert("bfloat16", _core.bfloat16)

    def half(self: Self) -> Self:
        """Floating-point parameters and buffers become float16."""
        return self._convert("half", _core.float16)

    def cpu(self: Self) -> Self:
        """Moves parameters and buffers to the CPU."""
        return self._convert("cpu", None, "cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """Moves parameters and buffers to that CUDA device; None: to the current one."""
        return self._convert("cuda", None, "cuda" if device is None else device)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Moves parameters and buffers to a device without their values. Returns this module."""
        number = number_of(device)
        for t in (*self.parameters(recurse), *self.buffers(recurse)):
            refuse_float64("to_empty", t._data.dtype, number)
        return self._apply(lambda t: Tensor(_core.empty(t._data.shape, t._data.dtype, number)), recurse=recurse)

    def share_memory(self: Self) -> Self:
        """Moves parameters and buffers to memory that processes made by a fork share with this one. Returns this module.

        What is on a CUDA device stays as it is. Raises RuntimeError for a tensor whose memory another tensor shares, TypeError for
        bfloat16, as `Tensor.share_memory_`.
        """
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Changes nothing, and says so once: engine runs models as they are, with its own kernels."""
        say_once("engine: Module.compile changes nothing: engine runs models as they are, with its own kernels")

    # ---- printing

    def extra_repr(self) -> str:
        """The text that `repr` shows in the parentheses, before the submodules."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def __repr__(self) -> str:
        extra, name = self.extra_repr(), self._get_name()
        lines = [extra] if extra else []
        lines += [f"({child}): {module!r}" for child, module in self._modules.items()]
        text = "\n".join(lines)
        if not self._modules and "\n" not in extra:
            return f"{name}({text})"
        return f"{name}(\n  " + text.replace("\n", "\n  ") + "\n)"


def _replaced(buffer: Tensor, new: Tensor) -> Tensor:
    """The buffer itself if nothing about it changes; otherwise a new tensor of its type, with its attributes."""
    if new._data.shares_storage(buffer._data) and new._data.meta == buffer._data.meta:
        return buffer
    other = copy(buffer)
    other._data = new._data
    return other


_KINDS: dict[str, type] = {"_parameters": Parameter, "_modules": Module, "_buffers": Tensor}  # what each registry holds
