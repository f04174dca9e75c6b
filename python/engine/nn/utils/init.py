"""Modules without initial values."""

from __future__ import annotations

import inspect
from typing import Any

from engine import _core
from engine.errors import BadType, require

__all__ = ["skip_init"]


def skip_init(module_cls: type, *args: Any, **kwargs: Any) -> Any:
    """module_cls(*args, **kwargs), with parameters and buffers whose values nobody should rely on. No random numbers are drawn.

    module_cls: a class of modules whose constructor takes `device`. Raises TypeError for anything else.

    Differs from PyTorch: initial values are computed, and then the state of the random numbers is put back, so this saves no time.
    """
    module = isinstance(module_cls, type) and hasattr(module_cls, "state_dict")
    require(module, "skip_init", "module_cls", "a class of modules", repr(module_cls), error=BadType)
    takes = "device" in inspect.signature(module_cls).parameters
    require(takes, "skip_init", "module_cls", "a class that takes device=", module_cls.__name__, error=BadType)
    before = _core.random_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        _core.set_random_state(*before)
