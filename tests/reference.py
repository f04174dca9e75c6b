"""A BERT-like encoder and classifier in float64 NumPy, sequence by sequence, without packing, batching or fusion."""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf)


def layer_norm(x, w, b, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * w + b


def gelu(x):
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, heads, causal=False):
    """q (L, D), k and v (S, D): one sequence."""
    out = np.empty((len(q), v.shape[1]))
    d = q.shape[1] // heads
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        scores = q[:, part] @ k[:, part].T / math.sqrt(d)
        if causal:
            scores = np.where(np.tri(len(q), len(k)) > 0, scores, -np.inf)
        out[:, part] = softmax(scores) @ v[:, part]
    return out


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def norm(p, name, x, eps):
    return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], eps)


def bert_layer(p, name, x, c):
    a, o = f"{name}.attention", f"{name}.output"
    first, second, eps = f"{a}.output.LayerNorm", f"{o}.LayerNorm", c.layer_norm_eps

    def attend(x):
        q, k, v = (linear(p, f"{a}.self.{part}", x) for part in ("query", "key", "value"))
        return linear(p, f"{a}.output.dense", attention(q, k, v, c.num_attention_heads))

    def feed_forward(x):
        return linear(p, f"{o}.dense", gelu(linear(p, f"{name}.intermediate.dense", x)))

    if c.norm_first:
        x = x + attend(norm(p, first, x, eps))
        return x + feed_forward(norm(p, second, x, eps))
    x = norm(p, first, x + attend(x), eps)
    return norm(p, second, x + feed_forward(x), eps)


def bert(p, ids, c, types=None, prefix=""):
    """Hidden states (len(ids), hidden_size) of one sequence; p: the published parameter names."""
    e = f"{prefix}embeddings."
    x = p[f"{e}word_embeddings.weight"][ids] + p[f"{e}position_embeddings.weight"][: len(ids)]
    if c.type_vocab_size:
        x = x + p[f"{e}token_type_embeddings.weight"][np.zeros(len(ids), int) if types is None else types]
    x = norm(p, f"{e}LayerNorm", x, c.layer_norm_eps)
    for i in range(c.num_hidden_layers):
        x = bert_layer(p, f"{prefix}encoder.layer.{i}", x, c)
    return norm(p, f"{prefix}encoder.LayerNorm", x, c.layer_norm_eps) if c.norm_first else x


def classify(p, sequences, c, types=None):
    """Logits (len(sequences), num_labels)."""
    rows = []
    for i, ids in enumerate(sequences):
        h = bert(p, ids, c, None if types is None else types[i], "bert.")
        pooled = {"first": h[0], "mean": h.mean(0), "max": h.max(0)}[c.pooling]
        if c.pooler:
            pooled = np.tanh(linear(p, "bert.pooler.dense", pooled))
        rows.append(linear(p, "classifier", pooled))
    return np.array(rows)


def cross_entropy(logits, labels):
    return float(np.mean([math.log(np.exp(row - row[y]).sum()) for row, y in zip(logits, labels)]))
