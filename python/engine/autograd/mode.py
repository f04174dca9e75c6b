"""Whether ops are recorded in this thread, and how that is switched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class _Recording(threading.local):
    enabled = True
    recorder: Any = None  # inside a checkpoint: recorder(node, saved) takes what a node saves and returns what it keeps


recording = _Recording()


def is_grad_enabled() -> bool:
    """Whether ops are recorded in this thread."""
    return recording.enabled


class _SetGrad:
    """Context manager and decorator that switches recording on or off in this thread."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(recording.enabled)
        recording.enabled = self._enabled

    def __exit__(self, *_: object) -> None:
        recording.enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from inspect import isgeneratorfunction

        @wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            """The mode holds while the body of the generator runs; in between the caller has its own."""
            inner = function(*args, **kwargs)
            resume: Any = inner.send
            value: Any = None
            while True:
                try:
                    with _SetGrad(self._enabled):
                        item = resume(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    resume, value = inner.send, (yield item)
                except BaseException as error:  # the caller threw it in; GeneratorExit if it closes the generator
                    resume, value = inner.throw, error

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _SetGrad(self._enabled):
                return function(*args, **kwargs)

        return generator if isgeneratorfunction(function) else wrapped


class no_grad(_SetGrad):
    """`with engine.no_grad():` or `@engine.no_grad()`: ops are not recorded."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_SetGrad):
    """`with engine.enable_grad():` or `@engine.enable_grad()`: ops are recorded, also inside no_grad."""

    def __init__(self) -> None:
        super().__init__(True)


class inference_mode(no_grad):
    """The same as no_grad. PyTorch's inference_mode restricts what can be done with the results; this one does not."""


class set_grad_enabled(_SetGrad):
    """Switches recording on or off at once. As a context manager it restores the mode of before at the end."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._outer = recording.enabled
        recording.enabled = mode

    def __enter__(self) -> None:
        self._before.append(self._outer)
        recording.enabled = self._enabled
