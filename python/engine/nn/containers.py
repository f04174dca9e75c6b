"""Modules that hold modules or parameters in order or by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from engine.errors import BadIndex
from engine.nn.module import Module, Parameter
from engine.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterList", "Sequential"]

List = TypeVar("List", bound="_Indexed")


class _Indexed(Module):
    """Submodules under the names "0", "1", ..."""

    def _fill(self, modules: Iterable[Module]) -> None:
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def _position(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise BadIndex(type(self).__name__, "index", f"a number in [{-len(self)}, {len(self)})", index)
        return str(index % len(self))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            part = type(self).__new__(type(self))
            Module.__init__(part)
            part._fill(list(self)[index])
            return part
        return self._modules[self._position(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._position(index), module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._fill(modules)

    def append(self: List, module: Module) -> List:
        """Adds one at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self: List, modules: Iterable[Module]) -> List:
        """Adds several at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self: List, index: int, module: Module) -> List:
        """Adds one before position `index`."""
        modules = list(self)
        modules.insert(index, module)
        self._fill(modules)
        return self


class Sequential(_Indexed):
    """Calls its modules one after the other. Takes modules, or one dict of them by name."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._fill(modules)

    def _position(self, index: int) -> str:
        super()._position(index)
        return list(self._modules)[index]

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class ModuleList(_Indexed):
    """A list of modules whose parameters belong to the module that holds the list."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._fill(modules or ())

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)


class ModuleDict(Module):
    """A dict of modules, in the order of insertion."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds all of a mapping, or of an iterable of pairs."""
        for name, module in modules.items() if isinstance(modules, Mapping) else modules:
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


class ParameterList(Module):
    """A list of parameters; tensors that are none become some."""

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        for value in values or ():
            self.append(value)

    def append(self, value: Tensor) -> ParameterList:
        """Adds one at the end."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise BadIndex("ParameterList", "index", f"a number in [{-len(self)}, {len(self)})", index)
        return self._parameters[str(index % len(self))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        self[index]  # in range
        setattr(self, str(index % len(self)), value if isinstance(value, Parameter) else Parameter(value))

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): Parameter of shape {p.shape}, {p.dtype.name}" for i, p in enumerate(self))
