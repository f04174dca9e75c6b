"""From a list of sequences to a rectangle, and back, with PyTorch's names.

engine's own way has no padding: `engine.data.Batch` and `engine.Layout`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine import ops
from engine.errors import BadType, require
from engine.tensor import Tensor, as_array

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (length, *), whose lengths may differ, as one rectangle: (longest, batch, *), or (batch, longest, *) if batch_first.

    padding_side: "right" or "left", where shorter sequences are filled with padding_value. The dtype is that of the first sequence.
    Gradients flow back to the sequences. Raises ValueError for an empty list and for sequences that differ in another dimension.
    """
    op = "pad_sequence"
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise BadType(op, "sequences", "an iterable of Tensors", type(sequences).__name__)
    parts = list(sequences)
    require(parts, op, "sequences", "at least one Tensor", "none")
    require(padding_side in ("right", "left"), op, "padding_side", "'right' or 'left'", repr(padding_side))
    for i, part in enumerate(parts):
        array = as_array(op, f"sequences[{i}]", part)
        require(array.ndim >= 1, op, f"sequences[{i}]", "at least 1 dimension", "a 0-dim tensor")
        rest = parts[0].shape[1:]
        expected = "shape " + str(("length", *rest)).replace("'", "")
        require(part.shape[1:] == rest, op, f"sequences[{i}]", expected, part.shape)
    longest = max(part.shape[0] for part in parts)
    dtype, rows = parts[0].dtype, []
    for part in parts:
        missing = longest - part.shape[0]
        ends = (missing, 0) if padding_side == "left" else (0, missing)
        rows.append(ops.pad(part.to(dtype), (0, 0) * (part.ndim - 1) + ends, value=padding_value))
    return ops.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The inverse of `pad_sequence` with padding on the right: the first lengths[i] positions of each sequence, as views.

    lengths: integers (batch,), a Tensor or a list. Raises ValueError for another shape and for lengths outside [0, longest].
    """
    op = "unpad_sequence"
    as_array(op, "padded_sequences", padded_sequences)
    require(padded_sequences.ndim >= 2, op, "padded_sequences", "at least 2 dimensions", padded_sequences.shape)
    rectangle = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    batch, longest = rectangle.shape[:2]
    sizes = np.asarray(lengths.detach().cpu() if isinstance(lengths, Tensor) else lengths)
    right = sizes.shape == (batch,) and sizes.dtype.kind in "iu"
    require(right, op, "lengths", f"integers of shape ({batch},)", f"{sizes.dtype} {tuple(sizes.shape)}")
    inside = not batch or 0 <= sizes.min() <= sizes.max() <= longest
    require(inside, op, "lengths", f"numbers in [0, {longest}]", sizes.tolist())
    return [row[:n] for row, n in zip(rectangle.unbind(0), sizes.tolist())]
