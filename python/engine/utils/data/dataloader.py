"""What PyTorch has in `torch.utils.data.dataloader`, from `engine.data`."""

from engine.data import (
    DataLoader,
    default_collate,
    default_convert,
    get_worker_info,
)

__all__ = [
    "DataLoader",
    "default_collate",
    "default_convert",
    "get_worker_info",
]
