"""The base of dataclasses of settings: types are checked by the annotations; settings go to JSON and back."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from engine.errors import ArgumentError, BadType, BadValue, Hint, require

__all__ = ["Settings", "checked"]

Self = TypeVar("Self", bound="Settings")

_NOUNS: dict[Any, tuple[str, str]] = {  # one, and several
    bool: ("True or False", "True or False"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    Mapping: ("a mapping", "mappings"),
    NoneType: ("None", "None"),
}


@dataclass(frozen=True)
class Settings:
    """The base of dataclasses of settings: it checks them, and takes them to JSON and back.

    Each setting must have the type of its annotation. Lists may be given for tuples, and paths for strings, because JSON has neither
    tuples nor paths. NumPy's numbers become Python's. A setting of another type raises TypeError.
    """

    def __post_init__(self) -> None:
        of: Any = type(self)
        for name, kind in _kinds(of).items():
            object.__setattr__(self, name, checked(of.__name__, name, kind, getattr(self, name)))

    def require(self, name: str, right: object, expected: str, error: type[ArgumentError] = BadValue) -> None:
        """Raises the error about the setting `name` unless `right` is true."""
        require(right, type(self).__name__, name, expected, repr(getattr(self, name)), error=error)

    def refuse(self, reason: Hint, *names: str) -> None:
        """Raises ValueError if one of the settings of those names was changed, although nothing would read it. reason: why."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in names and value != field.default:
                raise BadValue(type(self).__name__, field.name, "no value", repr(value), reason)

    def to_dict(self) -> dict[str, Any]:
        """All settings, fit for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[Self], settings: Mapping[str, Any]) -> Self:
        """The settings of `to_dict`. Raises ValueError for a name that is not a setting."""
        right = isinstance(settings, Mapping)
        require(right, cls.__name__, "settings", "a mapping", type(settings).__name__, error=BadType)
        names = [field.name for field in fields(cls)]
        for name in settings:
            if name not in names:
                close = difflib.get_close_matches(str(name), names) or names
                raise BadValue(cls.__name__, "settings", f"names of settings, such as {', '.join(close)}", repr(name))
        return cls(**settings)


def checked(op: str, name: str, kind: Any, value: Any) -> Any:
    """`value` as Python's object of the type `kind`, which is an annotation such as `int | None` or `tuple[str, ...]`.

    NumPy's numbers become Python's, paths become strings, and lists become tuples. A whole number may be given for a float, but no
    float for an int, and no bool for either. A type that is not known here is not checked. Raises TypeError with `op` and `name`.
    """
    try:
        return _fitted(kind, value)
    except TypeError:
        raise BadType(op, name, _expected(kind, value), repr(value)) from None


@cache
def _kinds(settings: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields."""
    hints = get_type_hints(settings)
    return {field.name: hints[field.name] for field in fields(settings)}


def _choices(kind: Any) -> tuple[Any, ...]:
    """The types of a union; else the one type. `Literal` is a string here: who uses it checks its values."""
    if get_origin(kind) in (Union, UnionType):
        return get_args(kind)
    return (str,) if get_origin(kind) is Literal else (kind,)


def _fitted(kind: Any, value: Any) -> Any:
    for one in _choices(kind):
        origin = get_origin(one) or one
        if origin is tuple and _is_list(value):
            part = get_args(one)[0]
            return tuple(_fitted(part, each) for each in value)
        if origin is bool and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if origin in (int, float) and isinstance(value, Integral) and not isinstance(value, bool):
            return int(value)
        if origin is float and isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        if origin is str and isinstance(value, os.PathLike):
            return _fitted(str, os.fspath(value))
        if (origin in (str, Mapping, NoneType) and isinstance(value, origin)) or origin not in (*_NOUNS, tuple):
            return value
    raise TypeError


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _expected(kind: Any, value: Any) -> str:
    words = []
    for one in sorted(_choices(kind), key=lambda each: each is not NoneType):
        origin = get_origin(one) or one
        if origin is not tuple:
            words.append(_NOUNS[origin][0])
        else:
            words.append(f"a list of {_NOUNS[get_args(one)[0]][1]}" if _is_list(value) else "a list")
    return " or ".join(words)
