"""What PyTorch has in `torch.nn.utils.clip_grad`, from `engine.nn.utils`."""

from engine.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]
