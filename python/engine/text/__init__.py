"""Text: reading, cleaning and tokenizing it, its datasets and packed batches."""

from engine.text.augment import Compose as Compose
from engine.text.augment import RandomDeletion as RandomDeletion
from engine.text.augment import RandomSwap as RandomSwap
from engine.text.augment import TokenDropout as TokenDropout
from engine.text.augment import TokenMasking as TokenMasking
from engine.text.augment import augmentation as augmentation
from engine.text.cleaning import clean_text as clean_text
from engine.text.corpus import TextCorpus as TextCorpus
from engine.text.dataset import LazyTextDataset as LazyTextDataset
from engine.text.dataset import TextDataset as TextDataset
from engine.text.dataset import TextItem as TextItem
from engine.text.documents import read_documents as read_documents
from engine.text.documents import read_texts as read_texts
from engine.text.duplicates import DuplicateReport as DuplicateReport
from engine.text.duplicates import LabelConflict as LabelConflict
from engine.text.duplicates import remove_duplicates as remove_duplicates
from engine.text.labels import Labels as Labels
from engine.text.labels import parse_numbers as parse_numbers
from engine.text.labels import split_labels as split_labels
from engine.text.markup import strip_markup as strip_markup
from engine.text.masking import MaskedLanguageModeling as MaskedLanguageModeling
from engine.text.packed import PackedBatch as PackedBatch
from engine.text.problems import Problem as Problem
from engine.text.problems import QualityReport as QualityReport
from engine.text.quality import find_problems as find_problems
from engine.text.quality import remove_problems as remove_problems
from engine.text.similarity import similar_pairs as similar_pairs
from engine.text.table import TextTable as TextTable
from engine.text.table import train_test_split as train_test_split
from engine.text.table_files import read_table as read_table
from engine.text.table_files import write_table as write_table
from engine.text.tagged_dataset import TagDataset as TagDataset
from engine.text.tagged_dataset import tag_dataset as tag_dataset
from engine.text.tagged_files import read_tagged as read_tagged
from engine.text.tagged_table import TaggedTable as TaggedTable
from engine.text.tokenizer import Tokenizer as Tokenizer

__all__ = [
    "Compose",
    "DuplicateReport",
    "LabelConflict",
    "Labels",
    "LazyTextDataset",
    "MaskedLanguageModeling",
    "PackedBatch",
    "Problem",
    "QualityReport",
    "RandomDeletion",
    "RandomSwap",
    "TagDataset",
    "TaggedTable",
    "TextCorpus",
    "TextDataset",
    "TextItem",
    "TextTable",
    "TokenDropout",
    "TokenMasking",
    "Tokenizer",
    "augmentation",
    "clean_text",
    "find_problems",
    "parse_numbers",
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
