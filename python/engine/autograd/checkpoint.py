"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): arrays that backward needs are computed again instead of kept.

A checkpointed function is recorded as any other: its nodes are on the tape, but what they save is let go at once. When
backward first asks one of them for it, the function runs again, with the same random numbers, and its ops, made in the
same order, hand what they save to the nodes of the first run. So gradients have the bits of those without a checkpoint.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from engine import _core
from engine.autograd.tape import _mode, enable_grad, is_grad_enabled
from engine.errors import BadState, BadType, BadValue
from engine.tensor import Tensor

__all__ = ["checkpoint", "surroundings"]

# Each says what else a run depends on, as of now: a function that brings it back, for a `with` statement.
surroundings: list[Callable[[], Callable[[], AbstractContextManager[Any]]]] = []


class _Call:
    """A call of a checkpointed function. Like a node it saves something, its arguments, which a call around it may let go."""

    name = "checkpoint"

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._saved: Any = (function, args, kwargs)
        self._versions = _versions(args, kwargs)
        self._call: _Call | None = None  # the call around this one, while it holds the arguments
        self.random = _core.random_state()
        self.around = [capture() for capture in surroundings]
        self.entries: list[tuple[weakref.ref[Any], str]] = []  # nodes and inner calls, in the order of their making
        self.running = False

    def run(self, recorder: Any) -> Any:
        """Calls the function; what its ops save goes to the recorder."""
        function, args, kwargs = self._saved
        before, _mode.recorder, self.running = _mode.recorder, recorder, True
        try:
            with ExitStack() as stack:
                for context in self.around:
                    stack.enter_context(context())
                return function(*args, **kwargs)
        finally:
            _mode.recorder, self.running = before, False

    def again(self) -> None:
        """Runs the function a second time, for its nodes to have again what they saved."""
        if self.running:
            raise BadState("checkpoint", "function", "a function that does not call backward", "one that does")
        if self._saved is None and self._call is not None:
            self._call.again()
        if self._saved is None:
            raise BadState(
                "checkpoint",
                "backward",
                "a graph that backward has not freed",
                "one that it has freed",
                "pass retain_graph=True to the first backward",
            )
        if _versions(*self._saved[1:]) != self._versions:
            raise BadState(
                "checkpoint",
                "backward",
                "arguments unchanged since the call",
                "one that was modified in place",
            )
        refill = _Refill(self)
        random = _core.random_state()
        _core.set_random_state(*self.random)
        try:
            with enable_grad():
                self.run(refill)
        finally:
            _core.set_random_state(*random)
        if refill.count != len(self.entries):
            raise _other_ops(f"{len(self.entries)} of them", str(refill.count))
        self._saved = None


class _LetGo:
    """Takes what the ops of the first run save, and keeps none of it."""

    def __init__(self, call: _Call) -> None:
        self.call = call

    def take(self, entry: Any, saved: tuple[Any, ...]) -> None:
        self.call.entries.append((weakref.ref(entry), entry.name))
        entry._call = self.call


class _Refill:
    """Takes what the ops of the second run save, and gives it to the nodes of the first."""

    def __init__(self, call: _Call) -> None:
        self.call, self.count = call, 0

    def take(self, entry: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        entries, i = self.call.entries, self.count
        if i >= len(entries) or entries[i][1] != entry.name:
            raise _other_ops(repr(entries[i][1]) if i < len(entries) else "no further one", repr(entry.name))
        self.count += 1
        first = entries[i][0]()
        if first is not None and first._call is self.call:  # neither gone nor freed
            if first._versions != entry._versions:
                raise BadState(
                    "checkpoint",
                    "backward",
                    f"the inputs of {entry.name} unchanged since the call",
                    "one that was modified in place",
                )
            first._saved, first._call = saved, None
        return ()


def _versions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    return [a._data.version for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]


def _other_ops(expected: str, got: str) -> BadState:
    return BadState(
        "checkpoint",
        "function",
        f"the same ops when it runs again: {expected}",
        got,
        "it may depend on its arguments, its parameters and engine's random numbers only",
    )


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any) -> Any:
    """function(*args, **kwargs), of which only the arguments are kept for backward; that computes the rest anew.

    As `torch.utils.checkpoint.checkpoint(..., use_reentrant=False)`: any arguments and results; gradients reach arguments
    and whatever else the function reads, such as a module's parameters, with the bits that they have without it, dropout
    included (torch's preserve_rng_state). Calls may be nested. Where nothing is recorded it is a plain call. Arrays that an
    `autograd.Function` of your own saves are kept nevertheless.

    Backward raises RuntimeError where the function does other ops the second time, or where an argument or a parameter was
    written in place in between. Raises ValueError for use_reentrant=True, TypeError for what cannot be called.
    """
    if not callable(function):
        raise BadType("checkpoint", "function", "a function", type(function).__name__)
    if use_reentrant:
        raise BadValue("checkpoint", "use_reentrant", False, True, "the reentrant form is not supported")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    call = _Call(function, args, kwargs)
    outer = _mode.recorder
    if outer is None:
        return call.run(_LetGo(call))
    outer.take(call, call._saved)  # before the ops within, in both runs
    try:
        return call.run(_LetGo(call))
    finally:
        call._saved = None
