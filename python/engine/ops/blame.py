"""Errors by the rule for arguments of a wrong type, in functions that compute with them in Python.

An op checks what its kernel cannot. A function that compares numbers or counts a sequence would have to check each of them first;
instead its annotations are read once something has gone wrong. A right call pays for one more call of Python, so that ops whose
time is a kernel's small one check by themselves.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, wraps
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from engine._core import DType
from engine.errors import ArgumentError, BadType, BadValue
from engine.tensor import Tensor

__all__: list[str] = []

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = {
    Tensor: "a Tensor", int: "an integer of 64 bits", float: "a number", bool: "True or False", str: "a string",
    DType: "a dtype such as engine.float32", NoneType: "None",
}  # fmt: skip
_MANY = {int: "integers of 64 bits", float: "numbers", Tensor: "Tensors"}


def explained(function: F) -> F:
    """The function, whose errors name the argument if it does not fit its annotation."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ArgumentError:
            raise
        except (TypeError, AttributeError, ValueError, OverflowError) as error:
            found = misfit(function, args, kwargs, type(error) is OverflowError)
            if found is None:
                raise
            raise found from error

    return call  # type: ignore[return-value]


def misfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], overflow: bool
) -> ArgumentError | None:
    """The error about the first argument that does not fit its annotation; None if all fit. overflow: no integer may be larger than
    64 bits, wherever it stands."""
    from inspect import signature  # takes longer to import than all of engine.ops, and is rarely needed

    try:
        given = signature(function).bind(*args, **kwargs).arguments
    except TypeError:  # too many arguments or too few: Python's own words say so
        return None
    pairs = list(_given(function, given))
    op = function.__name__ if function.__name__[:2] == "__" else function.__name__.lstrip("_")
    for argument, kind, value in pairs:
        if overflow and _is_integer(value) and not -(2**63) <= operator.index(value) < 2**63:
            return BadValue(op, argument, "a number of 64 bits", str(operator.index(value)))
        if not _fits(kind, value):
            large = _is_integer(value) and int in _choices(kind)
            got = str(operator.index(value)) if large else _got(value)
            return (BadValue if large else BadType)(op, argument, _expected(kind), got)
    for argument, kind, value in pairs:  # what only promises to be an integer cannot be compared with one
        if int in _choices(kind) and not isinstance(value, int | np.integer | Tensor | NoneType):
            return BadType(op, argument, _expected(kind), _got(value))
    return None


def _given(function: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The name, the annotation and the value of each argument."""
    from inspect import Parameter, signature

    kinds, parameters = _hints(function), signature(function).parameters
    for name, value in arguments.items():
        kind = kinds.get(name, Any)
        if parameters[name].kind is Parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{i}]", kind, one) for i, one in enumerate(value))
        elif parameters[name].kind is Parameter.VAR_KEYWORD:
            yield from ((key, kind, one) for key, one in value.items())
        else:
            yield name, kind, value


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_integer(value: Any) -> bool:
    try:
        operator.index(value)
    except (TypeError, ValueError):
        return False
    return True


def _fits(kind: Any, value: Any) -> bool:
    return any(_fits_one(one, value) for one in _choices(kind))


def _fits_one(kind: Any, value: Any) -> bool:
    origin = get_origin(kind) or kind
    if kind is Any:
        return True
    if kind is int:
        return _is_integer(value) and -(2**63) <= operator.index(value) < 2**64
    if kind is float:
        single = not isinstance(value, Tensor | np.ndarray) or value.ndim == 0
        if isinstance(value, np.ndarray):
            return single and value.dtype.kind in "biuf"
        return single and isinstance(value, int | float | np.number | np.bool_ | Tensor)
    if kind is bool:
        return isinstance(value, bool | np.bool_ | int)
    if origin in (list, tuple, Sequence, Iterable):
        if isinstance(value, str | bytes) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
            return False
        return all(_fits(part, v) for part in get_args(kind)[:1] for v in value)
    if origin is Callable or get_origin(kind) is not None:
        return origin is not Callable or callable(value)
    return not isinstance(kind, type) or kind is object or isinstance(value, kind)


def _expected(kind: Any) -> str:
    words = []
    for one in _choices(kind):
        origin = get_origin(one) or one
        if origin in (list, tuple, Sequence, Iterable):
            words.append(f"a list of {_MANY.get((get_args(one) or (None,))[0], 'values')}")
        elif one is not bool or float not in _choices(kind):
            words.append(_WORDS.get(one, f"a {getattr(origin, '__name__', 'value')}"))
    words.sort(key=lambda w: w == "None")
    return " or ".join(dict.fromkeys(words))


def _got(value: Any) -> str:
    if isinstance(value, list | tuple):
        wrong = next((v for v in value if not _is_integer(v)), None)
        return (
            f"{type(value).__name__} with {type(wrong).__name__}"
            if wrong is not None
            else f"{type(value).__name__} {value}"
        )
    return repr(value) if isinstance(value, str) else type(value).__name__
