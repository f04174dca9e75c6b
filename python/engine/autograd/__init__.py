"""Reverse-mode differentiation: the tape, its modes, and ops written by the user."""

from engine.autograd import anomaly, functional, tape
from engine.autograd.anomaly import *
from engine.autograd.checkpoint import checkpoint
from engine.autograd.function import Function
from engine.autograd.gradcheck import gradcheck
from engine.autograd.tape import *
from engine.autograd.variable import Variable

__all__ = ["Function", "Variable", "checkpoint", "functional", "gradcheck", *anomaly.__all__, *tape.__all__]
