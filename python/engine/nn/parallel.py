"""DataParallel: scripts wrap a model in it to use several devices. engine uses one, and says so where there are more."""

from __future__ import annotations

from typing import Any
from warnings import warn

from engine import cuda
from engine.nn.module import Module


class DataParallel(Module):
    """Calls `module`. Its parameters are named "module.<name>", as in PyTorch.

    Differs from PyTorch: a batch is not split over devices; a warning says so if more than one device was named or exists.
    `device_ids`, `output_device` and `dim` change nothing else.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        devices = cuda.device_count() if device_ids is None else len(device_ids)
        if devices > 1:
            warn(f"DataParallel uses the device that the model is on, not all {devices}", stacklevel=2)
        self.module = module
        self.device_ids, self.output_device, self.dim = device_ids, output_device, dim

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)
