"""The transformer block: parts, each with dropout, a residual and a norm. All model families are composed of it.

A part is an attention or a feed-forward network. A layer holds its parts and their norms under the names of its family. In its forward
it hands them to `run_block`, which knows the order of the computations:

    post-norm:  x = norm(x + dropout(part(x)))      for each part
    pre-norm:   x = x + dropout(part(norm(x)))      for each part

In pre-norm the addition after a part is delayed until the next norm, even if that is in the next block, so that one kernel does both.
A `Residual` carries the delayed addition. `run_stack` runs the blocks of a model and the last norm.

A new family is one file with its attention, its feed-forward network and its norms:

    class Layer(Module):
        def forward(self, residual: Residual, layout: Layout, rows: Rows | None) -> Residual:
            attend = Part(lambda x: self.self_attn(x, layout, rows), self.input_layernorm)
            network = Part(self.mlp, self.post_attention_layernorm)
            return run_block(residual, (attend, network), norm_first=True, layout=layout, rows=rows)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from engine.autograd import checkpoint
from engine.layout import Layout, Rows
from engine.nn import functional as F
from engine.nn.layers import LayerNorm
from engine.nn.module import Module
from engine.nn.plain import is_plain
from engine.ops.packing import take_rows
from engine.tensor import Tensor

__all__ = ["Part", "Residual", "run_block", "run_stack"]


class Part(NamedTuple):
    """A part of a block.

    compute: (total, d) -> (total, d), or -> (m, d) if only m rows are computed (see `run_block`).
    norm: the norm before the part (pre-norm), or after its residual (post-norm).
    dropout: the probability with which elements of its result are dropped; 0 in evaluation.
    """

    compute: Callable[[Tensor], Tensor]
    norm: Module
    dropout: float = 0.0


class Residual(NamedTuple):
    """What one block passes to the next: x + dropout(added), with the addition not done yet.

    x, added: (total, d). added: None if there is nothing to add. dropout: the probability.
    """

    x: Tensor
    added: Tensor | None = None
    dropout: float = 0.0

    def sum(self) -> Tensor:
        """x + dropout(added), (total, d)."""
        return self.x if self.added is None else self.x + F.dropout(self.added, self.dropout)

    def normed(self, norm: Module) -> Tensor:
        """The norm of the sum, (total, d)."""
        return norm(self.x) if self.added is None else _join(norm, self.x, self.added, self.dropout, False)


def _join(norm: Module, x: Tensor, added: Tensor, dropout: float, prenorm: bool) -> Any:
    """The norm of x + dropout(added), in one pass if the norm is a plain LayerNorm. prenorm: return (norm, sum)."""
    if is_plain(norm, LayerNorm) and len(norm.normalized_shape) == 1:
        return F.dropout_add_layer_norm(added, x, norm.weight, norm.bias, dropout, True, norm.eps, prenorm)
    x = x + F.dropout(added, dropout)
    return (norm(x), x) if prenorm else norm(x)


def run_block(
    residual: Residual, parts: Sequence[Part], norm_first: bool, layout: Layout | None = None, rows: Rows | None = None
) -> Residual:
    """The residual after the parts.

    rows: the positions, chosen from `layout`, whose results are needed; None: all. The first part, an attention, must then compute only
    these, (m, d).
    """
    x, added, p = residual
    if not norm_first and added is not None:
        x, added = residual.sum(), None
    for compute, norm, dropout in parts:
        if not norm_first:
            y = x
        elif added is None:
            y = norm(x)
        else:
            y, x = _join(norm, x, added, p, True)
        added, p = compute(y), dropout
        if rows is not None and layout is not None:
            x, rows = take_rows(x, layout, rows), None
        if not norm_first:
            x, added = _join(norm, x, added, p, False), None
    return Residual(x, added, p)


def run_stack(
    blocks: Iterable[Callable[..., Residual]],
    x: Tensor,
    layout: Layout,
    rows: Rows | None = None,
    norm: Module | None = None,
    checkpointing: bool = False,
) -> Tensor:
    """Runs x (total, d) through the blocks, each called as `block(residual, layout, rows)`, and through the last norm, if there is one.

    rows: the positions whose results are needed. The result is then (m, d), and the last block computes only these. checkpointing: in
    the backward pass, compute each block again instead of keeping its intermediate results.
    """
    residual = Residual(x)
    blocks = list(blocks)
    for i, block in enumerate(blocks):
        chosen = rows if i == len(blocks) - 1 else None
        if checkpointing:
            residual = checkpoint(_again, block, *residual, layout, chosen)
        else:
            residual = block(residual, layout, chosen)
    if rows is not None and not blocks:
        residual = Residual(take_rows(x, layout, rows))
    return residual.sum() if norm is None else residual.normed(norm)


def _again(
    block: Callable[..., Residual], x: Tensor, added: Tensor | None, dropout: float, layout: Layout, rows: Rows | None
) -> Any:
    """Calls a block with the tensors as separate arguments, because `checkpoint` checks its tensor arguments for changes."""
    return block(Residual(x, added, dropout), layout, rows)
