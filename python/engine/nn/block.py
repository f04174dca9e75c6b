"""The transformer block: parts, each with dropout, a residual and a norm. All families of models are composed of it.

A part is an attention or a feed-forward network. A layer holds them, and their norms, under the names of its family; when it is
called, it hands them to `run_block`, which knows what comes after what:

    post-norm:  x = norm(x + dropout(part(x)))      for each part
    pre-norm:   x = x + dropout(part(norm(x)))      for each part

In pre-norm the addition behind a part is put off until the next norm, also across blocks, so that one kernel does both. A
`Residual` carries it. `run_stack` takes it through the blocks of a model and the last norm.

A new family is a file with its attention, its feed-forward network and its norms:

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
from engine.nn.module import Module
from engine.ops.packing import take_rows
from engine.tensor import Tensor

__all__ = ["Part", "Residual", "run_block", "run_stack"]


class Part(NamedTuple):
    """A part of a block.

    compute: (total, d) -> (total, d), or the chosen rows alone, (m, d), if the block has some.
    norm: the norm in front of it (pre-norm), or behind its residual (post-norm).
    dropout: the probability with which the elements of its result are dropped now; 0 in evaluation.
    """

    compute: Callable[[Tensor], Tensor]
    norm: Module
    dropout: float = 0.0


class Residual(NamedTuple):
    """What runs through the blocks: x + dropout(added).

    x, added: (total, d); added is None where nothing is left to add.
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
    """The norm of x + dropout(added), in one pass if the norm has a method `dropout_add`; prenorm: the sum, too."""
    fused = getattr(norm, "dropout_add", None)
    if fused is not None:
        return fused(added, x, dropout, prenorm)
    x = x + F.dropout(added, dropout)
    return (norm(x), x) if prenorm else norm(x)


def run_block(
    residual: Residual, parts: Sequence[Part], norm_first: bool, layout: Layout | None = None, rows: Rows | None = None
) -> Residual:
    """The residual behind the parts.

    rows: the positions, chosen from `layout`, that are read of what the block makes. The first part, an attention, must compute these
    alone; all else of it need not be computed.
    """
    x, added, p = residual if norm_first else (residual.sum(), None, 0.0)
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
    """x (total, d) through blocks `block(residual, layout, rows)`, and through the last norm, if there is one.

    rows: the positions that are read of the result, (m, d) then; of the last block only these are computed. checkpointing: compute each
    block again in the backward pass instead of keeping what it needs.
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
    """A block with the tensors as arguments, which `checkpoint` watches for changes."""
    return block(Residual(x, added, dropout), layout, rows)
