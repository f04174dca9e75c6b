"""The simulator as a pytest fixture: built once, skipped where there is nothing to build it or its kernels with."""

import os
import shutil

import pytest

from cudasim.build import build, default_directory
from cudasim.harness import Simulator, compile, nvcc


def missing() -> str | None:
    for tool in ("cmake", "ninja", "g++"):
        if not shutil.which(tool):
            return f"no {tool}: libcudasim.so cannot be built"
    return None if nvcc() else "no nvcc: the simulator has no kernels to execute"


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """A copy: these tests reset contexts, and other tests of the process have kernels in that of the library itself."""
    if why := missing():
        pytest.skip(why)
    return shutil.copy(build(), tmp_path_factory.mktemp("cudasim") / "libcudasim.so")


@pytest.fixture(scope="session")
def ptx(library):
    """ptx("kernels.cu", "-DBUG=1"): compiled once and kept beside the library."""
    folder = default_directory() / "ptx"
    folder.mkdir(parents=True, exist_ok=True)
    return lambda source, *options: compile(source, folder, *options)


@pytest.fixture(scope="session")
def loaded(library, ptx):
    simulator = Simulator(library)
    for source in ("kernels.cu", "opcodes.cu", "fragments.cu"):
        simulator.load(ptx(source))
    return simulator


@pytest.fixture
def any_sim(loaded, monkeypatch):
    """With the checker on, all other settings at their defaults, and nothing left over from the test before."""
    for name in [n for n in os.environ if n.startswith("CUDASIM_")]:
        if name not in ("CUDASIM_BUILD", "CUDASIM_MEMORY"):
            monkeypatch.delenv(name)
    loaded.retain()
    loaded.findings()
    yield loaded
    loaded.findings()


@pytest.fixture
def sim(any_sim):
    return any_sim
