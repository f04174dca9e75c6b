"""Data: datasets, loaders, samplers and batches. Nothing here knows a modality."""

from engine.data.batch import Batch as Batch
from engine.data.batch import size_of as size_of
from engine.data.batch import to_device as to_device
from engine.data.collate import default_collate as default_collate
from engine.data.dataset import Dataset as Dataset
from engine.data.dataset import Subset as Subset
from engine.data.dataset import TensorDataset as TensorDataset
from engine.data.dataset import random_split as random_split
from engine.data.loader import DataLoader as DataLoader
from engine.data.loader import in_order as in_order
from engine.data.prefetch import Prefetcher as Prefetcher
from engine.data.sampler import BatchSampler as BatchSampler
from engine.data.table import Table as Table

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
