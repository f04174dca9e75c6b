"""Data: text tables, tokenizing, datasets and packed batches."""

from engine.data.packed import PackedBatch as PackedBatch
from engine.data.packed import PackedLayout as PackedLayout
from engine.data.packed import packed_layout as packed_layout

__all__ = [
    "PackedBatch",
    "PackedLayout",
    "packed_layout",
]
