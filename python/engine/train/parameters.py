"""Which parameters of a model are trained, and how fast: groups for an optimizer, frozen parts."""

from __future__ import annotations

import re
from typing import Any

from engine.errors import BadValue
from engine.nn import Module

__all__ = ["freeze", "parameter_groups"]

_LAYER = re.compile(r"(?:^|[._])(?:layers?|blocks?|h)\.(\d+)\.")


def _depths(model: Module) -> tuple[dict[str, int], int]:
    """Where each parameter stands, by name: 0 embeddings, 1 the lowest numbered layer …, the number of layers + 1 all that is
    neither (poolers, heads, a last normalisation); and the number of layers."""
    found: dict[str, int | None] = {}
    for name, _ in model.named_parameters():
        layer = _LAYER.search(name)
        found[name] = int(layer[1]) + 1 if layer else 0 if "embedding" in name else None
    layers = max([depth for depth in found.values() if depth is not None], default=0)
    return {name: layers + 1 if depth is None else depth for name, depth in found.items()}, layers


def parameter_groups(
    model: Module,
    weight_decay: float,
    lr: float | None = None,
    layer_wise_lr_decay: float = 1.0,
    head_lr: float | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimizer: matrices, which decay, and vectors (biases, norms), which do not; frozen ones are left out.

    lr: needed where one of the following is given. layer_wise_lr_decay: layer i of L learns at lr * decay^(L - i), embeddings
    at lr * decay^(L + 1), what stands above the layers at lr (Clark et al. 2020, ELECTRA, arXiv 2003.10555). Layers are found
    by names such as `encoder.layer.3.`. head_lr: the rate of what is neither embeddings nor in a layer, such as a pooler and
    a classifier. Groups come from the top of the model down, so the first one's rate is that of the head.

    Raises ValueError for a decay or a head's rate in a model without numbered layers, or without lr.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    kinds = ((True, weight_decay), (False, 0.0))
    if layer_wise_lr_decay == 1.0 and head_lr is None:
        groups = [{"params": [p for _, p in trained if (p.ndim >= 2) is m], "weight_decay": w} for m, w in kinds]
        return [group for group in groups if group["params"]]
    depths, layers = _depths(model)
    if not layers:
        raise BadValue("parameter_groups", "model", "numbered layers (such as 'encoder.layer.0.')", "none")
    if lr is None:
        raise BadValue("parameter_groups", "lr", "a number beside layer_wise_lr_decay or head_lr", "None")
    groups = []
    for depth in range(layers + 1, -1, -1):
        rate = head_lr if head_lr is not None and depth > layers else lr * layer_wise_lr_decay ** (layers + 1 - depth)
        for matrices, decay in kinds:
            params = [p for name, p in trained if depths[name] == depth and (p.ndim >= 2) is matrices]
            groups.append({"params": params, "weight_decay": decay, "lr": rate})
    return [group for group in groups if group["params"]]


def freeze(model: Module, embeddings: bool = True, layers: int = 0) -> list[str]:
    """Stops the training of a model's embeddings and of its lowest `layers` layers; returns the names of their parameters.

    Where all that lies below the lowest trained layer is frozen, backward ends there. Optimizers made from
    `parameter_groups`, as that of a `Trainer`, leave frozen parameters out. Raises ValueError for more layers than there are.
    """
    depths, found = _depths(model)
    if not 0 <= layers <= found:
        raise BadValue("freeze", "layers", f"a number in [0, {found}]", layers)
    frozen = []
    for name, parameter in model.named_parameters():
        depth = depths[name]
        if (depth == 0 and embeddings) or 0 < depth <= layers:
            parameter.requires_grad_(False)
            frozen.append(name)
    return frozen
