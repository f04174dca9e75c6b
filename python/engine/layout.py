"""Layout: where the sequences of a batch start.

A batch holds the positions of its sequences (tokens, patches, frames) back to back, (total, ...), without padding. A Layout
says where each sequence starts. It also knows the rectangle (batch, length) that the positions are packed from and unpacked
to; a rectangle without padding is the case in which all lengths are equal.

The host must know the lengths, because they decide shapes. So a Layout that was made on the host keeps them when it moves to
a device, and reading them does not wait for the device. A Layout never changes after it is made: its numbers on the host are
read-only. Those on a CUDA device must not be written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from engine import _core
from engine._core import Array
from engine.device import device as Device
from engine.device import device_of, number_of
from engine.errors import ArgumentError, BadIndex, BadType, BadValue, amount
from engine.tensor import Tensor

__all__ = ["Layout", "Rows", "equal_offsets", "ranges"]

K = _core.kernels
_LARGEST = np.iinfo(np.int32).max


class Rows(NamedTuple):
    """Some positions of a Layout, for example those at which a model's last layer is read.

    indices: int64 (m,), rising row numbers; None: the first position of each sequence.
    layout: the chosen rows of each sequence as a Layout, which has as many sequences as the whole.
    """

    indices: Tensor | None
    layout: Layout


class Layout:
    """Where each sequence of a batch starts.

    cu_seqlens: int32 (batch + 1,); sequence i is at the positions cu_seqlens[i] to cu_seqlens[i + 1] - 1. The first entry is 0.
    total: the number of positions, if the caller knows it. longest: the longest length, if the caller knows it. Only cu_seqlens on
    a CUDA device needs them: otherwise the host waits for the device when it needs these numbers.

    Raises TypeError for another dtype, ValueError for another shape, and for numbers on the CPU that do not start at 0, that
    decrease or that do not match `total` and `longest`. Numbers on a CUDA device are checked by the kernels that read them.
    """

    __slots__ = (
        "_full", "_indices", "_length", "_lengths", "_longest", "_offsets", "_positions", "_total", "cu_seqlens",
    )  # fmt: skip

    cu_seqlens: Tensor

    def __init__(
        self, cu_seqlens: Tensor, *, total: int | None = None, longest: int | None = None, op: str = "Layout"
    ) -> None:
        if not isinstance(cu_seqlens, Tensor):
            raise BadType(op, "cu_seqlens", "an int32 Tensor", type(cu_seqlens).__name__)
        if cu_seqlens.dtype is not _core.int32:
            raise BadType(op, "cu_seqlens", "int32", cu_seqlens.dtype.name)
        if cu_seqlens.ndim != 1:
            raise BadValue(op, "cu_seqlens", "1 dimension", f"shape {tuple(cu_seqlens.shape)}")
        if not cu_seqlens.numel():
            raise BadValue(op, "cu_seqlens", "at least one entry", "an empty tensor")
        if cu_seqlens.is_cuda:
            self._set(cu_seqlens, None, total, longest)
            return
        offsets = np.array(cu_seqlens.detach().numpy())  # a copy: the caller may write to the original
        longest, total = _checked(op, offsets, total, longest)
        self._set(_fixed(offsets), offsets, total, longest)

    def _set(self, cu_seqlens: Tensor, offsets: np.ndarray | None, total: int | None, longest: int | None) -> None:
        self.cu_seqlens = cu_seqlens
        self._offsets, self._total, self._longest = offsets, total, longest
        self._lengths: np.ndarray | None = None
        self._positions: Tensor | None = None
        self._length: int | None = None  # of the rectangle; None: the longest
        self._indices: Tensor | None = None
        self._full: bool | None = None  # whether the rectangle has no padding; None: not looked at yet

    # ---- making one

    @classmethod
    def _made(cls, *args: Any) -> Layout:
        layout = cls.__new__(cls)
        layout._set(*args)
        return layout

    @classmethod
    def from_lengths(cls, lengths: Any, *, device: Any = None, op: str = "Layout.from_lengths") -> Layout:
        """The layout of sequences of these lengths: integers (batch,) on the host. A length may be 0.

        Raises TypeError for other numbers, ValueError for another shape, negative numbers and more than 2^31 - 1 positions.
        """
        sizes = np.asarray(lengths)
        if sizes.ndim != 1:
            raise BadValue(op, "lengths", "1 dimension", f"shape {tuple(sizes.shape)}")
        if sizes.size and sizes.dtype.kind not in "iu":
            raise BadType(op, "lengths", "integers", sizes.dtype)
        smallest, longest = (int(sizes.min()), int(sizes.max())) if sizes.size else (0, 0)
        if smallest < 0:
            raise BadValue(op, "lengths", "numbers >= 0", smallest)
        ends = np.cumsum(sizes, dtype=np.int64)
        total = int(ends[-1]) if ends.size and longest <= _LARGEST else longest
        if total > _LARGEST:
            raise BadValue(op, "lengths", f"at most {_LARGEST} positions in all", total)
        offsets = np.zeros(ends.size + 1, dtype=np.int32)
        offsets[1:] = ends
        layout = cls._made(_fixed(offsets), offsets, total, longest)
        return layout if device is None else layout.to(device)

    @classmethod
    def from_rectangle(
        cls, batch: int, length: int, attention_mask: Tensor | np.ndarray | None = None, *, device: Any = None
    ) -> Layout:
        """The layout of the real positions of a rectangle (batch, length), which it remembers.

        attention_mask: (batch, length), 1 (True) at real positions and 0 (False) at padding, of any dtype; None: all are real.
        Padding may be anywhere in a row, also between real positions. device: the device of the layout; None: that of the mask.
        The host must read the mask: it waits for one on a CUDA device.

        Raises ValueError for a mask of another shape, or with other values; TypeError for a mask that is not numbers.
        """
        if attention_mask is None:
            return cls._equal(batch, length, number_of(device))
        mask = attention_mask._data if isinstance(attention_mask, Tensor) else _array(attention_mask)
        number = mask.device if device is None else number_of(device)
        mask = mask.to_device(-1)
        if mask.shape != (batch, length):
            raise BadValue("Layout.from_rectangle", "attention_mask", f"shape {(batch, length)}", mask.shape)
        try:
            found, longest = K.mask_seqlens(mask)
        except ArgumentError as error:
            error.relabel("Layout.from_rectangle", {"mask": "attention_mask"})
            raise
        offsets = np.array(found)
        total, cu_seqlens = int(offsets[-1]), _fixed(offsets)
        layout = cls._made(
            cu_seqlens if number < 0 else cu_seqlens.to(device_of(number)), offsets, total, int(longest.item())
        )
        layout._length, layout._full = length, total == batch * length
        if not layout._full:
            # The place of a position is the number of real positions before it in its row; padding does not count.
            indices, positions = K.mask_indices(mask, total)
            layout._indices, layout._positions = (Tensor(a.to_device(number)) for a in (indices, positions))
        return layout

    @classmethod
    def _equal(cls, batch: int, length: int, number: int) -> Layout:
        """Sequences of one length, without padding."""
        layout = cls._made(*equal_offsets(batch, length, number), batch * length, length if batch else 0)
        layout._length, layout._full = length, True
        return layout

    # ---- its numbers

    @property
    def batch_size(self) -> int:
        """The number of sequences."""
        return self.cu_seqlens.shape[0] - 1

    @property
    def offsets(self) -> np.ndarray:
        """`cu_seqlens` on the host: int32 (batch + 1,), read-only."""
        if self._offsets is None:  # made on a device: the host waits, once
            self._offsets = np.array(self.cu_seqlens._data.to_device(-1))
            self._offsets.flags.writeable = False
        return self._offsets

    @property
    def lengths(self) -> np.ndarray:
        """The length of each sequence, on the host: int64 (batch,), read-only."""
        if self._lengths is None:
            self._lengths = np.diff(self.offsets).astype(np.int64)
            self._lengths.flags.writeable = False
        return self._lengths

    @property
    def total(self) -> int:
        """The number of positions."""
        if self._total is None:
            self._total = int(self.offsets[-1])
        return self._total

    @property
    def longest(self) -> int:
        """The length of the longest sequence; 0 if there is none."""
        if self._longest is None:
            self._longest = int(self.lengths.max(initial=0))
        return self._longest

    @property
    def positions(self) -> Tensor:
        """int64 (total,): the place of each position in its sequence, counted from 0."""
        if self._positions is None:
            if self._full:  # made on the device: a large rectangle needs no copy
                number, (batch, length) = self.cu_seqlens._data.device, self.padded_shape
                row = K.arange(length, 0.0, 1.0, 0, 1, _core.int64.code, device=number)
                self._positions = Tensor(row.expand((batch, length)).reshape((batch * length,)))
            else:
                starts = np.repeat(self.offsets[:-1], self.lengths)
                self._positions = self._here(np.arange(self.total, dtype=np.int64) - starts)
        return self._positions

    @property
    def padded_shape(self) -> tuple[int, int]:
        """(batch, length) of the rectangle that the layout was read from; without one, length is that of the longest sequence."""
        return self.batch_size, self.longest if self._length is None else self._length

    @property
    def indices(self) -> Tensor | None:
        """int64 (total,), rising: the place of each position in the flattened rectangle. None: the rectangle has no padding, so
        nothing moves. If the layout was not read from a rectangle, the padding is on the right."""
        if self._full is None:
            batch, length = self.padded_shape
            self._full = self.total == batch * length
            if not self._full:
                self._indices = self._here(ranges(np.arange(batch, dtype=np.int64) * length, self.lengths))
        return self._indices

    @property
    def device(self) -> Device:
        """Where `cu_seqlens`, `positions` and `indices` are."""
        return device_of(self.cu_seqlens._data.device)

    def _here(self, values: np.ndarray) -> Tensor:
        return Tensor(_core.from_buffer(values).to_device(self.cu_seqlens._data.device))

    # ---- moving

    def to(self, device: Any, non_blocking: bool = False) -> Layout:
        """The layout on that device; itself, if it is there already. The host keeps the lengths and does not wait: small copies are
        staged, and copies from pinned memory with `non_blocking` are only queued."""
        number = number_of(device)
        if self.cu_seqlens._data.device == number:
            return self
        return self.each(lambda t: Tensor(t._data.to_device(number, non_blocking)))

    def pin_memory(self) -> Layout:
        """The layout in page-locked memory of the host. Raises RuntimeError if there is no CUDA device."""
        number_of("cuda")
        return self.each(lambda t: Tensor(t._data.pin()))

    def each(self, change: Callable[[Tensor], Tensor]) -> Layout:
        """The layout with `change` applied to each of its Tensors."""
        layout = self._made(change(self.cu_seqlens), self._offsets, self._total, self._longest)
        layout._lengths, layout._length, layout._full = self._lengths, self._length, self._full
        for name in ("_positions", "_indices"):
            tensor = getattr(self, name)
            setattr(layout, name, None if tensor is None else change(tensor))
        return layout

    # ---- parts of it

    def choose(self, rows: Any, op: str = "Layout.choose") -> Rows:
        """The positions with these rising numbers, integers (m,), and the layout that they form.

        The host waits for a Tensor of numbers on a CUDA device. Raises ValueError for other numbers or another shape, IndexError
        unless they rise within [0, total).
        """
        chosen = np.asarray(rows._data.to_device(-1)) if isinstance(rows, Tensor) else np.asarray(rows)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise BadValue(op, "rows", "integers of shape (m,)", f"{chosen.dtype} {tuple(chosen.shape)}")
        chosen = np.ascontiguousarray(chosen, dtype=np.int64)
        if chosen.size and (chosen[0] < 0 or chosen[-1] >= self.total or (chosen[1:] <= chosen[:-1]).any()):
            raise BadIndex(op, "rows", f"rising numbers in [0, {self.total})", _list(chosen))
        offsets = np.searchsorted(chosen, self.offsets).astype(np.int32)
        offsets.flags.writeable = False
        return Rows(self._here(chosen), self._made(self._here(offsets), offsets, chosen.size, None))

    def first(self) -> Rows:
        """The first position of each sequence."""
        return Rows(None, self._equal(self.batch_size, 1, self.cu_seqlens._data.device))

    def select(self, sequences: Any) -> tuple[Layout, np.ndarray]:
        """(the layout of the sequences with these numbers, integers (m,) in any order; the row numbers of their positions in this
        layout, int64). Raises IndexError for a number outside [0, batch)."""
        chosen = np.asarray(sequences)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise BadValue(
                "Layout.select", "sequences", "integers of shape (m,)", f"{chosen.dtype} {tuple(chosen.shape)}"
            )
        chosen = chosen.astype(np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < self.batch_size:
            raise BadIndex("Layout.select", "sequences", f"numbers in [0, {self.batch_size})", _list(chosen))
        lengths = self.lengths[chosen]
        layout = Layout.from_lengths(lengths, device=self.device)
        return layout, ranges(self.offsets[chosen], lengths)

    def split(self, values: Any) -> list[Any]:
        """The part of `values`, an array or a Tensor (total, ...), that belongs to each sequence. Raises ValueError for another
        size."""
        if values.shape[:1] != (self.total,):
            raise BadValue("Layout.split", "values", amount(self.total, "row"), f"shape {tuple(values.shape)}")
        return [values[start:end] for start, end in pairwise(self.offsets.tolist())]

    # ---- Python's own

    def __eq__(self, other: object) -> bool:
        """Whether sequences and rectangles are the same. The devices may differ."""
        if not isinstance(other, Layout):
            return NotImplemented
        if self is other:
            return True
        same = self.padded_shape == other.padded_shape and np.array_equal(self.offsets, other.offsets)
        if not same or self.indices is None or other.indices is None:
            return same and self.indices is other.indices
        mine, theirs = (np.asarray(x._data.to_device(-1)) for x in (self.indices, other.indices))
        return np.array_equal(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = {"batch_size": self.batch_size, "total": self._total, "longest": self._longest, "length": self._length}
        parts = [f"{name}={value}" for name, value in known.items() if value is not None]
        if self.cu_seqlens.is_cuda:
            parts.append(f"device={str(self.device)!r}")
        return f"Layout({', '.join(parts)})"


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """starts[i], starts[i] + 1, ..., starts[i] + lengths[i] - 1 for each i in turn: int64 (lengths.sum(),)."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if ends.size else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)


@lru_cache(maxsize=256)
def equal_offsets(batch: int, length: int, number: int, op: str = "Layout") -> tuple[Tensor, np.ndarray]:
    """cu_seqlens of `batch` sequences of one length, on the device with that number and on the host. Both are cached, so they are
    read-only; on a CUDA device they must not be written. Raises ValueError for negative numbers and for more than 2^31 - 1 positions."""
    if batch < 0 or length < 0 or batch * length > _LARGEST:
        got = f"{batch} sequences of length {length}"
        raise BadValue(op, "length", f"sizes >= 0 and at most {_LARGEST} positions in all", got)
    offsets = np.arange(batch + 1, dtype=np.int32) * np.int32(length)
    cu_seqlens = _fixed(offsets)
    if number >= 0:
        cu_seqlens = Tensor(K.arange(batch + 1, 0.0, float(length), 0, length, _core.int32.code, device=number))
    return cu_seqlens, offsets


def _fixed(offsets: np.ndarray) -> Tensor:
    """A Tensor of the array's memory. From now on neither can be written."""
    offsets.flags.writeable = False
    return Tensor(_core.from_buffer(offsets))


def _checked(op: str, offsets: np.ndarray, total: int | None, longest: int | None) -> tuple[int, int]:
    """The longest length and the total of `cu_seqlens`. Raises ValueError if it is not one, or if these numbers differ."""
    end = int(offsets[-1]) if total is None else total
    if offsets[0] != 0 or offsets[-1] != end:
        raise BadValue(op, "cu_seqlens", f"first entry 0 and last entry {end}", f"{offsets[0]} and {offsets[-1]}")
    lengths = np.diff(offsets)
    if lengths.size and lengths.min() < 0:
        got = f"sequence {np.argmin(lengths)} of length {lengths.min()}"
        raise BadValue(op, "cu_seqlens", "entries that never decrease", got)
    found = int(lengths.max(initial=0))
    if longest is not None and longest != found:
        raise BadValue(op, "longest", f"{found}, the longest length in cu_seqlens", longest)
    return found, int(offsets[-1])


def _array(mask: Any) -> Array:
    """A mask that is not a Tensor as an Array, in a dtype that engine has."""
    values = np.asarray(mask)
    if values.dtype.kind not in "biuf":
        raise BadType("Layout.from_rectangle", "attention_mask", "numbers", values.dtype)
    wide = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}[values.dtype.kind]
    return _core.from_buffer(np.ascontiguousarray(values, dtype=wide))


def _list(values: np.ndarray) -> str:
    shown = ", ".join(map(str, values[:8].tolist()))
    return f"{shown}, ..." if values.size > 8 else shown
