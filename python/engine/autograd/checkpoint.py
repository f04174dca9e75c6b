"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): arrays that backward needs are computed again instead of kept.

A checkpointed function is recorded like any other, but its nodes do not keep what they save. When backward first asks one of
them for it, the function runs again with the same random numbers. Its ops come in the same order as before, and give what
they save to the nodes of the first run. So the gradients have the same bits as without a checkpoint.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from engine import _core
from engine.autograd.modes import enable_grad, is_grad_enabled, mode
from engine.autograd.node import freed
from engine.errors import BadState, BadType, BadValue
from engine.tensor import Tensor

__all__ = ["checkpoint", "surroundings"]

# What else a run depends on. Each function captures the present state and returns a function; that makes a context manager
# which restores the state.
surroundings: list[Callable[[], Callable[[], AbstractContextManager[Any]]]] = []


class _Call:
    """A call of a checkpointed function. Like a node it saves something: its arguments. A call around it may let go of them."""

    op = "checkpoint"

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._saved: Any = (function, args, kwargs)
        self._versions = _versions(args, kwargs)
        self._call: _Call | None = None  # the call around this one, if that has to bring the arguments back
        self.random = _core.random_state()
        self.around = [capture() for capture in surroundings]
        self.entries: list[
            tuple[weakref.ref[Any], str]
        ] = []  # nodes and inner calls, in the order in which they were made
        self.running = False

    def run(self, recorder: Any) -> Any:
        """Calls the function; `recorder` takes what its ops save."""
        function, args, kwargs = self._saved
        before, mode.recorder, self.running = mode.recorder, recorder, True
        try:
            with ExitStack() as stack:
                for context in self.around:
                    stack.enter_context(context())
                return function(*args, **kwargs)
        finally:
            mode.recorder, self.running = before, False

    def again(self) -> None:
        """Runs the function a second time, to give its nodes what they saved."""
        if self.running:
            raise BadState("checkpoint", "function", "a function that does not call backward", "one that does")
        if self._saved is None and self._call is not None:
            self._call.again()
        if self._saved is None:
            raise freed("checkpoint")
        if _versions(*self._saved[1:]) != self._versions:
            raise _changed("arguments")
        remaining = deque(self.entries)

        def refill(entry: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
            """Gives what an op of the second run saves to the node of the first run."""
            reference, name = remaining.popleft() if remaining else (None, None)
            if reference is None or name != entry.op:
                raise _other_ops("no further one" if name is None else repr(name), repr(entry.op))
            first = reference()
            if first is not None and first._call is self:  # it still lives and was not freed
                if first._versions != entry._versions:
                    raise _changed(f"the inputs of {entry.op}")
                first._saved, first._call = saved, None
            return ()

        random = _core.random_state()
        _core.set_random_state(*self.random)
        try:
            with enable_grad():
                self.run(refill)
        finally:
            _core.set_random_state(*random)
        if remaining:
            raise _other_ops(f"{len(self.entries)} of them", str(len(self.entries) - len(remaining)))
        self._saved = None

    def let_go(self, entry: Any, saved: tuple[Any, ...]) -> None:
        """Notes an op of the first run and keeps nothing of what it saves."""
        self.entries.append((weakref.ref(entry), entry.op))
        entry._call = self


def _versions(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[int]:
    return [a._data.version for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]


def _changed(what: str) -> BadState:
    return BadState("checkpoint", "backward", f"{what} unchanged since the call", "one that was modified in place")


def _other_ops(expected: str, got: str) -> BadState:
    return BadState(
        "checkpoint",
        "function",
        f"the same ops when it runs again: {expected}",
        got,
        "it may depend only on its arguments, its parameters and engine's random numbers",
    )


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False, **kwargs: Any) -> Any:
    """function(*args, **kwargs), of which only the arguments are kept for backward; backward runs the function again.

    As `torch.utils.checkpoint.checkpoint(..., use_reentrant=False)`: it takes any arguments and results. Gradients reach the
    arguments and all else that the function reads, such as a module's parameters. They have the same bits as without a
    checkpoint, dropout included (PyTorch's preserve_rng_state). Calls may be nested. Under no_grad it is a plain call. Arrays
    that an `autograd.Function` of the user saves are kept.

    Backward raises RuntimeError if the function does other ops the second time, or if an argument or a parameter was written
    in place in between. Raises ValueError for use_reentrant=True, TypeError if `function` cannot be called.
    """
    if not callable(function):
        raise BadType("checkpoint", "function", "a function", type(function).__name__)
    if use_reentrant:
        raise BadValue("checkpoint", "use_reentrant", False, True, "the reentrant form is not supported")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    call = _Call(function, args, kwargs)
    outer = mode.recorder
    if outer is None:
        return call.run(call.let_go)
    outer(call, call._saved)  # before the ops of this call, in both runs
    try:
        return call.run(call.let_go)
    finally:
        call._saved = None
