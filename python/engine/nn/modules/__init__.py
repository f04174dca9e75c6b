"""What PyTorch has in `torch.nn.modules`, and in the files below it, from `engine.nn`.

PyTorch sorts its layers into files: `torch.nn.modules.activation`, `.linear`, `.loss`, and so on. Under each of these names is this one
module, which has all layers.
"""

from __future__ import annotations

import sys
from typing import Any

from engine import nn
from engine.nn.layers import Linear as NonDynamicallyQuantizableLinear
from engine.nn.losses import Loss as _Loss
from engine.nn.losses import WeightedLoss as _WeightedLoss
from engine.nn.module import Module
from engine.nn.state import IncompatibleKeys as _IncompatibleKeys
from engine.nn.transformer import activation_named as _get_activation_fn
from engine.nn.transformer import copies_of as _get_clones
from engine.nn.utils import consume_prefix_in_state_dict_if_present

_FILES = (
    "activation", "container", "distance", "dropout", "linear", "loss", "module", "normalization", "sparse", "transformer", "utils",
)  # fmt: skip

__all__ = [
    "Module", "NonDynamicallyQuantizableLinear", "_IncompatibleKeys", "_Loss", "_WeightedLoss", "_get_activation_fn", "_get_clones",
    "_ntuple", "_pair", "_single", "_triple", "consume_prefix_in_state_dict_if_present",
]  # fmt: skip


def _ntuple(n: int, name: str = "parse") -> Any:
    """A function that gives a number n times as a tuple, and an iterable as it is."""

    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if hasattr(x, "__iter__") else (x,) * n

    parse.__name__ = name
    return parse


_single, _pair, _triple = _ntuple(1, "_single"), _ntuple(2, "_pair"), _ntuple(3, "_triple")


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return sys.modules[__name__]
    if name in nn.__all__:
        return getattr(nn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


for _file in _FILES:
    sys.modules[f"{__name__}.{_file}"] = sys.modules[__name__]
