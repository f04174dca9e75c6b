"""Hooks of optimizers: functions that are called before and after `step`, `state_dict` and `load_state_dict`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from engine.errors import BadType
from engine.tensor import RemovableHandle

__all__ = ["Hooks", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

Registered = dict[Any, Callable[..., Any]]

_of_all: dict[str, Registered] = {"before step": {}, "after step": {}}  # hooks of every optimizer


class Hooks:
    """Keeps the hooks of one optimizer by the moment at which they are called. Copies and pickles do not take them."""

    _hooks: dict[str, Registered] | None = None  # None: there are none

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = hooked(cls.step)  # type: ignore[attr-defined]

    def _at(self, moment: str) -> list[Callable[..., Any]]:
        return list(self._hooks[moment].values()) if self._hooks and moment in self._hooks else []

    def _register(self, moment: str, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        if not callable(hook):
            raise BadType(type(self).__name__, "hook", "a function", type(hook).__name__)
        self._hooks = {} if self._hooks is None else self._hooks
        return RemovableHandle(self._hooks.setdefault(moment, {}), hook, prepend)

    def register_step_pre_hook(self, hook: Callable[[Any, Any, Any], Any]) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) before each step; args starts with the optimizer. If the hook returns a pair, `step` gets
        that instead of args and kwargs."""
        return self._register("before step", hook)

    def register_step_post_hook(self, hook: Callable[[Any, Any, Any], None]) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) after each step."""
        return self._register("after step", hook)

    def register_state_dict_pre_hook(self, hook: Callable[[Any], None], prepend: bool = False) -> RemovableHandle:
        """Calls hook(optimizer) before `state_dict`. prepend: before the hooks that are there."""
        return self._register("before state_dict", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[[Any, Any], Any], prepend: bool = False) -> RemovableHandle:
        """Calls hook(optimizer, state_dict) after `state_dict`. If the hook returns something, that replaces the state."""
        return self._register("after state_dict", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[[Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(optimizer, state_dict) before `load_state_dict`, with a copy that may be changed. If the hook returns something, that
        is loaded instead."""
        return self._register("before load_state_dict", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[[Any], None], prepend: bool = False) -> RemovableHandle:
        """Calls hook(optimizer) after `load_state_dict`."""
        return self._register("after load_state_dict", hook, prepend)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A method `step` that calls the hooks around itself. Without hooks it costs a look at two attributes."""

    @functools.wraps(step)
    def around(*args: Any, **kwargs: Any) -> Any:
        self = args[0]
        before, after = _of_all["before step"], _of_all["after step"]
        # A step that calls the step of its base class is one step.
        if not (self._hooks or before or after) or type(self).step is not around:
            return step(*args, **kwargs)
        for hook in [*before.values(), *self._at("before step")]:
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    op = f"{type(self).__name__}.step"
                    raise BadType(op, "hook", "a function that returns None or (args, kwargs)", repr(changed))
                args, kwargs = changed
        result = step(*args, **kwargs)
        for hook in [*self._at("after step"), *after.values()]:
            hook(self, args, kwargs)
        return result

    return around


def register_optimizer_step_pre_hook(hook: Callable[[Any, Any, Any], Any]) -> RemovableHandle:
    """As `Optimizer.register_step_pre_hook`, for all optimizers."""
    return RemovableHandle(_of_all["before step"], hook)


def register_optimizer_step_post_hook(hook: Callable[[Any, Any, Any], None]) -> RemovableHandle:
    """As `Optimizer.register_step_post_hook`, for all optimizers."""
    return RemovableHandle(_of_all["after step"], hook)
