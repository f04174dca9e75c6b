"""How large a model may be that a config describes. Memory is not allocated on the word of a config.json alone: the weights that are
really there bound its numbers."""

from __future__ import annotations

import os

from engine.errors import OutOfMemory, require
from engine.models.config import TransformerConfig

__all__ = ["check_held", "check_memory"]

_NEW = 2**22  # numbers (16 MiB) of a head and a pooler, which files may lack
_TENSORS = 8  # each layer with weights has more


def check_held(
    op: str, argument: str, c: TransformerConfig, numbers: int, tensors: int, where: str, labels: int
) -> None:
    """Raises ValueError if the encoder needs more than files hold.

    numbers, tensors: what the files hold. where: names the config in the message. labels: those that the config gives; 0 if the caller
    has chosen their number.
    """
    d, expected = c.hidden_size, f"weights for the {_encoder(c)} parameters that {where} describes"
    require(_encoder(c) <= numbers, op, argument, expected, f"weights with {numbers} elements")
    layers = _layers(c)
    require(
        layers * _TENSORS <= tensors, op, argument, f"weights for the {layers} layers in {where}", f"{tensors} tensors"
    )
    head = d * d + labels * d
    expected = f"weights for the {head} parameters of the head that {where} describes"
    require(head <= max(numbers, _NEW), op, argument, expected, f"weights with {numbers} elements")


def check_memory(op: str, argument: str, c: TransformerConfig, where: str) -> None:
    """Raises MemoryError if a new model would not fit into the machine's memory: no file bounds its sizes."""
    needed = 4 * (_encoder(c) + c.hidden_size * (c.hidden_size * c.pooler + c.num_labels))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    expected = f"a model in {where} that fits into {there / 2**30:,.1f} GiB of memory"
    require(needed <= there, op, argument, expected, f"one of {needed / 2**30:,.1f} GiB", error=OutOfMemory)


def _layers(c: TransformerConfig) -> int:
    """The number of layers with weights of their own."""
    return min(c.num_hidden_layers, c.num_hidden_groups or c.num_hidden_layers)


def _encoder(c: TransformerConfig) -> int:
    """A lower bound of the number of the encoder's parameters."""
    d, narrow = c.hidden_size, c.embedding_size or c.hidden_size
    tables = (c.vocab_size + c.max_position_embeddings + c.type_vocab_size) * narrow + (narrow != d) * narrow * d
    return tables + _layers(c) * (4 * d * d + 2 * d * c.intermediate_size)
