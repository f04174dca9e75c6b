"""The arena, the thread pool, the random state, the choice of the ISA."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from engine import _core


def norm_of(seed: int, n: int = 3000, d: int = 64) -> bytes:
    x = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    w = _core.from_buffer(np.ones(d, np.float32))
    return _core.to_bytes(_core.kernels.layer_norm(_core.from_buffer(x), w, w, 1e-5)[0])


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env}, timeout=600
    )


# ---- memory


def test_memory_is_reused() -> None:
    for _ in range(3):
        _core.empty([1 << 20], _core.float32)
    before = _core.memory_stats()
    pointers = set()
    for _ in range(50):
        pointers.add(_core.empty([1 << 20], _core.float32).data_ptr)
    after = _core.memory_stats()
    assert after["reserved_bytes"] == before["reserved_bytes"]
    assert len(pointers) == 1
    assert after["allocations"] - before["allocations"] == 50


def test_freed_neighbours_join_again() -> None:
    """In a process of its own: what other tests still hold may lie between the blocks."""
    code = """
from engine import _core
size = 8 << 20
blocks = [_core.empty([size], _core.uint8) for _ in range(4)]
reserved = _core.memory_stats()["reserved_bytes"]
del blocks
whole = _core.empty([4 * size], _core.uint8)
assert _core.memory_stats()["reserved_bytes"] == reserved
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ragged_sizes_stay_in_a_flat_reserve() -> None:
    rng = np.random.default_rng(0)
    held: list[object] = []
    reserves = []
    for _ in range(60):
        held = [_core.empty([int(rng.integers(1, 1 << 20))], _core.float32) for _ in range(20)]
        reserves.append(_core.memory_stats()["reserved_bytes"])
    assert max(reserves[10:]) <= 1.5 * max(reserves[:10])
    assert held


def test_alignment_and_empty_arrays() -> None:
    for n in [0, 1, 3, 17, 1000, 100_000, 1_000_000]:
        assert _core.empty([n], _core.uint8).data_ptr % 64 == 0
    assert np.asarray(_core.empty([0, 3], _core.float32)).shape == (0, 3)


def test_limit_raises_memory_error_and_leaves_the_arena_usable() -> None:
    gc.collect()
    used = _core.memory_stats()["allocated_bytes"]
    _core.set_memory_limit(used + (1 << 20))
    try:
        assert _core.memory_stats()["limit_bytes"] == used + (1 << 20)
        with pytest.raises(MemoryError, match=r"\[allocate\] bytes: expected at most the memory limit"):
            _core.empty([1 << 20], _core.float32)
        _core.empty([1000], _core.float32)
    finally:
        _core.set_memory_limit(None)
    assert _core.memory_stats()["limit_bytes"] is None
    with pytest.raises(ValueError):
        _core.set_memory_limit(0)


def test_an_impossible_size_is_a_memory_error() -> None:
    for shape in ([1 << 50], [1 << 40, 1 << 40], [1 << 62, 4]):
        with pytest.raises(MemoryError):
            _core.empty(shape, _core.float64)


def test_empty_cache_gives_memory_back() -> None:
    big = _core.empty([64 << 20], _core.uint8)
    del big
    gc.collect()
    before = _core.memory_stats()["reserved_bytes"]
    _core.empty_cache()
    assert _core.memory_stats()["reserved_bytes"] <= before - (64 << 20)


def test_guards_catch_a_stray_write() -> None:
    import ctypes

    _core.set_guards(True)
    a = _core.empty([10], _core.float32)
    _core.set_guards(False)
    assert np.isnan(np.asarray(a)).all()
    assert _core.guard_errors() == 0
    ctypes.memset(a.data_ptr + 40, 0, 1)
    assert _core.guard_errors() == 1
    ctypes.memset(a.data_ptr - 1, 0, 1)
    del a
    gc.collect()


# ---- threads


def test_many_python_threads_at_once() -> None:
    expected = norm_of(1)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            if norm_of(1) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_gil_is_released(threads) -> None:
    threads(1)
    x = _core.from_buffer(np.random.default_rng(0).standard_normal((20_000, 512)).astype(np.float32))
    w = _core.from_buffer(np.ones(512, np.float32))
    done = threading.Event()
    ticks = []

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    # With a switch interval of minutes, another thread runs only if the kernel itself lets go.
    before = sys.getswitchinterval()
    sys.setswitchinterval(100)
    ticker = threading.Thread(target=tick)
    try:
        ticker.start()
        start = time.perf_counter()
        for _ in range(10):
            _core.kernels.layer_norm(x, w, w, 1e-5)
        end = time.perf_counter()
    finally:
        done.set()
        sys.setswitchinterval(before)
        ticker.join()
    assert any(start < t < end for t in ticks)


def test_thread_count_changes_while_others_compute(threads) -> None:
    expected = norm_of(2)
    stop = threading.Event()
    wrong: list[int] = []

    def work() -> None:
        while not stop.is_set():
            if norm_of(2) != expected:
                wrong.append(1)

    worker = threading.Thread(target=work)
    worker.start()
    for n in [1, 2, 4, 1, 3] * 5:
        threads(n)
        assert _core.get_num_threads() == n
        assert norm_of(2) == expected
    stop.set()
    worker.join()
    assert not wrong


def test_bad_thread_counts() -> None:
    for n in (0, -1, 5000, 2**40):
        with pytest.raises(ValueError, match=r"\[set_num_threads\] n: expected a number from 1 to 1024"):
            _core.set_num_threads(n)


def test_settings_of_other_types_are_named() -> None:
    for call, value, text in (
        (_core.set_num_threads, 2.5, r"\[set_num_threads\] n: expected an integer of 64 bits, got float"),
        (_core.set_num_threads, None, r"\[set_num_threads\] n: .* got NoneType"),
        (_core.set_num_threads, True, r"\[set_num_threads\] n: .* got bool"),
        (_core.set_memory_limit, True, r"\[set_memory_limit\] bytes: expected None or an integer of 64 bits, got bool"),
        (_core.set_memory_limit, 1e9, r"\[set_memory_limit\] bytes: expected None or an integer of 64 bits, got float"),
        (_core.set_cpu_isa, None, r"\[set_cpu_isa\] name: expected a string, got NoneType"),
    ):
        with pytest.raises(TypeError, match=text):
            call(value)


@pytest.mark.parametrize("value, ok", [("1", True), ("3", True), ("0", False), ("x", False), ("", False)])
def test_engine_num_threads(value: str, ok: bool) -> None:
    result = run_python("from engine import _core; print(_core.get_num_threads())", ENGINE_NUM_THREADS=value)
    assert (result.returncode == 0) == ok, result.stderr
    assert result.stdout.strip() == value if ok else "ENGINE_NUM_THREADS" in result.stderr


def test_affinity_is_respected() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity on this system")
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from engine import _core; print(_core.get_num_threads())"
    env = {k: v for k, v in os.environ.items() if k != "ENGINE_NUM_THREADS"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=600)
    assert result.stdout.strip() == "1", result.stderr


def test_a_forked_child_has_a_working_pool(threads) -> None:
    threads(2)
    expected = norm_of(3)
    code = """
import os, sys, threading, numpy as np
from engine import _core
_core.set_num_threads(2)
x = np.random.default_rng(3).standard_normal((3000, 64)).astype(np.float32)
w = _core.from_buffer(np.ones(64, np.float32))
run = lambda: _core.to_bytes(_core.kernels.layer_norm(_core.from_buffer(x), w, w, 1e-5)[0])
expected = run()
busy = True
def work():
    while busy: run()
threading.Thread(target=work, daemon=True).start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if run() == expected and run() == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0
assert run() == expected
print("ok")
busy = False
"""
    result = run_python(code)
    assert result.stdout.strip() == "ok", result.stderr
    assert norm_of(3) == expected


def test_denormals_are_flushed_in_kernels_and_the_callers_mode_is_restored(isa: str) -> None:
    tiny = np.full((2, 3), 1e-40, np.float32)
    w = _core.from_buffer(np.ones(3, np.float32))
    mean = np.asarray(_core.kernels.layer_norm(_core.from_buffer(tiny), w, w, 1e-5)[1])
    assert (mean == 0).all()
    assert np.float32(1e-40) * np.float32(0.5) != 0


# ---- random state


def test_random_state_counts_calls() -> None:
    _core.manual_seed(7)
    assert _core.random_state() == (7, 0)
    assert _core.next_random() == (7, 0)
    assert _core.next_random() == (7, 1)
    saved = _core.random_state()
    _core.next_random()
    _core.set_random_state(*saved)
    assert _core.next_random() == (7, 2)
    _core.manual_seed(0)


# ---- ISA


def test_the_forced_isa_really_runs() -> None:
    code = """
import numpy as np
from engine import _core
print(_core.get_cpu_isa(), _core.cpu_isa_reason(), int(np.asarray(_core.kernels.fma_peak(1, 1)[1])[0]), sep="|")
"""
    seen = {}
    for row in _core.cpu_isas():
        if row["supported"]:
            result = run_python(code, ENGINE_CPU_ISA=row["name"])
            name, reason, operations = result.stdout.strip().split("|")
            assert name == row["name"] and reason == "named by ENGINE_CPU_ISA"
            seen[name] = int(operations)
    # This kernel tells how many numbers its vectors hold: 2 operations on each, in so many chains.
    chains = {name: 24 if name == "neon" else 12 for name in seen}
    lanes = {name: operations / 2 / chains[name] for name, operations in seen.items()}
    assert lanes == {n: {"baseline": 4, "neon": 4, "avx2": 8, "avx512": 16}[n] for n in seen}


def test_an_unknown_isa_fails_loudly() -> None:
    result = run_python("from engine import _core; _core.get_cpu_isa()", ENGINE_CPU_ISA="avx9000")
    assert (
        result.returncode != 0
        and f"expected one of {', '.join(row['name'] for row in _core.cpu_isas())}" in result.stderr
    )
    with pytest.raises(ValueError, match=r"\[set_cpu_isa\] name"):
        _core.set_cpu_isa("sse9")
