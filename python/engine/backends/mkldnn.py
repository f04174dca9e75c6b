"""`torch.backends.mkldnn`: engine has its own kernels and no oneDNN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from engine.backends._switches import Without, switches


class mkldnn(ModuleType):
    """The switches."""

    enabled = Without(False, "engine has its own kernels and no oneDNN")


def is_available() -> bool:
    """False."""
    return False


@contextmanager
def flags(enabled: bool = False) -> Iterator[None]:
    """A block in which PyTorch would use oneDNN or not."""
    yield


switches(__name__, mkldnn)
