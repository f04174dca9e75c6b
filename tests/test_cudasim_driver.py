"""The stand-in driver itself: order of streams, pinned and pageable copies, allocation in stream order, errors, contexts, fork,
images. Where a real driver may do something else in the same place, a comment says so."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cudasim.harness import CudaError, nvcc

pytest_plugins = ["cudasim.fixtures"]

TESTS = Path(__file__).parent

PTR, INT, UINT, F = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_float
SIZE, POINTER = ctypes.c_size_t, ctypes.c_uint64
ref = ctypes.byref
N = 64
F32 = np.dtype(np.float32)

PTX = b"""
.version 8.0
.target sm_80
.address_size 64
.visible .entry fill(.param .u64 p, .param .f32 v, .param .u32 n)
{ .reg .b64 %rd<4>; .reg .b32 %r<6>; .reg .f32 %f; .reg .pred %q;
  ld.param.u64 %rd1, [p]; ld.param.f32 %f, [v]; ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.u32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %q, %r5, %r1; @%q bra DONE; mul.wide.u32 %rd2, %r5, 4; add.u64 %rd3, %rd1, %rd2; st.global.f32 [%rd3], %f;
DONE: ret; }
.visible .entry scale(.param .u64 p, .param .f32 v)
{ .reg .b64 %rd<3>; .reg .b32 %r; .reg .f32 %f<3>;
  ld.param.u64 %rd1, [p]; ld.param.f32 %f1, [v]; mov.u32 %r, %tid.x; mul.wide.u32 %rd2, %r, 4; add.u64 %rd1, %rd1, %rd2;
  ld.global.f32 %f2, [%rd1]; mul.f32 %f2, %f2, %f1; st.global.f32 [%rd1], %f2; ret; }
.visible .entry strange(.param .u64 p)
{ .reg .b32 %r<3>;
  sparkle.b32 %r1, %r2; ret; }
"""
FIRST_LINE_OF_SPARKLE = 1 + PTX[: PTX.index(b"sparkle")].count(b"\n")


@pytest.fixture
def driver(sim):
    """The simulator with only the three kernels above, in a context of its own."""
    with sim.instead(PTX):
        yield sim


@pytest.fixture
def lazy(driver, monkeypatch):
    """Work in streams runs as late as it may."""
    monkeypatch.setenv("CUDASIM_ASYNC", "lazy")
    return driver


def kinds(driver) -> list[str]:
    return [f["kind"] for f in driver.findings()]


def raw(driver, name: str, *arguments) -> int:
    return getattr(driver.library, name)(*arguments)


def start(driver, kernel: str, stream, *arguments) -> int:
    """A launch of 64 threads in a stream; its error."""
    pointers = (PTR * len(arguments))(*[ctypes.cast(ref(a), PTR) for a in arguments])
    return raw(driver, "cuLaunchKernel", driver.function(kernel), 1, 1, 1, N, 1, 1, 0, stream, pointers, None)


def device(driver, size: int = 4 * N) -> ctypes.c_uint64:
    p = POINTER()
    driver.call("cuMemAlloc_v2", ref(p), SIZE(size))
    return p


def stream(driver, flags: int = 1):
    s = PTR()
    driver.call("cuStreamCreate", ref(s), flags)
    return s


def pinned(driver):
    p = PTR()
    driver.call("cuMemHostAlloc", ref(p), SIZE(4 * N), 0)
    return p, np.ctypeslib.as_array(ctypes.cast(p, ctypes.POINTER(F)), (N,))


def upload(driver, to, array, on=None) -> None:
    source = array.ctypes.data_as(PTR)
    if on is None:
        driver.call("cuMemcpyHtoD_v2", to, source, SIZE(array.nbytes))
    else:
        driver.call("cuMemcpyHtoDAsync_v2", to, source, SIZE(array.nbytes), on)


def download(driver, p) -> np.ndarray:
    out = np.zeros(N, F32)
    driver.call("cuMemcpyDtoH_v2", out.ctypes.data_as(PTR), p, SIZE(out.nbytes))
    return out


def wait(driver, s) -> None:
    driver.call("cuStreamSynchronize", s)


# ---- copies and streams, as late as the documentation allows ----


def test_pinned_source_changed_too_early(lazy):
    d, (h, a), s = device(lazy), pinned(lazy), stream(lazy)
    a[:] = 1
    lazy.call("cuMemcpyHtoDAsync_v2", d, h, SIZE(4 * N), s)
    a[:] = 2  # on a GPU a race
    wait(lazy, s)
    assert (download(lazy, d) == 2).all()


def test_pageable_source_of_an_async_copy(lazy):
    d, s, c = device(lazy), stream(lazy), np.full(N, 3, F32)
    upload(lazy, d, c, s)
    c[:] = 4  # a real driver may have staged it, or not
    wait(lazy, s)
    assert (download(lazy, d) == 4).all()


def test_synchronous_copy_is_staged(lazy):
    """From pageable memory: a non-blocking stream may run before the bytes arrive, the default stream not."""
    d, s, c = device(lazy), stream(lazy), np.full(N, 1, F32)
    upload(lazy, d, c)
    lazy.synchronize()
    c[:] = 4
    upload(lazy, d, c)
    c[:] = 5
    start(lazy, "scale", s, d, F(10))
    wait(lazy, s)
    assert (download(lazy, d) == 4).all()
    upload(lazy, d, c)
    start(lazy, "scale", None, d, F(10))
    assert (download(lazy, d) == 50).all()


def test_copy_to_pinned_memory_needs_a_wait(lazy):
    d, (h, a), s = device(lazy), pinned(lazy), stream(lazy)
    a[:] = 0
    start(lazy, "fill", s, d, F(5), UINT(N))
    lazy.call("cuMemcpyDtoHAsync_v2", h, d, SIZE(4 * N), s)
    assert (a == 0).all()
    wait(lazy, s)
    assert (a == 5).all()


def test_streams_are_ordered_by_events_only(lazy):
    d, (h, a), s1, s2, event = device(lazy), pinned(lazy), stream(lazy), stream(lazy), PTR()
    lazy.call("cuEventCreate", ref(event), 0)
    upload(lazy, d, np.full(N, 5, F32))
    lazy.synchronize()
    start(lazy, "fill", s1, d, F(6), UINT(N))
    lazy.call("cuMemcpyDtoHAsync_v2", h, d, SIZE(4 * N), s2)
    wait(lazy, s2)
    assert (a == 5).all()  # stale
    wait(lazy, s1)
    start(lazy, "fill", s1, d, F(7), UINT(N))
    lazy.call("cuEventRecord", event, s1)
    lazy.call("cuStreamWaitEvent", s2, event, 0)
    lazy.call("cuMemcpyDtoHAsync_v2", h, d, SIZE(4 * N), s2)
    wait(lazy, s2)
    assert (a == 7).all()
    assert kinds(lazy) == []


def test_queries_make_progress(lazy):
    d, s, event = device(lazy), stream(lazy), PTR()
    start(lazy, "fill", s, d, F(8), UINT(N))
    assert [raw(lazy, "cuStreamQuery", s) for _ in range(2)] == [600, 0]
    lazy.call("cuEventCreate", ref(event), 0)
    start(lazy, "fill", s, d, F(9), UINT(N))
    lazy.call("cuEventRecord", event, s)
    assert [raw(lazy, "cuEventQuery", event) for _ in range(3)] == [600, 600, 0]


def test_default_stream_waits_for_blocking_streams_only(lazy):
    d, blocking, free = device(lazy), stream(lazy, 0), stream(lazy)
    start(lazy, "fill", blocking, d, F(9), UINT(N))
    assert (download(lazy, d) == 9).all()
    start(lazy, "fill", free, d, F(10), UINT(N))
    assert (download(lazy, d) == 9).all()


def test_arguments_are_copied_at_the_launch(lazy):
    d, s, value = device(lazy), stream(lazy), F(11)
    start(lazy, "fill", s, d, value, UINT(N))
    value.value = 12
    wait(lazy, s)
    assert (download(lazy, d) == 11).all()


def test_elapsed_time(driver):
    first, last = PTR(), PTR()
    for event in (first, last):
        driver.call("cuEventCreate", ref(event), 0)
    driver.call("cuEventRecord", first, None)
    time.sleep(0.01)
    driver.call("cuEventRecord", last, None)
    elapsed = F()
    driver.call("cuEventElapsedTime", ref(elapsed), first, last)
    assert 9 < elapsed.value < 10000


# ---- memory ----


def test_use_before_a_stream_ordered_allocation(lazy):
    s1, s2, q = stream(lazy), stream(lazy), POINTER()
    lazy.call("cuMemAllocAsync", ref(q), SIZE(4 * N), s1)
    start(lazy, "fill", s2, q, F(1), UINT(N))
    wait(lazy, s2)
    assert set(kinds(lazy)) == {"use-before-alloc"}
    wait(lazy, s1)
    start(lazy, "fill", s1, q, F(1), UINT(N))
    lazy.call("cuMemFreeAsync", q, s1)
    wait(lazy, s1)
    assert kinds(lazy) == []  # use, then free, in order
    start(lazy, "scale", s1, q, F(2))
    wait(lazy, s1)
    assert set(kinds(lazy)) == {"use-after-free"}


def test_free_waits_for_pending_work(lazy):
    d, s = device(lazy), stream(lazy)
    start(lazy, "fill", s, d, F(3), UINT(N))
    lazy.call("cuMemFree_v2", d)
    assert kinds(lazy) == []


def test_memory_nobody_wrote(driver):
    start(driver, "scale", None, device(driver), F(2))
    assert kinds(driver) == ["global-uninit"]


def test_copy_outside_an_allocation(driver):
    d, out = device(driver), np.zeros(N + 1, F32)
    assert raw(driver, "cuMemcpyDtoH_v2", out.ctypes.data_as(PTR), d, SIZE(out.nbytes)) == 1
    assert kinds(driver) == ["bad-copy"]


def test_memset(driver):
    d = device(driver)
    driver.call("cuMemsetD32_v2", d, UINT(0x3F800000), SIZE(N))
    start(driver, "scale", None, d, F(2))
    assert (download(driver, d) == 2).all()
    assert kinds(driver) == []


def test_device_to_device_copy_carries_what_is_written(driver):
    written, empty, to = device(driver), device(driver), device(driver)
    upload(driver, written, np.ones(N, F32))
    driver.call("cuMemcpyDtoD_v2", to, written, SIZE(4 * N))
    assert (download(driver, to) == 1).all() and kinds(driver) == []
    driver.call("cuMemcpyDtoD_v2", to, empty, SIZE(4 * N))
    download(driver, to)
    assert kinds(driver) == ["uninit-to-host"]


def test_out_of_memory(driver):
    assert raw(driver, "cuMemAlloc_v2", ref(POINTER()), SIZE(1 << 40)) == 2


def test_freed_memory_is_used_again(driver):
    """12 GiB piece by piece in an arena of 4 GiB."""

    def available() -> int:
        free = SIZE()
        driver.call("cuMemGetInfo_v2", ref(free), ref(SIZE()))
        return free.value

    before = available()
    for _ in range(3000):
        driver.call("cuMemFree_v2", device(driver, 1 << 22))
    assert available() == before


def test_pointer_attributes(driver):
    kind, ordinal = UINT(), INT(9)
    d, (h, _) = device(driver), pinned(driver)
    driver.call("cuPointerGetAttribute", ref(kind), 2, d)
    assert kind.value == 2  # device
    driver.call("cuPointerGetAttribute", ref(ordinal), 9, d)
    assert ordinal.value == 0
    driver.call("cuPointerGetAttribute", ref(kind), 2, POINTER(h.value))
    assert kind.value == 1  # host
    pageable = np.zeros(4, F32)
    assert raw(driver, "cuPointerGetAttribute", ref(kind), 2, POINTER(pageable.ctypes.data)) == 1
    driver.call("cuMemFreeHost", h)
    assert raw(driver, "cuMemFreeHost", h) == 1


# ---- errors ----


def test_error_stays_until_the_context_is_reset(lazy):
    """The launch says nothing, the wait says it, and then every call."""
    s = stream(lazy)
    assert start(lazy, "scale", s, POINTER(0x1000), F(1)) == 0
    assert raw(lazy, "cuStreamSynchronize", s) == 700
    assert raw(lazy, "cuMemAlloc_v2", ref(POINTER()), SIZE(4)) == 700
    old = lazy.function("scale")
    lazy.library.cuDevicePrimaryCtxReset_v2(0)
    p = device(lazy)
    arguments = (PTR * 2)(ctypes.cast(ref(p), PTR), ctypes.cast(ref(F(1)), PTR))
    assert raw(lazy, "cuLaunchKernel", old, 1, 1, 1, N, 1, 1, 0, None, arguments, None) == 400
    assert kinds(lazy) == ["host-access"]


def test_eager_launch_returns_its_error(driver):
    """As with CUDA_LAUNCH_BLOCKING=1."""
    assert start(driver, "scale", None, POINTER(0x1000), F(1)) == 700


def test_wrong_launches(driver):
    scale = driver.function("scale")
    p = device(driver)
    arguments = (PTR * 2)(ctypes.cast(ref(p), PTR), ctypes.cast(ref(F(1)), PTR))
    for geometry in ((0, 1, 1, N, 1, 1), (1, 65536, 1, N, 1, 1), (1, 1, 1, 2048, 1, 1), (1, 1, 1, 1, 1, 128)):
        assert raw(driver, "cuLaunchKernel", scale, *geometry, 0, None, arguments, None) == 1
    assert raw(driver, "cuLaunchKernel", scale, 1, 1, 1, N, 1, 1, 60000, None, arguments, None) == 1
    assert raw(driver, "cuLaunchKernel", scale, 1, 1, 1, N, 1, 1, 0, None, None, None) == 1
    assert set(kinds(driver)) == {"launch"}


def test_shared_memory_above_48_kib_must_be_asked_for(driver):
    scale = driver.function("scale")
    driver.call("cuFuncSetAttribute", scale, 8, 100 * 1024)
    assert raw(driver, "cuFuncSetAttribute", scale, 8, 200 * 1024) == 1  # more than the device has
    value = INT()
    driver.call("cuFuncGetAttribute", ref(value), 8, scale)
    assert value.value == 100 * 1024


def test_parameters_of_a_kernel(driver):
    offset, size = SIZE(), SIZE()
    seen = []
    while raw(driver, "cuFuncGetParamInfo", driver.function("fill"), SIZE(len(seen)), ref(offset), ref(size)) == 0:
        seen.append((offset.value, size.value))
    assert seen == [(0, 8), (8, 4), (12, 4)]


def test_error_names(driver):
    for code, name, text in (
        (0, "CUDA_SUCCESS", "no error"),
        (700, "CUDA_ERROR_ILLEGAL_ADDRESS", "illegal memory access"),
    ):
        out = ctypes.c_char_p()
        driver.call("cuGetErrorName", code, ref(out))
        assert out.value.decode() == name
        driver.call("cuGetErrorString", code, ref(out))
        assert text in out.value.decode()
    assert raw(driver, "cuGetErrorName", 12345, ref(ctypes.c_char_p())) == 1


# ---- modules ----


def test_unknown_instruction_refuses_its_kernel_only(driver):
    """The module loads, its other kernels run; the finding names the line of PTX."""
    d = device(driver)
    assert start(driver, "fill", None, d, F(1), UINT(N)) == 0
    assert kinds(driver) == []
    assert start(driver, "strange", None, d) == 801
    (found,) = driver.findings()
    assert found["kind"] == "unsupported" and found["kernel"] == "strange"
    assert found["ptx_line"] == FIRST_LINE_OF_SPARKLE and found["ptx"] == "sparkle.b32 %r1, %r2"
    assert "sparkle.b32" in found["what"]


def load(driver, image: bytes) -> tuple[int, str]:
    log = ctypes.create_string_buffer(256)
    options, values = (INT * 2)(5, 6), (PTR * 2)(ctypes.cast(log, PTR), 256)
    code = raw(driver, "cuModuleLoadDataEx", ref(PTR()), image, 2, options, values)
    return code, log.value.decode()


@pytest.mark.parametrize("magic", [b"\x7fELF", b"\x50\xed\x55\xba"], ids=["cubin", "fatbin"])
def test_machine_code_is_for_another_device(driver, magic):
    assert load(driver, magic + bytes(64)) == (209, "cudasim executes PTX only")


def test_ptx_for_a_newer_device(driver):
    code, log = load(driver, PTX.replace(b"sm_80", b"sm_90"))
    assert code == 209 and "sm_90" in log


def test_ptx_newer_than_the_driver(driver):
    assert load(driver, PTX.replace(b".version 8.0", b".version 9.3"))[0] == 222


def test_text_that_is_no_ptx(driver):
    code, log = load(driver, b"hello { }\n")
    assert code == 218 and "line 1" in log


def test_missing_label(driver):
    """Bodies are read when their kernel is asked for; a real driver refuses the module."""
    module, function = PTR(), PTR()
    driver.call("cuModuleLoadData", ref(module), PTX.replace(b"bra DONE", b"bra GONE"))
    assert raw(driver, "cuModuleGetFunction", ref(function), module, b"fill") == 218
    (found,) = driver.findings()
    assert found["kind"] == "invalid-ptx" and "GONE" in found["what"]


def test_missing_function(driver):
    assert raw(driver, "cuModuleGetFunction", ref(PTR()), driver.modules[0], b"nothing") == 500


def test_unloaded_module(driver):
    module = driver.modules[0]
    driver.call("cuModuleUnload", module)
    assert raw(driver, "cuModuleGetFunction", ref(PTR()), module, b"fill") == 400


def test_labels_and_names_end_with_their_braces(driver):
    """Inline assembly that declares the same label and registers twice."""
    block = (
        b"{ .reg .pred p; .reg .b32 t; mov.u32 t, %tid.x; setp.gt.u32 p, t, 15; @p bra L; add.u32 %r1, %r1, 1; L: }\n"
    )
    text = (
        b".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry scopes(.param .u64 out)\n"
        b"{ .reg .b64 %rd<3>; .reg .b32 %r<3>; .reg .f32 t; mov.u32 %r1, 0;\n" + block + block + b"mov.u32 %r2, %tid.x;"
        b"ld.param.u64 %rd1, [out]; mul.wide.u32 %rd2, %r2, 4; add.u64 %rd1, %rd1, %rd2; st.global.u32 [%rd1], %r1; ret; }\n"
    )
    driver.load(text)
    out = driver.buffer(4 * 32)
    driver.launch("scopes", 1, 32, out)
    assert out.numpy(32, np.int32).tolist() == [2] * 16 + [0] * 16


def test_reading_is_fast(driver, ptx):
    """20 MB of text a second and more; loading alone, which finds the kernels, far more."""
    text = ptx("kernels.cu")
    begin = time.perf_counter()
    driver.load(text)
    loaded_in = time.perf_counter() - begin
    names = [
        "gemm_f32",
        "layernorm_fwd",
        "flash_f32",
        "gemm_bf16_nt_s3",
        "gemm_tf32",
        "flash_bf16_d64",
        "flash_bf16_d128",
    ]
    begin = time.perf_counter()
    for name in names:
        driver.function(name)
    read_in = time.perf_counter() - begin
    print(f"{len(text) / 1e6:.2f} MB: {loaded_in * 1e3:.1f} ms to load, {read_in * 1e3:.1f} ms to read all bodies")
    assert len(text) / 1e6 / (loaded_in + read_in) > 5  # on a machine that others use too


# ---- processes, threads, devices ----


def test_a_new_thread_has_no_context(driver):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(raw(driver, "cuMemAlloc_v2", ref(POINTER()), SIZE(64))))
    thread.start()
    thread.join()
    assert seen == [201]


def child(library, code: str, **environment) -> str:
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program, str(library)], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PRELUDE = """
import ctypes, os
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p
l = ctypes.CDLL(sys.argv[1])
"""


def test_before_cuinit(library):
    code = PRELUDE + "print(l.cuDeviceGetCount(byref(c_int())), l.cuMemAlloc_v2(byref(c_uint64()), c_size_t(64)))"
    assert child(library, code) == "3 3"


def test_a_forked_child_has_no_cuda(library):
    code = """
    import os
    from ctypes import byref, c_size_t, c_uint64
    from cudasim.harness import Simulator
    sim = Simulator(sys.argv[1])
    pid = os.fork()
    if pid == 0:
        os._exit(sim.library.cuMemAlloc_v2(byref(c_uint64()), c_size_t(4)))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert child(library, code) == "3"


def test_no_device(library):
    assert child(library, PRELUDE + "print(l.cuInit(0))", CUDASIM_DEVICES="0") == "100"


def test_several_devices(library):
    code = """
    import ctypes
    import numpy as np
    from cudasim.harness import Simulator
    sim = Simulator(sys.argv[1])
    count, here = ctypes.c_int(), ctypes.c_int()
    sim.call("cuDeviceGetCount", ctypes.byref(count))
    seen = []
    for device in range(count.value):
        sim.retain(device)
        sim.call("cuCtxGetDevice", ctypes.byref(here))
        seen.append(here.value)
        assert sim.buffer(np.arange(4)).numpy(4, np.int64).tolist() == [0, 1, 2, 3]
    print(seen, sim.library.cuDeviceGet(ctypes.byref(here), 3))
    """
    assert child(library, code, CUDASIM_DEVICES="3") == "[0, 1, 2] 101"


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"CUDASIM_CAPABILITY": "12.0"}, "0"),
        ({"CUDASIM_CAPABILITY": "7.5"}, "209"),
        ({"CUDASIM_DRIVER": "12080"}, "0"),
        ({"CUDASIM_DRIVER": "11000"}, "222"),
    ],
)
def test_images_by_device_and_driver(library, environment, expected):
    code = f"""
    import ctypes
    from cudasim.harness import Simulator
    sim = Simulator(sys.argv[1])
    print(sim.library.cuModuleLoadData(ctypes.byref(ctypes.c_void_p()), {PTX!r}))
    """
    assert child(library, code, **environment) == expected


def test_findings_nobody_fetched_are_printed(library):
    code = f"""
    import numpy as np
    from cudasim.harness import Simulator
    sim = Simulator(sys.argv[1])
    sim.load({PTX!r})
    sim.launch("scale", 1, 64, sim.buffer(256), np.float32(2))
    """
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n" + textwrap.dedent(code)
    for log, expected in (("", True), ("off", False)):
        environment = {**os.environ, "CUDASIM_LOG": log}
        command = [sys.executable, "-c", program, str(library)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert ("global-uninit" in done.stderr) == expected


# ---- the list of functions against NVIDIA's header ----


def test_declarations_match_cuda_h(library, tmp_path):
    done = subprocess.run([nvcc(), "--dryrun", "-c", "x.cu"], capture_output=True, text=True)
    includes = [
        word.strip('"')[2:]
        for line in done.stderr.splitlines()
        if "INCLUDES=" in line
        for word in line.split("INCLUDES=")[1].split()
        if word.strip('"').startswith("-I")
    ]
    header = [i for i in includes if (Path(i) / "cuda.h").exists()]
    if not header:
        pytest.skip("no cuda.h to compare with")
    command = ["g++", "-std=c++20", "-fsyntax-only", f"-I{header[0]}", TESTS / "cudasim" / "abi_check.cc"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_harness_names_errors(driver):
    with pytest.raises(CudaError, match="CUDA_ERROR_INVALID_VALUE"):
        driver.call("cuMemAlloc_v2", ref(POINTER()), SIZE(0))
