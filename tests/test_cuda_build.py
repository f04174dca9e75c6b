"""nvcc from PyPI: installed into an environment of its own, found by the build, and good enough for every kernel's way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [f"nvidia-{p}==13.0.*" for p in ("cuda-nvcc", "nvvm", "cuda-crt", "cuda-runtime", "cuda-cccl")]


def output(*command, **options) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_docs_and_extra_name_the_packages() -> None:
    for text in (ROOT / "docs" / "cuda.md", ROOT / "pyproject.toml"):
        for package in PACKAGES:
            assert package.split("==")[0] in text.read_text(encoding="utf-8"), f"{text.name} lacks {package}"


@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="the packages are for Linux on x86-64"
)
def test_nvcc_from_pypi_is_found_and_compiles_a_family(tmp_path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    output(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], capture_output=True, text=True)
    if pip.returncode:
        pytest.skip(f"the packages could not be fetched: {pip.stderr.strip().splitlines()[-1]}")
    script = tmp_path / "find.cmake"
    script.write_text(
        f'set(Python_EXECUTABLE "{python}")\n'
        "set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH FALSE)\n"  # of this machine's own toolkit nothing is to be found
        f'include("{ROOT}/cmake/FindNvcc.cmake")\n'
        'message(STATUS "${NVCC_EXECUTABLE}|${PTXAS_EXECUTABLE}|${NVCC_VERSION}")\n'
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    cmake = output(sys.executable, "-c", "import shutil; print(shutil.which('cmake') or '')").strip()
    found = output(cmake, "-P", script, env=env).strip().removeprefix("-- ")
    nvcc, ptxas, version = found.split("|")
    assert str(tmp_path) in nvcc and str(tmp_path) in ptxas and version == "13000"
    ptx, cubin = tmp_path / "x.ptx", tmp_path / "x.cubin"
    source = ROOT / "csrc" / "cuda" / "kernels" / "softmax.cu"
    output(nvcc, "-std=c++17", "-O3", "-ptx", "-arch=compute_80", "-Icsrc", "-o", ptx, source, cwd=ROOT, env=env)
    output(ptxas, "-arch=sm_90", ptx, "-o", cubin)
    assert ".visible .entry" in ptx.read_text() and cubin.stat().st_size > 1000
