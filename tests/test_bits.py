"""One set of bits: every kernel and whole trainings give the same bytes on all instruction sets whose fma rounds once.

What cannot run here is not checked, and the summary of the tests says so (tests/conftest.py). The x86-64 baseline has no fma
and is no part of this. The payload and the sign of a NaN may differ.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import same_bits
from engine import _core
from specs.spec import Spec
from test_specs import ROWS
from test_vmath import every

K = _core.kernels


@pytest.fixture
def fused():
    """The instruction sets to compare; the one in use is put back."""
    if not same_bits.here():
        pytest.skip("NOT CHECKED: this machine has no instruction set with fma")
    before = _core.get_cpu_isa()
    yield same_bits.here()
    _core.set_cpu_isa(before)


@pytest.mark.parametrize("spec, number", ROWS)
def test_every_kernel(spec: Spec, number: int, fused: list[str]) -> None:
    for dtype in spec.dtypes:
        found = {}
        for isa in fused:
            _core.set_cpu_isa(isa)
            found[isa] = same_bits.kernel_bits(spec, number, dtype)
        for isa, result in found.items():
            assert result == found[fused[0]], f"{dtype}: {isa} gives other bits than {fused[0]}"


FUNCTIONS = {
    **{name: getattr(K, name) for name in ("exp", "log", "log1p", "tanh", "erf", "sigmoid", "silu")},
    **{f"{name}_backward": getattr(K, f"{name}_backward") for name in ("log1p", "tanh", "erf", "sigmoid", "silu")},
    "gelu": lambda x: K.gelu(x, False),
    "gelu_tanh": lambda x: K.gelu(x, True),
    "gelu_backward": lambda dy, x: K.gelu_backward(dy, x, False),
    "gelu_tanh_backward": lambda dy, x: K.gelu_backward(dy, x, True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, fused: list[str]) -> None:
    x = every(10007)
    given = [_core.from_buffer(a) for a in ([np.full_like(x, 1.25)] if "backward" in name else []) + [x]]
    found = {}
    for isa in fused:
        _core.set_cpu_isa(isa)
        found[isa] = np.asarray(FUNCTIONS[name](*given)).copy()
    for isa, y in found.items():
        same = (y.view(np.uint32) == found[fused[0]].view(np.uint32)) | (np.isnan(y) & np.isnan(found[fused[0]]))
        assert same.all(), f"{isa}: {name}({x[~same][0]!r}) is not that of {fused[0]}"


@pytest.mark.parametrize("name", same_bits.TRAININGS)
def test_weights_after_50_steps(name: str, fused: list[str], threads) -> None:
    for isa in fused:
        _core.set_cpu_isa(isa)
        for n in (1, 2, 3, 7):
            threads(n)
            assert same_bits.train(name) == same_bits.on_record(name), (
                f"{isa}, {n} threads: other weights than on record"
            )


@pytest.mark.parametrize("name", same_bits.TRAININGS)
def test_weights_after_3_steps(name: str, fused: list[str]) -> None:
    """For an emulator, which has no time for the test above."""
    wanted = same_bits.on_record(name)["3"]
    for isa in fused:
        _core.set_cpu_isa(isa)
        assert same_bits.train(name, 3) == {"3": wanted}, f"{isa}: other weights than on record"


def test_the_record_says_where_it_was_checked() -> None:
    checked = json.loads(same_bits.RECORD.read_text())["checked"]
    assert checked and set(checked) <= set(same_bits.FUSED)
    assert all(c["machine"] and c["date"] for c in checked.values())
