"""From a list of sequences to a rectangle or to PyTorch's packed sequences, and back, with PyTorch's names.

A `PackedSequence` has the positions of all sequences in one tensor, ordered by position first and by sequence second. engine's own
layers have no padding in another way: they take sequences back to back (`engine.data.Batch`, `engine.Layout`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine import _core, ops
from engine.errors import BadType, require
from engine.tensor import Tensor, as_array

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


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
    sizes = _lengths(op, lengths, batch, 0, longest)
    return [row[:n] for row, n in zip(rectangle.unbind(0), sizes.tolist())]


def _lengths(op: str, lengths: Any, batch: int, least: int, longest: int) -> np.ndarray[Any, Any]:
    """The lengths of the sequences as int64 (batch,). Raises ValueError for another shape, and for numbers out of range."""
    sizes = np.asarray(lengths.detach().cpu() if isinstance(lengths, Tensor) else lengths)
    right = sizes.shape == (batch,) and sizes.dtype.kind in "iu"
    require(right, op, "lengths", f"integers of shape ({batch},)", f"{sizes.dtype} {tuple(sizes.shape)}")
    inside = not batch or least <= sizes.min() <= sizes.max() <= longest
    require(inside, op, "lengths", f"numbers in [{least}, {longest}]", sizes.tolist())
    return sizes.astype(np.int64)


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Fields):
    """Sequences, the longest first, as `pack_padded_sequence` and `pack_sequence` make them.

    data: (total, *), the first positions of all sequences, then the second ones, and so on. batch_sizes: int64 on the CPU, how many
    sequences have each position. sorted_indices: int64 (batch,), the numbers that the sequences had before they were sorted; None if
    they were in order. unsorted_indices: the inverse of that.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:  # a pair
            data, batch_sizes = data
        require(
            not batch_sizes.is_cuda, "PackedSequence", "batch_sizes", "a tensor on the CPU", str(batch_sizes.device)
        )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """`data.to(...)`, with the indices on the device of the result."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if i is None else i.to(data.device) for i in self[2:]]
        return PackedSequence(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        """The same on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> PackedSequence:
        """The same on that CUDA device; None: on the current one."""
        return self.to("cuda" if device is None else device)

    def float(self) -> PackedSequence:
        """The same with data in float32."""
        return self.to(_core.float32)

    def double(self) -> PackedSequence:
        """The same with data in float64."""
        return self.to(_core.float64)

    def half(self) -> PackedSequence:
        """The same with data in float16."""
        return self.to(_core.float16)

    def long(self) -> PackedSequence:
        """The same with data in int64."""
        return self.to(_core.int64)

    def int(self) -> PackedSequence:
        """The same with data in int32."""
        return self.to(_core.int32)

    @property
    def is_cuda(self) -> bool:
        """Whether the data are on a CUDA device."""
        return self.data.is_cuda

    def pin_memory(self) -> PackedSequence:
        """The sequences themselves: memory of the CPU is not pinned."""
        return self


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation int64 (n,) that undoes the given one; None for None."""
    return None if permutation is None else ops.argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs a rectangle of padded sequences (longest, batch, *), or (batch, longest, *) if batch_first.

    lengths: integers (batch,), a Tensor or a list, each at least 1. enforce_sorted: the lengths must not rise; False: the sequences are
    sorted. Gradients flow back to the input. Raises ValueError for lengths that do not fit.
    """
    op = "pack_padded_sequence"
    as_array(op, "input", input)
    require(input.ndim >= 2, op, "input", "at least 2 dimensions", input.shape)
    rectangle = input.transpose(0, 1) if batch_first else input
    longest, batch = rectangle.shape[:2]
    require(batch, op, "input", "at least one sequence", input.shape)
    sizes = _lengths(op, lengths, batch, 1, longest)
    order = np.arange(batch)
    indices = None
    if enforce_sorted:
        falling = bool((sizes[:-1] >= sizes[1:]).all())
        require(falling, op, "lengths", "numbers that do not rise", sizes.tolist(), "pass enforce_sorted=False")
    else:
        order = np.argsort(-sizes, kind="stable")
        indices = ops.from_numpy(order.astype(np.int64)).to(input.device)
    there = np.arange(sizes.max())[:, None] < sizes[order][None, :]  # (longest, batch)
    position, sequence = np.nonzero(there)
    rows = ops.from_numpy(position * batch + order[sequence]).to(input.device)
    data = rectangle.reshape(longest * batch, *rectangle.shape[2:]).index_select(0, rows)
    return PackedSequence(data, ops.from_numpy(there.sum(1).astype(np.int64)), indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The rectangle (longest, batch, *), or (batch, longest, *) if batch_first, and the lengths int64 (batch,) on the CPU, in the order
    that the sequences had before they were packed.

    total_length: the length of the rectangle, at least that of the longest sequence. Gradients flow back to the packed data.
    """
    op = "pad_packed_sequence"
    if not isinstance(sequence, PackedSequence):
        raise BadType(op, "sequence", "a PackedSequence", type(sequence).__name__)
    data, per_position = sequence.data, np.asarray(sequence.batch_sizes)
    longest, batch = len(per_position), int(per_position[0])
    length = longest if total_length is None else total_length
    require(length >= longest, op, "total_length", f"None or a number >= {longest}", total_length)
    there = np.arange(batch)[None, :] < per_position[:, None]  # (longest, batch)
    rows = np.full((length, batch), len(data), np.int64)  # the row of padding
    rows[:longest][there] = np.arange(len(data))
    lengths = there.sum(0).astype(np.int64)
    if sequence.unsorted_indices is not None:
        order = np.asarray(sequence.unsorted_indices.cpu())
        rows, lengths = rows[:, order], lengths[order]
    if batch_first:
        rows = rows.T
    padding = ops.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    chosen = ops.from_numpy(np.ascontiguousarray(rows).reshape(-1)).to(data.device)
    padded = ops.cat([data, padding]).index_select(0, chosen)
    return padded.reshape(*rows.shape, *data.shape[1:]), ops.from_numpy(lengths)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs Tensors (length, *). enforce_sorted: as in `pack_padded_sequence`."""
    lengths = [len(part) for part in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`: Tensors (length, *)."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
