"""Whisper's text decoder: layers that keep the input's dtype, sinusoids, a mask made in place, cross-attention, a cache by hooks."""

from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).type(x.dtype)


class Linear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


def sinusoids(length, channels, max_timescale=10000):
    assert channels % 2 == 0
    log_timescale_increment = np.log(max_timescale) / (channels // 2 - 1)
    inv_timescales = torch.exp(-log_timescale_increment * torch.arange(channels // 2))
    scaled_time = torch.arange(length)[:, np.newaxis] * inv_timescales[np.newaxis, :]
    return torch.cat([torch.sin(scaled_time), torch.cos(scaled_time)], dim=1)


class MultiHeadAttention(nn.Module):
    def __init__(self, n_state: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.query, self.key = Linear(n_state, n_state), Linear(n_state, n_state, bias=False)
        self.value, self.out = Linear(n_state, n_state), Linear(n_state, n_state)

    def forward(self, x, xa: Optional[Tensor] = None, mask=None, kv_cache: Optional[dict] = None):  # noqa: UP045
        q = self.query(x)
        if kv_cache is None or xa is None or self.key not in kv_cache:
            k, v = self.key(x if xa is None else xa), self.value(x if xa is None else xa)
        else:
            k, v = kv_cache[self.key], kv_cache[self.value]
        _n_batch, n_ctx, n_state = q.shape
        scale = (n_state // self.n_head) ** -0.25
        q = q.view(*q.shape[:2], self.n_head, -1).permute(0, 2, 1, 3)
        k = k.view(*k.shape[:2], self.n_head, -1).permute(0, 2, 1, 3)
        v = v.view(*v.shape[:2], self.n_head, -1).permute(0, 2, 1, 3)
        qk = (q * scale) @ (k * scale).transpose(-1, -2)
        if mask is not None:
            qk = qk + mask[:n_ctx, :n_ctx]
        qk = qk.float()
        w = F.softmax(qk, dim=-1).to(q.dtype)
        return self.out((w @ v).permute(0, 2, 1, 3).flatten(start_dim=2)), qk.detach()


class TextDecoder(nn.Module):
    def __init__(self, n_vocab=20, n_ctx=12, n_state=16, n_head=2):
        super().__init__()
        self.token_embedding = nn.Embedding(n_vocab, n_state)
        self.positional_embedding = nn.Parameter(torch.empty(n_ctx, n_state))
        nn.init.normal_(self.positional_embedding, std=0.1)
        self.attn, self.attn_ln = MultiHeadAttention(n_state, n_head), LayerNorm(n_state)
        self.cross_attn, self.cross_attn_ln = MultiHeadAttention(n_state, n_head), LayerNorm(n_state)
        self.mlp = nn.Sequential(Linear(n_state, n_state * 4), nn.GELU(), Linear(n_state * 4, n_state))
        self.mlp_ln, self.ln = LayerNorm(n_state), LayerNorm(n_state)
        mask = torch.empty(n_ctx, n_ctx).fill_(-np.inf).triu_(1)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("audio_positions", sinusoids(6, n_state))

    def forward(self, x: Tensor, xa: Tensor, kv_cache: Optional[dict] = None):  # noqa: UP045
        offset = next(iter(kv_cache.values())).shape[1] if kv_cache else 0
        x = self.token_embedding(x) + self.positional_embedding[offset : offset + x.shape[-1]]
        x = x.to(xa.dtype)
        x = x + self.attn(self.attn_ln(x), mask=self.mask, kv_cache=kv_cache)[0]
        x = x + self.cross_attn(self.cross_attn_ln(x), xa, kv_cache=kv_cache)[0]
        x = self.ln(x + self.mlp(self.mlp_ln(x)))
        return (x @ torch.transpose(self.token_embedding.weight.to(x.dtype), 0, 1)).float()


def install_hooks(model):
    cache, hooks = {}, []

    def save_to_cache(module, _, output):
        if module not in cache:
            cache[module] = output
        else:
            cache[module] = torch.cat([cache[module], output], dim=1).detach()
        return cache[module]

    for layer in (model.attn.key, model.attn.value):
        hooks.append(layer.register_forward_hook(save_to_cache))
    return cache, hooks


def build():
    return TextDecoder()


def run(model):
    xa = torch.linspace(-1, 1, 2 * 6 * 16).view(2, 6, 16).sin() + model.audio_positions
    tokens = torch.tensor([[3, 7, 1, 9], [4, 4, 2, 0]])
    logits = model(tokens, xa)
    logits.logsumexp(-1).sum().backward()
    cache, hooks = install_hooks(model)
    with torch.no_grad():
        steps = [model(tokens[:, i : i + 1], xa, kv_cache=cache) for i in range(4)]
    for hook in hooks:
        hook.remove()
    return {"logits": logits, "stepwise": torch.cat(steps, dim=1), "grad": model.cross_attn.key.weight.grad}
