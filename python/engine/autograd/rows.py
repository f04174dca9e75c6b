"""Gradients in which only some rows are not zero: those that a table gets from a lookup.

The backward of an embedding gives a `RowSum`. If it reaches a leaf that has no gradient yet, the leaf's `grad` becomes a
`RowGradient`: a Tensor that makes the full matrix when something reads its memory. Optimizers and clipping know it and read
the rows alone.
"""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.tensor import Tensor

__all__ = ["RowGradient", "RowSum", "by_rows", "dense", "kept_rows", "stored"]

K = _core.kernels

enabled = True  # False: gradients of tables are full matrices from the start (for comparison)


class RowSum:
    """A matrix of `shape` (v, d): `values` (k, d) are its rows `rows`, int64 (k,), rising; the other rows are zero."""

    __slots__ = ("rows", "shape", "values")

    def __init__(self, rows: Array, values: Array, shape: tuple[int, int]) -> None:
        self.rows, self.values, self.shape = rows, values, shape

    def dense(self) -> Array:
        return K.put_rows(self.values, self.rows, self.shape[0], 0.0)


def dense(gradient: Array | RowSum) -> Array:
    """The gradient as a full matrix."""
    return gradient.dense() if type(gradient) is RowSum else gradient  # type: ignore[return-value]


def by_rows(dy: Array, ids: Array, v: int, padding: int) -> RowSum | None:
    """The gradient of a (v, d) table from that of its lookup. None if a full matrix is cheaper: if many rows may occur, and on
    a device, where the host would have to wait for the number of rows."""
    n = ids.size
    if not enabled or 4 * n > v or dy.device >= 0:
        return None
    rows, values, count = K.embedding_backward_sparse(dy, ids, v, padding, n)
    k = int(count.item())
    return RowSum(rows.slice(0, 0, k, 1), values.slice(0, 0, k, 1), (v, dy.shape[-1]))


class RowGradient(Tensor):
    """A gradient that is kept as a RowSum until something reads its memory."""

    row_sum: RowSum | None

    def __init__(self, row_sum: RowSum) -> None:
        self.row_sum = row_sum

    @property
    def _data(self) -> Array:
        if self.row_sum is not None:
            self._dense = self.row_sum.dense()
            self.row_sum = None
        return self._dense

    @_data.setter
    def _data(self, value: Array) -> None:
        self._dense, self.row_sum = value, None

    def __reduce__(self) -> Any:
        return Tensor(self._data).__reduce__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy = memo[id(self)] = Tensor(self._data.clone())
        return copy


def kept_rows(gradient: Tensor | None) -> RowSum | None:
    """The rows of a gradient that is still kept as rows; None for any other."""
    return gradient.row_sum if type(gradient) is RowGradient else None


def stored(gradient: Tensor) -> Array:
    """The elements of a gradient that may differ from zero. Writing to them writes to the gradient."""
    rows = kept_rows(gradient)
    return gradient._data if rows is None else rows.values
