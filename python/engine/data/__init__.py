"""Data: datasets, loaders, samplers and batches. Nothing here knows a modality."""

from engine.data.batch import Batch, size_of, to_device
from engine.data.collate import default_collate, default_convert
from engine.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from engine.data.distributed_sampler import DistributedSampler
from engine.data.loader import DataLoader, WorkerInfo, get_worker_info, in_order
from engine.data.plan import BatchPlan
from engine.data.prefetch import Prefetcher
from engine.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from engine.data.table import Table

__all__ = [
    "Batch",
    "BatchPlan",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "Prefetcher",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "Table",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "in_order",
    "random_split",
    "size_of",
    "to_device",
]
