"""The dicts in which a module lists its parameters, buffers and submodules: what is written there becomes an attribute too."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

__all__ = ["Registry"]

_NONE = object()


class Registry(dict[str, Any]):
    """A dict whose entries are also attributes of its owners: usually one module, and those that `copy.copy` made of it.

    Reading is a dict's. Pickles and copies of it are plain dicts; the module that gets one makes a Registry of it.
    """

    __slots__ = ("owners",)

    def __init__(self, *entries: Any) -> None:
        super().__init__(*entries)
        self.owners: list[weakref.ref[Any]] = []

    def adopt(self, owner: Any) -> None:
        """The entries become attributes of this module, now and later."""
        self.owners = [known for known in self.owners if known() is not None]
        if all(known() is not owner for known in self.owners):
            self.owners.append(weakref.ref(owner))
        owner.__dict__.update(self)

    def leave(self, owner: Any) -> None:
        """The entries are no attributes of this module any more."""
        self.owners = [known for known in self.owners if known() not in (None, owner)]
        for name, value in self.items():
            _forget(owner, name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for known in self.owners:
            owner = known()
            if owner is not None:
                owner.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        value = self[name]
        super().__delitem__(name)
        for known in self.owners:
            owner = known()
            if owner is not None:
                _forget(owner, name, value)

    def pop(self, name: str, default: Any = _NONE) -> Any:
        if name not in self and default is not _NONE:
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        if not self:
            return super().popitem()  # raises
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *entries: Any, **named: Any) -> None:
        for name, value in dict(*entries, **named).items():
            self[name] = value

    def __ior__(self, entries: Mapping[str, Any] | Any) -> Registry:  # type: ignore[override,misc]
        self.update(entries)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (), None, None, iter(self.items())


def _forget(owner: Any, name: str, value: Any) -> None:
    """Removes the attribute, unless it has become something else."""
    if owner.__dict__.get(name, _NONE) is value:
        del owner.__dict__[name]
