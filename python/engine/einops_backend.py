"""Makes einops know engine's Tensors, whichever of the two is imported first, without importing einops.

einops asks the subclasses of its `AbstractBackend` whether a tensor is theirs. It has no other door, so that such a class must exist when
einops is first asked. `register` makes it; if einops is not there yet, a finder waits for its import. The finder also knows
`einops.layers.engine`, where einops has the layers of a library: these are in `engine.utils.einops`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["register"]

_BACKENDS, _LAYERS, _OURS = "einops._backends", "einops.layers.engine", "engine.utils.einops"


def register() -> None:
    """Called once, at the end of `import engine`."""
    sys.meta_path.insert(0, _Finder())
    if _BACKENDS in sys.modules:
        _define(sys.modules[_BACKENDS])


class _Finder:
    """Finds nothing but two modules of einops, and these only if einops is installed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == _LAYERS:
            layers: Any = _Layers()
            return ModuleSpec(name, layers)
        if name != _BACKENDS:
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec is not None:
            loader: Any = _Loader(spec.loader)
            spec.loader = loader
        return spec


class _Loader:
    """Runs a module as its own loader does, and then adds the backend to it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _define(module)


class _Layers:
    """Gives `engine.utils.einops` under the name that einops has for it."""

    def create_module(self, spec: ModuleSpec) -> Any:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = import_module(_OURS)
        module.__doc__ = ours.__doc__
        module.__dict__.update({name: getattr(ours, name) for name in ours.__all__}, __all__=ours.__all__)


def _define(backends: Any) -> None:
    """Defines the backend, as a subclass that einops finds by itself."""
    engine = sys.modules["engine"]

    class EngineBackend(backends.AbstractBackend):
        framework_name = "engine"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, engine.Tensor)

        def from_numpy(self, x: Any) -> Any:
            return engine.from_numpy(x)

        def to_numpy(self, x: Any) -> Any:
            return x.detach().cpu().numpy()

        def arange(self, start: int, stop: int) -> Any:
            return engine.arange(start, stop)

        def reduce(self, x: Any, operation: str, axes: tuple[int, ...]) -> Any:
            if operation in ("min", "max"):
                return getattr(x, f"a{operation}")(dim=axes)
            if operation in ("sum", "mean"):
                return getattr(x, operation)(dim=axes)
            for axis in sorted(axes, reverse=True):  # any, all and prod take one dimension
                x = getattr(x, operation)(dim=axis)
            return x

        def transpose(self, x: Any, axes: tuple[int, ...]) -> Any:
            return x.permute(axes)

        def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
            return engine.stack(tensors)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return x.unsqueeze(new_position)

        def add_axes(self, x: Any, n_axes: int, pos2len: dict[int, int]) -> Any:
            sizes = [-1] * n_axes
            for position, length in pos2len.items():
                x = x.unsqueeze(position)
                sizes[position] = length
            return x.expand(sizes)

        def tile(self, x: Any, repeats: tuple[int, ...]) -> Any:
            return x.repeat(repeats)

        def concat(self, tensors: list[Any], axis: int) -> Any:
            return engine.cat(tensors, dim=axis)

        def is_float_type(self, x: Any) -> bool:
            return x.is_floating_point()

        def einsum(self, pattern: str, *x: Any) -> Any:
            return engine.einsum(pattern, *x)

    backends.EngineBackend = EngineBackend  # Python keeps only weak references to subclasses
