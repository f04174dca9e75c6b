"""What engine tells a user without an error: once in a process, as a Python warning."""

from __future__ import annotations

import warnings
from functools import cache

__all__ = ["say_once"]


@cache
def say_once(said: str) -> None:
    """Warns with this text, the first time that it is called with it. The warning names the line that called the caller."""
    warnings.warn(said, stacklevel=3)
