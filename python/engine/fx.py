"""`torch.fx`'s decorator. engine traces no functions."""

from __future__ import annotations

from typing import Any

__all__ = ["wrap"]


def wrap(fn_or_name: Any) -> Any:
    """Returns the function, or the name of one, itself."""
    return fn_or_name
