"""What each instruction computes: kernels/opcodes.cu and kernels/fragments.cu on the simulator, against NumPy and against the
tables of the PTX manual. With the checker on, and no finding allowed."""

import math
import struct

import numpy as np
import pytest

from cudasim.harness import from_bf16, to_bf16

pytest_plugins = ["cudasim.fixtures"]

F32 = np.dtype(np.float32)
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64
i16, i32, i64 = np.int16, np.int32, np.int64
ALL = 0xFFFFFFFF


@pytest.fixture(params=["eager", "lazy"])
def sim(any_sim, monkeypatch, request):
    monkeypatch.setenv("CUDASIM_ASYNC", request.param)
    yield any_sim
    any_sim.synchronize()
    assert any_sim.findings() == []


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def randn(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def compare(names, got, expected):
    """All rows, named."""
    wrong = []
    for name, g, e in zip(names, got, expected):
        bad = np.flatnonzero(np.asarray(g) != np.asarray(e))
        if len(bad):
            wrong.append((name, bad[:3].tolist(), np.asarray(g)[bad[:3]].tolist(), np.asarray(e)[bad[:3]].tolist()))
    assert not wrong
    assert len(got) == len(expected) == len(names)


# ---- module data, calls ----


def test_module_data(sim):
    sim.reset()  # `counter` starts at 5
    out, old = sim.buffer(4 * 32), sim.buffer(4)
    for expected in (5, 12):  # a __device__ variable keeps its value
        sim.launch("module_data", 1, 32, out, old)
        assert np.array_equal(out.numpy(32, F32), np.tile([1.5, -2, 3.25, 4], 8).astype(F32))
        assert old.numpy(1, i32)[0] == expected


def test_printf(sim, capfd):
    sim.launch("device_printf", 1, 32, sim.buffer(np.array([1.25, 2.5], F32)), i32(2))
    sim.synchronize()
    assert capfd.readouterr().out == "0 left 1.25 1099511627776%\n1 right 2.50 1099511627776%\n"


# ---- atomics ----


def test_atomics_32(sim):
    a = sim.buffer(np.array([1, ALL, 0, ALL, 0, 0, 0, 3, 5, 0], u32))
    s, f = sim.buffer(np.array([5, -100], i32)), sim.buffer(np.zeros(1, F32))
    sim.launch("atomics32", 1, 64, a, s, f)
    t = np.arange(64)
    expected = [1 + t.sum(), 3, 63, 0, ALL, int(np.bitwise_xor.reduce(t)), 64 % 10, (3 - 64) % 10, 77, 42]
    assert a.numpy(10, u32).tolist() == expected
    assert s.numpy(2, i32).tolist() == [-63, 58]
    assert f.numpy(1, F32)[0] == 32


def test_atomics_64(sim):
    a = sim.buffer(np.array([1, 2**63, 0, 2**64 - 1, 0, 0, 1234] + [0] * 33, u64))
    s, d = sim.buffer(np.array([5, -100], i64)), sim.buffer(np.zeros(1, np.float64))
    sim.launch("atomics64", 1, 32, a, s, d)
    t = np.arange(32, dtype=u64)
    got = a.numpy(40, u64)
    bits = ALL << 20
    xor = int(np.bitwise_xor.reduce(t << u64(35)))
    assert got[:6].tolist() == [1 + int((t << u64(33)).sum()), 1 << 40, 31 << 40, (2**64 - 1) & ~bits, bits, xor]
    assert sorted(got[6:39].tolist()) == sorted([1234, *t.tolist()])  # a chain of exchanges
    assert got[39] == 99
    assert s.numpy(2, i64).tolist() == [-(31 << 35), 31 << 35]
    assert d.numpy(1, np.float64)[0] == 8


def test_atomics_half(sim):
    h, b = sim.buffer(np.zeros(2, np.float16)), sim.buffer(np.zeros(2, u16))
    sim.launch("atomics_half", 1, 32, h, b)
    sim.synchronize()
    # below sm_90 the header's atomicAdd on bf162 is a loop of CAS that begins with a plain load: a race by the letter
    assert all("cuda_bf16.hpp" in str(f["at"] + f["other"]) for f in sim.findings())
    assert h.numpy(2, np.float16).tolist() == [16, 32]
    assert from_bf16(b.numpy(2, u16)).tolist() == [8, 64]


def test_atomics_shared(sim):
    out = sim.buffer(8)
    sim.launch("atomics_shared", 1, 96, out)
    assert out.numpy(2, u32).tolist() == [96 * 95 // 2, 95]


# ---- integers ----


def signed(v: int) -> int:
    return v - 2**32 if v >> 31 else v


def truncated(a: int, b: int) -> int:
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def permuted(a: int, b: int, selector: int) -> int:
    v = a | b << 32
    return sum((v >> 8 * (selector >> 4 * k & 7) & 255) << 8 * k for k in range(4))


def reversed_bits(v: int, width: int) -> int:
    return int(f"{v:0{width}b}"[::-1], 2)


def integer_results(a: int, b: int) -> dict[str, int]:
    wide, other = a << 32 | b, b << 32 | a
    d = (b & 255) + 1
    sa, sb = signed(a), signed(b)
    quotient = truncated(sa, d)
    dot = sum(byte(a, k) * byte(b, k) for k in range(4)) + 3
    field = a >> 5 & 0x7FF
    return {
        "brev": reversed_bits(a, 32),
        "popc": a.bit_count(),
        "clz": 32 - a.bit_length(),
        "ffs": (a & -a).bit_length(),
        "prmt": permuted(a, b, 0x2461),
        "shf.l": (other << (b & 31)) >> 32,
        "shf.r": other >> (b & 31),
        "mul.hi.u32": a * b >> 32,
        "mul.hi.s32": sa * sb >> 32,
        "sad": abs(a - b) + 7,
        "brev.b64": reversed_bits(wide, 64) >> 32,
        "popc.b64": wide.bit_count(),
        "clz.b64": 64 - ((a & 255) << 20 | 1).bit_length(),
        "dp4a": dot,
        "div.s32": quotient,
        "rem.s32": sa - quotient * d,
        "div.u64": wide // (b | 1),
        "mul.hi.u64": (wide * other >> 64) >> 7,
        "max.s32": max(sa, sb),
        "min.u32": min(a, b),
        "abs": abs(sa),
        "logic": (a >> 3) & (b << 5) & ALL | (a ^ b),
        "shr.s32": sa >> (b & 31),
        "bfe.u32": field,
        "bfe.s32": field - 2048 if field >> 10 else field,
        "bfi": (b & ~(0xFFF << 8)) | (a & 0xFFF) << 8,
        "lop3": a ^ b ^ 7,
        "bfind": a.bit_length() - 1,
        "add.cc": a + b,
        "addc": (a + b) >> 32,
        "mov of halves": a >> 16 | a << 16,
    }


def byte(v: int, k: int) -> int:
    return (v >> 8 * k & 255 ^ 128) - 128


def test_integers(sim, rng):
    n = 256
    x, y = (rng.integers(0, 2**32, n, dtype=u32) for _ in range(2))
    out = sim.buffer(4 * n * 40)
    sim.launch("integers", 2, 128, sim.buffer(x), sim.buffer(y), out, i32(n))
    results = [integer_results(int(a), int(b)) for a, b in zip(x, y)]
    names = list(results[0])
    compare(names, out.numpy((31, n), u32), np.array([[r[k] & ALL for r in results] for k in names], u32))


# ---- floats ----


def test_floats(sim, rng):
    n = 512
    x = np.concatenate([randn(rng, n - 6) * 2, np.array([0.1, 1, -1, 8.5, 30, -0.4], F32)])
    out = sim.buffer(4 * n * 40)
    sim.launch("floats", 4, 128, sim.buffer(x), out, i32(n))
    got = out.numpy((31, n), F32).astype(np.float64)
    d = x.astype(np.float64)
    size = np.abs(d)
    erf = np.vectorize(math.erf)
    tenth = float(np.float32(0.1))
    with np.errstate(all="ignore"):
        expected = {
            "tanh.approx": np.tanh(d),
            "ex2.approx": np.exp2(d),
            "ex2.approx.ftz": np.exp2(d),
            "lg2.approx": np.log2(size),
            "sin.approx": np.sin(d),
            "cos.approx": np.cos(d),
            "rsqrt.approx": size**-0.5,
            "fdividef": d / 3,
            "saturate": np.clip(d, 0, 1),
            "copysign": np.copysign(2, d),
            "erff": erf(d),
            "tanhf": np.tanh(d),
            "sinf": np.sin((x * np.float32(1000)).astype(np.float64)),
            "expf": np.exp(d),
            "logf": np.log(size),
            "log1pf": np.log1p(size),
            "expm1f": np.expm1(d),
            "powf": size ** float(np.float32(1.7)),
            "fmodf": np.fmod(d, float(np.float32(0.7))),
            "cbrtf": np.cbrt(d),
            "rsqrtf": size**-0.5,
            "fma.rm": d * d + tenth,
            "fma.rp": d * d + tenth,
            "add.rz": d + tenth,
            "div.rn": d / 7,
            "exp": np.exp(d),
            "erf": erf(d),
            "fma.f64": d * d + 0.1,
            "fmaxf of NaN": d,
            "roundf": np.trunc(d + np.copysign(0.5, d)),
            "normcdff": 0.5 * (1 + erf(d / 2**0.5)),
        }
    for k, (name, e) in enumerate(expected.items()):
        assert np.isfinite(got[k]).all(), name
        assert np.nanmax(np.abs(got[k] - e) / np.maximum(np.abs(e), 1e-2)) < 2e-5, name
    assert (got[21] <= expected["fma.rm"]).all() and (got[22] >= expected["fma.rp"]).all()
    assert (np.abs(got[23]) <= np.abs(expected["add.rz"]) + 1e-12).all()


# ---- conversions ----


def clipped(v, low=-(2**31), high=2**31 - 1):
    return np.clip(v, low, high).astype(i64).astype(u64).astype(u32).view(i32)


def float_bits(v):
    return np.asarray(v, F32).view(i32)


def directed(v, towards):
    """float32 next to a float64, rounded towards zero or up."""
    near = v.astype(F32)
    wide = near.astype(np.float64)
    over = np.abs(wide) > np.abs(v) if towards == 0 else wide < v
    return np.where(over, np.nextafter(near, np.float32(0 if towards == 0 else np.inf)), near)


def half_bits(v):
    return v.view(u16).astype(i32)


def bf16_pair(high, low):
    return (to_bf16(high).astype(u32) << 16 | to_bf16(low)).view(i32)


def test_conversions(sim, rng):
    n = 512
    x = np.concatenate([randn(rng, n - 8) * 100, np.array([0.5, 1.5, -0.5, -1.5, 2.5, 6e4, -6e4, 1e-6], F32)])
    q = rng.integers(-(2**31), 2**31, n, dtype=i32)
    q[:4] = [-1, 300, -300, 77]
    out = sim.buffer(4 * n * 40)
    sim.launch("conversions", 4, 128, sim.buffer(x), sim.buffer(q), out, i32(n))
    d = x.astype(np.float64)
    unsigned = q.view(u32).astype(np.float64)
    half = np.clip(x, -65504, 65504).astype(np.float16)
    half_down = np.where(np.abs(half.astype(np.float64)) > np.abs(d), np.nextafter(half, np.float16(0)), half)
    expected = {
        "rni.s32": clipped(np.rint(d)),
        "rzi.s32": clipped(np.trunc(d)),
        "rmi.s32": clipped(np.floor(d)),
        "rpi.s32": clipped(np.ceil(d)),
        "rzi.u32": np.clip(np.trunc(d), 0, 2**32 - 1).astype(u32).view(i32),
        "rzi.s64": (np.trunc(d).astype(i64) >> 1).astype(i32),
        "rn.f32.s32": float_bits(q.astype(F32)),
        "rz.f32.u32": float_bits(directed(unsigned, 0)),
        "rp.f32.s32": float_bits(directed(q.astype(np.float64), 1)),
        "s8": q.astype(np.int8).astype(i32),
        "u8": q & 255,
        "s16": q.astype(i16).astype(i32),
        "rn.f16": half_bits(half),
        "rz.f16": half_bits(half_down),
        "rn.bf16": to_bf16(x).astype(i32),
        "rz.bf16": (x.view(u32) >> 16).astype(i32),
        "f32.f16": float_bits(half.astype(F32)),
        "f64.f32": ((d * 1.1).view(i64) >> 32).astype(i32),
        "rni.s32.f64": clipped(np.rint(d * 1.5)),
        "rn.f32.f64": float_bits((q * 1.1).astype(F32)),
        "sat.u8.s32": np.clip(q, 0, 255),
        "rna.tf32": ((x.view(u32) + u32(0x1000)) & ~u32(0x1FFF)).view(i32),
        "rn.bf16x2": bf16_pair(x, 2 * x),
        "rn.relu.bf16x2": bf16_pair(np.maximum(x, 0), np.maximum(-x, 0)),
        "rn.f16x2": (half_bits((np.float32(0.5) * x).astype(np.float16)) << 16 | half_bits(half)).astype(i32),
    }
    compare(list(expected), out.numpy((25, n), i32), list(expected.values()))


def test_half_arithmetic(sim, rng):
    a, b = (rng.standard_normal((256, 2)).astype(np.float16) for _ in range(2))
    d = to_bf16(randn(rng, 256, 2))
    c, e = sim.buffer(1024), sim.buffer(1024)
    sim.launch("half_ops", 2, 128, sim.buffer(a), sim.buffer(b), c, sim.buffer(d), e, i32(256))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    expected = (wide_a * wide_b + np.maximum(wide_a, wide_b)).astype(np.float16)
    assert np.array_equal(c.numpy((256, 2), np.float16), expected)
    value = from_bf16(d)
    assert np.array_equal(e.numpy((256, 2), u16), to_bf16(from_bf16(to_bf16(value * value)) - value))


# ---- between lanes ----


def test_lanes(sim, rng):
    x = rng.integers(0, 200, 64, dtype=u32)
    out = sim.buffer(4 * 64 * 20)
    sim.launch("lanes", 1, 64, sim.buffer(x), out)
    warps = x.reshape(2, 32)
    lane = np.arange(64) % 32

    def each_warp(f):
        return np.concatenate([np.broadcast_to(f(w), 32) for w in warps])

    def from_lane(source):
        return np.concatenate([w[s] for w, s in zip(warps, source.reshape(2, 32))])

    def ballot(p):
        return int(sum(1 << k for k in range(32) if p[k]))

    expected = {
        "redux.add": each_warp(np.sum),
        "redux.max": each_warp(np.max),
        "redux.xor": each_warp(np.bitwise_xor.reduce),
        "match.any": np.concatenate([[ballot((w & 3) == (v & 3)) for v in w] for w in warps]),
        "match.all": each_warp(lambda w: ALL if len(set(w & 3)) == 1 else 0),
        "vote.ballot": each_warp(lambda w: ballot(w & 1)),
        "vote.any, vote.all": each_warp(lambda w: int((w > 100).any()) + 2),
        "shfl.up": from_lane(np.where(lane >= 3, lane - 3, lane)),
        "shfl.down of 8": from_lane(np.where(lane % 8 + 3 < 8, lane + 3, lane)),
        "shfl.idx": from_lane(np.full(64, 5)),
        "shfl.bfly": from_lane(lane ^ 17),
        "bar.red.popc": np.full(64, (x & 1).sum()),
        "bar.red.and": np.full(64, 1),
        "bar.red.or": np.full(64, int((x == 3).any())),
        "shfl of half a warp": from_lane(lane ^ 1),
        "activemask": np.where(lane & 1, 0xAAAAAAAA, ALL),
        "lanemask_lt": (1 << lane) - 1,
        "cooperative groups of 8": np.repeat(x.reshape(8, 8).sum(1), 8),
    }
    compare(
        list(expected), out.numpy((18, 64), u32).astype(i64), [np.asarray(e).astype(i64) for e in expected.values()]
    )


def test_named_barriers(sim):
    out = sim.buffer(256)
    sim.launch("named_barriers", 1, 128, out)
    assert np.array_equal(out.numpy(64, u32), np.arange(64) * 3)


def test_local_array(sim, rng):
    x, index, out = randn(rng, 16), rng.integers(0, 16, 64, dtype=i32), sim.buffer(256)
    sim.launch("local_array", 1, 64, sim.buffer(x), sim.buffer(index), out)
    assert np.array_equal(out.numpy(64, F32), x[index] * np.arange(1, 65, dtype=F32))


def test_struct_of_pointers(sim, rng):
    arrays = [randn(rng, k) for k in range(1, 300, 37)]
    buffers = [sim.buffer(a) for a in arrays]
    free = [0] * (40 - len(arrays))
    packed = struct.pack("40Q40i", *[b.pointer for b in buffers], *free, *[len(a) for a in arrays], *free)
    sim.launch("many_tensors", len(arrays), 64, np.frombuffer(packed, u8), np.float32(2))
    for buffer, array in zip(buffers, arrays):
        assert np.array_equal(buffer.numpy(len(array), F32), array + np.float32(2))


def test_bytes(sim, rng):
    a, b = rng.integers(0, 256, 200, dtype=u8), rng.integers(-128, 128, 200, dtype=np.int8)
    c, d = sim.buffer(400), sim.buffer(200)
    sim.launch("bytes", 2, 128, sim.buffer(a), sim.buffer(b), c, d, i32(200))
    assert np.array_equal(c.numpy(200, i16), (a.astype(i32) * b).astype(i16))
    assert np.array_equal(d.numpy(200, u8), (a.astype(i32) + b).astype(u8))


def test_branch_table(sim, rng):
    x, out = rng.integers(0, 99, 200, dtype=i32), sim.buffer(800)
    sim.launch("table_switch", 2, 128, sim.buffer(x), out, i32(200))
    assert np.array_equal(out.numpy(200, i32), np.array([10, 21, 32, 43])[x & 3])


# ---- whole kernels ----


def test_last_block_adds_up(sim, rng):
    """Order between blocks by fence and atomic: no finding."""
    x = randn(rng, 5000)
    data, partial = sim.buffer(x), sim.buffer(4 * 20)
    ticket, out = sim.buffer(np.zeros(1, u32)), sim.buffer(4)
    for _ in range(2):
        sim.launch("last_block_sum", 20, 64, data, partial, ticket, out, i32(5000))
    assert abs(out.numpy(1, F32)[0] - x.sum()) < 1e-3


def test_adam(sim, rng):
    p, m, g = (randn(rng, 1000) for _ in range(3))
    v = np.abs(randn(rng, 1000))
    buffers = [sim.buffer(a) for a in (p, m, v, g)]
    rates = [np.float32(r) for r in (1e-2, 0.9, 0.999, 1e-8, 0.1)]
    sim.launch("adam", 3, 128, *buffers, i64(1000), *rates, i32(3))
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    step = m / (1 - 0.9**3) / (np.sqrt(v / (1 - 0.999**3)) + 1e-8) + 0.1 * p
    assert np.abs(buffers[0].numpy(1000, F32) - (p - 1e-2 * step)).max() < 1e-4


def test_cross_entropy(sim, rng):
    z, t, out = randn(rng, 7, 501), rng.integers(0, 501, 7, dtype=i32), sim.buffer(28)
    sim.launch("cross_entropy", 7, 128, sim.buffer(z), sim.buffer(t), out, i32(501))
    expected = np.log(np.exp(z.astype(np.float64)).sum(1)) - z[np.arange(7), t]
    assert np.abs(out.numpy(7, F32) - expected).max() < 1e-5


def test_philox(sim):
    out = sim.buffer(4000)
    sim.launch("philox", 8, 128, out, i32(1000), u64(0x123456789ABCDEF))
    c = [np.arange(1000, dtype=u64), *[np.zeros(1000, u64)] * 3]
    k0, k1 = 0x89ABCDEF, 0x1234567
    for _ in range(10):
        a, b = c[0] * u64(0xD2511F53), c[2] * u64(0xCD9E8D57)
        c = [(b >> u64(32)) ^ c[1] ^ u64(k0), b & u64(ALL), (a >> u64(32)) ^ c[3] ^ u64(k1), a & u64(ALL)]
        k0, k1 = k0 + 0x9E3779B9 & ALL, k1 + 0xBB67AE85 & ALL
    assert np.array_equal(out.numpy(1000, u32), c[0].astype(u32))


def mixed(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D & ALL
    x ^= x >> 15
    x = x * 0x846CA68B & ALL
    return x ^ (x >> 16)


def wandered(seed: int) -> int:
    """The kernel `wander`: loops, breaks, continues and returns that each lane takes differently."""
    a, acc, leave = mixed(seed), 1, False
    for i in range(a % 37):
        a = mixed(a + i & ALL)
        if a & 1:
            if a & 2:
                continue
            acc = acc + a & ALL
        else:
            j = 0
            while (a >> j) & 3:
                acc ^= a << (j & 7) & ALL
                j += 1
                if j > 12:
                    break
                if acc & 0xFF == 7:
                    leave = True
                    break
            if leave:
                break
        if (a >> 8) % 11 == 3:
            break
        rest = signed(acc) - truncated(signed(acc), 5) * 5
        acc = acc * 31 + truncated(signed(a), (a & 7) + 1) + rest & ALL
        if acc & 1023 == 5:
            return acc
    k = acc % 9
    while k:
        acc = acc + (mixed(k) >> (k & 3)) & ALL
        k >>= 1
    return acc ^ a


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_divergence(sim, monkeypatch, order):
    monkeypatch.setenv("CUDASIM_ORDER", order)
    out = sim.buffer(8000)
    sim.launch("divergence", 16, 128, out, i32(2000), u32(17))
    assert out.numpy(2000, u32).tolist() == [wandered(17 + i * 7919) for i in range(2000)]


# ---- fragments: the formulas of the PTX manual, section "Matrix fragments" ----


@pytest.mark.parametrize("form", ["x1", "x2", "x4", "x1_trans", "x2_trans", "x4_trans"])
def test_ldmatrix(sim, form):
    """Register r of a lane: matrix r, row lane / 4, elements 2 (lane % 4) and the next; lanes 8 r to 8 r + 7 give the rows
    of matrix r. With .trans each matrix is transposed as it is loaded."""
    count = int(form[1])
    rows = np.arange(256, dtype=u16).reshape(32, 8) * 3 + 1  # row l is the one whose address lane l gives
    out = sim.buffer(4 * 32 * count)
    sim.launch(f"ldmatrix_{form}", 1, 32, sim.buffer(rows), out)
    got = out.numpy((count, 32), u32)
    for r in range(count):
        matrix = rows[8 * r : 8 * r + 8]
        if form.endswith("trans"):
            matrix = matrix.T
        for lane in range(32):
            low, high = matrix[lane // 4][2 * (lane % 4)], matrix[lane // 4][2 * (lane % 4) + 1]
            assert got[r][lane] == int(low) | int(high) << 16, (r, lane)


def a_place(shape: str, lane: int, i: int) -> tuple[int, int]:
    """(row, column) of element a_i of a lane, as the manual writes it."""
    group, t = lane >> 2, lane % 4
    if shape == "m16n8k16":  # .f16 and .bf16
        row = group if 0 <= i < 2 or 4 <= i < 6 else group + 8
        return row, t * 2 + (i & 1) if i < 4 else t * 2 + (i & 1) + 8
    if shape == "m16n8k8":  # .f16 and .bf16
        return (group if i < 2 else group + 8), t * 2 + (i & 1)
    if shape == "m16n8k8.tf32":
        return (group if i in (0, 2) else group + 8), (t if i < 2 else t + 4)
    assert shape == "m16n8k4.tf32"
    return (group if i == 0 else group + 8), t


def b_place(shape: str, lane: int, i: int) -> tuple[int, int]:
    """(row, column) of element b_i of a lane."""
    group, t = lane >> 2, lane % 4
    if shape == "m16n8k16":
        return (t * 2 + (i & 1) if i < 2 else t * 2 + (i & 1) + 8), group
    if shape == "m16n8k8":
        return t * 2 + i, group
    if shape == "m16n8k8.tf32":
        return (t if i == 0 else t + 4), group
    assert shape == "m16n8k4.tf32"
    return t, group


def c_place(lane: int, i: int) -> tuple[int, int]:
    """(row, column) of element c_i and d_i, in all of these shapes."""
    group, t = lane >> 2, lane % 4
    return (group if i < 2 else group + 8), t * 2 + (i & 1)


MMA = {  # kernel: shape, K, elements of A and of B a lane, type
    "mma_bf16_m16n8k16": ("m16n8k16", 16, 8, 4, "bf16"),
    "mma_f16_m16n8k16": ("m16n8k16", 16, 8, 4, "f16"),
    "mma_bf16_m16n8k8": ("m16n8k8", 8, 4, 2, "bf16"),
    "mma_f16_m16n8k8": ("m16n8k8", 8, 4, 2, "f16"),
    "mma_tf32_m16n8k8": ("m16n8k8.tf32", 8, 4, 2, "tf32"),
    "mma_tf32_m16n8k4": ("m16n8k4.tf32", 4, 2, 1, "tf32"),
}


def registers(matrix: np.ndarray, place, shape: str, elements: int, kind: str) -> np.ndarray:
    """The lanes' registers of a matrix: [register][lane]; two 16-bit elements a register, the first below."""
    if kind == "tf32":
        return np.array([[matrix[place(shape, lane, i)] for lane in range(32)] for i in range(elements)], F32).view(u32)
    bits = to_bf16(matrix) if kind == "bf16" else matrix.astype(np.float16).view(u16)
    halves = np.array([[bits[place(shape, lane, i)] for lane in range(32)] for i in range(elements)], u32)
    return np.ascontiguousarray(halves[0::2] | halves[1::2] << 16)


@pytest.mark.parametrize("kernel", MMA)
def test_mma(sim, rng, kernel):
    """With small integers every sum is exact, so that an element in a wrong place shows."""
    shape, k, a_elements, b_elements, kind = MMA[kernel]
    a, b = rng.integers(-8, 9, (16, k)).astype(F32), rng.integers(-8, 9, (k, 8)).astype(F32)
    c = rng.integers(-64, 65, (16, 8)).astype(F32)
    places = {a_place(shape, lane, i) for lane in range(32) for i in range(a_elements)}
    assert len(places) == 16 * k  # each element once
    c_registers = np.array([[c[c_place(lane, i)] for lane in range(32)] for i in range(4)], F32)
    out = sim.buffer(4 * 128)
    inputs = [
        registers(a, a_place, shape, a_elements, kind),
        registers(b, b_place, shape, b_elements, kind),
        c_registers,
    ]
    sim.launch(kernel, 1, 32, *[sim.buffer(x) for x in inputs], out)
    got, expected = out.numpy((4, 32), F32), a @ b + c
    for lane in range(32):
        for i in range(4):
            assert got[i][lane] == expected[c_place(lane, i)], (lane, i)


@pytest.mark.parametrize("position", range(8))
def test_mma_of_one_element(sim, position):
    """One element of A at a time, for each lane: it meets the row of B that its column says."""
    lane_of = [0, 5, 10, 15, 19, 22, 28, 31]
    b = np.arange(128, dtype=F32).reshape(16, 8) - 60
    zero = sim.buffer(np.zeros((4, 32), F32))
    b_registers = sim.buffer(registers(b, b_place, "m16n8k16", 4, "bf16"))
    for lane in lane_of:
        halves = np.zeros((8, 32), u32)
        halves[position][lane] = to_bf16(np.array([1.0], F32))[0]
        out = sim.buffer(4 * 128)
        a_registers = sim.buffer(np.ascontiguousarray(halves[0::2] | halves[1::2] << 16))
        sim.launch("mma_bf16_m16n8k16", 1, 32, a_registers, b_registers, zero, out)
        got = out.numpy((4, 32), F32)
        row, column = a_place("m16n8k16", lane, position)
        expected = np.zeros((16, 8), F32)
        expected[row] = b[column]
        for other in range(32):
            for i in range(4):
                assert got[i][other] == expected[c_place(other, i)], (lane, other, i)
