"""The packed batch: all tokens of a batch back to back, with no padding.

A `PackedBatch` holds the tokens of `batch` sequences in one flat row of `total_tokens`, and `cu_seqlens` says where
each sequence starts (the convention of FlashAttention's variable-length kernels: Dao et al., 2022). It is built from
lists of ids (`from_sequences`) or from the rectangle that PyTorch users have (`from_padded`), and can be turned back
into a rectangle (`to_padded`). It holds ids and layout only; hidden states of shape (total_tokens, dim) follow the
same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine import _core
from engine.data._arrays import as_array, flatten_ids, flatten_like, from_numpy, label_array
from engine.device import device as Device
from engine.device import device_of, number_of
from engine.tensor import Tensor

__all__ = ["PackedBatch", "PackedLayout", "packed_layout"]

_INT32_MAX = np.iinfo(np.int32).max


class PackedLayout(NamedTuple):
    """Where the real tokens of a (batch, length) rectangle lie.

    indices: int64 (total_tokens,), positions in the flattened rectangle, row by row.
    cu_seqlens: int32 (batch + 1,), the packed starts.
    position_ids: int64 (total_tokens,), 0.. within each sequence.
    max_seqlen: the longest row's number of real tokens.
    """

    indices: np.ndarray
    cu_seqlens: np.ndarray
    position_ids: np.ndarray
    max_seqlen: int


@dataclass(repr=False, eq=False)
class PackedBatch:
    """A batch of token sequences without padding.

    Attributes:
        input_ids: int64 (total_tokens,), the ids of all sequences back to back.
        cu_seqlens: int32 (batch + 1,); sequence i is `input_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`. The first entry is
            0, the last total_tokens. A sequence may be empty (two equal entries).
        position_ids: int64 (total_tokens,), counting from 0 within each sequence.
        max_seqlen: length of the longest sequence, in tokens.
        token_type_ids: int64 (total_tokens,) or None.
        labels: (batch,) int64 class numbers, floating-point targets of shape (batch, ...), one int64 class number a
            token (total_tokens,), or None.

    Raises:
        ValueError: where shapes or the contents of `cu_seqlens` do not fit together.
        TypeError: where a field has the wrong dtype.
    """

    input_ids: Tensor
    cu_seqlens: Tensor
    position_ids: Tensor
    max_seqlen: int
    token_type_ids: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.input_ids.is_cuda or self.cu_seqlens.is_cuda:
            self._check_on_device()
            return
        input_ids, cu_seqlens = self.input_ids.numpy(), self.cu_seqlens.numpy()
        _expect_flat("input_ids", input_ids, np.int64)
        _expect_flat("cu_seqlens", cu_seqlens, np.int32)
        total = input_ids.size
        if cu_seqlens.size == 0 or cu_seqlens[0] != 0 or cu_seqlens[-1] != total:
            got = f"{cu_seqlens[0]} and {cu_seqlens[-1]}" if cu_seqlens.size else "an empty tensor"
            raise ValueError(f"[PackedBatch] cu_seqlens: expected first 0 and last {total}, got {got}")
        lengths = np.diff(cu_seqlens)
        if lengths.size and lengths.min() < 0:
            raise ValueError(
                f"[PackedBatch] cu_seqlens: expected entries that never decrease, got sequence "
                f"{int(np.argmin(lengths))} of length {lengths.min()}"
            )
        longest = int(lengths.max(initial=0))
        if self.max_seqlen != longest:
            raise ValueError(f"[PackedBatch] max_seqlen: expected {longest}, got {self.max_seqlen}")
        for name in ("position_ids", "token_type_ids"):
            field: Tensor | None = getattr(self, name)
            if field is not None:
                values = field.numpy()
                _expect_flat(name, values, np.int64)
                if values.size != total:
                    raise ValueError(f"[PackedBatch] {name}: expected shape ({total},), got {values.shape}")
        self._check_labels(lengths.size, total)

    def _check_labels(self, batch: int, total: int) -> None:
        labels = self.labels
        if labels is None or (labels.shape and labels.shape[0] == batch):
            return
        if labels.shape != (total,):
            raise ValueError(
                f"[PackedBatch] labels: expected {batch} rows, one a sequence, or shape ({total},), one a token, got "
                f"shape {labels.shape}"
            )
        if labels.dtype is not _core.int64:
            raise TypeError(f"[PackedBatch] labels: expected int64, one a token, got {labels.dtype.name}")

    def _check_on_device(self) -> None:
        """Shapes, dtypes and devices alone: numbers are the kernels' to check, the host does not wait for them."""
        total, batch = self.input_ids.numel(), self.cu_seqlens.numel() - 1
        for name, dtype, size in (
            ("input_ids", _core.int64, total),
            ("cu_seqlens", _core.int32, batch + 1),
            ("position_ids", _core.int64, total),
            ("token_type_ids", _core.int64, total),
        ):
            field: Tensor | None = getattr(self, name)
            if field is None:
                continue
            if field.dtype is not dtype:
                raise TypeError(f"[PackedBatch] {name}: expected {dtype.name}, got {field.dtype.name}")
            if field.shape != (size,) or size < 0:
                raise ValueError(f"[PackedBatch] {name}: expected shape ({size},), got {field.shape}")
            if field.device != self.input_ids.device:
                raise ValueError(
                    f"[PackedBatch] {name}: expected a tensor on {self.input_ids.device}, got {field.device}"
                )
        self._check_labels(batch, total)

    # ---- devices

    @property
    def device(self) -> Device:
        """Where the batch is."""
        return self.input_ids.device

    def _each(self, change: Callable[[Tensor], Tensor]) -> PackedBatch:
        """A batch of the same layout with every tensor changed; what was checked is not checked again."""
        batch = copy(self)
        for name in ("input_ids", "cu_seqlens", "position_ids", "token_type_ids", "labels"):
            field = getattr(self, name)
            if field is not None:
                setattr(batch, name, change(field))
        return batch

    def to(self, device: Any, non_blocking: bool = False) -> PackedBatch:
        """The batch on that device; itself where it is there already. The host does not wait: small copies are staged, and
        those from pinned memory with non_blocking only queued."""
        number = number_of(device)
        if self.input_ids._data.device == number:
            return self
        return self._each(lambda t: t.to(device_of(number), non_blocking=non_blocking))

    def cuda(self, device: Any = None, non_blocking: bool = False) -> PackedBatch:
        """`to("cuda")`."""
        return self.to("cuda" if device is None else device, non_blocking)

    def cpu(self) -> PackedBatch:
        """`to("cpu")`."""
        return self.to("cpu")

    def pin_memory(self) -> PackedBatch:
        """The batch in page-locked memory of the host."""
        return self._each(lambda t: t.pin_memory())

    @classmethod
    def from_sequences(
        cls,
        ids: Iterable[Sequence[int] | np.ndarray],
        labels: Any = None,
        token_type_ids: Iterable[Sequence[int] | np.ndarray] | None = None,
        token_labels: Iterable[Sequence[int] | np.ndarray] | None = None,
    ) -> PackedBatch:
        """Pack sequences of token ids.

        Args:
            ids: one sequence of non-negative integers (list, tuple or 1-D array) for each text; may be empty.
            labels: one label a sequence: integers become int64, Python floats float32, arrays keep their float dtype.
            token_type_ids: segment numbers, of the same lengths as `ids`.
            token_labels: one class number a token instead of `labels`, of the same lengths as `ids`; -100 where there
                is none. They become the batch's `labels`, int64 (total_tokens,).

        Raises:
            TypeError: if an id is not an integer.
            ValueError: if an id is negative, lengths differ between `ids` and the rest, or both kinds of labels are
                given.
        """
        op = "PackedBatch.from_sequences"
        if labels is not None and token_labels is not None:
            raise ValueError(f"[{op}] token_labels: expected None beside labels, got both")
        flat, lengths = flatten_ids(op, "ids", ids)
        types = None
        if token_type_ids is not None:
            types = flatten_like(op, "token_type_ids", token_type_ids, lengths, "ids")
        if token_labels is not None:
            labels = flatten_like(op, "token_labels", token_labels, lengths, "ids", signed=True)
        return cls.from_flat(flat, lengths, labels=labels, token_type_ids=types)

    @classmethod
    def from_flat(
        cls,
        flat_ids: np.ndarray,
        lengths: np.ndarray,
        labels: Any = None,
        token_type_ids: np.ndarray | None = None,
    ) -> PackedBatch:
        """Pack ids that already lie back to back.

        Args:
            flat_ids: integers (total_tokens,).
            lengths: integers (batch,), summing to total_tokens.
            labels: as in `from_sequences`, or integers (total_tokens,).
            token_type_ids: integers (total_tokens,).

        Raises:
            ValueError: if the sum of lengths is not total_tokens, or there are more than 2**31 - 1 tokens.
        """
        total = int(lengths.sum(dtype=np.int64))
        if total != flat_ids.size:
            raise ValueError(f"[PackedBatch.from_flat] lengths: expected the sum {flat_ids.size}, got {total}")
        cu_seqlens = _cu_seqlens("PackedBatch.from_flat", lengths)
        return cls(
            input_ids=from_numpy(np.ascontiguousarray(flat_ids, dtype=np.int64)),
            cu_seqlens=from_numpy(cu_seqlens),
            position_ids=from_numpy(_positions(cu_seqlens, lengths)),
            max_seqlen=int(lengths.max(initial=0)),
            token_type_ids=(
                None if token_type_ids is None else from_numpy(np.ascontiguousarray(token_type_ids, dtype=np.int64))
            ),
            labels=_labels_tensor(labels),
        )

    @classmethod
    def from_padded(
        cls,
        input_ids: Tensor | np.ndarray,
        attention_mask: Tensor | np.ndarray | None = None,
        token_type_ids: Tensor | np.ndarray | None = None,
        labels: Any = None,
        token_labels: Tensor | np.ndarray | None = None,
    ) -> PackedBatch:
        """Pack the rectangle that PyTorch users have.

        Args:
            input_ids: integers (batch, length).
            attention_mask: (batch, length) of 0 and 1 in any dtype, 1 at real tokens; None: every token is real. The
                real tokens of a row must be one unbroken run (padding on the right or on the left).
            token_type_ids: integers (batch, length).
            labels: as in `from_sequences`.
            token_labels: integers (batch, length) instead of `labels`; those of padding are left out.

        Raises:
            TypeError: if ids are not integers.
            ValueError: on other shapes, a mask with values other than 0 and 1, a gap between real tokens, or both kinds
                of labels.
        """
        op = "PackedBatch.from_padded"
        ids = _rectangle(op, "input_ids", input_ids)
        mask = np.ones(ids.shape, np.bool_) if attention_mask is None else as_array(attention_mask)
        if mask.shape != ids.shape:
            raise ValueError(f"[{op}] attention_mask: expected shape {ids.shape}, got {mask.shape}")
        layout = packed_layout(mask, op=op)
        if labels is not None and token_labels is not None:
            raise ValueError(f"[{op}] token_labels: expected None beside labels, got both")
        packed: dict[str, np.ndarray] = {}
        for name, value in (("token_type_ids", token_type_ids), ("token_labels", token_labels)):
            if value is not None:
                rectangle = _rectangle(op, name, value)
                if rectangle.shape != ids.shape:
                    raise ValueError(f"[{op}] {name}: expected shape {ids.shape}, got {rectangle.shape}")
                packed[name] = rectangle.reshape(-1)[layout.indices].astype(np.int64, copy=False)
        types = packed.get("token_type_ids")
        flat = ids.reshape(-1)[layout.indices].astype(np.int64, copy=False)
        if flat.size and flat.min() < 0:
            raise ValueError(f"[{op}] input_ids: expected ids >= 0, got {flat.min()}")
        return cls(
            input_ids=from_numpy(flat),
            cu_seqlens=from_numpy(layout.cu_seqlens),
            position_ids=from_numpy(layout.position_ids),
            max_seqlen=layout.max_seqlen,
            token_type_ids=None if types is None else from_numpy(types),
            labels=_labels_tensor(packed.get("token_labels", labels)),
        )

    def to_padded(self, pad_id: int = 0) -> tuple[Tensor, Tensor]:
        """Unpack into the rectangle, padded on the right.

        Returns:
            (input_ids, attention_mask), both int64 (batch, max_seqlen); the mask is 1 at real tokens.
        """
        mask = np.arange(self.max_seqlen) < np.diff(self.cu_seqlens.cpu().numpy())[:, None]
        ids = np.full(mask.shape, pad_id, dtype=np.int64)
        ids[mask] = self.input_ids.cpu().numpy()
        return from_numpy(ids).to(self.device), from_numpy(mask.astype(np.int64)).to(self.device)

    @property
    def lengths(self) -> Tensor:
        """Length of each sequence in tokens, int32 (batch,)."""
        return from_numpy(np.diff(self.cu_seqlens.cpu().numpy())).to(self.device)

    @property
    def batch_size(self) -> int:
        """Number of sequences."""
        return self.cu_seqlens.shape[0] - 1

    @property
    def total_tokens(self) -> int:
        """Number of real tokens."""
        return self.input_ids.shape[0]

    @property
    def padded_tokens(self) -> int:
        """Number of cells of the rectangle that would hold this batch: batch_size * max_seqlen.

        The padding saved is `1 - total_tokens / padded_tokens`.
        """
        return self.batch_size * self.max_seqlen

    def __len__(self) -> int:
        return self.batch_size

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in ("token_type_ids", "labels") if getattr(self, name) is not None)
        return (
            f"PackedBatch(batch_size={self.batch_size}, total_tokens={self.total_tokens}, "
            f"max_seqlen={self.max_seqlen}{extra})"
        )


def packed_layout(attention_mask: Tensor | np.ndarray, *, op: str = "packed_layout") -> PackedLayout:
    """Read the layout of the real tokens from an attention mask.

    Args:
        attention_mask: (batch, length) of 0 and 1 in any dtype, 1 at real tokens.
        op: the name that error messages open with.

    Returns:
        A `PackedLayout` of NumPy arrays.

    Raises:
        ValueError: if the mask is not 2-D, holds other values, or a row's real tokens are not one unbroken run.
    """
    values = as_array(attention_mask)
    if values.ndim != 2:
        raise ValueError(f"[{op}] attention_mask: expected shape (batch, length), got {values.shape}")
    mask = values == 1
    odd = ~mask & (values != 0)
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise ValueError(f"[{op}] attention_mask: expected 0 or 1, got {values[row, column]} in row {row}")
    # A run starts where a token is real and its left neighbour is not; more than one start in a row means a gap.
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    runs = starts.sum(axis=1)
    if runs.size and runs.max() > 1:
        raise ValueError(
            f"[{op}] attention_mask: expected the real tokens of a row side by side (padding on the left or right), "
            f"got a gap in row {int(np.argmax(runs > 1))}"
        )
    lengths = mask.sum(axis=1, dtype=np.int64)
    cu_seqlens = _cu_seqlens(op, lengths)
    return PackedLayout(
        indices=np.flatnonzero(mask),
        cu_seqlens=cu_seqlens,
        position_ids=_positions(cu_seqlens, lengths),
        max_seqlen=int(lengths.max(initial=0)),
    )


def _cu_seqlens(op: str, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths, dtype=np.int64)
    if ends.size and ends[-1] > _INT32_MAX:
        raise ValueError(f"[{op}] ids: expected at most {_INT32_MAX} tokens in a batch, got {ends[-1]}")
    cu_seqlens = np.zeros(ends.size + 1, dtype=np.int32)
    cu_seqlens[1:] = ends
    return cu_seqlens


def _positions(cu_seqlens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """0.. within each sequence: the running number less the sequence's start."""
    starts = np.repeat(cu_seqlens[:-1].astype(np.int64), lengths)
    return np.arange(cu_seqlens[-1], dtype=np.int64) - starts


def _rectangle(op: str, name: str, value: Tensor | np.ndarray) -> np.ndarray:
    array = as_array(value)
    if array.ndim != 2:
        raise ValueError(f"[{op}] {name}: expected shape (batch, length), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"[{op}] {name}: expected integers, got {array.dtype}")
    return array


def _expect_flat(name: str, values: np.ndarray, dtype: type[np.generic]) -> None:
    if values.ndim != 1:
        raise ValueError(f"[PackedBatch] {name}: expected 1 dimension, got shape {values.shape}")
    if values.dtype != dtype:
        raise TypeError(f"[PackedBatch] {name}: expected {np.dtype(dtype)}, got {values.dtype}")


def _labels_tensor(labels: Any) -> Tensor | None:
    if labels is None or isinstance(labels, Tensor):
        return labels
    return from_numpy(label_array("PackedBatch", labels))
