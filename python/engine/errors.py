"""Errors as data: the op, the argument, what was expected, what came. They are worded last, when someone reads them.

    raise BadValue("layer_norm", "weight", f"shape {shape}", weight.shape)

reads `[layer_norm] weight: expected shape (384,), got (383,)`. Each class is also the Python exception that a caller would
look for: `except ValueError` catches a BadValue. An op that is made of another one relabels that one's errors
(`engine.ops.naming`), and the command line names options where Python names arguments. Nobody edits a message.

This file stands below all others and imports nothing of engine.
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
    "not_installed",
    "require",
]


class Argument(str):
    """The name of an argument where a hint speaks of it: `("name it with ", Argument("text_column"))`.

    Python's reader sees `text_column=`, that of the command line `--text-column`."""

    __slots__ = ()


Hint = str | tuple[str, ...]


class ArgumentError(Exception):
    """`[op] argument: expected X, got Y (hint)`: the base of the errors below. It is raised as one of them.

    ArgumentError(op, argument, expected, got, *hints)

    expected, got: phrases; another object stands for its `str`. hints: how to mend it, each a phrase, or a tuple of phrases
    and `Argument`s; another object stands for its `str`. The exception's `args` are these data, so that it can be copied and pickled.
    """

    def __init__(self, op: str, argument: str, expected: Any, got: Any, *hints: Any) -> None:
        said = (hint if isinstance(hint, tuple) else str(hint) for hint in hints)
        self.args = (op, argument, str(expected), str(got), *said)

    @property
    def op(self) -> str:
        """What was called, such as "layer_norm"."""
        return self.args[0]

    @property
    def argument(self) -> str:
        """Which of its arguments, such as "weight"."""
        return self.args[1]

    @property
    def expected(self) -> str:
        """A phrase, such as "shape (384,)"."""
        return self.args[2]

    @property
    def got(self) -> str:
        """A phrase, such as "(383,)"."""
        return self.args[3]

    @property
    def hints(self) -> tuple[Hint, ...]:
        """How to mend it."""
        return self.args[4:]

    def __str__(self) -> str:
        return f"[{self.op}] {self.argument}: {self.problem()}"

    def relabel(self, op: str, names: Mapping[str, str]) -> None:
        """Makes it an error of another op, in which arguments have the names that `names` gives to them."""
        self.args = (op, names.get(self.argument, self.argument), *self.args[2:])

    def add_hint(self, hint: Hint) -> None:
        """Adds what only a caller knows of how to mend it."""
        self.args = (*self.args, hint)

    def problem(self, names: Mapping[str, str] | None = None) -> str:
        """`expected X, got Y (hint)`.

        names: what the reader calls the arguments in hints; a hint about any other argument is left out, for the reader
        cannot follow it. None: Python's reader, who calls an argument `name=`.
        """
        said = [text for text in (_worded(hint, names) for hint in self.hints) if text]
        return f"expected {self.expected}, got {self.got}" + (f" ({'; '.join(said)})" if said else "")


def _worded(hint: Hint, names: Mapping[str, str] | None) -> str:
    """A hint as text; "" where it speaks of an argument without a name."""
    parts = (hint,) if isinstance(hint, str) else hint
    if names is not None and any(type(part) is Argument and part not in names for part in parts):
        return ""
    return "".join([(f"{p}=" if names is None else names[p]) if type(p) is Argument else p for p in parts])


class BadValue(ArgumentError, ValueError):
    """A value or shape that does not fit."""


class BadType(ArgumentError, TypeError):
    """An object of another kind, or a dtype."""


class BadIndex(ArgumentError, IndexError):
    """An index, token id or label out of range."""


class BadKey(ArgumentError, KeyError):
    """A name that is taken, or that nothing has."""


class BadAttribute(ArgumentError, AttributeError):
    """A member that the object does not have."""


class BadBuffer(ArgumentError, BufferError):
    """Memory that cannot be handed over."""


class BadState(ArgumentError, RuntimeError):
    """A call that is right, at a time or in a place where it cannot be done: a graph that was freed, a device that is not there."""


class NotDefined(ArgumentError, NotImplementedError):
    """A method that a subclass has to define."""


class OutOfMemory(ArgumentError, MemoryError):
    """More memory than there is, or than `set_memory_limit` allows."""


class BadFile(ArgumentError, OSError):
    """A file or folder that cannot be used."""


class FileMissing(ArgumentError, FileNotFoundError):
    """A file or folder that is not there."""


class FileExists(ArgumentError, FileExistsError):
    """A file or folder that is in the way."""


class IsFolder(ArgumentError, IsADirectoryError):
    """A folder where a file is needed."""


class NotFolder(ArgumentError, NotADirectoryError):
    """A file where a folder is needed."""


class Busy(ArgumentError, BlockingIOError):
    """A file or folder that another process is working in."""


class NotFinite(ArgumentError, FloatingPointError):
    """A number that is infinite or no number, where training cannot go on with it."""


class NotInstalled(ArgumentError, ImportError):
    """A package that an optional part of engine needs. Make one with `not_installed`."""


def not_installed(op: str, package: str, extra: str, *hints: Any) -> NotInstalled:
    """The error for a missing package that an extra of engine brings."""
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
    """Raises the error unless `right` is true. The phrases are made in any case: where a call must be quick, write `if` and `raise`."""
    if not right:
        raise error(op, argument, expected, got, *hints)
