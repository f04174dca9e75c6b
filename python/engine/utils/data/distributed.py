"""What PyTorch has in `torch.utils.data.distributed`."""

from engine.data import DistributedSampler

__all__ = ["DistributedSampler"]
