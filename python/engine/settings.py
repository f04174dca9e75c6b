"""The base of dataclasses of settings: types are checked by the annotations; settings go to JSON and back."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from engine.errors import ArgumentError, BadType, BadValue, Hint, require

__all__ = ["Between", "Settings", "checked", "shortened"]

Self = TypeVar("Self", bound="Settings")

_NOUNS: dict[Any, tuple[str, str]] = {  # one, and several
    bool: ("True or False", "True or False"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    Mapping: ("a mapping", "mappings"),
    dict: ("an object", "objects"),
    list: ("a list", "lists"),
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
                got = ",".join(map(str, value)) if isinstance(value, tuple) else value
                raise BadValue(type(self).__name__, field.name, "no value", repr(got), reason)

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


@dataclass(frozen=True)
class Between:
    """The range of a number, ends included: `Annotated[int, Between(1, 8)]`."""

    least: float
    most: float = math.inf

    def __str__(self) -> str:
        return f">= {self.least}" if self.most == math.inf else f"from {self.least} to {self.most}"


def checked(op: str, name: str, kind: Any, value: Any) -> Any:
    """`value` as Python's object of the type `kind`, which is an annotation such as `int | None` or `tuple[str, ...]`.

    NumPy's numbers become Python's, paths become strings, and lists become tuples. A whole number may be given for a float, but no
    float for an int, and no bool for either. A type that is not known here is not checked. `dict[str, ...]`, `list[...]` and
    TypedDicts are for what a JSON file holds: all that is in them is checked, and errors name the place inside.

    Raises TypeError with `op` and `name`, and ValueError for a number outside of its `Between`.
    """
    try:
        return _fitted(kind, value)
    except _Misfit as misfit:
        raise misfit.error(op, _place(name, misfit.path), misfit.expected, misfit.got) from None


class _Misfit(Exception):
    """path: where inside the value, as keys and indices from outside."""

    def __init__(self, expected: str, got: str, error: type[ArgumentError] = BadType, *path: str | int) -> None:
        super().__init__(expected)
        self.expected, self.got, self.error, self.path = expected, got, error, path


def _place(name: str, path: Iterable[str | int]) -> str:
    """The name of a part of a value, such as `prompts[2]`. name: of the whole; "": a file, whose entries have their own names."""
    for key in path:
        name += f"[{key}]" if isinstance(key, int) else f".{key}" if name else key
    return name


def shortened(value: Any) -> str:
    """The `repr` of a value from a file, of a length that a message can hold."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


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
    for each in _choices(kind):
        one, *limits = get_args(each) if get_origin(each) is Annotated else (each,)
        origin = get_origin(one) or one
        if origin is tuple and _is_list(value):
            try:
                return tuple(_fitted(get_args(one)[0], each) for each in value)
            except _Misfit:
                break  # the message shows the whole list
        if is_typeddict(one) and isinstance(value, dict):
            return _object(one, value)
        if origin in (list, dict) and isinstance(value, origin) and Any in get_args(one):
            return value
        if origin is list and isinstance(value, list):
            return [_inner(part, item, i) for part in get_args(one) for i, item in enumerate(value)] or value
        if origin is dict and isinstance(value, dict):
            return {
                name: _inner(part, item, name) for part in get_args(one)[1:] for name, item in value.items()
            } or value
        if origin is bool and isinstance(value, (bool, np.bool_)):
            return bool(value)
        real = isinstance(value, Real) and not isinstance(value, bool)
        if real and isinstance(value, Integral) and origin in (int, float):
            if origin is float and abs(int(value)) >= 2**1023:
                continue  # no float holds it
            return _limited(int(value), limits)
        if real and origin is float:
            return _limited(float(value), limits)
        if origin is str and isinstance(value, os.PathLike):
            return _fitted(str, os.fspath(value))
        known = origin in _NOUNS or origin is tuple or is_typeddict(one)
        if (origin in (str, Mapping, NoneType) and isinstance(value, origin)) or not known:
            return value
    raise _Misfit(_expected(kind, value), shortened(value))


def _object(kind: Any, value: dict[str, Any]) -> dict[str, Any]:
    """The object with the entries that a TypedDict names checked."""
    hints = _kinds_of_entries(kind)
    for name in kind.__required_keys__ - value.keys():
        raise _Misfit(_expected(hints[name], None), "no such entry", BadValue, name)
    return {name: _inner(hints[name], item, name) if name in hints else item for name, item in value.items()}


@cache
def _kinds_of_entries(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _inner(kind: Any, value: Any, key: str | int) -> Any:
    try:
        return _fitted(kind, value)
    except _Misfit as misfit:
        raise _Misfit(misfit.expected, misfit.got, misfit.error, key, *misfit.path) from None


def _limited(value: Any, limits: list[Between]) -> Any:
    for limit in limits:
        if not limit.least <= value <= limit.most:
            raise _Misfit(f"a number {limit}", shortened(value), BadValue)
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _expected(kind: Any, value: Any) -> str:
    words = []
    for each in sorted(_choices(kind), key=lambda each: each is not NoneType):
        one = get_args(each)[0] if get_origin(each) is Annotated else each
        origin = dict if is_typeddict(one) else get_origin(one) or one
        if origin is not tuple:
            words.append(_NOUNS[origin][0])
        else:
            words.append(f"a list of {_NOUNS[get_args(one)[0]][1]}" if _is_list(value) else "a list")
    return " or ".join(words)
