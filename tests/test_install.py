"""The wheel in a clean environment: its size, what importing it costs beyond NumPy, and what it says where an extra is
missing. Slow (a build): half a minute and more."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if given := os.environ.get("ENGINE_WHEEL"):  # `make test` has built it already
        return Path(given).resolve()
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "-w",
        str(out),
        str(ROOT),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (found,) = out.glob("engine-*.whl")
    return found


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)],
        check=True,
        capture_output=True,
    )
    return python


def test_wheel_size(wheel: Path, record_property) -> None:
    """The wheel without the CUDA module has 5 MB at most, with it 25 MB; the module, unpacked, 25 MiB."""
    cuda = [f for f in zipfile.ZipFile(wheel).infolist() if "/_cuda." in f.filename]
    whole = wheel.stat().st_size / 1e6
    without = whole - sum(f.compress_size for f in cuda) / 1e6
    module = sum(f.file_size for f in cuda) / 2**20
    record_property("wheel_mb", round(whole, 2))
    record_property("wheel_without_cuda_mb", round(without, 2))
    record_property("cuda_module_mib", round(module, 2))
    print(f"wheel: {whole:.2f} MB, {without:.2f} MB without CUDA, whose module has {module:.2f} MiB unpacked")
    assert without <= 5
    assert whole <= 25
    assert module <= 25


def test_trains_without_extras_and_imports_quickly(clean_python: Path, record_property, tmp_path: Path) -> None:
    code = (
        "import time, sys, numpy; a = time.perf_counter(); import engine; b = time.perf_counter();"
        "x = engine.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True); (x @ x).sum().backward();"
        "assert x.grad is not None; print((b - a) * 1e3)"
    )
    runs = [
        float(
            subprocess.run([clean_python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
        )
        for _ in range(5)
    ]
    record_property("import_ms_beyond_numpy", round(min(runs), 1))
    print(f"import engine: {min(runs):.1f} ms beyond NumPy")


@pytest.mark.parametrize(
    "code, extra",
    [
        ("from engine.text import Tokenizer; Tokenizer.train(['a'])", "engine[text]"),
        ("import engine.cli; engine.cli.main()", "engine[cli]"),
    ],
)
def test_a_missing_extra_is_named(clean_python: Path, code: str, extra: str, tmp_path: Path) -> None:
    result = subprocess.run([clean_python, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode != 0 and extra in result.stderr, result.stderr
