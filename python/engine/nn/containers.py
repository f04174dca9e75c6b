"""Modules that hold modules or parameters in order or by name."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from engine.errors import BadIndex, BadKey, OutOfMemory, require
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

List = TypeVar("List", bound="_Indexed")

_OBJECT = 1000  # bytes that a module takes beside its numbers, at least


def copies(op: str, argument: str, modules: Sequence[Module], times: int) -> list[Module]:
    """That many copies of each of the modules. Raises MemoryError, before a copy is made, if they do not fit into memory."""
    kept = [[t.numel() * t.element_size() for t in (*m.parameters(), *m.buffers())] for m in modules]
    needed = times * (sum(map(sum, kept)) + _OBJECT * sum(len(list(m.modules())) for m in modules))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        expected = f"copies of the module that fit into {there / 2**30:,.1f} GiB of memory"
        raise OutOfMemory(op, argument, expected, f"{times:,} of {needed // times:,} bytes")
    return [deepcopy(module) for _ in range(times) for module in modules]


class _Indexed(Module):
    """Members under the names "0", "1", ..."""

    def _members(self) -> Mapping[str, Any]:
        return self._modules

    def _fill(self, members: Iterable[Any]) -> None:
        """Replaces all members."""
        for name in list(self._members()):
            delattr(self, name)
        self.extend(members)

    def _name(self, index: int) -> str:
        """The name of the member at that position. Raises IndexError if there is none."""
        if not -len(self) <= index < len(self):
            raise BadIndex(type(self).__name__, "index", f"a number in [{-len(self)}, {len(self)})", index)
        return list(self._members())[index]

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members().values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._part(index)
        return getattr(self, self._name(index))

    def _part(self: List, index: slice) -> List:
        """The members of a slice, as another of this kind."""
        part = type(self).__new__(type(self))
        Module.__init__(part)
        part._fill(list(self)[index])
        return part

    def __setitem__(self, index: int, member: Any) -> None:
        setattr(self, self._name(index), member)

    def __delitem__(self, index: int | slice) -> None:
        members = list(self)
        del members[index]
        self._fill(members)

    def append(self: List, member: Any) -> List:
        """Adds one at the end."""
        self.add_module(str(len(self)), member)
        return self

    def extend(self: List, members: Iterable[Any]) -> List:
        """Adds several at the end."""
        for member in members:
            self.append(member)
        return self

    def insert(self: List, index: int, member: Any) -> List:
        """Adds one before position `index`."""
        members = list(self)
        members.insert(index, member)
        self._fill(members)
        return self

    def pop(self, key: int | slice = -1) -> Any:
        """Takes one out, or those of a slice, and returns it."""
        member = self[key]
        del self[key]
        return member

    def __iadd__(self: List, members: Iterable[Any]) -> List:
        return self.extend(members)


class Sequential(_Indexed):
    """Calls its modules one after the other. Takes modules, or one dict of names and modules."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._fill(modules)

    def _part(self, index: slice) -> Sequential:
        part = super()._part(slice(0))
        for name, module in list(self._modules.items())[index]:  # the names stay, as in PyTorch
            part.add_module(name, module)
        return part

    def __add__(self, modules: Iterable[Module]) -> Sequential:
        return Sequential(*self, *modules)

    def __mul__(self, times: int) -> Sequential:
        require(times >= 1, "Sequential", "times", "a number >= 1", times)
        return Sequential(*self, *copies("Sequential", "times", list(self), times - 1))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(list(self * times)[len(self) :])

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class ModuleList(_Indexed):
    """A list of modules whose parameters belong to the module that holds the list."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._fill(modules or ())

    def __add__(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *modules])

    def __repr__(self) -> str:
        """Equal members that follow each other are one line: `(0-5): 6 x Linear(...)`."""
        lines, first = [], 0
        for text, group in groupby(map(repr, self)):
            count = len(list(group))
            place = f"({first})" if count == 1 else f"({first}-{first + count - 1})"
            lines.append(f"{place}: {'' if count == 1 else f'{count} x '}{text}".replace("\n", "\n  "))
            first += count
        name = self._get_name()
        return f"{name}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{name}()"


class ModuleDict(Module):
    """A dict of modules, in the order of insertion."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds the modules of a mapping, or of an iterable of (name, module) pairs."""
        pairs: Any = modules.items() if isinstance(modules, Mapping | ModuleDict) else modules
        for name, module in pairs:
            self[name] = module

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()

    def pop(self, key: str) -> Any:
        """Takes a module out and returns it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Takes all modules out."""
        for key in list(self):
            del self[key]


class _Kept(Module):
    """Tensors as parameters, and any other values as attributes, by name. A Tensor that is no parameter becomes one."""

    def _members(self) -> Mapping[str, Any]:
        """Names and values, in the order in which they were added."""
        mine = self.__dict__
        names = (
            *mine.setdefault("_kept", {}),
            *self._parameters,
        )  # what was written to `_parameters` itself is there, too
        return {name: mine[name] for name in names if name in mine}

    def _keep(self, name: str, value: Any) -> None:
        new = name not in self._members()
        if isinstance(value, Tensor):
            value = value if isinstance(value, Parameter) else Parameter(value)
        elif name in self._parameters:
            del self._parameters[name]
        if isinstance(value, Parameter) and name in self._parameters:
            self._parameters[name] = value
        elif isinstance(value, Parameter) and new:
            self.register_parameter(name, value)
        else:
            free = not new or not hasattr(self, name)
            require(free, type(self).__name__, "key", "a name that is not an attribute yet", repr(name), error=BadKey)
            setattr(self, name, value)
        self.__dict__["_kept"][name] = None

    def _lines(self) -> str:
        return "\n".join(
            f"({name}): Parameter of shape {tuple(value.shape)}, {value.dtype.name}"
            if isinstance(value, Parameter)
            else f"({name}): Object of type: {type(value).__name__}"
            for name, value in self._members().items()
        )

    extra_repr = _lines


class ParameterList(_Kept, _Indexed):
    """A list of parameters. Tensors that are not parameters become parameters; other values are kept as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._fill(() if values is None else values)

    def append(self, value: Any) -> ParameterList:
        """Adds one at the end."""
        self._keep(str(len(self)), value)
        return self

    def __setitem__(self, index: int, value: Any) -> None:
        self._keep(self._name(index), value)


class ParameterDict(_Kept):
    """A dict of parameters, in the order of insertion; as in PyTorch, the entries of a plain dict are inserted in the order of their names.
    Tensors that are not parameters become parameters; other values are kept as they are."""

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self.update(() if parameters is None else parameters)

    def update(self, parameters: Mapping[str, Any] | Iterable[Any]) -> None:
        """Adds the parameters of a mapping, or of an iterable of (name, value) pairs. New ones are in the order of a ParameterDict, an
        OrderedDict or the pairs; those of another mapping in the order of their names."""
        pairs: Any = parameters
        if isinstance(parameters, OrderedDict | ParameterDict):
            pairs = parameters.items()
        elif isinstance(parameters, Mapping):
            pairs = sorted(parameters.items(), key=itemgetter(0))
        for name, value in pairs:
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._members()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._keep(key, value)

    def __delitem__(self, key: str) -> None:
        self._members()[key]  # raises KeyError
        delattr(self, key)
        self.__dict__["_kept"].pop(key, None)

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[str]:
        return iter(self._members())

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._members()))

    def __contains__(self, key: object) -> bool:
        return key in self._members()

    def __or__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ror__(self, other: Mapping[str, Tensor]) -> ParameterDict:
        joined = ParameterDict(other)
        joined.update(self)
        return joined

    def __ior__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> Any:
        """The names."""
        return self._members().keys()

    def values(self) -> Any:
        """The parameters."""
        return self._members().values()

    def items(self) -> Any:
        """Names and parameters."""
        return self._members().items()

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another dict with these names, all of which are `default`."""
        return ParameterDict((key, default) for key in keys)

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of that name, or `default`."""
        return self._members().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of that name; if there is none, `default` is added."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Takes a parameter out and returns it."""
        parameter = self[key]
        del self[key]
        return parameter

    def popitem(self) -> tuple[str, Any]:
        """Takes the last parameter out and returns its name and itself."""
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Takes all parameters out."""
        for key in list(self):
            del self[key]

    def copy(self) -> ParameterDict:
        """Another dict with the same parameters."""
        return ParameterDict(self.items())
