"""`engine.compile` and `torch.compiler`'s names. engine does not compile: models and functions run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.notices import say_once

__all__ = [
    "allow_in_graph",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
]


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """Returns the model or function itself, and says so once. With keywords alone it is a decorator. The keywords change nothing.

    Differs from PyTorch: the result is no wrapper, so names in its state_dict have no "_orig_mod." before them.
    """
    if not disable:
        say_once("engine.compile returns its argument: engine runs models as they are, with its own kernels")
    return _itself if model is None else model


def _itself(function: Any) -> Any:
    return function


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Returns the function itself, which is not compiled in any case. Also a decorator with arguments."""
    return _itself if fn is None else fn


def allow_in_graph(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function itself."""
    return fn


def is_compiling() -> bool:
    """False."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Does nothing: nothing was compiled."""


def cudagraph_mark_step_begin() -> None:
    """Does nothing: there are no CUDA graphs."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """No names: there are no compilers."""
    return []
