"""Module: a tree of parameters, buffers and submodules, with PyTorch's protocol.

Parameters, buffers and submodules are plain attributes too (reading `self.weight` costs nothing extra); the registries
`_parameters`, `_buffers` and `_modules` say which attributes they are, in the order of assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from engine import _core
from engine._core import Array, DType
from engine.device import device as Device
from engine.device import number_of, placed, refuse_float64
from engine.errors import BadAttribute, BadKey, BadType, BadValue, NotDefined
from engine.ops.convert import copy_into
from engine.tensor import RemovableHandle, Tensor

__all__ = ["IncompatibleKeys", "Module", "Parameter"]

Self = TypeVar("Self", bound="Module")


class Parameter(Tensor):
    """A tensor that a Module trains: assigned to an attribute, it joins the module's parameters.

    data: a Tensor, whose memory is shared.
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise BadType("Parameter", "data", "a Tensor", type(data).__name__)
        super().__init__(data._data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def plan_entry(
    name: str,
    target: Tensor,
    state: dict[str, Tensor],
    plan: list[tuple[Tensor, Tensor]],
    missing: list[str],
    misshaped: list[str],
) -> None:
    """Takes the entry `name` out of `state`: a copy into `target` is planned, or what is wrong with it noted."""
    source = state.pop(name, None)
    if source is None:
        missing.append(name)
    elif not isinstance(source, Tensor):
        misshaped.append(f"{name}: expected a Tensor, got {type(source).__name__}")
    elif source.shape != target.shape:
        misshaped.append(f"{name}: expected shape {target.shape}, got {source.shape}")
    else:
        plan.append((target, source))


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) left out."""

    missing_keys: list[str]
    unexpected_keys: list[str]


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
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Call the module itself rather than this, so that hooks run."""
        raise NotDefined(type(self).__name__, "forward", "a method of this name", "none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before: dict[int, Any] = self.__dict__["_forward_pre_hooks"]
        after: dict[int, Any] = self.__dict__["_forward_hooks"]
        if not before and not after:
            return self.forward(*args, **kwargs)
        for hook in list(before.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in list(after.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Calls hook(module, args) before forward; what it returns, if anything, takes the arguments' place."""
        return RemovableHandle(self.__dict__["_forward_pre_hooks"], hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> RemovableHandle:
        """Calls hook(module, args, output) after forward; what it returns, if anything, takes the output's place."""
        return RemovableHandle(self.__dict__["_forward_hooks"], hook)

    # ---- attributes

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        else:
            mine = self.__dict__
            for registry, kind in (("_parameters", Parameter), ("_modules", Module), ("_buffers", Tensor)):
                if name in mine.get(registry, ()):
                    if value is not None and not isinstance(value, kind):
                        raise BadType(type(self).__name__, name, f"a {kind.__name__} or None", type(value).__name__)
                    mine[registry][name] = value
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for registry in ("_parameters", "_modules", "_buffers"):
            self.__dict__.get(registry, {}).pop(name, None)
        object.__delattr__(self, name)

    def _register(self, registry: str, name: str, value: Any) -> None:
        mine = self.__dict__
        if registry not in mine:
            raise BadAttribute(
                type(self).__name__, name, "a call of super().__init__() first", "an assignment before it"
            )
        if not isinstance(name, str) or not name or "." in name:
            raise BadValue(type(self).__name__, "name", "a name without dots", repr(name))
        for other in ("_parameters", "_modules", "_buffers"):
            if other != registry:
                mine[other].pop(name, None)
        mine[registry][name] = value
        mine[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter, or None to hold its place."""
        if param is not None and not isinstance(param, Parameter):
            raise BadType("register_parameter", "param", "a Parameter or None", type(param).__name__)
        self._check_new("register_parameter", name, "_parameters")
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that belongs to the state but is not trained; one that is not persistent stays out of state_dict."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise BadType("register_buffer", "tensor", "a Tensor or None", type(tensor).__name__)
        self._check_new("register_buffer", name, "_buffers")
        self._register("_buffers", name, tensor)
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under that name."""
        if module is not None and not isinstance(module, Module):
            raise BadType("add_module", "module", "a Module or None", type(module).__name__)
        self._check_new("add_module", name, "_modules")
        self._register("_modules", name, module)

    register_module = add_module

    def _check_new(self, op: str, name: str, registry: str) -> None:
        if hasattr(self, name) and name not in self.__dict__.get(registry, ()):
            raise BadKey(op, "name", "a name that the module does not have yet", repr(name))

    # ---- walking the tree

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names, parents first."""
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
        """The submodules directly below."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The submodules directly below."""
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
        """Parameters with dotted names, in the order of assignment; a shared one comes once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, for an optimizer."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with dotted names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
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

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Calls fn(module) on every module below, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- modes

    def train(self: Self, mode: bool = True) -> Self:
        """Switches to training (dropout at work), with mode=False to evaluation."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: Self) -> Self:
        """Switches to evaluation."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Freezes all parameters (False) or trains them (True)."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters; with set_to_none=False fills them with zeros."""
        for p in self.parameters():
            if set_to_none:
                p._grad = None
            elif p._grad is not None:
                p._grad = p._grad.detach()
                _core.kernels.fill(p._grad._data, 0.0)

    # ---- conversion

    def _apply(self: Self, fn: Callable[[Array], Array]) -> Self:
        """Replaces the memory of every parameter, its gradient and every buffer; the Tensor objects stay the same. Views of
        one memory, such as shared parameters, stay shared only where they are one Tensor."""
        tensors: dict[int, Tensor] = {}
        for module in self.modules():
            for t in [*module._parameters.values(), *module._buffers.values()]:
                if t is not None:
                    tensors[id(t)] = t
        for t in tensors.values():
            t._data = fn(t._data)
            if t._grad is not None:
                t._grad = Tensor(fn(t._grad._data))
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """to(dtype), to(device), to(device, dtype) or to(tensor): converts floating-point parameters and buffers and moves all
        of them, in place: the Tensor objects stay, so an optimizer may be made before or after, but before its first step."""
        dtype = kwargs.pop("dtype", None)
        target = kwargs.pop("device", None)
        non_blocking = bool(kwargs.pop("non_blocking", False))
        if kwargs:
            raise BadType("to", "arguments", "a dtype or a device", f"an argument {next(iter(kwargs))!r}")
        for value in args:
            if isinstance(value, Tensor):
                dtype, target = value.dtype, value.device
            elif isinstance(value, DType):
                dtype = value
            elif isinstance(value, bool):
                non_blocking = value
            elif isinstance(value, str | int | Device):
                target = value
            elif value is not None:
                raise BadType("to", "arguments", "a dtype, a device or a Tensor", type(value).__name__)
        if dtype is not None and not dtype.is_floating_point:
            raise BadType("to", "dtype", "a floating-point dtype", dtype.name)
        if target is None:
            return self if dtype is None else self._convert(dtype, None, non_blocking)
        return self._convert(dtype, number_of(target), non_blocking)

    def _convert(self: Self, dtype: DType | None, number: int | None, non_blocking: bool) -> Self:
        def convert(a: Array) -> Array:
            wanted = dtype if dtype is not None and a.dtype.is_floating_point else a.dtype
            where = a.device if number is None else number
            refuse_float64("to", wanted, where)
            return placed(a, wanted, where, non_blocking)

        for t in [*self.parameters(), *self.buffers()]:  # refused before anything changes
            if number is not None and (dtype is None or not t.is_floating_point()):
                refuse_float64("to", t.dtype, number)
        return self._apply(convert)

    def float(self: Self) -> Self:
        """Floating-point parameters and buffers become float32."""
        return self.to(_core.float32)

    def double(self: Self) -> Self:
        """Floating-point parameters and buffers become float64."""
        return self.to(_core.float64)

    def bfloat16(self: Self) -> Self:
        """Floating-point parameters and buffers become bfloat16, in which only CUDA devices compute."""
        return self.to(_core.bfloat16)

    def cpu(self: Self) -> Self:
        """Moves parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """Moves parameters and buffers to the current CUDA device, or to that one."""
        return self.to("cuda" if device is None else device)

    # ---- state

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, detached, sharing memory (keep_vars: the Parameters themselves)."""
        state: dict[str, Tensor] = {}
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None and name not in self._non_persistent:
                state[prefix + name] = value if keep_vars else value.detach()
        for name, module in self._modules.items():
            if module is not None:
                state.update(module.state_dict(prefix=f"{prefix}{name}.", keep_vars=keep_vars))
        self._publish(state, prefix)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True) -> IncompatibleKeys:
        """Copies a state into parameters and buffers, converting dtypes, across devices. All is checked before anything is written.

        Raises ValueError that lists missing, unexpected and mis-shaped entries; with strict=False missing and unexpected
        ones are returned instead. Differs from PyTorch in the type of the error (RuntimeError there).
        """
        if not isinstance(state_dict, Mapping):
            raise BadType("load_state_dict", "state_dict", "a dict", type(state_dict).__name__)
        state = dict(state_dict)
        missing: list[str] = []
        misshaped: list[str] = []
        plan: list[tuple[Tensor, Tensor]] = []
        self._plan_load(state, "", plan, missing, misshaped)
        unexpected = list(state)
        lines = []
        if strict and missing:
            lines.append("missing: " + ", ".join(missing))
        if strict and unexpected:
            lines.append("unexpected: " + ", ".join(unexpected))
        if misshaped:
            lines.append("mis-shaped: " + "; ".join(misshaped))
        if lines:
            name = type(self).__name__
            raise BadValue(
                "load_state_dict",
                "state_dict",
                f"the entries of {name}",
                "entries that differ:" + "".join(f"\n  {line}" for line in lines),
            )
        for target, source in plan:
            copy_into(target._data, source._data)
        return IncompatibleKeys(missing, unexpected)

    def _plan_load(
        self,
        state: dict[str, Tensor],
        prefix: str,
        plan: list[tuple[Tensor, Tensor]],
        missing: list[str],
        misshaped: list[str],
    ) -> None:
        """Takes this tree's entries out of `state` and says in `plan` what is to be copied where."""
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None and name not in self._non_persistent:
                plan_entry(prefix + name, value, state, plan, missing, misshaped)
        for name, module in self._modules.items():
            if module is not None:
                module._plan_load(state, f"{prefix}{name}.", plan, missing, misshaped)

    def _publish(self, state: dict[str, Tensor], prefix: str) -> None:
        """For layers whose memory differs from the published format: rewrites the own entries of a state_dict.
        Such a layer overrides _plan_load too."""

    # ---- printing

    def extra_repr(self) -> str:
        """What stands in the parentheses of repr before the submodules."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = []
        for name, module in self._modules.items():
            children.append(f"({name}): " + repr(module).replace("\n", "\n  "))
        if len(lines) == 1 and not children:
            return f"{type(self).__name__}({lines[0]})"
        if not lines and not children:
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*lines, *children]) + "\n)"
