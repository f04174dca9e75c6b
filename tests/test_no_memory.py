"""Each single allocation of the engine's C++ fails once: a MemoryError, and the same call then gives what it always gives."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("tokenizers")
if sys.platform != "linux":
    pytest.skip("the faults are made with LD_PRELOAD", allow_module_level=True)

import engine
from faults.harness import OWN, Server

BEFORE = """
import numpy as np
import engine
from engine import _core
from engine.nn import functional as F
x, w = engine.arange(12.0).reshape(3, 4), engine.ones(2, 4, requires_grad=True)
weights = engine.nn.Linear(4, 3)
optimizer = engine.optim.AdamW(weights.parameters(), lr=0.0)
labels = engine.tensor([0, 1, 2])
F.cross_entropy(weights(x), labels).backward()
optimizer.step()
"""
CODE = {
    "threads": "_core.set_num_threads(3); result = (engine.ones(300, 300) @ engine.ones(300, 300)).sum().item()",
    "numpy": "result = np.asarray(x), x.numpy().sum(), x.tolist(), np.asarray(x.T)",
    "from_numpy": "result = engine.from_numpy(np.arange(5)).tolist(), engine.tensor([[1, 2], [3, 4]]).tolist()",
    "views": "result = x.T[1:, None].expand(3, 5, 3).sum().item(), x.reshape(2, 6)[:, ::2].tolist()",
    "products": "w.grad = None; (x @ w.T).sum().backward(); result = w.grad.tolist()",
    "step": "optimizer.zero_grad(); F.cross_entropy(weights(x), labels).backward(); optimizer.step(); "
    "result = weights.weight.grad.sum().item()",
    "sorting": "result = x.flatten().sort(descending=True)[0].tolist(), x.topk(2)[1].tolist(), engine.unique(x).tolist()",
    "arena": "parts = [engine.ones(6_000_000) for _ in range(3)]; result = [p[-1].item() for p in parts]; del parts",
    "dlpack": "result = np.from_dlpack(x).tolist(), engine.from_dlpack(np.ones(3)).tolist()",
    "errors": """
try:
    engine.ones(2) + engine.ones(3)
except ValueError as error:
    result = str(error)
""",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shim"))
    yield server
    server.close()


@pytest.mark.parametrize("name", CODE)
def test_each_allocation_fails_once(name, server, tmp_path):
    job = {"code": CODE[name], "before": BEFORE, "folder": str(tmp_path), "kinds": OWN, "error": errno.ENOMEM}
    whole = server([], **job, at=0)
    assert whole["status"] == 0 and whole["calls"], whole
    failed = 0
    for k in range(1, whole["calls"] + 1):
        answer = server([], **job, at=k)
        assert os.WIFEXITED(answer["status"]), f"allocation {k} of {whole['calls']}: {answer}"
        code = os.waitstatus_to_exitcode(answer["status"])
        assert code in (0, 3) and answer["output"] == whole["output"], f"allocation {k} of {whole['calls']}: {answer}"
        failed += code == 3
    assert failed


LIMITED = """
import resource
import engine
from engine.nn import functional as F
engine.set_num_threads(1)
def step(n):
    x, w = engine.ones(n, 256), engine.ones(256, 256, requires_grad=True)
    F.gelu(x @ w).sum().backward()
    return w.grad[0, 0].item()
small = step(64)
used = resource.getpagesize() * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + (128 << 20), resource.RLIM_INFINITY))
try:
    step(1 << 20)
except MemoryError as error:
    print(error)
assert step(64) == small and step(4096) == 4096
"""


def test_the_limit_of_the_system_is_named_and_a_smaller_batch_works():
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(engine.__file__).parents[1]), *sys.path])}
    said = subprocess.run([sys.executable, "-c", LIMITED], env=env, capture_output=True, text=True, check=True).stdout
    assert said.startswith("[allocate] bytes: expected at most the ") and "RLIMIT_AS" in said and " in use" in said
