"""The compiled extension: no vector code of a better CPU in what every CPU runs, and no undeclared libraries."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine import _core

LIBRARY = Path(_core.__file__)


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} (binutils) is not installed")
    return path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="registers of x86-64")
def test_code_outside_an_isa_uses_no_wider_registers() -> None:
    """Every function is disassembled; ymm may be used in engine::avx2 and engine::avx512 only, zmm in the latter only."""
    # Stripped wheels have no symbols: the wheel is built with them kept.
    text = subprocess.run(
        [tool("objdump"), "-d", "-C", "--no-show-raw-insn", str(LIBRARY)], capture_output=True, text=True, check=True
    ).stdout
    function, functions, leaks = "", 0, set()
    for line in text.splitlines():
        header = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if header:
            function, functions = header[1], functions + 1
        elif ("%zmm" in line and "avx512" not in function) or (
            "%ymm" in line and "avx2" not in function and "avx512" not in function
        ):
            leaks.add(function)
    assert functions > 100, "the library has no symbols to check by"
    assert not leaks, f"vector code outside of its ISA: {sorted(leaks)[:5]}"


def test_only_system_libraries_are_linked() -> None:
    text = subprocess.run([tool("readelf"), "-d", str(LIBRARY)], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*?)\]", text))
    assert needed <= {
        "libstdc++.so.6",
        "libm.so.6",
        "libgcc_s.so.1",
        "libc.so.6",
        "libpthread.so.0",
        "libdl.so.2",
        "ld-linux-x86-64.so.2",
        "ld-linux-aarch64.so.1",
    }


def test_every_row_of_the_kernel_list_is_bound() -> None:
    for name, signature, dtypes, contract in _core.kernel_rows:
        bound = getattr(_core.kernels, name)
        assert signature in bound.__doc__ and contract in bound.__doc__ and dtypes
