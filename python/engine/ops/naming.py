"""Errors name the op that was called, also where it stands on an op or a kernel of another name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def called_as(op: str, call: Callable[..., Any], *args: Any, input_as: str = "input", **kwargs: Any) -> Any:
    """call(*args, **kwargs), whose errors name `op`; input_as: what its argument `input` is called there."""
    try:
        return call(*args, **kwargs)
    except (TypeError, ValueError, IndexError, MemoryError) as error:
        names = {"": f"[{op}]", " input": f"[{op}] {input_as}"}
        raise type(error)(re.sub(r"^\[\w+\]( input\b|)", lambda found: names[found[1]], str(error))) from None
