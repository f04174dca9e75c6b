"""What a module saves and loads: its entries by dotted name, and hooks around that."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import BadState, BadType, NotDefined, require
from engine.nn.parameter import UninitializedParameter
from engine.ops.convert import copy_into
from engine.tensor import RemovableHandle, Tensor

__all__ = ["IncompatibleKeys", "State", "copy_state"]

_EXTRA = "_extra_state"
# Entries of local_metadata: whether to take the memory of the state's tensors (PyTorch's name), and a list for the writes, if they
# are to wait until everything is checked.
_ASSIGN, _LATER = "assign_to_params_buffers", "writes_later"


class IncompatibleKeys(NamedTuple):
    """What load_state_dict left out: with strict=True nothing."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class _Misfit(str):
    """A problem that `load_state_dict` found itself; others are said by hooks and overrides."""

    __slots__ = ()


def _misfit(name: str, target: Tensor, source: Any) -> _Misfit | None:
    """Why that entry of a state cannot be copied into `target`; None if it can."""
    if not isinstance(source, Tensor):
        return _Misfit(f"{name}: expected a Tensor, got {type(source).__name__}")
    if isinstance(target, UninitializedParameter) or source.shape == target.shape:
        return None
    if target.ndim == 0 and source.shape == (1,):  # as PyTorch's first versions saved numbers
        return None
    return _Misfit(f"{name}: expected shape {tuple(target.shape)}, got {tuple(source.shape)}")


def _refuse(op: str, owner: str, missing: list[str], unexpected: list[str], problems: list[str]) -> None:
    """Raises the ValueError that lists them, if there are any."""
    kinds = {
        "missing": ", ".join(missing),
        "unexpected": ", ".join(unexpected),
        "mis-shaped": "; ".join(problem for problem in problems if isinstance(problem, _Misfit)),
        "said by hooks": "; ".join(problem for problem in problems if not isinstance(problem, _Misfit)),
    }
    got = "entries that differ:" + "".join(f"\n  {kind}: {names}" for kind, names in kinds.items() if names)
    require(not any(kinds.values()), op, "state_dict", f"the entries of {owner}", got)


def copy_state(op: str, owner: str, targets: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Copies a state into `targets` by name; dtypes are converted, and devices may differ.

    Raises a ValueError that lists the missing, unexpected and mis-shaped entries, before anything is written. The error speaks of the
    argument `state_dict` of `op`, and of the entries of `owner`.
    """
    problems = [_misfit(name, target, state[name]) for name, target in targets.items() if name in state]
    missing, unexpected = (
        [name for name in targets if name not in state],
        [name for name in state if name not in targets],
    )
    _refuse(op, owner, missing, unexpected, [problem for problem in problems if problem is not None])
    for name, target in targets.items():
        _write(target, state[name], False)


def _write(target: Tensor, source: Tensor, assign: bool) -> None:
    """Copies the source into the target, or with `assign` gives its memory to it."""
    if isinstance(target, UninitializedParameter):
        target.materialize(source.shape)
    data = source._data if source.ndim == target.ndim else source._data.view(target.shape)
    if assign:
        target._data = data
    else:
        copy_into(target._data, data)


class State:
    """The part of a Module that saves and loads. Each module saves and loads its own entries, and may override how: a module above
    calls `state_dict` and `_load_from_state_dict` of those below it."""

    _version: int = (
        1  # of the entries' format: `state_dict` notes it, and `_load_from_state_dict` gets it in local_metadata
    )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    # ---- saving

    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name. They are detached and share the module's memory; with keep_vars they are the
        Parameters themselves.

        destination: a dict to add them to. A module that defines `get_extra_state` adds what that returns, as "_extra_state".
        """
        state: dict[str, Any]
        if destination is None:
            state = OrderedDict()
            state._metadata = OrderedDict()  # type: ignore[attr-defined]
        else:
            state = destination
        metadata = {"version": self._version}
        if hasattr(state, "_metadata"):
            state._metadata[prefix.removesuffix(".")] = metadata
        for hook in self._state_hooks_at("before save"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(state, prefix, keep_vars)
        for name, module in self._saved_children():
            module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_hooks_at("after save"):
            changed = hook(self, state, prefix, metadata)
            state = state if changed is None else changed
        return state

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Adds this module's own entries to `destination`, without those of the modules below it. A subclass may override this."""
        for name, value in self._entries():
            destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not State.get_extra_state:
            destination[prefix + _EXTRA] = self.get_extra_state()

    def _entries(self) -> Iterator[tuple[str, Tensor]]:
        """This module's own entries. A layer whose memory is laid out differently from its published format overrides this, and gives
        the published entries as views of its memory."""
        for name, value in [*self._parameters.items(), *self._buffers.items()]:
            if value is not None and name not in self._non_persistent_buffers_set:
                yield name, value

    def _saved_children(self) -> Iterator[tuple[str, Any]]:
        """The modules below this one that save and load themselves. A layer whose `_entries` has their entries overrides this."""
        return ((name, module) for name, module in self._modules.items() if module is not None)

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

    # ---- loading

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copies a state into parameters and buffers; dtypes are converted, and devices may differ. If anything does not fit, nothing
        changes.

        assign: take the memory of the state's tensors, with their dtypes and devices, instead of copying.

        Everything is checked before anything is written. A module that overrides `_load_from_state_dict`, or has a hook that is called
        after loading, may read what was loaded before the check is complete. For such a model the old values are kept meanwhile, which
        takes as much memory as the model, and are put back after an error.

        Raises a ValueError that lists missing, unexpected and mis-shaped entries; with strict=False missing and unexpected entries
        are only returned. Differs from PyTorch, where the error is a RuntimeError.
        """
        op = "load_state_dict"
        if not isinstance(state_dict, Mapping):
            raise BadType(op, "state_dict", "a mapping from names to Tensors", type(state_dict).__name__)
        wrong = [key for key in state_dict if not isinstance(key, str)]
        require(not wrong, op, "state_dict", "names that are strings", f"{wrong[:1]}", error=BadType)
        metadata = getattr(state_dict, "_metadata", {})
        state: dict[str, Any] = OrderedDict(state_dict)
        if metadata:
            state._metadata = metadata  # type: ignore[attr-defined]
        keys, problems = IncompatibleKeys([], []), list[str]()
        at_once = any(
            getattr(module._load_from_state_dict, "__func__", None) is not State._load_from_state_dict
            or module._state_hooks_at("after load")
            for module in self.modules()
        )
        later: list[Callable[[], None]] = []

        def load(module: State, state: dict[str, Any], prefix: str) -> None:
            local: dict[str, Any] = dict(metadata.get(prefix.removesuffix("."), {}))
            if assign:
                local[_ASSIGN] = True
            if not at_once:
                local[_LATER] = later
            module._load_from_state_dict(state, prefix, local, True, *keys, problems)
            for name, child in module._saved_children():
                below = f"{prefix}{name}."
                load(child, {key: value for key, value in state.items() if key.startswith(below)}, below)
            for hook in module._state_hooks_at("after load"):
                hook(module, keys)

        with _Kept(self) if at_once else nullcontext():
            load(self, state, "")
            _refuse(op, type(self).__name__, *(keys if strict else ([], [])), problems)
        for write in later:
            write()
        return keys

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Copies this module's own entries from a state into it, without those of the modules below it, and adds to the three lists.
        `load_state_dict` calls it with a dict that may be changed. A subclass may override this, to read older states for example;
        local_metadata has the "version" of the class that wrote the state."""
        for hook in self._state_hooks_at("before load"):
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        writes: list[Callable[[], None]] = []
        assign, own = local_metadata.get(_ASSIGN, False), dict(self._entries())
        for name, target in own.items():
            key = prefix + name
            if key in state_dict:
                problem = _misfit(key, target, state_dict[key])
                if problem is None:
                    writes.append(partial(_write, target, state_dict[key], assign))
                else:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)
        if assign:
            whole = all(
                any(target is t for t in (self._parameters.get(n), self._buffers.get(n))) for n, target in own.items()
            )
            expected = f"False for a {type(self).__name__}, which stores entries together"
            require(whole, "load_state_dict", "assign", expected, True)
        extra, takes_extra = prefix + _EXTRA, type(self).set_extra_state is not State.set_extra_state
        if takes_extra and extra in state_dict:
            writes.append(partial(self.set_extra_state, state_dict[extra]))
        elif takes_extra and strict:
            missing_keys.append(extra)
        if strict:
            below = {name for name, _ in self._saved_children()}
            for key in state_dict:
                name = key.removeprefix(prefix)
                known = (
                    name in own or (name == _EXTRA and takes_extra) or ("." in name and name.split(".", 1)[0] in below)
                )
                if key.startswith(prefix) and not known:
                    unexpected_keys.append(key)
        if _LATER in local_metadata:
            local_metadata[_LATER].extend(writes)
        else:
            for write in writes:
                write()

    # ---- hooks

    def _state_hooks_at(self, moment: str) -> list[Callable[..., Any]]:
        return list(self.__dict__["_state_hooks"].get(moment, {}).values())

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        """The older name of `register_load_state_dict_pre_hook`. with_module: whether the hook gets the module first."""
        return self._register_state_hook("before load", hook if with_module else _WithoutModule(hook))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older name of `register_state_dict_post_hook`. If the hook of the module that is saved returns a dict, that is the state."""
        return self._register_state_hook("after save", hook)

    def _register_state_hook(self, moment: str, hook: Callable[..., Any]) -> RemovableHandle:
        return RemovableHandle(self.__dict__["_state_hooks"].setdefault(moment, {}), hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, prefix, keep_vars) before `state_dict`, also that of a module above."""
        return self._register_state_hook("before save", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, {"version": number}) after `state_dict`, also that of a module above. It may change the
        dict, and must return None (RuntimeError)."""
        return self._register_state_hook("after save", _ReturnsNone(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, state_dict, prefix, local_metadata, True, missing_keys, unexpected_keys, error_msgs) before
        `load_state_dict`, also that of a module above. It may change the dict, which is a copy, and add to the lists."""
        return self._register_state_hook("before load", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls hook(module, incompatible_keys) after `load_state_dict`, also that of a module above. It may change the two lists: what
        it takes out of them is no error."""
        return self._register_state_hook("after load", hook)


class _WithoutModule:
    """A hook that does not take the module. A class, so that modules with it can be pickled."""

    def __init__(self, hook: Callable[..., None]) -> None:
        self.hook = hook

    def __call__(self, module: State, *args: Any) -> None:
        self.hook(*args)


class _ReturnsNone:
    """A hook that must not return anything."""

    def __init__(self, hook: Callable[..., None]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> None:
        got = type(self.hook(*args)).__name__
        require(got == "NoneType", "state_dict", "hook", "a function that returns None", got, error=BadState)


class _Kept:
    """A block after which a module has its old values if there is an error."""

    def __init__(self, module: Any) -> None:
        tensors = (*module.parameters(), *module.buffers())
        self.old = [(t, t._data, t._data.clone()) for t in tensors if not isinstance(t, UninitializedParameter)]

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            for t, memory, values in self.old:
                copy_into(memory, values)
                t._data = memory
