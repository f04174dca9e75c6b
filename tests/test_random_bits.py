"""Philox and dropout's decisions against Random123's known answers and a NumPy implementation."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import _core
from specs.reference import dropout_bits, dropout_factors, philox

K = _core.kernels

# kat_vectors of Random123 (Salmon et al. 2011)
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, answer", KNOWN)
def test_reference_gives_the_known_answers(counter, key, answer) -> None:
    assert tuple(int(w) for w in philox(counter, key)) == answer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed, call", [(0, 0), (0xFFFFFFFFFFFFFFFF, 3), (0x243F6A8885A308D3, 1 << 20)])
def test_dropout_follows_the_bits(seed: int, call: int, dtype, isa: str) -> None:
    n = 1000
    x = _core.from_buffer(np.ones(n, dtype))
    signed = seed - (1 << 64) if seed >= 1 << 63 else seed
    near = dropout_bits(n, seed, call)[::25].astype(np.float64)  # thresholds right at some of the bits, and right above
    for p in [*(1 - near / 65536), *(1 - (near + 1) / 65536), 0.0, 1.0, 1e-9]:
        kept = np.asarray(K.dropout(x, p, signed, call))
        assert np.array_equal(kept, dropout_factors((n,), p, seed, call).astype(dtype))


def test_positions_beyond_32_bits_of_groups_differ() -> None:
    bits = [philox((5, high, 0, 0), (1, 2))[0] for high in (0, 1)]
    assert bits[0] != bits[1]


def test_dropout_draws_once_a_call_and_repeats_after_the_seed() -> None:
    x = engine.ones(1000)
    engine.manual_seed(7)
    a, b = engine.dropout(x, 0.5).numpy(), engine.dropout(x, 0.5).numpy()
    assert not np.array_equal(a, b)
    engine.manual_seed(7)
    assert np.array_equal(engine.dropout(x, 0.5).numpy(), a)
    before = _core.random_state()
    assert engine.dropout(x, 0.0) is x
    assert engine.dropout(x, 0.5, training=False) is x
    assert _core.random_state() == before


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_kept_and_mean(p: float) -> None:
    engine.manual_seed(3)
    y = engine.dropout(engine.ones(1 << 20), p).numpy()
    assert abs((y != 0).mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / (1 << 20))
    assert abs(y.mean() - 1) < 0.01


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_probabilities_are_checked(p: float) -> None:
    with pytest.raises(ValueError, match=r"\[dropout\] p: expected a probability in \[0, 1\]"):
        engine.dropout(engine.ones(3), p)
