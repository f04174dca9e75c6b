from __future__ import annotations

from itertools import pairwise

import numpy as np

import engine
from specs.spec import Bench, Case, Spec, case, const, mask, normal


def _attend(q, k, v, scale, bias=None, is_causal=False):
    """(..., L, d), (..., S, d), (..., S, e); complex inputs are welcome."""
    s = scale * (q @ np.swapaxes(k, -1, -2))
    if bias is not None:
        s = s + bias
    if is_causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    top = s.real.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(s - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


def attention(q, k, v, cu, is_causal=False):
    out = np.zeros((*q.shape[:2], v.shape[2]), np.result_type(q, k, v))
    for a, b in pairwise(cu):
        heads = (x[a:b].transpose(1, 0, 2) for x in (q, k, v))
        out[a:b] = _attend(*heads, q.shape[-1] ** -0.5, None, is_causal).transpose(1, 0, 2)
    return out


def attention_qkv(qkv, cu, is_causal=False):
    return attention(qkv[:, 0], qkv[:, 1], qkv[:, 2], cu, is_causal)


def sdpa(q, k, v, attn_mask=None, is_causal=False, scale=None):
    bias = attn_mask
    if attn_mask is not None and attn_mask.dtype == bool:
        bias = np.where(attn_mask, 0.0, -np.inf)
    return _attend(q, k, v, scale or q.shape[-1] ** -0.5, bias, is_causal)


def _cu(*lengths: int):
    return const(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))


def _packed(lengths, heads, d, **kwargs) -> Case:
    t = sum(lengths)
    return case(*[normal(t, heads, d)] * 3, _cu(*lengths), **kwargs)


def _fused(lengths, heads, d, **kwargs) -> Case:
    return case(normal(sum(lengths), 3, heads, d), _cu(*lengths), **kwargs)


def _bench(length: int, d: int) -> Bench:
    batch, heads = max(1, 4096 // length), 4
    flops = 4 * batch * heads * length * length * d
    return Bench(case(*[normal(batch, heads, length, d)] * 3), flops=flops, label=f"{batch}x{heads}x{length}x{d}")


LENGTHS = [(3, 0, 1), (5, 17, 49), (0,), (70, 7)]

SPECS = [
    Spec(
        "attention",
        engine.attention,
        attention,
        [_packed(n, 2, d, is_causal=causal) for n in LENGTHS for d in (2, 32) for causal in (False, True)],
        f32_grad=3e-5,
        cuda=[_packed((129, 1, 70), 2, d, is_causal=causal) for d in (32, 64, 80, 128) for causal in (False, True)],
    ),
    Spec(
        "attention_qkv",
        engine.attention_qkv,
        attention_qkv,
        [_fused(n, 2, d, is_causal=causal) for n in LENGTHS for d in (3, 16) for causal in (False, True)],
        f32_grad=3e-5,
        cuda=[_fused((129, 0, 17, 70), 2, d, is_causal=causal) for d in (32, 64) for causal in (False, True)],
    ),
    Spec(
        "scaled_dot_product_attention",
        lambda q, k, v, *m, **kw: engine.scaled_dot_product_attention(q, k, v, *m, **kw),
        sdpa,
        [
            case(*[normal(2, 3, 9, 8)] * 3),
            case(normal(3, 5, 7), normal(3, 11, 7), normal(3, 11, 4), is_causal=True, scale=0.7),
            case(*[normal(2, 2, 17, 16)] * 3, mask(2, 1, 1, 17)),
            case(*[normal(2, 2, 6, 5)] * 3, mask(6, 6)),
            case(*[normal(1, 2, 6, 5)] * 3, normal(2, 6, 6, grad=False)),
            case(normal(2, 0, 4), normal(2, 3, 4), normal(2, 3, 4)),
        ],
        f32_grad=3e-5,
        cuda=[
            case(*[normal(1, 2, 131, 64)] * 3),
            case(normal(2, 67, 20), normal(2, 129, 20), normal(2, 129, 33), is_causal=True, scale=0.3),
            case(*[normal(2, 2, 65, 32)] * 3, mask(2, 1, 1, 65)),
            case(*[normal(1, 2, 130, 32)] * 3, normal(2, 130, 130, grad=False)),
        ],
        bench=[_bench(length, d) for d in (32, 64) for length in (16, 128, 512)],
        torch=lambda torch, q, k, v, **kw: torch.nn.functional.scaled_dot_product_attention(q, k, v, **kw),
    ),
]
