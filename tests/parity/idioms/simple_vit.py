"""Positions by sine and cosine in two dimensions: meshgrid, a float power, and a change of type at the end."""

import torch
from torch import nn


def posemb_sincos_2d(h, w, dim, temperature: int = 10000, dtype=torch.float32):
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    assert (dim % 4) == 0, "feature dimension must be multiple of 4 for sincos emb"
    omega = torch.arange(dim // 4) / (dim // 4 - 1)
    omega = 1.0 / (temperature**omega)
    y = y.flatten()[:, None] * omega[None, :]
    x = x.flatten()[:, None] * omega[None, :]
    pe = torch.cat((x.sin(), x.cos(), y.sin(), y.cos()), dim=1)
    return pe.type(dtype)


class SimpleViT(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.embed = nn.Linear(12, dim)
        self.pos_embedding = posemb_sincos_2d(h=4, w=3, dim=dim)
        layer = nn.TransformerEncoderLayer(
            dim, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
        self.linear_head = nn.Linear(dim, 4)

    def forward(self, x):
        device = x.device
        x = self.embed(x)
        x += self.pos_embedding.to(device, dtype=x.dtype)
        return self.linear_head(self.transformer(x).mean(dim=1))


def build():
    return SimpleViT()


def run(model):
    x = torch.linspace(-2, 2, 2 * 12 * 12).view(2, 12, 12).sin()
    out = model(x)
    out.logsumexp(-1).sum().backward()
    return {"out": out, "positions": model.pos_embedding, "grad": model.embed.weight.grad}
