"""The precision of products on a CUDA device: autocast to bfloat16, and how float32 is multiplied.

`autocast` follows PyTorch: inside it products and attention convert their float32 inputs to bfloat16, while normalisations,
softmax, losses, sums, exponentials and powers convert bfloat16 inputs to float32. Ops call `lowered` and `raised` for that,
but only if `active` says that some thread is inside. Tensors on the CPU are left alone.
"""

from __future__ import annotations

from _thread import _local, allocate_lock
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from engine import _core
from engine._core import DType
from engine.autograd.checkpoint import surroundings
from engine.autograd.modes import is_grad_enabled
from engine.device import device
from engine.errors import BadType, BadValue
from engine.notices import say_once
from engine.ops.convert import cast
from engine.tensor import Tensor

__all__ = [
    "autocast",
    "get_autocast_dtype",
    "get_float32_matmul_precision",
    "is_autocast_enabled",
    "set_float32_matmul_precision",
]

active = 0  # the number of enabled regions that are open, in all threads
_lock = allocate_lock()


class _State(_local):
    enabled = False
    cached = True
    depth = 0

    def __init__(self) -> None:
        # Casts of leaves that require grad, kept until the outermost region ends. By the leaf's id: leaf, array, its version, cast.
        self.casts: dict[int, tuple[Tensor, Any, int, Tensor]] = {}


_state = _State()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is in an enabled `autocast` region. Always False for "cpu"."""
    return device_type == "cuda" and _state.enabled


def get_autocast_dtype(device_type: str = "cuda") -> DType:
    """The dtype in which `autocast` computes: bfloat16."""
    return _core.bfloat16


class autocast(ContextDecorator):
    """`with engine.autocast():` or `@engine.autocast()`: on a CUDA device products run in bfloat16.

    device_type: "cuda"; "cpu" is accepted and changes nothing, which is said once. dtype: None or bfloat16; float16 is accepted and
    means bfloat16, which is said once. enabled: False switches autocast off inside an enabled region. cache_enabled: convert each
    parameter once and keep the result until the outermost region ends.

    `linear`, `linear_gelu`, `matmul`, `mm`, `bmm`, `attention`, `attention_qkv` and `scaled_dot_product_attention` take
    float32 inputs as bfloat16 and give bfloat16. `layer_norm`, `rms_norm`, `dropout_add_layer_norm`, `softmax`,
    `log_softmax`, `logsumexp`, the losses, `norm`, `sum`, `prod`, `cumsum`, `exp`, `log`, `log1p`, `pow`, `reciprocal` and
    `rsqrt` take bfloat16 inputs as float32. All other ops compute in the dtype of their inputs, and in float32 if one of two
    inputs has it. Gradients of float32 parameters are float32. Backward needs no region around it.

    Raises TypeError if device_type is not a string, ValueError for an unknown device or another dtype.
    """

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool = True,
    ) -> None:
        if not isinstance(device_type, str):
            raise BadType("autocast", "device_type", "'cuda' or 'cpu'", type(device_type).__name__)
        self._on_cuda = device(device_type).type == "cuda"
        if dtype is not None and dtype is not _core.bfloat16 and dtype is not _core.float16:
            got = dtype.name if isinstance(dtype, DType) else repr(dtype)
            raise BadValue("autocast", "dtype", "bfloat16", got)
        if enabled and not self._on_cuda:
            say_once("engine: autocast changes nothing on the CPU, which computes in float32")
        elif enabled and dtype is _core.float16:
            say_once("engine: autocast computes in bfloat16, which needs no scale of the loss, instead of float16")
        self._enabled, self._cached = bool(enabled) and self._on_cuda, bool(cache_enabled)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> autocast:
        global active
        with _lock:
            active += self._enabled
        self._before.append((_state.enabled, _state.cached))
        _state.depth += 1
        if self._on_cuda:
            _state.enabled, _state.cached = self._enabled, self._cached
        return self

    def __exit__(self, *_: object) -> None:
        global active
        with _lock:
            active -= self._enabled
        _state.enabled, _state.cached = self._before.pop()
        _state.depth -= 1
        if not _state.depth:
            _state.casts.clear()


def _as_now() -> Callable[[], autocast]:
    """For checkpointed functions, which run again in backward. No cast is kept there, so that both runs make the same ops."""
    enabled = _state.enabled
    return lambda: autocast(enabled=enabled, cache_enabled=False)


surroundings.append(_as_now)


def _low(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor):
        return tensor
    x = tensor._data
    if x.dtype is not _core.float32 or x.device < 0:
        return tensor
    if not (_state.cached and tensor._requires_grad and tensor._node is None and is_grad_enabled()):
        return cast(tensor, _core.bfloat16)
    found = _state.casts.get(id(tensor))
    if found is not None and found[1] is x and found[2] == x.version:  # not written to since
        return found[3]
    low = cast(tensor, _core.bfloat16)
    _state.casts[id(tensor)] = (tensor, x, x.version, low)
    return low


def lowered(*tensors: Any) -> tuple[Any, ...]:
    """The inputs of an op that runs in bfloat16 under autocast. Only float32 Tensors on a CUDA device are converted."""
    return tuple([_low(t) for t in tensors]) if _state.enabled else tensors


def raised(tensor: Any) -> Any:
    """An input of an op that runs in float32 under autocast. Only a bfloat16 Tensor on a CUDA device is converted."""
    if _state.enabled and isinstance(tensor, Tensor) and tensor._data.dtype is _core.bfloat16 and tensor.is_cuda:
        return cast(tensor, _core.float32)
    return tensor


def set_float32_matmul_precision(precision: str) -> None:
    """How CUDA devices multiply float32 matrices. "highest": in float32. "high": factors rounded to TF32 (10 bits of mantissa).
    "medium": factors rounded to bfloat16 (7 bits). The last two run on tensor cores and add up in float32.

    It can be called before a device is used. The CPU always multiplies in float32. Raises ValueError for another word."""
    _core.set_float32_matmul_precision(precision)


def get_float32_matmul_precision() -> str:
    """The current setting of `set_float32_matmul_precision`; "highest" by default."""
    return _core.get_float32_matmul_precision()
