"""Text: reading, cleaning and tokenizing it, its datasets and packed batches."""

from engine.text.augment import Compose, RandomDeletion, RandomSwap, TokenDropout, TokenMasking, augmentation
from engine.text.cleaning import clean_text
from engine.text.corpus import TextCorpus
from engine.text.dataset import LazyTextDataset, TextDataset, TextItem
from engine.text.documents import read_documents, read_texts
from engine.text.duplicates import DuplicateReport, LabelConflict, remove_duplicates
from engine.text.labels import Labels, parse_numbers, split_labels
from engine.text.markup import strip_markup
from engine.text.masking import MaskedLanguageModeling
from engine.text.packed import PackedBatch
from engine.text.problems import Problem, QualityReport
from engine.text.quality import find_problems, remove_problems
from engine.text.similarity import similar_pairs
from engine.text.table import TextTable, train_test_split
from engine.text.table_files import read_table
from engine.text.table_write import write_table
from engine.text.tagged_dataset import TagDataset, tag_dataset
from engine.text.tagged_files import read_tagged
from engine.text.tagged_table import TaggedTable
from engine.text.tokenizer import Tokenizer

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
