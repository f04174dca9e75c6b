"""Bags of embeddings as a module."""

from __future__ import annotations

from typing import Any

from engine._core import DType
from engine.errors import require
from engine.nn import functional as F
from engine.nn.layers import Embedding
from engine.nn.module import Module
from engine.tensor import Tensor

__all__ = ["EmbeddingBag"]


class EmbeddingBag(Module):
    """The sum, mean or maximum of the rows of a table in each bag of ids: (bags, n), or ids (total,) with offsets (bags,).

    weight: (num_embeddings, embedding_dim) from N(0, 1). Arguments as in the function `embedding_bag`; padding_idx: a row that
    starts as zeros and does not count. _weight: a table to use, whose memory is shared.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        require(mode in ("sum", "mean", "max"), "EmbeddingBag", "mode", "'sum', 'mean' or 'max'", repr(mode))
        table = Embedding(num_embeddings, embedding_dim, padding_idx, _weight=_weight, device=device, dtype=dtype)
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, table.padding_idx
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.weight = table.weight

    def reset_parameters(self) -> None:
        """Draws the initial values again."""
        Embedding.reset_parameters(self)  # type: ignore[arg-type]  # it uses weight and padding_idx alone

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> EmbeddingBag:
        """A layer with an existing table (num_embeddings, embedding_dim), whose memory it shares. freeze: do not train it.

        options: arguments of the class, from max_norm on.
        """
        two = embeddings.ndim == 2
        require(two, "EmbeddingBag.from_pretrained", "embeddings", "2 dimensions", f"shape {tuple(embeddings.shape)}")
        rows, dim = embeddings.shape
        layer = cls(rows, dim, _weight=embeddings, **options)
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """(bags, embedding_dim). See `embedding_bag`."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
