"""Reverse-mode differentiation: the tape, whether it records, and ops written by the user."""

from engine.autograd import mode, tape
from engine.autograd.checkpoint import checkpoint
from engine.autograd.function import Function
from engine.autograd.gradcheck import gradcheck
from engine.autograd.mode import *
from engine.autograd.tape import *

__all__ = ["Function", "checkpoint", "gradcheck", *mode.__all__, *tape.__all__]
