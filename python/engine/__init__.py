"""engine: a small tensor engine with hand-written kernels, made to train transformer classifiers on text without padding."""

import builtins as _builtins
import gc as _gc
import importlib as _importlib
from typing import Any as _Any

# All that these imports make stays: Python's collector, which would look through it again and again, waits.
_collects = _gc.isenabled()
_gc.disable()
try:
    from engine import accelerator, autograd, cuda, dtypes, errors, ops, xpu
    from engine._core import (
        DType,
        bfloat16,
        empty_cache,
        float16,
        float32,
        float64,
        get_cpu_isa,
        get_num_threads,
        int8,
        int16,
        int32,
        int64,
        memory_stats,
        reset_peak_memory_stats,
        set_cpu_isa,
        set_memory_limit,
        set_num_threads,
        uint8,
    )
    from engine._core import DType as dtype
    from engine._core import bool as bool
    from engine.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
    from engine.device import device
    from engine.dtypes import *
    from engine.einops_backend import register as _register_einops
    from engine.errors import OutOfMemory as OutOfMemoryError
    from engine.layout import Layout
    from engine.ops import *
    from engine.tensor import Tensor
finally:
    if _collects:
        _gc.enable()

__version__ = "0.2.0"

# These are imported at first use: `engine.nn.Linear` works without a second import, and `import engine` stays quick.
_PACKAGES = (
    "amp", "backends", "compiler", "data", "distributed", "distributions", "func", "fx", "hub", "inference", "jit", "linalg", "metrics", "models",
    "multiprocessing", "nn", "onnx", "optim", "random", "report", "runs", "serialization", "special", "tasks", "testing", "text",
    "torchfiles", "train", "utils",
)  # fmt: skip
# Functions that are loaded with their package at first use.
_FUNCTIONS = {"compile": "compiler", "load": "torchfiles", "save": "torchfiles", "vmap": "func"}

_COMPLEX = (
    "cdouble", "cfloat", "complex", "complex32", "complex64", "complex128", "polar", "view_as_complex", "view_as_real",
)  # fmt: skip

__all__ = [
    "DType",
    "Layout",
    "OutOfMemoryError",
    "Tensor",
    "accelerator",
    "autograd",
    "bfloat16",
    "cuda",
    "device",
    "dtype",
    "empty_cache",
    "enable_grad",
    "errors",
    "float16",
    "float32",
    "float64",
    "get_cpu_isa",
    "get_num_threads",
    "inference_mode",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "memory_stats",
    "no_grad",
    "ops",
    "reset_peak_memory_stats",
    "set_cpu_isa",
    "set_grad_enabled",
    "set_memory_limit",
    "set_num_threads",
    "uint8",
    "xpu",
    *_PACKAGES,
]
# Unlike in PyTorch, `from engine import *` does not replace Python's own `sum`, `max`, `bool` and others: write `engine.sum`.
__all__ += [name for name in (*ops.__all__, *dtypes.__all__, *_FUNCTIONS) if not hasattr(_builtins, name)]


def __getattr__(name: str) -> _Any:
    if name in _PACKAGES:
        return _importlib.import_module(f"engine.{name}")
    if name in _FUNCTIONS:
        found = getattr(_importlib.import_module(f"engine.{_FUNCTIONS[name]}"), name)
        globals()[name] = found
        return found
    if name in _COMPLEX:
        raise AttributeError(f"engine has no complex numbers, and no {name}")
    raise AttributeError(f"module 'engine' has no attribute {name!r}")


_register_einops()
