"""What PyTorch has in `torch.optim.adamw`, from `engine.optim`."""

from engine.optim.adam import AdamW

__all__ = ["AdamW"]
