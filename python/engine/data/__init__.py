"""Data: datasets, loaders, samplers and batches. Nothing here knows a modality."""

from engine.data.batch import Batch, size_of, to_device
from engine.data.collate import default_collate
from engine.data.dataset import Dataset, Subset, TensorDataset, random_split
from engine.data.loader import DataLoader, in_order
from engine.data.prefetch import Prefetcher
from engine.data.sampler import BatchSampler
from engine.data.table import Table

__all__ = [
    "Batch",
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "Prefetcher",
    "Subset",
    "Table",
    "TensorDataset",
    "default_collate",
    "in_order",
    "random_split",
    "size_of",
    "to_device",
]
