"""Errors as data: the op, the argument, what was expected and what came. The message is made when someone reads it.

    raise BadValue("layer_norm", "weight", f"shape {shape}", weight.shape)

reads `[layer_norm] weight: expected shape (384,), got (383,)`. Each class is also the Python exception that callers expect:
`except ValueError` catches a BadValue. An op that calls another op changes the names in that op's errors (`engine.ops.naming`). The
command line shows the names of options instead of arguments. No code edits the text of a message.

This file is below all others: it imports nothing from engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "Argument",
    "ArgumentError",
    "BadAttribute",
    "BadBuffer",
    "BadFile",
    "BadIndex",
    "BadKey",
    "BadState",
    "BadType",
    "BadValue",
    "Busy",
    "FileExists",
    "FileMissing",
    "IsFolder",
    "NotDefined",
    "NotFinite",
    "NotFolder",
    "NotInstalled",
    "OutOfMemory",
    "amount",
    "not_installed",
    "require",
]


class Argument(str):
    """The name of an argument inside a hint: `("name it with ", Argument("text_column"))`.

    A Python user reads `text_column=`; a user of the command line reads `--text-column`. `Argument("quoting=False")` is the argument
    with a value: `quoting=False`, or `--no-quotes`.
    """

    __slots__ = ()


Hint = str | tuple[str, ...]

_LONGEST = 2000  # characters of a phrase


class ArgumentError(Exception):
    """`[op] argument: expected X, got Y (hint)`: the base of the errors below. Code raises one of those.

    ArgumentError(op, argument, expected, got, *hints)

    expected, got: phrases. hints: how to correct the error; each is a phrase, or a tuple of phrases and `Argument`s. Any other object
    is replaced by its `str`. The exception's `args` are these data, so that it can be copied and pickled.
    """

    def __init__(self, op: str, argument: str, expected: Any, got: Any, *hints: Any) -> None:
        said = (hint if isinstance(hint, tuple) else _phrase(str(hint)) for hint in hints)
        self.args = (op, argument, _phrase(expected), _phrase(got), *said)

    @property
    def op(self) -> str:
        """The function that was called, for example "layer_norm"."""
        return self.args[0]

    @property
    def argument(self) -> str:
        """The argument that is wrong, for example "weight"."""
        return self.args[1]

    @property
    def expected(self) -> str:
        """What the argument should be, for example "shape (384,)"."""
        return self.args[2]

    @property
    def got(self) -> str:
        """What the argument was, for example "(383,)"."""
        return self.args[3]

    @property
    def hints(self) -> tuple[Hint, ...]:
        """How to correct the error."""
        return self.args[4:]

    def __str__(self) -> str:
        return f"[{self.op}] {self.argument}: {self.problem()}"

    def relabel(self, op: str, names: Mapping[str, str]) -> None:
        """Makes this an error of another op. `names`: the names of arguments there, by their names here."""
        self.args = (op, names.get(self.argument, self.argument), *self.args[2:])

    def add_hint(self, hint: Hint) -> None:
        """Adds a hint that only a caller can give."""
        self.args = (*self.args, hint)

    def problem(self, names: Mapping[str, str] | None = None) -> str:
        """`expected X, got Y (hint)`.

        names: the reader's names for the arguments in hints. A hint about any other argument is left out, because the reader cannot
        follow it. None: names for a Python user, `name=`.
        """
        said = [text for text in (_worded(hint, names) for hint in self.hints) if text]
        return f"expected {self.expected}, got {self.got}" + (f" ({'; '.join(said)})" if said else "")


def _phrase(value: Any) -> str:
    """An object in a message: a shape as (2, 3), whatever class of tuple holds it. What a damaged file holds may be a megabyte."""
    text = tuple.__repr__(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters in all)"


def _worded(hint: Hint, names: Mapping[str, str] | None) -> str:
    """A hint as text; "" if it is about an argument that `names` does not have."""
    parts = (hint,) if isinstance(hint, str) else hint
    if names is not None and any(type(part) is Argument and part not in names for part in parts):
        return ""
    given = {p: (p if "=" in p else f"{p}=") if names is None else names[p] for p in parts if type(p) is Argument}
    return "".join([given[p] if type(p) is Argument else p for p in parts])


class BadValue(ArgumentError, ValueError):
    """A value or a shape that does not fit."""


class BadType(ArgumentError, TypeError):
    """An object of another type, or another dtype."""


class BadIndex(ArgumentError, IndexError):
    """An index, token id or label out of range."""


class BadKey(ArgumentError, KeyError):
    """A name that is in use already, or that does not exist."""


class BadAttribute(ArgumentError, AttributeError):
    """A member that the object does not have."""


class BadBuffer(ArgumentError, BufferError):
    """Memory that cannot be shared with another library."""


class BadState(ArgumentError, RuntimeError):
    """A correct call at the wrong time or on the wrong machine: the graph was freed already, or there is no such device."""


class NotDefined(ArgumentError, NotImplementedError):
    """A method that a subclass must define."""


class OutOfMemory(ArgumentError, MemoryError):
    """More memory than the machine has, or than `set_memory_limit` allows."""


class BadFile(ArgumentError, OSError):
    """A file or folder that cannot be used."""


class FileMissing(ArgumentError, FileNotFoundError):
    """A file or folder that does not exist."""


class FileExists(ArgumentError, FileExistsError):
    """A file or folder that exists already."""


class IsFolder(ArgumentError, IsADirectoryError):
    """A folder where a file is needed."""


class NotFolder(ArgumentError, NotADirectoryError):
    """A file where a folder is needed."""


class Busy(ArgumentError, BlockingIOError):
    """A file or folder that another process is using."""


class NotFinite(ArgumentError, FloatingPointError):
    """A number that is infinite or NaN, with which training cannot continue."""


class NotInstalled(ArgumentError, ImportError):
    """A missing package that an optional part of engine needs. Make this error with `not_installed`."""


def amount(count: int | None, thing: str, things: str | None = None) -> str:
    """A number of things in words: "1 thread", "2,000 threads". things: the plural, if it is not `thing` and "s"."""
    return f"1 {thing}" if count == 1 else f"{count if count is None else format(count, ',')} {things or thing + 's'}"


def not_installed(op: str, package: str, extra: str, *hints: Any) -> NotInstalled:
    """The error for a missing package. extra: the extra of engine that installs it."""
    return NotInstalled(op, package, "an installed package", "none", f"pip install 'engine[{extra}]'", *hints)


def require(
    right: object,
    op: str,
    argument: str,
    expected: Any,
    got: Any,
    *hints: Any,
    error: type[ArgumentError] = BadValue,
) -> None:
    """Raises the error unless `right` is true. The phrases are always made: if a call must be quick, write `if` and `raise` instead."""
    if not right:
        raise error(op, argument, expected, got, *hints)
