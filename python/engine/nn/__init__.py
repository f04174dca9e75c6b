"""Layers, with PyTorch's names. They hold parameters; the mathematics is in `engine.ops`."""

from engine.nn import (
    activations,
    activations_piecewise,
    activations_smooth,
    attention,
    channels,
    containers,
    distance,
    embedding_bag,
    functional,
    init,
    layers,
    lazy,
    lora,
    losses,
    losses_likelihood,
    losses_margin,
    modules,
    pads,
    parallel,
    parameter,
    patches,
    transformer,
    transformer_model,
    utils,
)  # fmt: skip
from engine.nn.activations import *
from engine.nn.activations_piecewise import *
from engine.nn.activations_smooth import *
from engine.nn.attention import *
from engine.nn.channels import *
from engine.nn.containers import *
from engine.nn.distance import *
from engine.nn.embedding_bag import *
from engine.nn.layers import *
from engine.nn.lazy import *
from engine.nn.losses import *
from engine.nn.losses_likelihood import *
from engine.nn.losses_margin import *
from engine.nn.module import Module
from engine.nn.pads import *
from engine.nn.parallel import DataParallel
from engine.nn.parameter import Buffer, Parameter, UninitializedParameter
from engine.nn.patches import *
from engine.nn.transformer import *
from engine.nn.transformer_model import *

__all__ = [
    "Buffer",
    "DataParallel",
    "Module",
    "Parameter",
    "UninitializedParameter",
    "functional",
    "init",
    "lora",
    "parallel",
    "parameter",
    "utils",
]
__all__ += activations.__all__
__all__ += activations_piecewise.__all__
__all__ += activations_smooth.__all__
__all__ += attention.__all__
__all__ += channels.__all__
__all__ += containers.__all__
__all__ += distance.__all__
__all__ += embedding_bag.__all__
__all__ += layers.__all__
__all__ += lazy.__all__
__all__ += losses.__all__
__all__ += losses_likelihood.__all__
__all__ += losses_margin.__all__
__all__ += pads.__all__
__all__ += patches.__all__
__all__ += transformer.__all__
__all__ += transformer_model.__all__
