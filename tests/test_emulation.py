"""All tests on an emulated aarch64. The short form, `make emulated`, is part of CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What needs a CUDA simulator built on the spot, the installed wheel, or packages without wheels for aarch64.
LEFT_OUT = ("cuda", "install")


@pytest.mark.long
def test_the_suite_on_aarch64() -> None:
    left_out = [f"--ignore={p}" for p in (ROOT / "tests").glob("test_*.py") if any(word in p.name for word in LEFT_OUT)]
    subprocess.run(
        [ROOT / "tools/emulation/run", ROOT / "build/emulation", "tests", *left_out],
        env={**os.environ, "PYTHON": sys.executable},
        check=True,
    )
