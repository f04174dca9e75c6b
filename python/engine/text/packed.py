"""The packed batch: all tokens of a batch back to back, with no padding.

A `PackedBatch` is a `Batch` of token ids. They lie in one flat row of `total_tokens`; `cu_seqlens` says where each sequence
starts (the convention of FlashAttention's variable-length kernels: Dao et al., 2022). It is made of lists of ids
(`from_sequences`) or of the rectangle that PyTorch users have (`from_padded`), and can be turned into a rectangle again
(`to_padded`). Hidden states of shape (total_tokens, dim) have the same layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from engine import _core
from engine.data._arrays import as_array, flatten_ids, flatten_like, from_numpy, label_array
from engine.data.batch import Batch
from engine.errors import BadType, BadValue
from engine.layout import Layout
from engine.ops.naming import called_as
from engine.tensor import Tensor

__all__ = ["PackedBatch"]

_TOKENS = ("input_ids", "position_ids", "token_type_ids")  # fields of one integer for each token


class PackedBatch(Batch):
    """A batch of token sequences without padding.

    Attributes:
        input_ids: int64 (total_tokens,), the ids of all sequences back to back.
        cu_seqlens: int32 (batch + 1,); sequence i is `input_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`. The first entry is
            0, the last total_tokens. A sequence may be empty (two equal entries).
        position_ids: int64 (total_tokens,), counting from 0 within each sequence.
        max_seqlen: length of the longest sequence, in tokens.
        token_type_ids: int64 (total_tokens,) or None.
        labels: int64 class numbers (batch,), floating-point targets (batch, ...), one int64 class number for each token
            (total_tokens,), or None.
        layout: where the sequences start, as a `Layout`, from which `cu_seqlens` and `max_seqlen` come.

    `batch.replace(labels=...)` makes a copy with other fields. All fields but `cu_seqlens` and `max_seqlen` may be set.

    Raises:
        ValueError: if shapes or the contents of `cu_seqlens` do not fit together.
        TypeError: if a field has the wrong dtype.
    """

    input_ids: Tensor
    position_ids: Tensor
    token_type_ids: Tensor | None = None

    def __init__(
        self,
        input_ids: Tensor,
        cu_seqlens: Tensor,
        position_ids: Tensor,
        max_seqlen: int,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> None:
        op, total = "PackedBatch", input_ids.numel()
        if input_ids.ndim != 1:
            raise BadValue(op, "input_ids", "1 dimension", f"shape {tuple(input_ids.shape)}")
        layout = Layout(cu_seqlens, total=total, longest=max_seqlen if cu_seqlens.is_cuda else None, op=op)
        if max_seqlen != layout.longest:
            raise BadValue(op, "max_seqlen", f"{layout.longest}, the longest length in cu_seqlens", max_seqlen)
        self._begin()
        for name, tensor in zip(_TOKENS, (input_ids, position_ids, token_type_ids)):
            self._put(name, tensor, layout)
        self._put("labels", labels)

    @classmethod
    def _made(
        cls, layout: Layout, input_ids: Tensor, token_type_ids: Tensor | None, labels: Tensor | None
    ) -> PackedBatch:
        """A batch of int64 tokens on the layout's device. Only their number is checked."""
        batch = cls.__new__(cls)
        batch._begin()
        batch._samples = layout.batch_size
        tokens = {"input_ids": input_ids, "position_ids": layout.positions}
        if token_type_ids is not None:
            tokens["token_type_ids"] = token_type_ids
        for name, tensor in tokens.items():
            batch._check(name, tensor, layout)
        batch.__dict__.update(tokens)
        batch._layouts.update(dict.fromkeys(tokens, layout))
        if labels is not None:
            batch._put("labels", labels)
        return batch

    def _put(self, name: str, value: Any, layout: Layout | None = None) -> None:
        if value is None and name in ("input_ids", "position_ids") and name in self.__dict__:
            raise BadValue("PackedBatch", name, "an int64 Tensor, because a batch of texts always has them", "None")
        super()._put(name, value, layout)

    def _fitting(self, name: str, rows: int) -> Layout | None:
        return self.layout if name in _TOKENS else super()._fitting(name, rows)

    def _check(self, name: str, tensor: Tensor, layout: Layout | None) -> None:
        if layout is None or name not in (*_TOKENS, "labels"):
            return
        if tensor.dtype is not _core.int64:
            each = ", one for each token" if name == "labels" else ""
            raise BadType("PackedBatch", name, f"int64{each}", tensor.dtype.name)
        if tensor.shape != (layout.total,):
            expected = self._expected(None) if name == "labels" else f"shape ({layout.total},)"
            raise BadValue("PackedBatch", name, expected, tensor.shape)

    def _expected(self, layout: Layout | None) -> str:
        return f"{self._samples} rows, one for each sequence, or shape ({self.layout.total},), one for each token"

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
            ids: a sequence of non-negative integers (list, tuple or 1-D array) for each text; it may be empty.
            labels: one label for each sequence: integers become int64, Python floats float32, arrays keep their float dtype.
            token_type_ids: segment numbers, of the same lengths as `ids`.
            token_labels: instead of `labels`, one class number for each token, of the same lengths as `ids`; -100 for a token
                without a label. They become the batch's `labels`, int64 (total_tokens,).

        Raises:
            TypeError: if an id is not an integer.
            ValueError: if an id is negative, lengths differ, or both kinds of labels are given.
        """
        op = "PackedBatch.from_sequences"
        flat, lengths, types, tags = flatten_texts(op, "ids", ids, labels, token_type_ids, token_labels)
        return cls.from_flat(flat, lengths, labels=labels if tags is None else tags, token_type_ids=types)

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
            lengths: integers (batch,) that sum to total_tokens.
            labels: as in `from_sequences`, or integers (total_tokens,).
            token_type_ids: integers (total_tokens,).

        Raises:
            ValueError: if the sum of lengths is not total_tokens, or there are more than 2**31 - 1 tokens.
        """
        layout = Layout.from_lengths(lengths, op="PackedBatch.from_flat")
        if layout.total != flat_ids.size:
            expected = f"a sum of {flat_ids.size}, the number of ids"
            raise BadValue("PackedBatch.from_flat", "lengths", expected, layout.total)
        types = None if token_type_ids is None else _int64(token_type_ids)
        return cls._made(layout, _int64(flat_ids), types, _labels_tensor(labels))

    @classmethod
    def from_padded(
        cls,
        input_ids: Tensor | np.ndarray,
        attention_mask: Tensor | np.ndarray | None = None,
        token_type_ids: Tensor | np.ndarray | None = None,
        labels: Any = None,
        token_labels: Tensor | np.ndarray | None = None,
        position_ids: Tensor | np.ndarray | None = None,
    ) -> PackedBatch:
        """Pack the rectangle that PyTorch users have.

        Args:
            input_ids: integers (batch, length).
            attention_mask: (batch, length) of 0 and 1 in any dtype, 1 at real tokens; None: every token is real. Padding may
                be on the right, on the left or between real tokens.
            token_type_ids: integers (batch, length).
            labels: as in `from_sequences`.
            token_labels: integers (batch, length) instead of `labels`; those of padding are left out.
            position_ids: integers (batch, length), counted from 0; None: positions count the real tokens, as if there were no
                padding. (A model that is given the rectangle itself counts columns, as in `transformers`.)

        Raises:
            TypeError: if ids are not integers.
            ValueError: if a shape differs, the mask has values other than 0 and 1, or both kinds of labels are given.
        """
        op = "PackedBatch.from_padded"
        ids = _rectangle(op, "input_ids", input_ids)
        one_kind_of_labels(op, labels, token_labels)
        read = called_as(op, Layout.from_rectangle, *ids.shape, attention_mask, device="cpu")
        packed: dict[str, Tensor] = {}
        given = {"token_type_ids": token_type_ids, "token_labels": token_labels, "position_ids": position_ids}
        for name, value in given.items():
            if value is not None:
                rectangle = _rectangle(op, name, value)
                if rectangle.shape != ids.shape:
                    raise BadValue(op, name, f"shape {tuple(ids.shape)}", rectangle.shape)
                packed[name] = _real(rectangle, read)
        flat = _real(ids, read)
        if flat.numel() and flat.numpy().min() < 0:
            raise BadValue(op, "input_ids", "ids >= 0", flat.numpy().min())
        # The batch does not remember this rectangle: `to_padded` pads to the longest sequence.
        layout = Layout.from_lengths(read.lengths)
        types, tags = packed.get("token_type_ids"), packed.get("token_labels")
        batch = cls._made(layout, flat, types, _labels_tensor(labels) if tags is None else tags)
        if position_ids is not None:
            batch.position_ids = packed["position_ids"]
        return batch

    def to_padded(self, pad_id: int = 0) -> tuple[Tensor, Tensor]:
        """Unpack into a rectangle, padded on the right.

        Returns:
            (input_ids, attention_mask), both int64 (batch, max_seqlen); the mask is 1 at real tokens.
        """
        mask = np.arange(self.max_seqlen) < self.layout.lengths[:, None]
        ids = np.full(mask.shape, pad_id, dtype=np.int64)
        ids[mask] = self.host("input_ids")
        return from_numpy(ids).to(self.device), from_numpy(mask.astype(np.int64)).to(self.device)

    @property
    def layout(self) -> Layout:
        """Where the sequences start."""
        return self._layouts["input_ids"]

    @property
    def cu_seqlens(self) -> Tensor:
        """int32 (batch + 1,)."""
        return self.layout.cu_seqlens

    @property
    def max_seqlen(self) -> int:
        """The length of the longest sequence, in tokens."""
        return self.layout.longest

    @property
    def lengths(self) -> Tensor:
        """The length of each sequence in tokens, int32 (batch,)."""
        return from_numpy(self.layout.lengths.astype(np.int32)).to(self.device)

    @property
    def total_tokens(self) -> int:
        """The number of tokens."""
        return self.layout.total

    @property
    def padded_tokens(self) -> int:
        """The number of cells of the rectangle that would hold this batch: batch_size * max_seqlen.

        `1 - total_tokens / padded_tokens` is the share of padding that the batch saves.
        """
        return self.num_cells

    def __repr__(self) -> str:
        extra = "".join(f", {name}" for name in ("token_type_ids", "labels") if name in self.fields)
        return (
            f"PackedBatch(batch_size={self.batch_size}, total_tokens={self.total_tokens}, "
            f"max_seqlen={self.max_seqlen}{extra})"
        )


def one_kind_of_labels(op: str, labels: Any, token_labels: Any) -> None:
    """Raises ValueError if a caller gives labels both for sequences and for tokens."""
    if labels is not None and token_labels is not None:
        raise BadValue(op, "token_labels", "only one of labels and token_labels", "both")


def flatten_texts(
    op: str, name: str, ids: Any, labels: Any, token_type_ids: Any, token_labels: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Join the arguments of `from_sequences`, of which `ids` is called `name`: (flat ids, lengths, flat token types or None,
    flat token labels or None), all int64."""
    one_kind_of_labels(op, labels, token_labels)
    flat, lengths = flatten_ids(op, name, ids)
    types = tags = None
    if token_type_ids is not None:
        types = flatten_like(op, "token_type_ids", token_type_ids, lengths, name)
    if token_labels is not None:
        tags = flatten_like(op, "token_labels", token_labels, lengths, name, signed=True)
    return flat, lengths, types, tags


def _rectangle(op: str, name: str, value: Tensor | np.ndarray) -> np.ndarray:
    array = as_array(value)
    if array.ndim != 2:
        raise BadValue(op, name, "shape (batch, length)", array.shape)
    if array.dtype.kind not in "iu":
        raise BadType(op, name, "integers", array.dtype)
    return array


def _real(rectangle: np.ndarray, layout: Layout) -> Tensor:
    """A copy of the real cells of a rectangle, int64 (total,)."""
    flat = rectangle.reshape(-1)
    return from_numpy(np.array(flat if layout.indices is None else flat[layout.indices.numpy()], dtype=np.int64))


def _int64(values: np.ndarray) -> Tensor:
    return from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def _labels_tensor(labels: Any) -> Tensor | None:
    if labels is None or isinstance(labels, Tensor):
        return labels
    return from_numpy(label_array("PackedBatch", labels))
