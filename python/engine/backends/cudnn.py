"""`torch.backends.cudnn`: engine has its own kernels instead of cuDNN, and they give the same bits in each run."""

from __future__ import annotations

from types import ModuleType

from engine.backends._switches import AllowTF32, Without, switches

_OWN = "engine has its own kernels and no cuDNN"


class cudnn(ModuleType):
    """The switches."""

    allow_tf32 = AllowTF32()
    enabled = Without(False, _OWN)
    benchmark = Without(False, _OWN)
    benchmark_limit = Without(0, _OWN)
    deterministic = Without(True, "engine's kernels always give the same bits")


def is_available() -> bool:
    """False: there is no cuDNN."""
    return False


def version() -> None:
    """None: there is no cuDNN."""
    return None


switches(__name__, cudnn)
