"""The main loops of products and attention under the simulator's counters, and flat kernels. A main loop is what a
block executes more often the longer the sum (of products k, of attention the other sequence): a kernel runs twice, on
two lengths, and what both execute equally often is no part of it: prologues and epilogues. Nothing here looks at
results."""

from __future__ import annotations

import os
import re
from array import array as buffer
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import cuda_device
import engine
from engine import _core

K = _core.kernels
# Of products: the dtype, the precision of float32's.
MATH = {
    "bf16": ("bfloat16", "highest"),
    "mixed": ("float32", "medium"),
    "tf32": ("float32", "high"),
    "f32": ("float32", "highest"),
}
GEMMS = [f"gemm_{math}_{layout}_{span}" for math in MATH for layout in ("nn", "nt", "tn") for span in (128, 64)]
ATTENTIONS = [
    f"attention_{part}{d}_{math}"
    for part in ("", "dq_", "dkv_")
    for d in (32, 64, 128)
    for math in ("bf16", "tf32", "f32")
]


def array(*shape: int, dtype: str = "float32") -> Any:
    values = np.random.default_rng(len(shape)).standard_normal(shape, np.float32)
    return engine.from_numpy(values).to("cuda").to(getattr(engine, dtype))._data


def ends(*ends: int) -> Any:
    return engine.from_numpy(np.array(ends, np.int32)).to("cuda")._data


@contextmanager
def counting(math: str = "f32") -> Iterator[str]:
    """With counters, and float32's precision as `math` wants it; gives the dtype."""
    before, dtype = engine.get_float32_matmul_precision(), MATH[math][0]
    engine.set_float32_matmul_precision(MATH[math][1])
    os.environ["CUDASIM_PROFILE"] = "1"
    try:
        yield dtype
    finally:
        del os.environ["CUDASIM_PROFILE"]
        engine.set_float32_matmul_precision(before)


def count(kernel: str, task: Callable[[], Any]) -> dict[str, Any]:
    """The counters of a kernel that the task launches."""
    cuda_device.counters(kernel)
    kept = task()
    engine.cuda.synchronize()
    found = cuda_device.counters(kernel)
    del kept
    assert found and found["launches"], f"{kernel} did not run"
    return found


def gemm(kernel: str, steps: int) -> dict[str, Any]:
    """One row of tiles, `steps` steps of 64 bytes of k."""
    _, math, layout, span = kernel.split("_")
    # Four blocks of large tiles, one for each of the simulator's multiprocessors: small ones would take no less.
    m, n = (128, 512) if span == "128" else (64, 128)
    with counting(math) as dtype:
        k = steps * (32 if dtype == "bfloat16" else 16)
        if layout == "nn":
            a, b = array(m, k, dtype=dtype), array(k, n, dtype=dtype)
            return count(kernel, lambda: K.matmul(a, b))
        if layout == "nt":
            a, b = array(m, k, dtype=dtype), array(n, k, dtype=dtype)
            return count(kernel, lambda: K.linear(a, b, None))
        a, b = array(k, m, dtype=dtype), array(k, n, dtype=dtype)
        return count(kernel, lambda: K.linear_backward_weight(a, b))  # with sums of a's columns


def attention(kernel: str, length: int, dropout: float = 0.1) -> dict[str, Any]:
    """A block's rows, two heads, against `length` columns."""
    *_, d, math = kernel.split("_")
    rows = 128  # of the side whose rows a block keeps
    t_q, t_k = (length, rows) if "_dkv_" in kernel else (rows, length)
    with counting(math) as dtype:
        q, k, v = (array(t, 2, int(d), dtype=dtype) for t in (t_q, t_k, t_k))
        cu_q, cu_k = ends(0, t_q), ends(0, t_k)
        how = (None, int(d) ** -0.5, False, dropout, 1, 1)
        forward = lambda: K.attention(q, k, v, cu_q, cu_k, *how)  # noqa: E731
        if "_d" not in kernel:
            return count(kernel, forward)
        out, lse = forward()
        dout = array(t_q, 2, int(d), dtype=dtype)
        return count(kernel, lambda: K.attention_backward(dout, q, k, v, out, lse, cu_q, cu_k, *how))


def main_loop(kernel: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The instructions of the main loop, with what they counted in the longer run; the counters of that run."""
    run, lengths = (gemm, (2, 4)) if kernel.startswith("gemm") else (attention, (128, 256))
    short, long = (run(kernel, n) for n in lengths)
    executed = {i["ptx_line"]: i["executed"] for i in short["instructions"]}
    return [i for i in long["instructions"] if i["executed"] > executed.get(i["ptx_line"], 0)], long


def width(ptx: str) -> int:
    """Bytes that a lane moves in an access to memory, by the instruction's name."""
    found = re.search(r"\.(?:v(\d)\.)?[a-z](\d+)\s", ptx)
    assert found, ptx
    return int(found[1] or 1) * int(found[2]) // 8


def accesses(counters: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Loads ("ld") or stores ("st") of global memory, whether they name it or not."""
    name = re.compile(rf"(?:@!?%p\d+ )?{kind}\.")
    return [i for i in counters["instructions"] if i["sectors"] and name.match(i["ptx"])]


def flat() -> dict[str, Callable[[], Any]]:
    """Kernels whose work is to move memory, on whole rows from aligned addresses: by name, what launches them."""
    x, y, h = array(8, 1024), array(8, 1024), array(8, 1024, dtype="bfloat16")
    weight, bias, ids = array(1024), array(1024), engine.from_numpy(np.arange(8)[::-1].copy()).to("cuda")._data
    state = [array(8192) for _ in range(4)]
    state[3] = K.mul(state[3], state[3])  # exp_avg_sq
    row = _core.from_buffer(np.zeros(1, np.int32))
    line = _core.from_bytes(buffer("d", (1e-3, 0.9, 0.999, 1e-8, 0.01, 1, 1, 0)).tobytes(), (1, 8), _core.float64)
    return {
        "add_f32": lambda: K.add(x, y),
        "gelu_bf16": lambda: K.gelu(h, False),
        "move_4": lambda: K.copy(x, y),
        "layer_norm_f32": lambda: K.layer_norm(x, weight, bias, 1e-5),
        "layer_norm_bf16": lambda: K.layer_norm(h, None, None, 1e-5),
        "softmax_f32": lambda: K.softmax(x),
        "adam_step_f32": lambda: K.adam_step(*([s] for s in state), row, line, None, 1.0),
        "dropout_f32": lambda: K.dropout(x, 0.1, 1, 1),
        "index_rows_16": lambda: K.embedding(x, ids),
    }
