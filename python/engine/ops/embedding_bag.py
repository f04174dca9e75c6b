"""What embeddings do besides looking up rows: bags of rows, a largest norm, and gradients by frequency."""

from __future__ import annotations

from itertools import pairwise

from engine import _core
from engine.errors import BadValue, require
from engine.ops.embedding import embedding
from engine.ops.factory import arange, ones_like
from engine.ops.indexing import index_select, masked_select
from engine.ops.operands import ids_array
from engine.ops.pooling import pool_packed
from engine.ops.shape import cat
from engine.tensor import Tensor, as_array

__all__ = ["embedding_bag"]


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of `weight` (v, d) in each bag of ids; zeros for an empty bag. Returns (bags, d).

    input: ids, int64 or int32: (bags, n), or the ids of all bags one after the other with offsets (bags,), where each bag starts.
    include_last_offset: offsets (bags + 1,) also says where the last bag ends. mode: "sum", "mean" or "max".
    per_sample_weights: of the input's shape, factors of the rows, only with "sum". padding_idx: an id that does not count.
    max_norm, norm_type, scale_grad_by_freq and sparse as in `embedding`. Gradients flow to weight and per_sample_weights.

    Raises ValueError for other shapes, offsets that fall, and options that do not go together.
    """
    op = "embedding_bag"
    w, ids, factors = as_array(op, "weight", weight), ids_array(op, "input", input), per_sample_weights
    require(w.ndim == 2, op, "weight", "2 dimensions", f"shape {tuple(w.shape)}")
    require(mode in ("sum", "mean", "max"), op, "mode", "'sum', 'mean' or 'max'", repr(mode))
    if mode == "max":
        require(not scale_grad_by_freq, op, "scale_grad_by_freq", "False with mode='max'", True)
        require(not sparse, op, "sparse", "False with mode='max'", True)
    if factors is not None:
        require(mode == "sum", op, "per_sample_weights", "None unless mode='sum'", f"a Tensor with mode={mode!r}")
        same = as_array(op, "per_sample_weights", factors).shape == ids.shape
        require(same, op, "per_sample_weights", f"shape {tuple(ids.shape)}, as input", factors.shape)
        require(factors.dtype is w.dtype, op, "per_sample_weights", w.dtype.name, factors.dtype.name)
        factors = factors.reshape(-1)
    flat = Tensor(ids).reshape(-1)
    bag, bags = _bags(op, Tensor(ids), offsets, include_last_offset)
    if padding_idx is not None:
        if not -w.shape[0] <= padding_idx < w.shape[0]:
            raise BadValue(op, "padding_idx", f"None or a number in [{-w.shape[0]}, {w.shape[0]})", padding_idx)
        real = flat != padding_idx % w.shape[0]
        flat, bag = masked_select(flat, real), masked_select(bag, real)
        factors = None if factors is None else masked_select(factors, real)
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    counts = bag.new_zeros(bags).scatter_add(0, bag, ones_like(bag))
    if mode == "max":
        return _largest(rows, counts)
    if factors is not None:
        rows = rows * factors.unsqueeze(1)
    total = rows.new_zeros(bags, w.shape[1]).scatter_add(0, bag.unsqueeze(1).expand(rows.shape), rows)
    return total if mode == "sum" else total / counts.clamp(min=1).unsqueeze(1).to(total.dtype)


def _bags(op: str, ids: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, int]:
    """The number of the bag of each id, int64 (ids,), and the number of bags."""
    if ids.ndim == 2:
        require(offsets is None, op, "offsets", "None for an input with 2 dimensions", "a Tensor")
        bags, n = ids.shape
        return arange(bags, device=ids.device).unsqueeze(1).expand(bags, n).reshape(-1), bags
    require(ids.ndim == 1, op, "input", "1 or 2 dimensions", f"shape {tuple(ids.shape)}")
    if offsets is None:
        raise BadValue(op, "offsets", "a Tensor (bags,) for an input with 1 dimension", None)
    starts = Tensor(ids_array(op, "offsets", offsets))
    require(starts.ndim == 1, op, "offsets", "1 dimension", f"shape {tuple(starts.shape)}")
    numbers, n = starts.tolist(), ids.shape[0]  # the host reads them, because they decide shapes
    require(not include_last_offset or numbers, op, "offsets", "at least one number with include_last_offset", "none")
    rising = all(a <= b for a, b in pairwise(numbers)) and not (numbers and numbers[-1] > n)
    from_zero = numbers[:1] == [0] or not (numbers or n)
    require(rising and from_zero, op, "offsets", f"numbers that rise from 0 to at most {n}", numbers)
    if include_last_offset:
        numbers = numbers[:-1]
    if not numbers:
        return ids.new_zeros(0), 0
    # Each start raises the number of the bag by one from there on.
    starts = starts[: len(numbers)]
    steps = ids.new_zeros(n + 1).scatter_add(0, starts, ones_like(starts))
    return steps.cumsum(0)[:n] - 1, len(numbers)


def _largest(rows: Tensor, counts: Tensor) -> Tensor:
    """The maximum of the rows of each bag, which stand one after the other; zeros for an empty bag."""
    full = counts.nonzero().reshape(-1)
    sizes = index_select(counts, 0, full)
    ends = cat([sizes.new_zeros(1), sizes.cumsum(0)]).to(_core.int32)
    zeros = rows.new_zeros(counts.shape[0], rows.shape[1])
    if not full.shape[0]:
        return zeros + rows.sum() * 0
    largest = pool_packed(rows, ends, "max")
    return zeros.scatter_add(0, full.unsqueeze(1).expand(largest.shape), largest)
