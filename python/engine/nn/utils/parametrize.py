"""Parameters that are computed: `module.weight` becomes a function of parameters that the module keeps elsewhere.

    register_parametrization(linear, "weight", Symmetric())  # linear.weight is Symmetric()(linear.parametrizations.weight.original)

The module gets a class of its own, derived from its class, in which the name is a property.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.autograd.modes import no_grad
from engine.errors import BadType, require
from engine.nn.containers import ModuleDict, ModuleList
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "type_before_parametrizations",
]


class _Cache(threading.local):
    depth = 0
    values: dict[tuple[int, str], Tensor]


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Within it, a parametrized tensor is computed once, when it is first read, and not again."""
    if not _cache.depth:
        _cache.values = {}
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values = {}


class ParametrizationList(ModuleList):
    """The functions of one tensor, and the tensor that goes into the first: `original`, or `original0`, `original1` and so on if the
    `right_inverse` of the first gives a tuple. Called without arguments, it gives what comes out of the last."""

    def __init__(self, modules: Any, original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        new = self._inverted(original)
        kind = (lambda value: Parameter(value)) if isinstance(original, Parameter) else (lambda value: value)
        if isinstance(new, Tensor):
            self._names: tuple[str, ...] = ("original",)
            if new is not original:
                original.data = new.detach()  # the object stays, because an optimizer may hold it
            self._keep("original", original)
        else:
            parts = list(new)
            self._names = tuple(f"original{i}" for i in range(len(parts)))
            for name, value in zip(self._names, parts):
                self._keep(name, kind(value.detach()))

    def _keep(self, name: str, value: Tensor) -> None:
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        else:
            self.register_buffer(name, value)

    def _inverted(self, value: Any) -> Any:
        with no_grad():
            for function in reversed(list(self)):
                if hasattr(function, "right_inverse"):
                    value = function.right_inverse(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Makes the originals those that give `value`, by the functions' `right_inverse`; a function without one is taken as identity."""
        new = self._inverted(value)
        parts = [new] if isinstance(new, Tensor) else list(new)
        for name, part in zip(self._names, parts, strict=True):
            with no_grad():
                getattr(self, name).copy_(part)

    def forward(self) -> Tensor:
        first, *others = list(self)
        value = first(*(getattr(self, name) for name in self._names))
        for function in others:
            value = function(value)
        result: Tensor = value
        return result


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has a computed tensor, or one of this name."""
    lists = vars(module).get("parametrizations")
    if not isinstance(lists, ModuleDict):
        return False
    return len(lists) > 0 if tensor_name is None else tensor_name in lists


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Makes the parameter or buffer `tensor_name` a function of itself, or adds a function to those that it has. Returns the module.

    parametrization: a module that computes the tensor from the original. If it has `right_inverse`, that gives the original of the present
    value: one tensor, or a tuple of them, which the module then gets as arguments. unsafe: whether it may give another shape or dtype.

    Raises ValueError for a name that the module does not have, and for another shape or dtype without `unsafe`.
    """
    op = "register_parametrization"
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        lists: Any = module.parametrizations
        before = getattr(module, tensor_name)
        _check(op, before, parametrization(before), unsafe)
        lists[tensor_name].append(parametrization)
        lists[tensor_name].unsafe |= unsafe
        return module
    listed = module._parameters.get(tensor_name, module._buffers.get(tensor_name))
    require(isinstance(listed, Tensor), op, "tensor_name", "the name of a parameter or buffer", repr(tensor_name))
    original: Any = listed
    before = original.detach().clone()
    functions = ParametrizationList([parametrization], original, unsafe)
    try:
        with no_grad():
            _check(op, before, functions(), unsafe)
    except Exception:
        original.data = before
        raise
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = functions
    _set_class(module)
    return module


def _check(op: str, before: Tensor, after: Any, unsafe: bool) -> None:
    if not isinstance(after, Tensor):
        raise BadType(op, "parametrization", "a module that gives a Tensor", type(after).__name__)
    same = unsafe or (after.shape == before.shape and after.dtype == before.dtype)
    expected = f"one that gives {before.dtype.name} of shape {tuple(before.shape)}, or unsafe=True"
    require(same, op, "parametrization", expected, f"{after.dtype.name} of shape {tuple(after.shape)}")


def _set_class(module: Module) -> None:
    """Gives the module a class in which its parametrized tensors are properties. Copies of a module may share it, so it never changes."""
    own, names = type_before_parametrizations(module), list(module.parametrizations)
    body = {"__module__": own.__module__, "_parametrizes": own, **{name: _property(name) for name in names}}
    module.__class__ = type(f"Parametrized{own.__name__}", (own,), body)


def _property(name: str) -> property:
    def get(self: Any) -> Tensor:
        functions = self.parametrizations[name]
        if not _cache.depth:
            result: Tensor = functions()
            return result
        key = (id(self), name)
        if key not in _cache.values:
            _cache.values[key] = functions()
        return _cache.values[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, write)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Makes the tensor a plain one again, with the computed value (leave_parametrized) or with the original. Returns the module.

    Raises ValueError if the tensor is not parametrized, or if it has several originals, which cannot be left as they are.
    """
    op = "remove_parametrizations"
    require(is_parametrized(module, tensor_name), op, "tensor_name", "a parametrized tensor", repr(tensor_name))
    lists: Any = module.parametrizations
    functions = lists[tensor_name]
    alone = len(functions._names) == 1
    require(alone or leave_parametrized, op, "leave_parametrized", "True for a tensor with several originals", False)
    with no_grad():
        value = getattr(module, tensor_name).detach().clone() if leave_parametrized else None
    kept = getattr(functions, functions._names[0])
    if value is not None:
        if alone:
            kept.data = value
        else:
            kept = Parameter(value) if isinstance(kept, Parameter) else value
    del lists[tensor_name]
    if len(lists):
        _set_class(module)
    else:
        delattr(module, "parametrizations")
        module.__class__ = type_before_parametrizations(module)
    if isinstance(kept, Parameter):
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, kept)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The class that the module had before it was parametrized; otherwise its class."""
    found: type[Module] = getattr(type(module), "_parametrizes", type(module))
    return found
