"""Weight normalisation: a weight as its length times its direction (Salimans and Kingma 2016, arXiv 1602.07868)."""

from __future__ import annotations

from typing import Any

from engine.autograd.modes import no_grad
from engine.errors import require
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor

__all__ = ["lengths", "remove_weight_norm", "weight_norm", "with_lengths"]


def lengths(weight: Tensor, dim: int | None) -> Tensor:
    """The 2-norms of the parts of `weight` along `dim`, with its number of dimensions; None: the norm of all, a 0-dim tensor."""
    if dim is None or dim == -1:
        return weight.norm()
    at = dim % weight.ndim
    others = [i for i in range(weight.ndim) if i != at]
    result: Tensor = weight.square().sum(others, keepdim=True).sqrt() if others else weight.abs()
    return result


def with_lengths(g: Tensor, v: Tensor, dim: int | None) -> Tensor:
    """v, with its parts along `dim` scaled to the lengths g."""
    return v * (g / lengths(v, dim))


class _Recompute:
    """Computes the weight before each call of the module."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def weight(self, module: Any) -> Tensor:
        return with_lengths(getattr(module, self.name + "_g"), getattr(module, self.name + "_v"), self.dim)

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Replaces the parameter `name` by two: its lengths, `name_g`, and its directions, `name_v`. Returns the module.

    Before each call the weight is computed from them. dim: the dimension whose parts have a length each; None: one length.
    `nn.utils.parametrizations.weight_norm` does the same as a parametrization. Raises ValueError for a name that is no parameter.
    """
    weight = module._parameters.get(name) if isinstance(module, Module) else None
    require(isinstance(weight, Tensor), "weight_norm", "name", "the name of a parameter", repr(name))
    assert weight is not None
    recompute = _Recompute(name, dim)
    delattr(module, name)
    with no_grad():
        made = lengths(weight, dim).clone()
    module.register_parameter(name + "_g", Parameter(made))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, recompute.weight(module))
    module.register_forward_pre_hook(recompute)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Makes the weight a parameter again. Raises ValueError for a weight that `weight_norm` has not taken apart."""
    hooks = module._forward_pre_hooks
    found = [key for key, (hook, _) in hooks.items() if isinstance(hook, _Recompute) and hook.name == name]
    require(bool(found), "remove_weight_norm", "name", "the name of a weight that has weight_norm", repr(name))
    with no_grad():
        weight = hooks[found[0]][0].weight(module)
    del hooks[found[0]]
    delattr(module, name)
    delattr(module, name + "_g")
    delattr(module, name + "_v")
    module.register_parameter(name, Parameter(weight))
    return module
