"""Gradient clipping, and other helpers on lists of parameters and of sequences; weights that are computed."""

from importlib import import_module as _import_module
from typing import Any as _Any

from engine.nn.utils import clip_grad, convert_parameters, init, prefix, rnn, stateless
from engine.nn.utils.clip_grad import *
from engine.nn.utils.clip_grad import clip_coefficient as clip_coefficient
from engine.nn.utils.clip_grad import zero_gradients as zero_gradients
from engine.nn.utils.convert_parameters import *
from engine.nn.utils.init import *
from engine.nn.utils.prefix import *

# These need modules, which need this package: they are imported at first use.
_FILES = ("parametrizations", "parametrize")
_FUNCTIONS = ("remove_weight_norm", "weight_norm")

__all__ = ["rnn", "stateless", *_FILES, *_FUNCTIONS]
__all__ += clip_grad.__all__
__all__ += convert_parameters.__all__
__all__ += init.__all__
__all__ += prefix.__all__


def __getattr__(name: str) -> _Any:
    if name in _FILES:
        return _import_module(f"engine.nn.utils.{name}")
    if name in _FUNCTIONS:
        return getattr(_import_module("engine.nn.utils.weight_lengths"), name)
    raise AttributeError(f"module 'engine.nn.utils' has no attribute {name!r}")
