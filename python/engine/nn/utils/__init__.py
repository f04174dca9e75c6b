"""Gradient clipping, and other helpers on lists of parameters and of sequences."""

from engine.nn.utils import clip_grad, convert_parameters, init, prefix, rnn, stateless
from engine.nn.utils.clip_grad import *
from engine.nn.utils.clip_grad import clip_coefficient as clip_coefficient
from engine.nn.utils.clip_grad import zero_gradients as zero_gradients
from engine.nn.utils.convert_parameters import *
from engine.nn.utils.init import *
from engine.nn.utils.prefix import *

__all__ = ["rnn", "stateless"]
__all__ += clip_grad.__all__
__all__ += convert_parameters.__all__
__all__ += init.__all__
__all__ += prefix.__all__
