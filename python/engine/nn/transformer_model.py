"""The whole transformer, encoder and decoder, with PyTorch's arguments and parameter names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine._core import DType
from engine.errors import require
from engine.nn import functional as F
from engine.nn import init
from engine.nn.layers import LayerNorm
from engine.nn.module import Module
from engine.nn.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    causal_mask,
)
from engine.tensor import Tensor

__all__ = ["Transformer"]


class Transformer(Module):
    """An encoder and a decoder that attends to it (Vaswani et al. 2017, arXiv 1706.03762).

    Arguments as in `TransformerEncoderLayer`. custom_encoder, custom_decoder: modules to use instead, called as those of engine are.
    Weights with two dimensions start from Xavier's uniform distribution.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **where)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*layer, **where), num_encoder_layers, norm(), enable_nested_tensor=False
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*layer, **where), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output for tgt, of its shape. src and tgt: (batch, length, d_model) if batch_first, else (length, batch,
        d_model), or (length, d_model). Masks as in `TransformerEncoder` and `TransformerDecoder`.

        Raises ValueError for other shapes.
        """
        for name, x in (("src", src), ("tgt", tgt)):
            right = x.ndim in (2, 3) and x.shape[-1] == self.d_model
            expected = f"2 or 3 dimensions, the last of size {self.d_model}"
            require(right, "Transformer", name, expected, f"shape {tuple(x.shape)}")
        batch = 0 if self.batch_first else 1
        same = src.ndim == tgt.ndim and (src.ndim == 2 or src.shape[batch] == tgt.shape[batch])
        require(
            same,
            "Transformer",
            "tgt",
            f"as many sequences as src, of shape {tuple(src.shape)}",
            f"shape {tuple(tgt.shape)}",
        )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: DType | None = None) -> Tensor:
        """The causal mask (sz, sz): 0 on and below the diagonal, -inf above it. float32 by default."""
        return causal_mask(sz, device, dtype)
