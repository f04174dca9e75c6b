"""Functions that NumPy lacks, for real and complex float64 (the complex step), and Philox. Nothing here imports engine."""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def erf(x):
    real = _erf(np.real(x))
    if not np.iscomplexobj(x):
        return real
    return real + 1j * np.imag(x) * 2 / np.sqrt(np.pi) * np.exp(-(np.real(x) ** 2))


def normal_cdf(x):
    """Phi(x), exact in the lower tail."""
    real = 0.5 * _erfc(-np.real(x) / math.sqrt(2))
    if not np.iscomplexobj(x):
        return real
    return real + 1j * np.imag(x) / math.sqrt(2 * np.pi) * np.exp(-(np.real(x) ** 2) / 2)


def sigmoid(x):
    z = np.exp(np.where(np.real(x) > 0, -x, x))
    return np.where(np.real(x) > 0, 1 / (1 + z), z / (1 + z))


def log_softmax(x, dim=-1):
    high = np.real(x).max(axis=dim, keepdims=True)
    return x - high - np.log(np.exp(x - high).sum(axis=dim, keepdims=True))


def layer_norm(x, weight=1.0, bias=0.0, eps=1e-5, dims=1):
    axes = tuple(range(-dims, 0))
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axes, keepdims=True) + eps) * weight + bias


def philox(counter, key):
    """Philox4x32-10: four uint32 arrays of counters, two keys; four uint32 arrays (Salmon et al. 2011)."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(v, np.uint64) for v in counter]
    k = [int(v) for v in key]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            b & low,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            a & low,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return [v.astype(np.uint32) for v in c]


def dropout_bits(size, seed, call):
    """The 16 bits that decide about each element of a flat tensor."""
    e = np.arange(size, dtype=np.uint64)
    group = e // np.uint64(128) * np.uint64(16) + e % np.uint64(16)
    half = (e // np.uint64(16) % np.uint64(8)).astype(int)
    words = philox(
        (group & np.uint64(0xFFFFFFFF), group >> np.uint64(32), np.full(size, call), np.zeros(size)),
        (seed & 0xFFFFFFFF, seed >> 32),
    )
    word = np.choose(half // 2, words) if size else np.zeros(0, np.uint32)
    return np.where(half % 2 == 1, word >> np.uint32(16), word & np.uint32(0xFFFF))


def dropout_factors(shape, p, seed, call):
    """What each element of a flat tensor is multiplied with."""
    threshold = math.floor((1 - p) * 65536 + 0.5)
    bits = dropout_bits(math.prod(shape), seed, call)
    return np.where(bits < threshold, 65536 / threshold if threshold else 0.0, 0.0).reshape(shape)
