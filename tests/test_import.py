"""What `import engine` does to the process."""

from __future__ import annotations

import subprocess
import sys

import pytest


def child(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_brings_no_module_that_few_need():
    code = "import sys, numpy; before = set(sys.modules); import engine; print(*sorted(set(sys.modules) - before))"
    assert {"asyncio", "heapq", "inspect", "json", "logging", "subprocess", "threading"}.isdisjoint(child(code).split())


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_is_as_it_was(before):
    switch = "enable" if before else "disable"
    assert child(f"import gc; gc.{switch}(); import engine; print(gc.isenabled())") == str(before)


def test_the_collector_is_as_it_was_after_an_import_that_failed():
    code = (
        "import gc, sys; sys.modules['engine._core'] = None\n"
        "try:\n    import engine\nexcept ImportError:\n    print(gc.isenabled())"
    )
    assert child(code) == "True"
