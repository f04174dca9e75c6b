"""engine: a small tensor engine with hand-written kernels, made to train transformer classifiers on text without padding."""

from __future__ import annotations

from engine import autograd, ops
from engine._core import (
    DType,
    bfloat16,
    bool,
    float16,
    float32,
    float64,
    get_num_threads,
    int32,
    int64,
    set_num_threads,
    uint8,
)
from engine._core import DType as dtype
from engine.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from engine.ops import *  # noqa: F403
from engine.tensor import Tensor, device

__version__ = "0.1.0"
