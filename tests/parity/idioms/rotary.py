"""Rotary embeddings by einsum and half rotations, cached by length."""

from math import pi

import torch
from torch import Tensor, broadcast_tensors, einsum, nn
from torch.nn import Module


def exists(val):
    return val is not None


def broadcat(tensors, dim=-1):
    return torch.cat(broadcast_tensors(*tensors), dim=dim)


def rotate_half(x):
    x = x.reshape(*x.shape[:-1], -1, 2)
    x1, x2 = x.unbind(dim=-1)
    x = torch.stack((-x2, x1), dim=-1)
    return x.flatten(-2)


def apply_rotary_emb(freqs, t, start_index=0, scale=1.0):
    rot_dim = freqs.shape[-1]
    end_index = start_index + rot_dim
    left, middle, right = t[..., :start_index], t[..., start_index:end_index], t[..., end_index:]
    middle = (middle * freqs.cos() * scale) + (rotate_half(middle) * freqs.sin() * scale)
    return torch.cat((left, middle, right), dim=-1).type(t.dtype)


class RotaryEmbedding(Module):
    def __init__(self, dim, freqs_for="lang", theta=10000, max_freq=10, learned_freq=False):
        super().__init__()
        if freqs_for == "lang":
            freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
        elif freqs_for == "pixel":
            freqs = torch.linspace(1.0, max_freq / 2, dim // 2) * pi
        self.freqs = nn.Parameter(freqs, requires_grad=learned_freq)
        self.register_buffer("cached_freqs", None, persistent=False)

    @property
    def device(self):
        return self.freqs.device

    def forward(self, t: Tensor):
        if exists(self.cached_freqs) and t.shape[0] <= self.cached_freqs.shape[0]:
            return self.cached_freqs[: t.shape[0]].detach()
        freqs = einsum("..., f -> ... f", t.type(self.freqs.dtype), self.freqs)
        freqs = freqs.repeat_interleave(2, dim=-1)
        if not self.freqs.requires_grad:
            self.register_buffer("cached_freqs", freqs.detach(), persistent=False)
        return freqs

    def rotate_queries_or_keys(self, t):
        seq_len = t.shape[-2]
        return apply_rotary_emb(self.forward(torch.arange(seq_len, device=self.device, dtype=t.dtype)), t)


class Axial(nn.Module):
    def __init__(self):
        super().__init__()
        self.pixel = RotaryEmbedding(4, freqs_for="pixel", learned_freq=True)
        self.lang = RotaryEmbedding(6)

    def forward(self, t):
        side = torch.linspace(-1, 1, steps=3)
        freqs = self.pixel(side)
        grid = broadcat((freqs[:, None, :], freqs[None, :, :]), dim=-1)
        return apply_rotary_emb(grid, t)


def build():
    return Axial()


def run(model):
    t = torch.linspace(-1, 1, 2 * 3 * 3 * 10).view(2, 3, 3, 10)
    axial = model(t)
    axial.square().mean(dim=(1, 2)).sum().backward()
    q = torch.linspace(0, 1, 2 * 2 * 5 * 8).view(2, 2, 5, 8)
    return {
        "axial": axial,
        "grad": model.pixel.freqs.grad,
        "rotated": model.lang.rotate_queries_or_keys(q),
        "again": model.lang.rotate_queries_or_keys(q[:, :, :3]),
        "scores": einsum("b h i d, b h j d -> b h i j", q, q),
    }
