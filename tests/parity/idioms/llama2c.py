"""llama2.c: RMSNorm, rotary positions as pairs of cosines and sines, grouped keys, a causal mask, SwiGLU, top-k sampling."""

import math
from dataclasses import dataclass
from typing import Any, Optional, Tuple  # noqa: UP035

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class ModelArgs:
    dim: int = 16
    n_layers: int = 2
    n_heads: int = 4
    n_kv_heads: Optional[int] = 2  # noqa: UP045
    vocab_size: int = 24
    norm_eps: float = 1e-5
    max_seq_len: int = 16


class RMSNorm(torch.nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def _norm(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    def forward(self, x):
        return self._norm(x.float()).type_as(x) * self.weight


def precompute_freqs(dim: int, end: int, theta: float = 10000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, dim, 2)[: (dim // 2)].float() / dim))
    t = torch.arange(end, device=freqs.device)
    freqs = torch.outer(t, freqs).float()
    return torch.cos(freqs), torch.sin(freqs)


def reshape_for_broadcast(freqs: torch.Tensor, x: torch.Tensor):
    assert freqs.shape == (x.shape[1], x.shape[-1])
    return freqs.view([d if i == 1 or i == x.ndim - 1 else 1 for i, d in enumerate(x.shape)])


def apply_rotary_emb(
    xq: torch.Tensor, xk: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> Tuple[torch.Tensor, torch.Tensor]:  # noqa: UP006
    out = []
    for x in (xq, xk):
        x_r, x_i = x.float().reshape(x.shape[:-1] + (-1, 2)).unbind(-1)  # noqa: RUF005
        c, s = reshape_for_broadcast(cos, x_r), reshape_for_broadcast(sin, x_r)
        out.append(torch.stack([x_r * c - x_i * s, x_r * s + x_i * c], dim=-1).flatten(3).type_as(x))
    return out[0], out[1]


def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    bs, slen, n_kv_heads, head_dim = x.shape
    if n_rep == 1:
        return x
    return (
        x[:, :, :, None, :]
        .expand(bs, slen, n_kv_heads, n_rep, head_dim)
        .reshape(bs, slen, n_kv_heads * n_rep, head_dim)
    )


class Block(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.n_rep, self.head_dim = args.n_heads // args.n_kv_heads, args.dim // args.n_heads
        self.wq = nn.Linear(args.dim, args.n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(args.dim, args.n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(args.dim, args.n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(args.n_heads * self.head_dim, args.dim, bias=False)
        self.w1, self.w3 = nn.Linear(args.dim, 32, bias=False), nn.Linear(args.dim, 32, bias=False)
        self.w2 = nn.Linear(32, args.dim, bias=False)
        self.attention_norm, self.ffn_norm = RMSNorm(args.dim, args.norm_eps), RMSNorm(args.dim, args.norm_eps)
        mask = torch.full((1, 1, args.max_seq_len, args.max_seq_len), float("-inf"))
        self.register_buffer("mask", torch.triu(mask, diagonal=1))

    def forward(self, x, cos, sin):
        bsz, seqlen, _ = x.shape
        h = self.attention_norm(x)
        xq = self.wq(h).view(bsz, seqlen, -1, self.head_dim)
        xk = self.wk(h).view(bsz, seqlen, -1, self.head_dim)
        xv = self.wv(h).view(bsz, seqlen, -1, self.head_dim)
        xq, xk = apply_rotary_emb(xq, xk, cos, sin)
        xq, xk, xv = (t.transpose(1, 2) for t in (xq, repeat_kv(xk, self.n_rep), repeat_kv(xv, self.n_rep)))
        scores = torch.matmul(xq, xk.transpose(2, 3)) / math.sqrt(self.head_dim)
        scores = scores + self.mask[:, :, :seqlen, :seqlen]
        scores = F.softmax(scores.float(), dim=-1).type_as(xq)
        x = x + self.wo(torch.matmul(scores, xv).transpose(1, 2).contiguous().view(bsz, seqlen, -1))
        h = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class Transformer(nn.Module):
    last_loss: Optional[torch.Tensor]  # noqa: UP045

    def __init__(self, params: ModelArgs):
        super().__init__()
        self.params = params
        self.tok_embeddings = nn.Embedding(params.vocab_size, params.dim)
        self.layers = torch.nn.ModuleList()
        for _ in range(params.n_layers):
            self.layers.append(Block(params))
        self.norm = RMSNorm(params.dim, eps=params.norm_eps)
        self.output = nn.Linear(params.dim, params.vocab_size, bias=False)
        self.tok_embeddings.weight = self.output.weight
        cos, sin = precompute_freqs(params.dim // params.n_heads, params.max_seq_len)
        self.register_buffer("freqs_cos", cos, persistent=False)
        self.register_buffer("freqs_sin", sin, persistent=False)
        for pn, p in self.named_parameters():
            if pn.endswith("w3.weight") or pn.endswith("wo.weight"):
                torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * params.n_layers))
        self.last_loss = None

    def forward(self, tokens: torch.Tensor, targets: Any = None) -> torch.Tensor:
        _, seqlen = tokens.shape
        h = self.tok_embeddings(tokens)
        for layer in self.layers:
            h = layer(h, self.freqs_cos[:seqlen], self.freqs_sin[:seqlen])
        h = self.norm(h)
        if targets is None:
            self.last_loss = None
            return self.output(h[:, [-1], :])
        logits = self.output(h)
        self.last_loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits

    @torch.inference_mode()
    def generate(self, idx, max_new_tokens, temperature=1.0, top_k=None):
        for _ in range(max_new_tokens):
            logits = self(idx)[:, -1, :]
            if temperature == 0.0:
                _, idx_next = torch.topk(logits, k=1, dim=-1)
            else:
                logits = logits / temperature
                v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < v[:, [-1]]] = -float("Inf")
                idx_next = torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)
            idx = torch.cat((idx, idx_next), dim=1)
        return idx


def build():
    return Transformer(ModelArgs())


def run(model):
    tokens = (torch.arange(24).view(2, 12) * 5) % 24
    logits = model(tokens[:, :-1], tokens[:, 1:].contiguous())
    model.last_loss.backward()
    greedy = model.generate(tokens[:, :4], 4, temperature=0.0)
    return {
        "logits": logits,
        "loss": model.last_loss,
        "wq": model.layers[0].wq.weight.grad,
        "greedy": greedy,
        "sampled": model.generate(tokens[:, :4], 4, top_k=1),
    }
