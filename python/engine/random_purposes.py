"""The purposes for which random numbers are drawn from a seed, numbered in one place.

Loaders, splits, corpora, masking and augmentation draw from NumPy's Philox. Its key is (seed, step or epoch), and the purpose is in the
last word of its counter. Two purposes therefore never draw the same numbers, whatever the seeds are. The number of a purpose never
changes, because it decides which random numbers a run draws.

Ops (`rand`, `dropout`, ...) need no purpose: they draw from one random state, in which each call has its own number.
"""

from __future__ import annotations

from enum import IntEnum, unique

__all__ = ["Purpose"]


@unique
class Purpose(IntEnum):
    """The numbers of the purposes. If two were equal, the import would fail."""

    LOADER = 0  # the order of an epoch
    SPLIT = 1  # which samples fall into which part
    CORPUS_FILES = 2  # the order of a corpus's files
    CORPUS_TEXTS = 3  # the order of the texts in a stretch of a file
    RANDOM_SWAP = 0x73776170
    # Masked language modelling and the augmentation TokenMasking share one number. Pretraining takes no augmentation, so no run draws
    # for both. With two numbers, the runs of version 0.1 could not be repeated.
    MASKING = 0x6D61736B
    TOKEN_DROPOUT = 0x746F6B656E
    RANDOM_DELETION = 0x64656C657465
