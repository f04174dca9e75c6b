"""`torch.backends.cuda`: the precision of products, and which kernel computes attention. engine has one kernel for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.backends._switches import AllowTF32, Without
from engine.cuda import is_available
from engine.notices import say_once

__all__ = [
    "can_use_flash_attention",
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "sdp_kernel",
]

_ADDS = "products of float16 and bfloat16 always add up in float32"


class _Matmul:
    """The switches of products."""

    allow_tf32 = AllowTF32()
    allow_fp16_reduced_precision_reduction = Without(False, _ADDS)
    allow_bf16_reduced_precision_reduction = Without(False, _ADDS)


matmul = _Matmul()


def is_built() -> bool:
    """Whether engine can use a CUDA device here."""
    return is_available()


def _said(what: str) -> None:
    say_once(
        f"engine: {what} changes nothing: there is one kernel for attention, which never keeps the matrix of weights"
    )


def enable_flash_sdp(enabled: bool) -> None:
    """Changes nothing if True. False: says once that engine has one kernel."""
    if not enabled:
        _said("enable_flash_sdp(False)")


def enable_math_sdp(enabled: bool) -> None:
    """Changes nothing."""
    if enabled:
        _said("enable_math_sdp(True)")


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Changes nothing."""
    if enabled:
        _said("enable_mem_efficient_sdp(True)")


def enable_cudnn_sdp(enabled: bool) -> None:
    """Changes nothing."""
    if enabled:
        _said("enable_cudnn_sdp(True)")


def flash_sdp_enabled() -> bool:
    """True: attention is computed in blocks."""
    return True


def math_sdp_enabled() -> bool:
    """False: there is no other kernel."""
    return False


mem_efficient_sdp_enabled = cudnn_sdp_enabled = math_sdp_enabled


def can_use_flash_attention(params: Any = None, debug: bool = False) -> bool:
    """Whether attention runs on a CUDA device here."""
    return is_available()


@contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """A block in which PyTorch would choose among its kernels for attention. engine has one, and says so once if it is not among them."""
    if not enable_flash:
        _said("sdp_kernel(enable_flash=False)")
    yield
