"""Which parameters of a model are trained, and at which rate: groups for an optimizer, frozen parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.errors import BadValue, require
from engine.nn import Module
from engine.settings import checked

__all__ = ["freeze", "in_units", "parameter_groups"]

_LAYER = re.compile(r"(?:^|[._])(?:layers?|blocks?|h)\.(\d+)\.")


def _depths(model: Module) -> tuple[dict[str, int], int]:
    """The depth of each parameter, by name, and the number of layers. Embeddings have depth 0, the lowest layer 1 and so on. All
    others (poolers, heads, a last normalisation) have the number of layers + 1."""
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
    """Groups for an optimizer: matrices, which decay, and vectors (biases, norms), which do not. Frozen parameters are left out.

    lr: the rate of the parts above the layers; needed for the two following arguments. layer_wise_lr_decay: layer i of L learns
    at lr * decay^(L - i), embeddings at lr * decay^(L + 1) (Clark et al. 2020, ELECTRA, arXiv 2003.10555). Layers are found by
    names like `encoder.layer.3.`. head_lr: another rate for the parts above the layers, such as a pooler and a classifier. The
    groups are ordered from the top of the model down, so the first one has the head's rate.

    Raises ValueError for layer_wise_lr_decay or head_lr without lr, or with a model without numbered layers; TypeError for anything
    but numbers.
    """
    op = "parameter_groups"
    checked(op, "weight_decay", float, weight_decay)
    checked(op, "lr", float | None, lr)
    checked(op, "layer_wise_lr_decay", float, layer_wise_lr_decay)
    checked(op, "head_lr", float | None, head_lr)
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    kinds = ((True, weight_decay), (False, 0.0))
    if layer_wise_lr_decay == 1.0 and head_lr is None:
        groups = [{"params": [p for _, p in trained if (p.ndim >= 2) is m], "weight_decay": w} for m, w in kinds]
        return [group for group in groups if group["params"]]
    depths, layers = _depths(model)
    require(layers, op, "model", "numbered layers (such as 'encoder.layer.0.')", "none")
    if lr is None:
        raise BadValue(op, "lr", "a number, because layer_wise_lr_decay or head_lr is given", "None")
    groups = []
    for depth in range(layers + 1, -1, -1):
        rate = head_lr if head_lr is not None and depth > layers else lr * layer_wise_lr_decay ** (layers + 1 - depth)
        for matrices, decay in kinds:
            params = [p for name, p in trained if depths[name] == depth and (p.ndim >= 2) is matrices]
            groups.append({"params": params, "weight_decay": decay, "lr": rate})
    return [group for group in groups if group["params"]]


def in_units(
    groups: list[dict[str, Any]], model: Module, units: Mapping[str, float], lr: float, eps: float
) -> list[dict[str, Any]]:
    """The groups of `parameter_groups`, with groups of their own, at the end, for parameters in other units.

    units: by the name of a parameter, the number by which its values were multiplied. Adam takes steps of a size that does not depend
    on that of the gradient. So the parameter's rate is multiplied, its decay and `eps` divided: it is trained as if its values were in
    the usual unit. lr: the rate of groups without one.
    """
    of = {id(p): units[name] for name, p in model.named_parameters() if name in units}
    usual, others = [], []
    for group in groups:
        usual.append({**group, "params": [p for p in group["params"] if id(p) not in of]})
        for p in group["params"]:
            if (unit := of.get(id(p))) is not None:
                rate, decay = group.get("lr", lr) * unit, group["weight_decay"] / unit
                others.append({**group, "params": [p], "lr": rate, "weight_decay": decay, "eps": eps / unit})
    return [group for group in (*usual, *others) if group["params"]]


def freeze(model: Module, embeddings: bool = True, layers: int = 0) -> list[str]:
    """Freezes a model's embeddings and its lowest `layers` layers; returns the names of their parameters.

    If everything below the lowest trained layer is frozen, the backward pass ends there. `parameter_groups`, and so the optimizer
    of a `Trainer`, leave frozen parameters out. Raises ValueError for more layers than the model has.
    """
    checked("freeze", "embeddings", bool, embeddings)
    layers = checked("freeze", "layers", int, layers)
    depths, found = _depths(model)
    require(0 <= layers <= found, "freeze", "layers", f"a number in [0, {found}]", layers)
    frozen = [name for name, depth in depths.items() if (depth == 0 and embeddings) or 0 < depth <= layers]
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return frozen
