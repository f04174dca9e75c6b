"""The six kernel families of kernels/kernels.cu against NumPy: fp32, bf16 and tf32 GEMM, layernorm, attention in fp32 and
bf16. Each function launches, compares, and returns the error and the seconds that the kernel took."""

import time

import numpy as np

from cudasim.harness import Simulator, from_bf16, to_bf16

F32 = np.dtype(np.float32)
i32 = np.int32
rng = np.random.default_rng(0)


def randn(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def tiles(n: int, size: int) -> int:
    return (n + size - 1) // size


def timed(sim: Simulator, *launch, shared: int = 0) -> float:
    start = time.thread_time()  # of this thread, which executes the kernel: other processes do not count
    sim.launch(*launch, shared=shared)
    sim.synchronize()
    return time.thread_time() - start


def gemm_f32(sim: Simulator, m: int = 128, n: int = 128, k: int = 64):
    a, b, c = randn(m, k), randn(k, n), sim.buffer(m * n * 4)
    grid = (tiles(n, 64), tiles(m, 64))
    seconds = timed(sim, "gemm_f32", grid, 256, sim.buffer(a), sim.buffer(b), c, i32(m), i32(n), i32(k))
    return np.abs(c.numpy((m, n), F32) - a @ b).max() / np.sqrt(k), seconds


def gemm_tf32(sim: Simulator, m: int = 100, n: int = 72, k: int = 50):
    a, b, c = randn(m, k), randn(k, n), sim.buffer(m * n * 4)
    grid = (tiles(n, 64), tiles(m, 64))
    seconds = timed(sim, "gemm_tf32", grid, 128, sim.buffer(a), sim.buffer(b), c, i32(m), i32(n), i32(k))
    return np.abs(c.numpy((m, n), F32) - a @ b).max() / np.sqrt(k), seconds


def gemm_bf16(sim: Simulator, m: int = 200, n: int = 136, k: int = 96):
    a, b, c = to_bf16(randn(m, k)), to_bf16(randn(n, k)), sim.buffer(m * n * 4)
    grid = (tiles(n, 128), tiles(m, 128))
    arguments = sim.buffer(a), sim.buffer(b), c, i32(m), i32(n), i32(k)
    seconds = timed(sim, "gemm_bf16_nt_s3", grid, 256, *arguments, shared=3 * 2 * 128 * 40 * 2)
    return np.abs(c.numpy((m, n), F32) - from_bf16(a) @ from_bf16(b).T).max() / np.sqrt(k), seconds


def layernorm(sim: Simulator, rows: int = 37, n: int = 256):
    x, g, b, dy = randn(rows, n), randn(n), randn(n), randn(rows, n)
    y, mean, rstd, device_x = sim.buffer(rows * n * 4), sim.buffer(rows * 4), sim.buffer(rows * 4), sim.buffer(x)
    arguments = device_x, sim.buffer(g), sim.buffer(b), y, mean, rstd, i32(rows), i32(n), np.float32(1e-5)
    seconds = timed(sim, "layernorm_fwd", tiles(rows, 4), 128, *arguments)
    normal = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    error = np.abs(y.numpy((rows, n), F32) - (normal * g + b)).max()
    dg, db = sim.buffer(np.zeros(n, F32)), sim.buffer(np.zeros(n, F32))
    arguments = sim.buffer(dy), device_x, mean, rstd, dg, db, i32(rows), i32(n)
    timed(sim, "layernorm_dgamma", (tiles(n, 64), 4), 64, *arguments)
    gamma_error = np.abs(dg.numpy(n, F32) - (dy * normal).sum(0)).max() / np.sqrt(rows)
    return max(error, gamma_error), seconds


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, scale: float):
    scores = np.einsum("btd,bsd->bts", q, k).astype(np.float64) * scale
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    largest = scores.max(-1, keepdims=True)
    p = np.exp(scores - largest)
    total = p.sum(-1, keepdims=True)
    return (p / total) @ v, (largest + np.log(total))[..., 0]


def flash_f32(sim: Simulator, heads: int = 2, t: int = 150, causal: int = 1):
    q, k, v = randn(heads, t, 64), randn(heads, t, 64), randn(heads, t, 64)
    o, lse = sim.buffer(heads * t * 256), sim.buffer(heads * t * 4)
    arguments = sim.buffer(q), sim.buffer(k), sim.buffer(v), o, lse, i32(t), np.float32(0.125), i32(causal)
    shared = (64 * 65 + 32 * 65 + 32 * 64 + 64 * 33) * 4
    seconds = timed(sim, "flash_f32", (tiles(t, 64), heads), 256, *arguments, shared=shared)
    expected, expected_lse = attention(q, k, v, bool(causal), 0.125)
    error = np.abs(o.numpy((heads, t, 64), F32) - expected).max()
    return max(error, np.abs(lse.numpy((heads, t), F32) - expected_lse).max()), seconds


def flash_bf16(sim: Simulator, heads: int = 2, t: int = 150, d: int = 64, causal: int = 1):
    q, k, v = (to_bf16(randn(heads, t, d)) for _ in range(3))
    o, lse = sim.buffer(heads * t * d * 2), sim.buffer(heads * t * 4)
    arguments = sim.buffer(q), sim.buffer(k), sim.buffer(v), o, lse, i32(t), np.float32(d**-0.5), i32(causal)
    seconds = timed(sim, f"flash_bf16_d{d}", (tiles(t, 64), heads), 128, *arguments, shared=5 * 64 * (d + 8) * 2)
    expected, expected_lse = attention(from_bf16(q), from_bf16(k), from_bf16(v), bool(causal), d**-0.5)
    error = np.abs(from_bf16(o.numpy((heads, t, d), np.uint16)) - expected).max()
    return max(error, np.abs(lse.numpy((heads, t), F32) - expected_lse).max()), seconds


# with the error that each may have
FAMILIES = {gemm_f32: 1e-5, layernorm: 1e-4, flash_f32: 1e-5, gemm_bf16: 1e-5, gemm_tf32: 2e-3, flash_bf16: 2e-2}

TIMED = {
    "fp32 GEMM 256^3": (gemm_f32, (256, 256, 256)),
    "bf16 GEMM 256^3": (gemm_bf16, (256, 256, 256)),
    "tf32 GEMM 256^3": (gemm_tf32, (256, 256, 256)),
    "layernorm 1024x1024": (layernorm, (1024, 1024)),
    "flash fp32, 2 heads, T=128": (flash_f32, (2, 128)),
    "flash bf16, 8 heads, T=256, d=64": (flash_bf16, (8, 256)),
    "flash bf16, 2 heads, T=256, d=128": (flash_bf16, (2, 256, 128)),
}
