"""What a module saves and loads: its entries by dotted name, and hooks around that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import BadType, NotDefined, require
from engine.nn.parameter import UninitializedParameter
from engine.ops.convert import copy_into
from engine.tensor import RemovableHandle, Tensor

__all__ = ["IncompatibleKeys", "State", "copy_state"]

_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What load_state_dict left out: with strict=True nothing."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def copy_state(
    op: str,
    owner: str,
    targets: Mapping[str, Tensor],
    state: Mapping[str, Any],
    strict: bool = True,
    *,
    assign: bool = False,
    reported: tuple[list[str], list[str], list[str]] = ([], [], []),
) -> IncompatibleKeys:
    """Copies a state into `targets` by name; dtypes are converted, and devices may differ. Everything is checked before anything is
    written.

    assign: the targets take the memory of the state's tensors. reported: missing and unexpected entries and other problems that are
    known already.

    Raises a ValueError that lists the missing, unexpected and mis-shaped entries; with strict=False missing and unexpected entries
    are only returned. The error speaks of the argument `state_dict` of `op`, and of the entries of `owner`.
    """
    missing = reported[0] + [name for name in targets if name not in state]
    unexpected = reported[1] + [name for name in state if name not in targets]
    misshaped = []
    for name, target in targets.items():
        source = state.get(name, target)
        if not isinstance(source, Tensor):
            misshaped.append(f"{name}: expected a Tensor, got {type(source).__name__}")
        elif not isinstance(target, UninitializedParameter) and source.shape != target.shape:
            misshaped.append(f"{name}: expected shape {tuple(target.shape)}, got {tuple(source.shape)}")
    problems = {
        "missing": ", ".join(missing) if strict else "",
        "unexpected": ", ".join(unexpected) if strict else "",
        "mis-shaped": "; ".join(misshaped),
        "said by hooks": "; ".join(reported[2]),
    }
    got = "entries that differ:" + "".join(f"\n  {kind}: {names}" for kind, names in problems.items() if names)
    require(not any(problems.values()), op, "state_dict", f"the entries of {owner}", got)
    for name, target in targets.items():
        if name in state:
            if isinstance(target, UninitializedParameter):
                target.materialize(state[name].shape)
            if assign:
                target._data = state[name]._data
            else:
                copy_into(target._data, state[name]._data)
    return IncompatibleKeys(missing, unexpected)


class State:
    """The part of a Module that saves and loads."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name. They are detached and share the module's memory; with keep_vars they are the
        Parameters themselves.

        destination: a dict to add them to. A module that defines `get_extra_state` adds what that returns, as "_extra_state".
        """
        tree = list(self.named_modules(prefix=prefix.removesuffix("."), remove_duplicate=False))
        hooks = [
            (name, module, module.__dict__["_state_hooks"]) for name, module in tree if module.__dict__["_state_hooks"]
        ]
        for name, module, registered in hooks:
            for hook in list(registered.get("before save", {}).values()):
                hook(module, f"{name}." if name else "", keep_vars)
        state: dict[str, Any] = {} if destination is None else destination
        for name, value in self._entries(prefix):
            state[name] = value if keep_vars else value.detach()
        for name, module in tree:
            if type(module).get_extra_state is not State.get_extra_state:
                state[f"{name}.{_EXTRA}" if name else _EXTRA] = module.get_extra_state()
        for name, module, registered in reversed(hooks):  # those of a module after those of the modules below it
            for hook in list(registered.get("after save", {}).values()):
                hook(module, state, f"{name}." if name else "", {})
        return state

    def _entries(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The entries of `state_dict`. A layer whose memory is laid out differently from its published format overrides this, and gives
        the published entries as views of its memory."""
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None and name not in self._non_persistent:
                yield prefix + name, value
        for name, module in self._modules.items():
            if module is not None:
                yield from module._entries(f"{prefix}{name}.")

    def get_extra_state(self) -> Any:
        """What `state_dict` holds besides tensors. A module that has such a thing defines this method and `set_extra_state`."""
        raise NotDefined(
            type(self).__name__, "get_extra_state", "a class that defines this method", "one that does not"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes what `get_extra_state` returned, in `load_state_dict`."""
        raise NotDefined(
            type(self).__name__, "set_extra_state", "a class that defines this method", "one that does not"
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies a state into parameters and buffers; dtypes are converted, and devices may differ. Everything is checked before anything
        is written.

        assign: take the memory of the state's tensors, with their dtypes and devices, instead of copying.

        Raises a ValueError that lists missing, unexpected and mis-shaped entries; with strict=False missing and unexpected entries
        are only returned. Differs from PyTorch, where the error is a RuntimeError.
        """
        op = "load_state_dict"
        if not isinstance(state_dict, Mapping):
            raise BadType(op, "state_dict", "a mapping from names to Tensors", type(state_dict).__name__)
        state = dict(state_dict)
        tree = list(self.named_modules(remove_duplicate=False))
        missing, unexpected, problems = list[str](), list[str](), list[str]()
        for name, module in tree:
            module._load_from_state_dict(state, f"{name}." if name else "", {}, strict, missing, unexpected, problems)
        extra = {}
        for name, module in tree:
            key = f"{name}.{_EXTRA}" if name else _EXTRA
            if type(module).set_extra_state is State.set_extra_state:
                continue
            if key in state:
                extra[key] = (module, state.pop(key))
            else:
                missing.append(key)
        targets = dict(self._entries())
        if assign:
            own = {id(t) for t in (*self.parameters(), *self.buffers())}
            whole = all(id(t) in own for t in targets.values())
            require(whole, op, "assign", f"False for a {type(self).__name__}, which stores entries together", True)
        reported = (missing, unexpected, problems)
        keys = copy_state(op, type(self).__name__, targets, state, strict, assign=assign, reported=reported)
        for module, value in extra.values():
            module.set_extra_state(value)
        for _, module in reversed(tree):
            for hook in list(module.__dict__["_state_hooks"].get("after load", {}).values()):
                hook(module, keys)
        return keys

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Runs the hooks that change a state before it is loaded. Public code overrides this to rename entries of older states; the
        entries are copied afterwards, in `load_state_dict`."""
        for hook in list(self.__dict__["_state_hooks"].get("before load", {}).values()):
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        """The older name of `register_load_state_dict_pre_hook`. with_module: whether the hook gets the module first."""
        return self._register_state_hook("before load", hook if with_module else lambda module, *args: hook(*args))

    def _register_state_hook(self, moment: str, hook: Callable[..., Any]) -> RemovableHandle:
        return RemovableHandle(self.__dict__["_state_hooks"].setdefault(moment, {}), hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, prefix, keep_vars) before `state_dict`, also that of a module above."""
        return self._register_state_hook("before save", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, {}) after `state_dict`, also that of a module above. It may change the dict."""
        return self._register_state_hook("after save", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, {}, strict, missing_keys, unexpected_keys, error_msgs) before `load_state_dict`, also
        that of a module above. It may change the dict, which is a copy, and add to the lists."""
        return self._register_state_hook("before load", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, incompatible_keys) after `load_state_dict`, also that of a module above. It may change the two lists."""
        return self._register_state_hook("after load", hook)
