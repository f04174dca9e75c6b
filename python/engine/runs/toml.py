"""TOML files of settings, read and written."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from engine.entries import check_tree, read_regular
from engine.errors import ArgumentError, BadValue, not_installed
from engine.serialization import write_text

__all__ = ["read_toml", "write_toml"]

_MOST_DOTS = 128


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises FileNotFoundError if the file is missing, ValueError if it is not TOML, and ImportError on Python 3.10 if tomli is missing.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise not_installed("read_toml", "tomli", "search") from error
    name = os.fspath(path)
    try:
        text = read_regular(name, "read_toml", "path").decode()
        # A key of n parts takes the parser n^2 steps.
        if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
            raise ValueError(f"a line with more than {_MOST_DOTS} dots")
        values = tomllib.loads(text.replace("\r\n", "\n"))
        check_tree(values)
        return values
    except ArgumentError:
        raise
    except RecursionError:
        reason = "too many levels"
    except ValueError as error:  # of TOML, or of UTF-8
        reason = str(error)
    raise BadValue("read_toml", "path", f"TOML in {name}", "another text", reason)


def write_toml(path: str | os.PathLike[str], values: Mapping[str, Any], comment: str = "") -> None:
    """Writes tables as TOML, completely or not at all. None is left out, because TOML does not have it.

    comment: lines above the tables. Raises TypeError for values that TOML cannot hold, ImportError if tomli-w is missing (extra
    `search`).
    """
    try:
        import tomli_w
    except ModuleNotFoundError as error:
        raise not_installed("write_toml", "tomli-w", "search") from error
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    write_text(path, head + tomli_w.dumps(_without_none(values)))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
