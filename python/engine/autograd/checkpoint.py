"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): arrays that backward needs are computed again instead of kept.

A checkpointed function is recorded like any other, but its nodes do not keep what they save. When backward first asks one of
them for it, the function runs again with the same random numbers. Its ops come in the same order as before, and give what
they save to the nodes of the first run. So the gradients have the same bits as without a checkpoint.
"""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from engine import _core
from engine.autograd.modes import enable_grad, is_grad_enabled, mode, no_grad
from engine.autograd.node import freed
from engine.errors import BadState, BadType, require
from engine.tensor import Tensor

__all__ = ["checkpoint", "surroundings"]

# What else a run depends on. Each function captures the present state and returns a function; that makes a context manager
# which restores the state.
surroundings: list[Callable[[], Callable[[], AbstractContextManager[Any]]]] = []


class _Call:
    """A call of a checkpointed function. Like a node it saves something: its arguments. A call around it may let go of them."""

    op = "checkpoint"

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        contexts: Contexts,
        keeps_random: bool,
    ) -> None:
        self._saved: Any = (function, args, kwargs)
        self._versions = _versions(args, kwargs)
        self._call: _Call | None = None  # the call around this one, if that has to bring the arguments back
        self.contexts = contexts  # around the first run, and around the second
        self.random = _core.random_state() if keeps_random else None
        self.around = [capture() for capture in surroundings]
        self.entries: list[
            tuple[weakref.ref[Any], str]
        ] = []  # nodes and inner calls, in the order in which they were made
        self.running = False

    def run(self, recorder: Any, context: AbstractContextManager[Any]) -> Any:
        """Calls the function; `recorder` takes what its ops save."""
        function, args, kwargs = self._saved
        before, mode.recorder, self.running = mode.recorder, recorder, True
        try:
            with ExitStack() as stack:
                for captured in self.around:
                    stack.enter_context(captured())
                stack.enter_context(context)
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
        if self.random is not None:
            _core.set_random_state(*self.random)
        try:
            with enable_grad():
                self.run(refill, self.contexts[1])
        finally:
            if self.random is not None:
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


Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


def _no_contexts() -> Contexts:
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = _no_contexts,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), of which only the arguments are kept for backward; backward runs the function again.

    It takes any arguments and results. Gradients reach the arguments and all else that the function reads, such as a module's
    parameters. They have the same bits as without a checkpoint, dropout included. Calls may be nested. Under no_grad it is a plain call.
    Arrays that an `autograd.Function` of the user saves are kept.

    use_reentrant: None (PyTorch's older default is True) and False are the same. True has the rules of PyTorch's older form: no keyword
        arguments for the function, no context_fn, and no gradients, with a warning, if no argument is a Tensor that requires grad.
    context_fn: returns two context managers, for the first and for the second run of the function.
    preserve_rng_state: False: random numbers of the second run are new ones, so that gradients through dropout are wrong.
    determinism_check, debug, early_stop: change nothing. The second run is always compared op by op and goes to its end, and errors
        name the op.

    Backward raises RuntimeError if the function does other ops the second time, or if an argument or a parameter was written
    in place in between. Raises ValueError for keywords that do not go together, TypeError if `function` cannot be called.
    """
    op = "checkpoint"
    if not callable(function):
        raise BadType(op, "function", "a function", type(function).__name__)
    known = determinism_check in ("default", "none")
    require(known, op, "determinism_check", "'default' or 'none'", repr(determinism_check))
    if use_reentrant:
        hint = "pass use_reentrant=False"
        require(not kwargs, op, "arguments", "no keywords for the function", ", ".join(kwargs), hint)
        plain = context_fn is _no_contexts and not debug
        require(plain, op, "use_reentrant", "False with context_fn or debug", True)
        if is_grad_enabled() and not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            text = "engine: checkpoint(use_reentrant=True): no argument requires grad, so gradients will be None"
            warnings.warn(text, stacklevel=2)
            with no_grad():
                return function(*args)
    if not is_grad_enabled():
        return function(*args, **kwargs)
    call = _Call(function, args, kwargs, context_fn(), preserve_rng_state)
    outer = mode.recorder
    if outer is None:
        return call.run(call.let_go, call.contexts[0])
    outer(call, call._saved)  # before the ops of this call, in both runs
    try:
        return call.run(call.let_go, call.contexts[0])
    finally:
        call._saved = None
