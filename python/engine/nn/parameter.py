"""What PyTorch has in `torch.nn.parameter`, from `engine.nn`."""

from engine.nn.module import Parameter

__all__ = ["Parameter"]
