"""Sequences of different lengths as one padded tensor, and back."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import BadType, BadValue, require
from engine.ops.factory import full
from engine.tensor import Tensor

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (length, *) as one tensor (longest, n, *), or (n, longest, *) with batch_first, filled up with padding_value.

    padding_side: "right" or "left". Raises ValueError for no sequences or other sizes after the first, TypeError for other objects.
    """
    op, listed = "pad_sequence", list(sequences)
    require(listed, op, "sequences", "at least one", "none")
    for i, s in enumerate(listed):
        if not isinstance(s, Tensor):
            raise BadType(op, f"sequences[{i}]", "a Tensor", type(s).__name__)
        if s.ndim == 0 or s.shape[1:] != listed[0].shape[1:]:
            raise BadValue(op, f"sequences[{i}]", f"shape (length, *{listed[0].shape[1:]})", s.shape)
    require(padding_side in ("left", "right"), op, "padding_side", "'left' or 'right'", repr(padding_side))
    first, longest = listed[0], max(s.shape[0] for s in listed)
    padded = full(
        (len(listed), longest, *first.shape[1:]), padding_value, dtype=first.dtype, device=first.device
    )  # fmt: skip
    for i, s in enumerate(listed):
        begin = longest - s.shape[0] if padding_side == "left" else 0
        padded[i, begin : begin + s.shape[0]] = s
    return padded if batch_first else padded.transpose(0, 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences (length, *) of a tensor that `pad_sequence` padded on the right."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(rows, lengths.tolist())]
