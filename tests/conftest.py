"""Fixtures: the ISA, the number of threads and the guard mode are put back after each test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

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


@pytest.fixture
def guards():
    """Arrays made in the test stand between guard values and start as NaN; the test fails if a guard was overwritten."""
    _core.set_guards(True)
    yield
    _core.set_guards(False)
    assert _core.guard_errors() == 0, "a kernel wrote outside of its output"
