"""Data: text tables, tokenizing, datasets and packed batches."""

from engine.data.collate import default_collate as default_collate
from engine.data.corpus import TextCorpus as TextCorpus
from engine.data.corpus import read_documents as read_documents
from engine.data.corpus import read_texts as read_texts
from engine.data.dataset import Dataset as Dataset
from engine.data.dataset import LazyTextDataset as LazyTextDataset
from engine.data.dataset import Subset as Subset
from engine.data.dataset import TensorDataset as TensorDataset
from engine.data.dataset import TextDataset as TextDataset
from engine.data.dataset import TextItem as TextItem
from engine.data.dataset import random_split as random_split
from engine.data.labels import Labels as Labels
from engine.data.labels import parse_numbers as parse_numbers
from engine.data.labels import split_labels as split_labels
from engine.data.loader import DataLoader as DataLoader
from engine.data.markup import strip_markup as strip_markup
from engine.data.packed import PackedBatch as PackedBatch
from engine.data.packed import PackedLayout as PackedLayout
from engine.data.packed import packed_layout as packed_layout
from engine.data.prefetch import Prefetcher as Prefetcher
from engine.data.quality import Problem as Problem
from engine.data.quality import QualityReport as QualityReport
from engine.data.quality import find_problems as find_problems
from engine.data.quality import remove_problems as remove_problems
from engine.data.readers import read_table as read_table
from engine.data.sampler import BatchSampler as BatchSampler
from engine.data.similarity import similar_pairs as similar_pairs
from engine.data.tagging import TagDataset as TagDataset
from engine.data.tagging import TaggedTable as TaggedTable
from engine.data.tagging import read_tagged as read_tagged
from engine.data.tagging import tag_dataset as tag_dataset
from engine.data.text import DuplicateReport as DuplicateReport
from engine.data.text import LabelConflict as LabelConflict
from engine.data.text import TextTable as TextTable
from engine.data.text import clean_text as clean_text
from engine.data.text import remove_duplicates as remove_duplicates
from engine.data.text import train_test_split as train_test_split
from engine.data.tokenizer import Tokenizer as Tokenizer
from engine.data.writer import write_table as write_table

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "DuplicateReport",
    "LabelConflict",
    "Labels",
    "LazyTextDataset",
    "PackedBatch",
    "PackedLayout",
    "Prefetcher",
    "Problem",
    "QualityReport",
    "Subset",
    "TagDataset",
    "TaggedTable",
    "TensorDataset",
    "TextCorpus",
    "TextDataset",
    "TextItem",
    "TextTable",
    "Tokenizer",
    "clean_text",
    "default_collate",
    "find_problems",
    "packed_layout",
    "parse_numbers",
    "random_split",
    "read_documents",
    "read_table",
    "read_tagged",
    "read_texts",
    "remove_duplicates",
    "remove_problems",
    "similar_pairs",
    "split_labels",
    "strip_markup",
    "tag_dataset",
    "train_test_split",
    "write_table",
]
