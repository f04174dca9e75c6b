"""The peer: the same encoder and classifier in PyTorch, as an experienced user would write it: fused QKV, SDPA, fused AdamW."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, ff: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)
        self.up, self.down = nn.Linear(dim, ff), nn.Linear(ff, dim)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        b, s, d = x.shape
        p = self.dropout if self.training else 0.0
        q, k, v = self.qkv(x).view(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)
        a = self.out(a.transpose(1, 2).reshape(b, s, d))
        x = self.norm1(x + F.dropout(a, p, p > 0))
        return self.norm2(x + F.dropout(self.down(F.gelu(self.up(x))), p, p > 0))


class Classifier(nn.Module):
    def __init__(
        self, vocab: int, layers: int, dim: int, heads: int, ff: int, labels: int, dropout: float, pooling: str
    ) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(vocab, dim), nn.Embedding(512, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-12)
        self.layers = nn.ModuleList(Layer(dim, heads, ff, dropout) for _ in range(layers))
        self.classifier = nn.Linear(dim, labels)
        self.dropout, self.pooling = dropout, pooling

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        p = self.dropout if self.training else 0.0
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        x = F.dropout(self.norm(x), p, p > 0)
        attend = None if mask is None else mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, attend)
        if self.pooling == "first":
            x = x[:, 0]
        elif mask is None:
            x = x.mean(1)
        else:
            x = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return self.classifier(F.dropout(x, p, p > 0))


def load(model: Classifier, weights: dict[str, Any]) -> None:
    """Copies weights by the names that `bench.step.weights` gives them."""
    own = dict(model.named_parameters())
    assert own.keys() == weights.keys(), own.keys() ^ weights.keys()
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(torch.from_numpy(weights[name]))
