"""Threads, forks, other interpreters and the end of the process. What could hang or crash runs in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.nn import functional as F

X = np.random.default_rng(0).standard_normal((64, 12)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 64)


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(i)` returns in each of that many threads, which start together."""
    results: list[Any] = [None] * count
    together = threading.Barrier(count)

    def run(i: int) -> None:
        together.wait()
        try:
            results[i] = work(i)
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def python(code: str, seconds: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **env},
    )


def model(seed: int) -> nn.Module:
    """A small transformer without dropout, whose weights depend on the seed alone."""
    layer = nn.TransformerEncoderLayer(12, 2, 24, dropout=0.0, batch_first=True)
    made = nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Linear(12, 3))
    chance = np.random.default_rng(seed)
    for p in made.parameters():
        p.data.copy_(engine.tensor(chance.standard_normal(tuple(p.shape)).astype(np.float32) * 0.1))
    return made


def trained(seed: int) -> bytes:
    """The weights after some steps."""
    made = model(seed)
    optimizer = engine.optim.AdamW(made.parameters(), lr=1e-2)
    x, y = engine.tensor(X).reshape(8, 8, 12), engine.tensor(Y)
    for _ in range(12):
        optimizer.zero_grad()
        F.cross_entropy(made(x).reshape(64, 3), y).backward()
        nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimizer.step()
    return b"".join(p.detach().numpy().tobytes() for p in made.parameters())


def answered(made: nn.Module) -> bytes:
    with engine.no_grad():
        return made(engine.tensor(X).reshape(8, 8, 12)).numpy().tobytes()


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("n", [1, 2])
def test_forward_from_eight_threads(threads, n):
    threads(n)
    made = model(0)
    expected = answered(made)
    for results in in_threads(8, lambda i: {answered(made) for _ in range(10)}):
        assert results == {expected}


@pytest.mark.parametrize("n", [1, 2])
def test_two_models_train_in_two_threads(threads, n):
    threads(n)
    alone = [trained(0), trained(1)]
    assert in_threads(2, trained) == alone and alone[0] != alone[1]


def test_backward_of_graphs_that_share_leaves():
    """Every gradient is added, in whatever order. The numbers are integers, so that the order cannot round."""
    leaf, rows = engine.zeros(300, 40).requires_grad_(), engine.zeros(50, 8).requires_grad_()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def work(i: int) -> None:
            for _ in range(50):
                ((leaf * float(i + 1)).sum() + F.embedding(engine.tensor([i, 49]), rows).sum()).backward()

        in_threads(8, work)
    finally:
        sys.setswitchinterval(before)
    assert (leaf.grad.numpy() == 50 * 36).all()
    expected = np.zeros((50, 8))
    expected[:8], expected[49] = 50, 400
    assert (rows.grad.numpy() == expected).all()


def test_recording_is_switched_in_one_thread_alone():
    def work(i: int) -> list[bool]:
        with engine.set_grad_enabled(i % 2 == 0):
            return [(engine.ones(1).requires_grad_() * 2).requires_grad for _ in range(200)]

    for i, seen in enumerate(in_threads(8, work)):
        assert set(seen) == {i % 2 == 0}


def test_threads_that_the_system_does_not_start_are_an_error():
    code = """
import resource, engine
big = engine.ones(1000, 1000)
used = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
engine.set_num_threads(1000)
try:
    big.exp()
except RuntimeError as error:
    print(error)
engine.set_num_threads(2)
print(big.exp().sum().item() > 1)
"""
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert "[set_num_threads] n: expected as many threads as the system starts, got 1000" in result.stdout
    assert result.stdout.splitlines()[-1] == "True"


# ---------------------------------------------------------------- processes


def _worker(seed: int) -> tuple[bytes, bytes]:
    return answered(model(seed)), trained(seed)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_compute_what_the_parent_computes(method, threads):
    threads(2)
    expected = [_worker(seed) for seed in (0, 1)]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map_async(_worker, (0, 1)).get(timeout=120) == expected


def test_a_fork_while_threads_compute():
    """The child has none of the threads, whatever locks they held: it makes its own and computes the same."""
    code = """
import os, threading, engine
engine.set_num_threads(2)
x = engine.arange(60000).reshape(300, 200).float().requires_grad_()
def run():
    x.grad = None
    (x @ x.T).exp().softmax(-1).sum().backward()
    return x.grad.numpy().tobytes()
expected = run()
y = engine.ones(500, 500)
busy = True
def work():
    while busy: (y @ y).sum()
others = [threading.Thread(target=work) for _ in range(3)]
for t in others: t.start()
codes = []
for _ in range(15):
    child = os.fork()
    if child == 0:
        os._exit(0 if run() == expected else 1)
    codes.append(os.waitpid(child, 0)[1])
busy = False
for t in others: t.join()
assert run() == expected
print(set(codes))
"""
    result = python(code, 120)
    assert result.stdout.strip() == "{0}", result.stderr


# ---------------------------------------------------------------- interpreters, and the end


def test_a_subinterpreter_is_refused_by_name():
    """The main interpreter may have engine, or not."""
    for first in ("", "import engine\n"):
        code = f"""{first}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create(*(("legacy",) if hasattr(interpreters, "new_config") else ()))
code = '''
import warnings
warnings.simplefilter("ignore")
try:
    import engine
except ImportError as error:
    print(error)
'''
(getattr(interpreters, "run_string", None) or interpreters.exec)(other, code)
import engine
print(engine.ones(2).sum().item())
"""
        result = python(code)
        assert result.stdout.splitlines()[:1] == [
            "[import engine] interpreter: expected Python's main interpreter, got a subinterpreter (use threads or processes)"
        ], result.stderr
        assert result.stdout.splitlines()[1:] == ["2.0"], result.stderr


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="a free-threaded Python is needed")
def test_a_free_threaded_python_switches_the_gil_on():
    assert sys._is_gil_enabled()


@pytest.mark.parametrize("n", ["1", "2"])
def test_daemon_threads_inside_an_op_at_exit(n):
    code = """
import threading, time, engine
x, w = engine.ones(3000, 256), engine.ones(256)
ready = threading.Barrier(5)
def work():
    ready.wait()
    while True:
        engine.nn.functional.layer_norm(x, (256,), w, w)
        x.clone()
for _ in range(4): threading.Thread(target=work, daemon=True).start()
ready.wait()
time.sleep(0.05)
"""
    for _ in range(3):
        result = python(code, ENGINE_NUM_THREADS=n)
        assert result.returncode == 0 and not result.stderr, result.stderr
