"""The CUDA simulator: kernels that are right give the right numbers and no finding; every planted mistake is found."""

import ctypes

import numpy as np
import pytest

from cudasim.families import F32, FAMILIES, gemm_bf16, gemm_f32, layernorm
from cudasim.harness import CudaError, describe
from cudasim.mistakes import MISTAKES

pytest_plugins = ["cudasim.fixtures"]

i32 = np.int32


@pytest.mark.parametrize("check", ["0", "1", "plain"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_family(sim, monkeypatch, family, check):
    monkeypatch.setenv("CUDASIM_CHECK", check)
    error, _ = family(sim)
    assert error < FAMILIES[family]
    assert sim.findings() == []


@pytest.mark.parametrize("order", ["reverse", "random"])
def test_order_of_warps_changes_nothing(sim, monkeypatch, order):
    monkeypatch.setenv("CUDASIM_ORDER", order)
    error, _ = gemm_f32(sim)
    assert error < FAMILIES[gemm_f32]
    assert sim.findings() == []


@pytest.mark.parametrize("number", MISTAKES, ids=lambda n: f"{n}: {MISTAKES[n][0]}")
def test_mistake(sim, ptx, monkeypatch, number):
    """Found, with its source line; and the fast checks say what the plain ones say."""
    _, family, arguments, kinds = MISTAKES[number]
    reports = []
    for check in ("1", "plain"):
        monkeypatch.setenv("CUDASIM_CHECK", check)
        with sim.instead(ptx("kernels.cu", f"-DBUG={number}")):
            try:
                error, _ = family(sim, *arguments)
            except CudaError:
                error = np.nan
        reports.append(sim.findings())
    if kinds:
        lines = [f for f in reports[0] if f["kind"] in kinds and any(at.startswith("kernels.cu:") for at in f["at"])]
        assert lines, [describe(f) for f in reports[0]]
    else:
        assert not error < FAMILIES[family]
    # offsets in device memory differ between the runs
    seen = [[(f["kind"], f["ptx_line"], f["at"], f["other"], f["count"]) for f in r] for r in reports]
    assert seen[0] == seen[1]


# ---- counters ----


def profiled(sim, monkeypatch, kernel: str, family, *arguments) -> dict:
    monkeypatch.setenv("CUDASIM_PROFILE", "1")
    family(sim, *arguments)
    return sim.counters(kernel)


def test_counters_of_a_kernel(sim, monkeypatch):
    sim.counters("gemm_bf16_nt_s3")
    counters = profiled(sim, monkeypatch, "gemm_bf16_nt_s3", gemm_bf16, 128, 128, 64)
    assert counters["launches"] == 1
    products = [i for i in counters["instructions"] if i["ptx"].startswith("mma.sync")]
    assert sum(i["executed"] for i in products) == 128 * 128 * 64 // (16 * 8 * 16)
    assert all(i["lanes"] == 32 * i["executed"] for i in products)
    matrices = [i for i in counters["instructions"] if i["ptx"].startswith("ldmatrix")]
    assert matrices and sum(i["bank_conflicts"] for i in matrices) == 0  # rows are padded for that
    by_line = sum(line["executed"] for line in counters["lines"])
    assert counters["executed"] == by_line == sum(i["executed"] for i in counters["instructions"])
    assert sim.counters("gemm_bf16_nt_s3")["executed"] == 0  # fetched, and so cleared


def test_counters_of_sectors(sim, monkeypatch):
    sim.counters("layernorm_fwd")
    counters = profiled(sim, monkeypatch, "layernorm_fwd", layernorm, 8, 512)
    loads = [i for i in counters["instructions"] if "ld.global" in i["ptx"] and "v4" in i["ptx"]]
    assert loads and all(i["sectors"] == 16 * i["requests"] for i in loads)  # 32 lanes times 16 bytes, none wasted


def test_counters_of_bank_conflicts(sim, monkeypatch):
    monkeypatch.setenv("CUDASIM_PROFILE", "1")
    out = sim.buffer(4 * 32)
    for stride, conflicts in ((1, 0), (2, 1), (4, 3), (32, 31), (33, 0)):
        sim.counters("strided_shared")
        sim.launch("strided_shared", 1, 32, out, i32(stride))
        stores = [i for i in sim.counters("strided_shared")["instructions"] if "st.shared" in i["ptx"]]
        assert sum(i["bank_conflicts"] for i in stores) == conflicts, stride
        sim.findings()


# ---- what the driver and the checker say of other mistakes ----


@pytest.fixture
def failing(sim):
    """failing(kind, code, f): f raises that error (none: nothing) and leaves a finding of that kind."""

    def check(kind, code, f):
        name = None
        try:
            f()
            sim.synchronize()
        except CudaError as error:
            name = error.name
        found = sim.findings()
        sim.reset()
        assert name == code
        assert kind in [f["kind"] for f in found]
        return next(f for f in found if f["kind"] == kind)

    return check


def test_device_assert(sim, failing):
    found = failing("assert", "CUDA_ERROR_ASSERT", lambda: sim.launch("device_assert", 1, 32, i32(31)))
    assert "n > (int)threadIdx.x" in found["what"]


def test_endless_kernel_is_stopped(sim, failing, monkeypatch):
    monkeypatch.setenv("CUDASIM_BUDGET", "1e6")
    flag = sim.buffer(np.zeros(1, i32))
    found = failing("watchdog", "CUDA_ERROR_LAUNCH_TIMEOUT", lambda: sim.launch("endless", 1, 32, flag))
    assert any(at.startswith("opcodes.cu:") for at in found["at"])


def test_wild_pointer(sim, failing):
    failing("host-access", "CUDA_ERROR_ILLEGAL_ADDRESS", lambda: sim.launch("wild_pointer", 1, 32, sim.buffer(4)))


def test_host_pointer(sim, failing):
    host = np.zeros(64, F32)
    address = np.uint64(host.ctypes.data)
    failing("host-access", "CUDA_ERROR_ILLEGAL_ADDRESS", lambda: sim.launch("host_pointer", 1, 32, address))


def test_half_written_output(sim, failing):
    def run():
        out = sim.buffer(256)
        sim.launch("half_written", 1, 64, out, i32(64))
        out.numpy(64, F32)

    assert "128 of 256 bytes" in failing("uninit-to-host", None, run)["what"]


def test_mask_without_the_lane(sim, failing):
    out = sim.buffer(128)
    failing("warp-mask", "CUDA_ERROR_LAUNCH_FAILED", lambda: sim.launch("mask_without_me", 1, 32, out))


def test_last_block_without_fence(sim, failing):
    def run():
        x, partial = sim.buffer(np.ones(200, F32)), sim.buffer(80)
        ticket, out = sim.buffer(np.zeros(1, np.uint32)), sim.buffer(4)
        sim.launch("last_block_no_fence", 20, 64, x, partial, ticket, out, i32(200))

    failing("global-race", None, run)


def test_use_after_free(sim, failing):
    def run():
        gone = sim.buffer(np.ones(64, F32))
        sim.call("cuMemFree_v2", ctypes.c_uint64(gone.pointer))
        sim.launch("host_pointer", 1, 32, gone)

    failing("use-after-free", None, run)


def test_too_many_threads(sim, failing):
    small = sim.buffer(4)
    arguments = small, small, small, i32(1), i32(1), i32(1)
    failing("launch", "CUDA_ERROR_INVALID_VALUE", lambda: sim.launch("gemm_f32", 1, 512, *arguments))


def test_in_place_without_race(sim):
    """x[i] = f(x[i]) is no race, in elements of one, two, four and eight bytes, in whole and in ragged warps."""
    for bits, dtype in ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64)):
        for n in (256, 200, 33):
            x = sim.buffer(np.arange(n).astype(dtype))
            sim.launch(f"in_place_{bits}", 2, 128, x, i32(n))
            assert np.array_equal(x.numpy(n, dtype), np.arange(n).astype(dtype) + dtype(1))
    assert sim.findings() == []


@pytest.mark.parametrize("check", ["1", "plain"])
@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_neighbour_race(sim, monkeypatch, bits, check):
    """x[i] = x[i + 1] is one, also between the bytes of a word."""
    monkeypatch.setenv("CUDASIM_CHECK", check)
    x = sim.buffer(np.zeros(129, np.dtype(f"u{bits // 8}")))
    sim.launch(f"from_neighbour_{bits}", 1, 128, x)
    assert {f["kind"] for f in sim.findings()} == {"global-race"}


@pytest.mark.parametrize("check", ["1", "plain"])
def test_one_byte_too_far(sim, monkeypatch, check):
    monkeypatch.setenv("CUDASIM_CHECK", check)
    x = sim.buffer(np.zeros(127, np.uint8))
    sim.launch("in_place_8", 1, 128, x, i32(128))
    found = sim.findings()
    assert {f["kind"] for f in found} == {"global-oob"} and all(f["count"] == 1 for f in found)


@pytest.mark.parametrize("check", ["0", "1", "plain"])
@pytest.mark.parametrize("n", [128, 64, 37, 6, 1])
def test_ragged_cp_async(sim, monkeypatch, n, check):
    """Only the bytes that it is told to are read: of an allocation that ends with them."""
    monkeypatch.setenv("CUDASIM_CHECK", check)
    x, out = np.arange(1, n + 1, dtype=F32), sim.buffer(4 * 128)
    sim.launch("copy_ragged", 1, 32, sim.buffer(x), out, i32(n))
    assert np.array_equal(out.numpy(128, F32), np.concatenate([x, np.zeros(128 - n, F32)]))
    assert sim.findings() == []
