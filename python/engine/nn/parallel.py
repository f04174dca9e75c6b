"""`torch.nn.parallel`'s wrappers for one device. The wrapped model is `.module`, and names in state_dict begin with "module."."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.nn.module import Module
from engine.notices import say_once

__all__ = ["DataParallel", "DistributedDataParallel"]


class DataParallel(Module):
    """Calls `module`. PyTorch splits the batch over the devices of device_ids; engine runs it on the device where it is, and says so
    once if several are named."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module, self.device_ids, self.output_device, self.dim = module, list(device_ids or ()), output_device, dim
        if len(self.device_ids) > 1:
            say_once("engine: DataParallel runs the whole batch on one device")

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Calls `module`: in one process, rank 0 of 1, gradients need no averaging. Other arguments change nothing."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        self.module, self.device_ids, self.output_device, self.dim = module, device_ids, output_device, dim
        self.require_backward_grad_sync = True

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are not averaged over processes. There is only one."""
        yield
