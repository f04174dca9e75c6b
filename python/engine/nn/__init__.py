"""Layers, with PyTorch's names. They hold parameters; the mathematics is in `engine.ops`."""

from engine.nn import activations, attention, containers, functional, init, layers, lora, losses, transformer, utils
from engine.nn.activations import *
from engine.nn.attention import *
from engine.nn.containers import *
from engine.nn.layers import *
from engine.nn.losses import *
from engine.nn.module import Module, Parameter
from engine.nn.transformer import *

__all__ = ["Module", "Parameter", "functional", "init", "lora", "utils"]
__all__ += activations.__all__
__all__ += attention.__all__
__all__ += containers.__all__
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += transformer.__all__
