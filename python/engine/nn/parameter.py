"""What PyTorch has in `torch.nn.parameter`, from `engine.nn`."""

from engine.nn.module import Buffer, Parameter

__all__ = ["Buffer", "Parameter"]
