"""Reverse-mode differentiation: the tape, its modes, and ops written by the user."""

from engine.autograd import tape
from engine.autograd.checkpoint import checkpoint
from engine.autograd.function import Function
from engine.autograd.gradcheck import gradcheck
from engine.autograd.tape import *

__all__ = ["Function", "checkpoint", "gradcheck", *tape.__all__]
