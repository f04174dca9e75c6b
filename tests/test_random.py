"""Random tensors against Philox written again in NumPy, and what such numbers must look like."""

from __future__ import annotations

import numpy as np
import pytest

import engine

SIZES = [0, 1, 15, 16, 17, 31, 63, 64, 65, 127, 4097, 70001]


def philox(counter, key):
    """The four words of Philox4x32-10 for uint32 counters (4, n) and a key (2,)."""
    c = [np.asarray(x, np.uint64) for x in counter]
    k = [int(x) for x in key]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        low = np.uint64(0xFFFFFFFF)
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            b & low,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            a & low,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(c)


def words(n, seed, call, per_block):
    """For each element its group's four words, (4, n), and its number within the block."""
    e = np.arange(n)
    group = e // per_block * 16 + e % 16
    zero = np.zeros(n, np.uint64)
    draws = philox([group % 2**32, group // 2**32, zero + np.uint64(call % 2**32), zero], (seed % 2**32, seed // 2**32))
    return draws, e % per_block


def words32(n, seed, call):
    draws, at = words(n, seed, call, 64)
    return draws[at // 16, np.arange(n)]


def words64(n, seed, call):
    draws, at = words(n, seed, call, 32)
    k = at // 16
    return draws[2 * k, np.arange(n)] | draws[2 * k + 1, np.arange(n)] << np.uint64(32)


def below(bits, limit, low=0):
    limits = [limit] * len(bits) if isinstance(limit, int) else limit
    return np.array([low + (int(b) * int(r) >> 64) for b, r in zip(bits, limits)], np.int64)


def test_philox_known_answers():
    """The vectors of the paper's reference implementation (Random123, kat_vectors)."""
    for counter, key, answer in [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]:
        assert [int(w) for w in philox([[c] for c in counter], key)[:, 0]] == answer


SEED = 0x123456789ABCDEF


def seeded(calls=2):
    engine.manual_seed(SEED)
    for _ in range(calls):
        engine.rand(1)


@pytest.mark.parametrize("n", SIZES)
def test_bits(n, isa, threads, guards):
    for count in (1, 2):
        threads(count)
        seeded()
        x = engine.rand(n).numpy()
        assert np.array_equal(x, (words32(n, SEED, 2) >> np.uint64(8)).astype(np.float32) / np.float32(2**24))
        x = engine.rand(n, dtype=engine.float64).numpy()
        assert np.array_equal(x, (words64(n, SEED, 3) >> np.uint64(11)).astype(np.float64) / 2**53)
        x = engine.randint(-5, 1000, (n,)).numpy()
        assert np.array_equal(x, below(words64(n, SEED, 4), 1005, -5))
        x = engine.randint(-(2**63), 2**63 - 1, (n,)).numpy()
        assert np.array_equal(x, below(words64(n, SEED, 5), 2**64 - 1, -(2**63)))
        order = []
        for i, j in enumerate(below(words64(n, SEED, 6), np.arange(n) + 1)):
            order.append(i)
            order[i], order[j] = order[j], i
        assert np.array_equal(engine.randperm(n).numpy(), order)


def box_muller(n, seed, call, dtype):
    out = np.zeros(n)
    if dtype is engine.float32:
        draws, at = words(-(-n // 64) * 64, seed, call, 64)
        e = np.arange(draws.shape[1])
        pair = at // 32
        radius = np.sqrt(-2 * np.log((draws[2 * pair, e].astype(np.float64) + 0.5) / 2**32))
        angle = draws[2 * pair + 1, e].astype(np.float64) / 2**32 * 2 * np.pi
        first = at // 16 % 2 == 0
    else:
        draws, at = words(-(-n // 32) * 32, seed, call, 32)
        bits = [draws[0] | draws[1] << np.uint64(32), draws[2] | draws[3] << np.uint64(32)]
        radius = np.sqrt(-2 * np.log(((bits[0] >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53))
        angle = (bits[1] >> np.uint64(11)).astype(np.float64) / 2**53 * 2 * np.pi
        first = at < 16
    out = radius * np.where(first, np.cos(angle), np.sin(angle))
    return out[:n]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype, tolerance", [(engine.float32, 1e-6), (engine.float64, 1e-13)])
def test_normal_numbers(n, dtype, tolerance, isa, guards):
    seeded()
    found = engine.randn(n, dtype=dtype).numpy()
    assert found.dtype == dtype.name
    assert np.allclose(found, box_muller(n, SEED, 2, dtype), rtol=tolerance, atol=tolerance)


def test_same_bits_on_every_isa(threads):
    from conftest import SUPPORTED_ISAS
    from engine import _core

    before, results = _core.get_cpu_isa(), set()
    for isa in SUPPORTED_ISAS:
        _core.set_cpu_isa(isa)
        for n in (1, 2, 3):
            threads(n)
            engine.manual_seed(5)
            drawn = [engine.randn(300001), engine.rand(1001), engine.randint(9, (1001,)), engine.rand(7).bernoulli()]
            results.add(b"".join(x.numpy().tobytes() for x in drawn))
    _core.set_cpu_isa(before)
    assert len(results) == 1


def test_moments():
    engine.manual_seed(3)
    n = 1_000_000
    x = engine.randn(n).numpy().astype(np.float64)
    for power, expected, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((x**power).mean() - expected) < 5 * np.sqrt(variance / n)
    assert abs((x[:-1] * x[1:]).mean()) < 5 / np.sqrt(n)
    assert 4.3 < np.abs(x).max() < 6.7
    u = engine.rand(n).numpy().astype(np.float64)
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 64, (0, 1))[0]
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * np.sqrt(2 * 63)
    k = engine.randint(0, 7, (n,)).numpy()
    counts = np.bincount(k, minlength=7)
    assert len(counts) == 7 and ((counts - n / 7) ** 2 / (n / 7)).sum() < 6 + 5 * np.sqrt(12)
    b = engine.full((n,), 0.3).bernoulli().numpy()
    assert set(np.unique(b)) == {0, 1} and abs(b.mean() - 0.3) < 5 * np.sqrt(0.21 / n)


def test_permutations_are_uniform():
    engine.manual_seed(0)
    counts: dict[tuple, int] = {}
    for _ in range(6000):
        p = tuple(engine.randperm(3).tolist())
        counts[p] = counts.get(p, 0) + 1
    assert len(counts) == 6
    assert sum((c - 1000) ** 2 / 1000 for c in counts.values()) < 5 + 5 * np.sqrt(10)


def test_calls_differ_and_states_return():
    engine.manual_seed(1)
    a, b = engine.rand(100), engine.rand(100)
    assert not np.array_equal(a.numpy(), b.numpy())
    state = engine.get_rng_state()
    c, d = engine.randn(10), engine.randint(5, (10,))
    engine.set_rng_state(state)
    assert np.array_equal(engine.randn(10).numpy(), c.numpy())
    assert np.array_equal(engine.randint(5, (10,)).numpy(), d.numpy())
    engine.manual_seed(1)
    assert np.array_equal(engine.rand(100).numpy(), a.numpy())
    engine.manual_seed(2)
    assert not np.array_equal(engine.rand(100).numpy(), a.numpy())
    for seed in (-1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, np.int64(-3), engine.tensor(7)):
        engine.manual_seed(seed)
        assert engine.initial_seed() == int(seed) % 2**64
    assert engine.seed() == engine.initial_seed()


def test_shapes_and_dtypes():
    x = engine.rand(2, 3)
    assert x.shape == (2, 3) and x.dtype is engine.float32 and not x.requires_grad
    assert engine.rand((2, 3), requires_grad=True).requires_grad
    assert engine.randn(()).shape == ()
    assert engine.randn(4, dtype=engine.bfloat16).dtype is engine.bfloat16
    assert engine.rand_like(x, dtype=engine.float64).dtype is engine.float64
    assert engine.randn_like(x).shape == x.shape
    assert engine.randint(10, (3,)).dtype is engine.int64
    assert engine.randint(0, 10, (3,), dtype=engine.int32).dtype is engine.int32
    assert engine.randint_like(x, 10).dtype is engine.float32
    assert engine.randperm(5, dtype=engine.int32).dtype is engine.int32
    assert abs(engine.normal(3.0, 0.1, (1000,)).numpy().mean() - 3) < 0.02


def test_in_place():
    engine.manual_seed(4)
    x = engine.zeros(50, 50)
    y = x.T
    assert x.uniform_(2, 3) is x
    assert x.numpy().min() >= 2 and x.numpy().max() < 3
    y.normal_(10, 0.1)
    assert abs(x.numpy().mean() - 10) < 0.05
    x.bernoulli_(0.5)
    assert set(np.unique(x.numpy())) == {0, 1}
    leaf = engine.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[normal_\] self"):
        leaf.normal_()
    with engine.no_grad():
        leaf.normal_()
    version = x._version
    x.zero_()
    assert x._version > version


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: engine.randint(5, 5, (2,)), ValueError, "[randint] high"),
        (lambda: engine.randint(300, (2,), dtype=engine.uint8), ValueError, "[randint] low, high"),
        (lambda: engine.randint(5), TypeError, "[randint] size"),
        (lambda: engine.rand(2, dtype=engine.int64), TypeError, "[rand] dtype"),
        (lambda: engine.rand(-1), ValueError, "[rand] size"),
        (lambda: engine.rand("a"), TypeError, "[rand] size"),
        (lambda: engine.randperm(-1), ValueError, "[randperm] n"),
        (lambda: engine.normal(0, -1, (2,)), ValueError, "[normal] std"),
        (lambda: engine.tensor([0.5, 1.5]).bernoulli(), ValueError, "[bernoulli] input"),
        (lambda: engine.manual_seed(2**64), ValueError, "[manual_seed] seed"),
        (lambda: engine.manual_seed(-(2**63) - 1), ValueError, "[manual_seed] seed"),
        (lambda: engine.manual_seed(1.5), TypeError, "[manual_seed] seed"),
        (lambda: engine.cuda.manual_seed("1"), TypeError, "[manual_seed] seed"),
        (lambda: engine.set_rng_state(engine.zeros(3)), ValueError, "[set_rng_state] new_state"),
        (lambda: engine.zeros(3).uniform_(1, 0), ValueError, "[uniform_] b"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_normal_numbers_around_tensors():
    mean, std = engine.tensor([0.0, 100.0], dtype=engine.float64), engine.tensor([[1.0], [0.0]])
    y = engine.normal(mean.expand(2000, 1, 2), std)
    assert y.shape == (2000, 2, 2)
    assert y.dtype is engine.float64
    assert engine.equal(y[:, 1], mean.expand(2000, 2))
    np.testing.assert_allclose(y[:, 0].mean(0).numpy(), [0, 100], atol=0.15)
    np.testing.assert_allclose(y[:, 0].std(0).numpy(), [1, 1], atol=0.1)
    assert engine.normal(5.0, engine.zeros(3)).tolist() == [5] * 3
    with pytest.raises(ValueError, match=r"\[normal\] std: expected numbers >= 0, got -1.0"):
        engine.normal(0.0, engine.tensor([1.0, -1.0]))
    with pytest.raises(TypeError, match=r"\[normal\] mean: expected a floating-point dtype, got int64"):
        engine.normal(engine.tensor([1]), 1.0)


@pytest.mark.parametrize("dtype", [engine.float16, engine.bfloat16])
def test_the_upper_bound_never_comes_in_16_bits(dtype):
    engine.manual_seed(0)
    assert engine.rand(100000, dtype=dtype).max().item() < 1
    assert engine.rand_like(engine.empty(100000, dtype=dtype)).max().item() < 1
    assert engine.empty(100000, dtype=dtype).uniform_(-2, 3).max().item() < 3
    assert engine.empty(100000, dtype=dtype).uniform_(-2, 0).max().item() < 0
    assert engine.randint(0, 2050, (100000,), dtype=dtype).max().item() < 2050
    assert engine.empty(3, dtype=dtype).uniform_(2, 2).tolist() == [2, 2, 2]


def test_the_upper_bound_never_comes_in_a_narrow_interval():
    engine.manual_seed(0)
    drawn = engine.empty(100000).uniform_(1, 1.00001)
    assert drawn.min().item() >= 1 and drawn.max().item() < float(np.float32(1.00001))


@pytest.mark.parametrize("dtype", [engine.float16, engine.bfloat16])
def test_many_weights_in_16_bits_are_drawn_alike(dtype):
    engine.manual_seed(0)
    weights = engine.full((4096,), 1 / 4096, dtype=dtype)
    for drawn in (
        engine.multinomial(weights, 100000, True),
        engine.distributions.Categorical(probs=weights).sample((100000,)),
    ):
        halves = [(drawn < 1024).float().mean().item(), (drawn >= 3072).float().mean().item()]
        np.testing.assert_allclose(halves, 0.25, atol=0.01)
        assert len(drawn.unique()) == 4096
    assert len(engine.multinomial(weights, 4096).unique()) == 4096
