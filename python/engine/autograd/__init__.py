"""Reverse-mode differentiation: the tape, its modes, and ops of your own."""

from engine.autograd.checkpoint import checkpoint
from engine.autograd.function import Function
from engine.autograd.gradcheck import gradcheck
from engine.autograd.tape import (
    Node,
    backward,
    check_inplace,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    record,
    record_inplace,
    record_view,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "Node",
    "backward",
    "check_inplace",
    "checkpoint",
    "enable_grad",
    "grad",
    "gradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "record",
    "record_inplace",
    "record_view",
    "set_grad_enabled",
]
