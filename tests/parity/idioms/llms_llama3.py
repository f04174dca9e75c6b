"""Llama 3 as a book teaches it: rotary angles smoothed by wavelength with torch.where, grouped queries by repeat_interleave."""

import math

import torch
import torch.nn as nn


def compute_rope_params(head_dim, theta_base=10_000, context_length=64, freq_config=None, dtype=torch.float32):
    assert head_dim % 2 == 0, "Embedding dimension must be even"
    inv_freq = 1.0 / (theta_base ** (torch.arange(0, head_dim, 2, dtype=dtype)[: (head_dim // 2)].float() / head_dim))
    if freq_config is not None:
        low_wavelen = freq_config["original_context_length"] / freq_config["low_freq_factor"]
        high_wavelen = freq_config["original_context_length"] / freq_config["high_freq_factor"]
        wavelen = 2 * torch.pi / inv_freq
        inv_freq_llama = torch.where(wavelen > low_wavelen, inv_freq / freq_config["factor"], inv_freq)
        smooth = (freq_config["original_context_length"] / wavelen - freq_config["low_freq_factor"]) / (
            freq_config["high_freq_factor"] - freq_config["low_freq_factor"]
        )
        smoothed = (1 - smooth) * (inv_freq / freq_config["factor"]) + smooth * inv_freq
        is_medium = (wavelen <= low_wavelen) & (wavelen >= high_wavelen)
        inv_freq = torch.where(is_medium, smoothed, inv_freq_llama)
    positions = torch.arange(context_length, dtype=dtype)
    angles = positions.unsqueeze(1) * inv_freq.unsqueeze(0)
    angles = torch.cat([angles, angles], dim=1)
    return torch.cos(angles), torch.sin(angles)


def apply_rope(x, cos, sin):
    _, _, seq_len, head_dim = x.shape
    x1, x2 = x[..., : head_dim // 2], x[..., head_dim // 2 :]
    cos, sin = cos[:seq_len, :].unsqueeze(0).unsqueeze(0), sin[:seq_len, :].unsqueeze(0).unsqueeze(0)
    rotated = torch.cat((-x2, x1), dim=-1)
    return ((x * cos) + (rotated * sin)).to(dtype=x.dtype)


class GroupedQueryAttention(nn.Module):
    def __init__(self, d_in, d_out, num_heads, num_kv_groups, dtype=None):
        super().__init__()
        self.d_out, self.num_heads, self.head_dim = d_out, num_heads, d_out // num_heads
        self.num_kv_groups, self.group_size = num_kv_groups, num_heads // num_kv_groups
        self.W_key = nn.Linear(d_in, num_kv_groups * self.head_dim, bias=False, dtype=dtype)
        self.W_value = nn.Linear(d_in, num_kv_groups * self.head_dim, bias=False, dtype=dtype)
        self.W_query, self.out_proj = (nn.Linear(d_in, d_out, bias=False, dtype=dtype) for _ in range(2))

    def forward(self, x, mask, cos, sin):
        b, num_tokens, _ = x.shape
        queries = self.W_query(x).view(b, num_tokens, self.num_heads, self.head_dim).transpose(1, 2)
        keys = self.W_key(x).view(b, num_tokens, self.num_kv_groups, self.head_dim).transpose(1, 2)
        values = self.W_value(x).view(b, num_tokens, self.num_kv_groups, self.head_dim).transpose(1, 2)
        keys, queries = apply_rope(keys, cos, sin), apply_rope(queries, cos, sin)
        keys = keys.repeat_interleave(self.group_size, dim=1)
        values = values.repeat_interleave(self.group_size, dim=1)
        attn_scores = queries @ keys.transpose(2, 3)
        attn_scores = attn_scores.masked_fill(mask, -torch.inf)
        attn_weights = torch.softmax(attn_scores / math.sqrt(self.head_dim), dim=-1)
        return self.out_proj((attn_weights @ values).transpose(1, 2).reshape(b, num_tokens, self.d_out))


class FeedForward(nn.Module):
    def __init__(self, emb_dim, hidden_dim, dtype=None):
        super().__init__()
        self.fc1 = nn.Linear(emb_dim, hidden_dim, dtype=dtype, bias=False)
        self.fc2 = nn.Linear(emb_dim, hidden_dim, dtype=dtype, bias=False)
        self.fc3 = nn.Linear(hidden_dim, emb_dim, dtype=dtype, bias=False)

    def forward(self, x):
        return self.fc3(nn.functional.silu(self.fc1(x)) * self.fc2(x))


class Llama3(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.tok_emb = nn.Embedding(32, 16, dtype=dtype)
        self.att, self.ff = GroupedQueryAttention(16, 16, 4, 2, dtype), FeedForward(16, 24, dtype)
        self.norm1, self.norm2 = nn.RMSNorm(16, eps=1e-5, dtype=dtype), nn.RMSNorm(16, eps=1e-5, dtype=dtype)
        self.out_head = nn.Linear(16, 32, bias=False, dtype=dtype)
        config = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context_length": 16}
        cos, sin = compute_rope_params(4, 500_000, 16, config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, in_idx):
        x = self.tok_emb(in_idx)
        num_tokens = x.shape[1]
        mask = torch.triu(torch.ones(num_tokens, num_tokens, device=x.device, dtype=torch.bool), diagonal=1)
        x = x + self.att(self.norm1(x), mask, self.cos, self.sin)
        x = x + self.ff(self.norm2(x))
        return self.out_head(x.to(torch.float32))


def build():
    return Llama3()


def run(model):
    logits = model((torch.arange(20).view(2, 10) * 3) % 32)
    logits.softmax(-1).amax(-1).sum().backward()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"logits": logits, "cos": model.cos, "key": model.att.W_key.weight.grad, "bytes": size}
