"""Small calls from Python to result: what an op costs besides its arithmetic, and a whole training step on 32 tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from bench.protocol import Run, Table
from bench.sides import Clocked, answer, library, without_grad

IMPORT = 0.025  # seconds that `import engine` may take beyond `import numpy`
PROCESSES = 5  # for one sample


def add(side: str, grad: bool) -> Any:
    _, _, randn = library(side)
    a, b = randn(64).requires_grad_(grad), randn(64)
    return (lambda: a + b), answer(a + b)


def layer(side: str, kind: str) -> Any:
    lib, F, randn = library(side)
    x, w, b, v = randn(4, 128), randn(128, 128), lib.zeros(128), lib.ones(128)
    tasks = {
        "layer_norm": lambda: F.layer_norm(x, (128,), v, b),
        "linear": lambda: F.linear(x, w, b),
        "gelu": lambda: F.gelu(x),
    }
    return without_grad(lib, tasks[kind])


def spent_importing(module: str) -> float:
    """Seconds that a new process, which has imported NumPy, takes for the statement."""
    code = f"import time, numpy; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(answer.stdout)


def importing(side: str) -> Any:
    """The time of `import engine` (or `import torch`) after `import numpy`, with compiled bytecode: the least of several processes,
    since a start is disturbed more often than not."""
    spent_importing(side)  # writes the bytecode
    return Clocked(lambda: min(spent_importing(side) for _ in range(PROCESSES)))


def run(run: Run) -> list[Table]:
    table = Table("Small calls", "us")
    for grad in (False, True):
        label = f"a + b, 64 floats, {'with' if grad else 'without'} gradient"
        table.add(label, run.compare("small:add", grad=grad), target=1.0)
    for kind in ("layer_norm", "linear", "gelu"):
        table.add(f"{kind} on (4, 128)", run.compare("small:layer", kind=kind), target=1 / 0.7)
    task = {"model": "tiny", "batch": 2, "length": 16, "dropout": 0.0}
    # At the memory's rate, a step over the whole table alone takes longer than a third of PyTorch's step. So the target of three
    # times as fast is for the whole training step.
    table.add("training step of tiny, 2 x 16 tokens, the same work", run.compare("step:prepare", **task))
    c = run.compare("step:prepare", savings=("rows",), **task)
    table.add("the same, engine skipping embedding rows that were never touched", c, target=3.0)
    imports = Table("Import, beyond NumPy", "ms")
    imports.add("in a fresh process", run.compare("small:importing", pairs=15, seconds=0.0), target_seconds=IMPORT)
    return [table, imports]
