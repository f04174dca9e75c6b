"""A call of a module with other parameters and buffers than its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import BadType, require
from engine.tensor import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs), computed with these tensors in place of those of the same names. Gradients flow to them.

    args: a tuple, or the only argument. tie_weights: a tensor also takes the place of the other names of a shared parameter. strict:
    all names must be given. The module has its own parameters and buffers again afterwards, also after an error, and keeps nothing
    that the call writes in the place of a given one.

    Raises ValueError for a name that the module does not have, or lacks with strict; TypeError for what is not a Tensor.
    """
    op, argument = "functional_call", "parameters_and_buffers"
    places: dict[str, tuple[dict[str, Any], str]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for registry in (owner._parameters, owner._buffers):
            for name, value in registry.items():
                if value is not None:
                    places[f"{path}.{name}" if path else name] = registry, name
    given = dict(parameters_and_buffers)
    unknown, missing = sorted(given.keys() - places), sorted(places.keys() - given)
    require(not unknown, op, argument, "names of parameters and buffers", ", ".join(map(repr, unknown)))
    for name, value in given.items():
        fits = isinstance(value, Tensor)
        require(fits, op, f"{argument}[{name!r}]", "a Tensor", type(value).__name__, error=BadType)
    if tie_weights:
        shared = {id(places[name][0][places[name][1]]): value for name, value in given.items()}
        for name in list(missing):
            registry, key = places[name]
            if id(registry[key]) in shared:
                given[name] = shared[id(registry[key])]
                missing.remove(name)
    require(not (strict and missing), op, argument, "all names", f"none for {', '.join(map(repr, missing))}")
    before = [(*places[name], places[name][0][places[name][1]]) for name in given]
    try:
        for name, value in given.items():
            registry, key = places[name]
            registry[key] = value
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **(kwargs or {}))
    finally:
        for registry, key, value in before:
            registry[key] = value
