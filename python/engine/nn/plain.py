"""Whether engine may do without the call of a module: read its parameters in a fused op, or give it rows instead of a rectangle.

Only a plain module is treated so. It is exactly of a class that is marked here, has no hooks, and nobody has replaced its `forward`.
Any other module is called, as in PyTorch, and sees what PyTorch would give it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["all_plain", "is_plain", "normalises_rows", "plain"]

Kind = TypeVar("Kind", bound=type)

_FORWARDS: dict[type, Callable[..., Any]] = {}  # the marked classes, and the `forward` that each had when it was made


def plain(kind: Kind) -> Kind:
    """Marks a class whose modules compute each row by itself, or get cu_seqlens with the rows. Subclasses are not marked."""
    _FORWARDS[kind] = kind.forward  # type: ignore[attr-defined]
    return kind


def is_plain(module: Any, kind: type | None = None) -> bool:
    """Whether the module is exactly of this class (None: of any that is marked), without hooks and with the class's own `forward`."""
    found = type(module)
    own = _FORWARDS.get(found)
    if own is None or found.forward is not own or (kind is not None and found is not kind):
        return False
    mine = module.__dict__
    return "forward" not in mine and ("_forward_hooks" not in mine or not module._has_hooks())


def all_plain(*modules: Any) -> bool:
    """Whether all of them are plain, of whatever marked class."""
    return all(map(is_plain, modules))


def normalises_rows(norm: Any) -> bool:
    """Whether a norm is plain and each row is normalised by itself."""
    return is_plain(norm) and len(norm.__dict__.get("normalized_shape", (0,))) == 1
