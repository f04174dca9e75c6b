"""`torch.jit`'s names. engine does not compile: modules and functions run as they are, in Python."""

from __future__ import annotations

import builtins
from typing import Any, Final

from engine.nn.module import Module as ScriptModule
from engine.notices import say_once

__all__ = [
    "Final",
    "ScriptModule",
    "annotate",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "script",
    "script_if_tracing",
    "script_method",
    "trace",
    "unused",
]


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """Returns the module, class or function itself, and says so once. Other arguments change nothing."""
    say_once("engine.jit.script returns its argument: engine runs it as it is, in Python")
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Returns the module or function itself, and says so once. Other arguments change nothing."""
    say_once("engine.jit.trace returns its argument: engine runs it as it is, in Python")
    return func


def export(fn: Any) -> Any:
    """Returns the function itself."""
    return fn


script_method = script_if_tracing = export


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Returns the function itself. Also a decorator with arguments."""
    return drop if callable(drop) else export


unused = export


def is_scripting() -> bool:
    """False."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """Returns the value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's isinstance."""
    return builtins.isinstance(obj, target_type)
