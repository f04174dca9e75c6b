"""Gradients of which only some rows are not zero: what a table gets from a lookup.

The backward of an embedding gives a `RowSum`; where it reaches a leaf that has no gradient yet, the leaf's `grad` is a
`RowGradient`, a Tensor that lays itself out in full when anyone looks at its memory. Optimizers and clipping, which know
it, read the rows alone.
"""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.tensor import Tensor

__all__ = ["RowGradient", "RowSum", "by_rows", "dense", "kept_rows", "stored"]

K = _core.kernels

enabled = True  # False: gradients of tables are dense from the start (for comparison)


class RowSum:
    """A matrix `shape` (v, d) that is `values` (k, d) at `rows`, int64 (k,), rising, and zero elsewhere."""

    __slots__ = ("rows", "shape", "values")

    def __init__(self, rows: Array, values: Array, shape: tuple[int, int]) -> None:
        self.rows, self.values, self.shape = rows, values, shape

    def dense(self) -> Array:
        return K.put_rows(self.values, self.rows, self.shape[0], 0.0)


def dense(gradient: Array | RowSum) -> Array:
    """The gradient laid out in full."""
    return gradient.dense() if type(gradient) is RowSum else gradient  # type: ignore[return-value]


def by_rows(dy: Array, ids: Array, v: int, padding: int) -> RowSum | None:
    """The gradient of a (v, d) table from that of its lookup; None where most rows may occur: then a dense one is cheaper.
    On a device it is dense too: the host would have to wait for the number of rows."""
    n = ids.size
    if not enabled or 4 * n > v or dy.device >= 0:
        return None
    rows, values, count = K.embedding_backward_sparse(dy, ids, v, padding, n)
    k = int(count.item())
    return RowSum(rows.slice(0, 0, k, 1), values.slice(0, 0, k, 1), (v, dy.shape[-1]))


class RowGradient(Tensor):
    """A gradient held as a RowSum until its memory is looked at."""

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
    """The rows of a gradient that is still kept as rows."""
    return gradient.row_sum if type(gradient) is RowGradient else None


def stored(gradient: Tensor) -> Array:
    """All of a gradient that may not be zero; writing to it writes to the gradient."""
    rows = kept_rows(gradient)
    return gradient._data if rows is None else rows.values
