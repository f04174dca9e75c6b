"""Fixtures: the ISA, the number of threads and the guard mode are put back after each test; a CUDA device, and what its
checker found."""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# cmake, ninja and the like of the environment that runs the tests, activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

import cuda_device
from engine import _core

SUPPORTED_ISAS = [isa["name"] for isa in _core.cpu_isas() if isa["supported"]]


@pytest.fixture(params=SUPPORTED_ISAS)
def isa(request):
    before = _core.get_cpu_isa()
    _core.set_cpu_isa(request.param)
    assert _core.get_cpu_isa() == request.param
    yield request.param
    _core.set_cpu_isa(before)


@pytest.fixture
def threads():
    """set(n): runs the rest of the test with n threads."""
    before = _core.get_num_threads()
    yield _core.set_num_threads
    _core.set_num_threads(before)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes give no name to a test: those of gzip hold the time, and workers of pytest-xdist must collect the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def guards():
    """Arrays made in the test stand between guard values and start as NaN; the test fails if a guard was overwritten."""
    _core.set_guards(True)
    yield
    _core.set_guards(False)
    assert _core.guard_errors() == 0, "a kernel wrote outside of its output"


_seconds: dict[str, float] = defaultdict(float)  # on CUDA, by file and family


@pytest.fixture
def cuda(request):
    """Runs the test on a CUDA device, "cuda": on the simulator it fails for whatever the checker found."""
    why = cuda_device.start()
    if why:
        pytest.skip(why)
    from engine import cuda as module

    cuda_device.findings()
    before = time.perf_counter()
    yield "cuda"
    module.synchronize()
    spec = getattr(request.node, "callspec", None) and request.node.callspec.params.get("spec")
    if spec:
        from specs import FAMILIES

        family = f"family {FAMILIES[spec.name]}"
    else:
        family = f"{request.path.name}: {request.node.originalname}"
    _seconds[family] += time.perf_counter() - before
    found = cuda_device.findings()
    assert not found, "the checker found:\n" + "\n".join(
        f"{f['kind']} in {f['kernel']} at {' in '.join(f['at'])}: {f['what']} (other: {f['other']})" for f in found[:5]
    )


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """The test runs twice: on the CPU, and on a CUDA device where there is one."""
    if request.param == "cuda":
        request.getfixturevalue("cuda")
    return request.param


@pytest.fixture(params=[*SUPPORTED_ISAS, "cuda"])
def place(request):
    """A device, as `device`; on the CPU the test runs once an ISA."""
    if request.param == "cuda":
        yield request.getfixturevalue("cuda")
        return
    before = _core.get_cpu_isa()
    _core.set_cpu_isa(request.param)
    yield "cpu"
    _core.set_cpu_isa(before)


def pytest_addoption(parser):
    about = "of all cases in tests/specs, run about N, of each family some: an emulator has no time for all"
    parser.addoption("--some-specs", type=int, metavar="N", help=about)


def pytest_collection_modifyitems(config, items):
    count = config.getoption("--some-specs")
    if count is None:
        return
    from specs import some

    kept = some(count)
    given = {item: getattr(item, "callspec", None) and item.callspec.params for item in items}
    left_out = [i for i, p in given.items() if p and "spec" in p and (p["spec"].name, p["number"]) not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter):
    if any("test_bits.py" in getattr(r, "nodeid", "") for rs in terminalreporter.stats.values() for r in rs):
        from same_bits import FUSED

        terminalreporter.section("one set of bits")
        for name in FUSED:
            why = "checked" if name in SUPPORTED_ISAS else "NOT CHECKED: this machine or build does not have it"
            terminalreporter.write_line(f"{name:8}  {why}")
    if not _seconds:
        return
    where = "on the simulator, checker on" if cuda_device.on_simulator() else "on a GPU"
    terminalreporter.section(f"CUDA tests {where}: seconds by family")
    for name, seconds in sorted(_seconds.items(), key=lambda x: -x[1]):
        terminalreporter.write_line(f"{seconds:8.1f}  {name}")
    terminalreporter.write_line(f"{sum(_seconds.values()):8.1f}  in all")
