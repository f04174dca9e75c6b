"""What PyTorch has in `torch.utils.checkpoint`, from `engine.autograd`."""

from engine.autograd import checkpoint

__all__ = ["checkpoint"]
