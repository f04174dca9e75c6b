"""Whether ops are recorded in this thread, and whether backward looks for NaNs."""

from __future__ import annotations

from _thread import _local
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


class _Mode(_local):  # threading.local, without the 1.5 ms of importing `threading`
    enabled = True
    recorder: Any = None  # inside a checkpoint: recorder(node, saved) takes what a node saves and returns what it keeps


mode = _this_thread = _Mode()
_new = object.__new__


def is_grad_enabled() -> bool:
    """Whether ops are recorded in this thread."""
    return mode.enabled


class _SetGrad:
    """Context manager and decorator that switches recording on or off in this thread."""

    # Nothing is set up for each use, because inference enters a mode for every small call.
    _enabled: bool
    _outer: Any = None  # what held before, and before that: an instance may be entered again inside itself

    def __enter__(self) -> None:
        self._outer = mode.enabled, self._outer
        mode.enabled = self._enabled

    def __exit__(self, *_: object) -> None:
        mode.enabled, self._outer = self._outer

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
                    with _of(self._enabled):
                        item = resume(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    resume, value = inner.send, (yield item)
                except BaseException as error:  # the caller threw it in; GeneratorExit if it closes the generator
                    resume, value = inner.throw, error

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _of(self._enabled):
                return function(*args, **kwargs)

        return generator if isgeneratorfunction(function) else wrapped


class no_grad(_SetGrad):
    """`with engine.no_grad():`, `@engine.no_grad()` or `@engine.no_grad`: ops are not recorded."""

    _enabled = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return _new(cls) if function is None else _new(cls)(function)


class enable_grad(_SetGrad):
    """`with engine.enable_grad():`, `@engine.enable_grad()` or `@engine.enable_grad`: ops are recorded, also inside no_grad."""

    _enabled = True

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return _new(cls) if function is None else _new(cls)(function)


def _of(enabled: bool) -> _SetGrad:
    return enable_grad() if enabled else no_grad()


class inference_mode(_SetGrad):
    """The same as no_grad; mode=False: as enable_grad. PyTorch's inference_mode restricts what can be done with the results; this
    one does not."""

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else _new(cls)

    def __init__(self, mode: bool = True) -> None:
        self._enabled = not mode


class set_grad_enabled(_SetGrad):
    """Switches recording on or off at once. As a context manager it restores the mode of before at the end, and as a decorator it
    switches only inside the function."""

    def __init__(self, mode: bool) -> None:
        self._enabled = bool(mode)
        self._before = _this_thread.enabled
        _this_thread.enabled = self._enabled

    def __enter__(self) -> None:
        self._outer = self._before, self._outer
        mode.enabled = self._enabled

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        mode.enabled = self._before
        return super().__call__(function)
