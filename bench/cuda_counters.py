"""The counts that bench/cuda_model.py computes with: the instructions of the main loops (from the simulator of tests/cudasim), the
launches of each kernel in a training step, and registers and shared memory (from ptxas). Needs nvcc and takes a minute. `python -m bench.cuda_model --counters` writes it to bench/cuda_model.json."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import cuda_device  # noqa: E402

PRECISIONS = ("bf16", "high", "highest")
# The small model of which launches are counted: layers 1 and 2, d, heads, ff, sequences, length.
SMALL = {"d": 128, "heads": 2, "ff": 512, "vocab": 1031, "batch": 2, "length": 72}


def difference(short: dict[str, Any], long: dict[str, Any], units: int) -> dict[str, float]:
    """Warp instructions and bytes of the main loop for each unit (a multiply-add, a score of attention)."""
    from cuda_loops import width

    sums = dict.fromkeys(("issued", "mma", "ffma", "ex2", "shared_bytes", "copied_bytes"), 0)
    for counters, sign in ((long, 1), (short, -1)):
        for i in counters["instructions"]:
            ptx, n, lanes = i["ptx"], i["executed"] * sign, i["lanes"] * sign
            # ptxas makes two instructions of a rounding to tf32: a test for infinity and an addition.
            sums["issued"] += 2 * n if "cvt.rna.tf32" in ptx else n
            sums["mma"] += n if "mma.sync" in ptx else 0
            sums["ffma"] += n if ptx.startswith("fma.rn.f32") else 0
            sums["ex2"] += n if "ex2.approx" in ptx else 0
            sums["shared_bytes"] += 128 * i["bank_conflicts"] * sign
            if "cp.async.c" in ptx and "commit" not in ptx:
                bytes = int(ptx.split("],")[-1].split(",")[0]) * lanes
                sums["copied_bytes"] += bytes
                sums["shared_bytes"] += bytes
            elif "ldmatrix" in ptx:
                sums["shared_bytes"] += 512 * n
            elif ".shared" in ptx and i["requests"]:
                sums["shared_bytes"] += width(ptx) * lanes
    return {name: value / units for name, value in sums.items()}


def loops() -> dict[str, dict[str, float]]:
    import cuda_loops as loops

    made = {}
    for kernel in loops.GEMMS:
        tile = 128 * 384 if kernel.endswith("128") else 64 * 128
        depth = 32 if "bf16" in kernel else 16
        made[kernel] = difference(loops.gemm(kernel, 2), loops.gemm(kernel, 4), tile * 2 * depth)
    for kernel in (k for k in loops.ATTENTIONS if "_64_" in k):
        made[kernel] = difference(loops.attention(kernel, 128), loops.attention(kernel, 256), 2 * 128 * 128)
    return made


def launches(layers: int, precision: str) -> dict[str, list[int]]:
    """Launches and memory sectors by kernel in the second training step of a small model (dropout 0.1, AdamW)."""
    import numpy as np

    import engine
    from bench import engine_model, step
    from engine import _cuda
    from engine.text import PackedBatch

    texts = [data.decode() for _, kind, _, data in _cuda.images() if kind == "ptx"]
    names = [name for text in texts for name in re.findall(r"\.entry (\w+)", text)]
    d, vocab = SMALL["d"], SMALL["vocab"]
    shapes = step.parameter_shapes(layers, d, SMALL["ff"]) | {"words.weight": (vocab, d)}
    weights = step.weights(shapes)
    net = engine_model.build(vocab, layers, d, SMALL["heads"], SMALL["ff"], 77, 0.1, "mean", weights).to("cuda")
    net.train()
    rng = np.random.default_rng(0)
    ids = rng.integers(0, vocab, (SMALL["batch"], SMALL["length"])).tolist()
    packed = PackedBatch.from_sequences(ids, labels=rng.integers(0, 77, SMALL["batch"])).to("cuda")
    optimizer = engine.optim.AdamW(net.parameters(), lr=1e-4)
    engine.set_float32_matmul_precision("highest" if precision == "bf16" else precision)
    for _ in range(2):
        for name in names:
            cuda_device.counters(name)
        with engine.autocast(dtype=engine.bfloat16, enabled=precision == "bf16"):
            loss = engine.nn.functional.cross_entropy(net(packed), packed.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        engine.cuda.synchronize()
    found = {name: cuda_device.counters(name) for name in names}
    return {name: [c["launches"], c["sectors"]] for name, c in found.items() if c.get("launches")}


def resources(wanted: set[str]) -> dict[str, dict[str, int]]:
    """Threads, registers on sm_80 and sm_90, and shared memory of the kernels."""
    from engine import _cuda
    from test_cuda_gates import budget_of, compile_family, kernels_of

    made: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for family, kind, _, data in _cuda.images():
            text = data.decode() if kind == "ptx" else ""
            if not any(f".entry {name}(" in text for name in wanted):
                continue
            path = Path(folder) / f"{family}.ptx"
            text = re.sub(r"\n[\t ]*\.(loc|file)[\t ][^\n]*", "", text)
            path.write_text(re.sub(r"\n[\t ]*\.section[\t ]+\.debug[^}]*}", "", text))
            for capability in (80, 90):
                for k in kernels_of(family, text, compile_family(path, capability)):
                    if k.name in wanted:
                        shared = k.shared + budget_of(k.name).dynamic_shared
                        made.setdefault(k.name, {"threads": k.threads, "shared": shared})[str(capability)] = k.registers
    return made


def collect() -> dict[str, Any]:
    why = cuda_device.start()
    if why or not cuda_device.on_simulator():
        raise SystemExit(why or "--counters needs the simulator, but this machine has a GPU")
    made: dict[str, Any] = {"small": SMALL, "loops": loops()}
    os.environ["CUDASIM_PROFILE"] = "1"
    made["launches"] = {p: {n: launches(n, p) for n in (1, 2)} for p in PRECISIONS}
    used = {name for by in made["launches"].values() for name in by[2]}
    made["resources"] = resources(used | set(made["loops"]))
    return made
