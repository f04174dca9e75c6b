"""Who draws random numbers from a seed of its own, numbered in one place.

Loaders, splits, corpora, masking and augmentation draw from NumPy's Philox, keyed by (seed, step or epoch), with the purpose
in the last word of the counter: what draws for one purpose never sees the numbers of another, whatever the seeds. A purpose
keeps its number for good, since the number decides which numbers a run draws.

Ops (`rand`, `dropout`, ...) need no purpose: they draw from one random state, in which each call has a number of its own.
"""

from __future__ import annotations

from enum import IntEnum, unique

__all__ = ["Purpose"]


@unique
class Purpose(IntEnum):
    """The numbers; two of the same value are an error at import."""

    LOADER = 0  # the order of an epoch
    SPLIT = 1  # which samples fall into which part
    CORPUS_FILES = 2  # the order of a corpus's files
    CORPUS_TEXTS = 3  # the order of the texts in a stretch of a file
    RANDOM_SWAP = 0x73776170
    # One number for masked language modelling and for the augmentation TokenMasking: pretraining takes no augmentation, so
    # that no run draws for both. With numbers of their own, runs of 0.1 could not be repeated.
    MASKING = 0x6D61736B
    TOKEN_DROPOUT = 0x746F6B656E
    RANDOM_DELETION = 0x64656C657465
