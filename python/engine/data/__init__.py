"""Data: text tables, tokenizing, datasets and packed batches."""

from engine.data.labels import Labels as Labels
from engine.data.packed import PackedBatch as PackedBatch
from engine.data.packed import PackedLayout as PackedLayout
from engine.data.packed import packed_layout as packed_layout
from engine.data.readers import read_table as read_table
from engine.data.text import DuplicateReport as DuplicateReport
from engine.data.text import LabelConflict as LabelConflict
from engine.data.text import TextTable as TextTable
from engine.data.text import clean_text as clean_text
from engine.data.text import remove_duplicates as remove_duplicates
from engine.data.text import train_test_split as train_test_split
from engine.data.tokenizer import Tokenizer as Tokenizer

__all__ = [
    "DuplicateReport",
    "LabelConflict",
    "Labels",
    "PackedBatch",
    "PackedLayout",
    "TextTable",
    "Tokenizer",
    "clean_text",
    "packed_layout",
    "read_table",
    "remove_duplicates",
    "train_test_split",
]
