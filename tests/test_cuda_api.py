"""What users see of CUDA: devices, and tensors on them (modules and training: tests/test_cuda_models.py). Which numbers ops
give is tests/test_specs_cuda.py's business."""

from __future__ import annotations

import copy
import ctypes
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

import engine
from engine import nn
from engine.nn import functional as F


def waits() -> int:
    return engine.cuda.memory_stats()["host_waits"]


# ---------------------------------------------------------------- devices


def test_devices_as_values():
    assert engine.device("cuda:1") == engine.device("cuda", 1) == engine.device(1)
    assert engine.device("cuda") != engine.device("cuda:0") and engine.device("cpu").index is None
    assert str(engine.device("cuda:1")) == "cuda:1" and repr(engine.device("cuda")) == "device(type='cuda')"
    assert repr(engine.device(2)) == "device(type='cuda', index=2)"
    assert len({engine.device("cuda:0"), engine.device("cuda", 0), engine.device("cpu")}) == 2
    assert pickle.loads(pickle.dumps(engine.device("cuda:1"))) == engine.device("cuda:1")
    for wrong in ("xla", "cuda:", "cuda:x", "cpu:1", "cuda:-1", None, 1.5):
        with pytest.raises(ValueError, match=r"^\[device\]"):
            engine.device(wrong)


def test_nothing_is_loaded_before_it_is_asked_for():
    code = """
import sys, engine
engine.set_float32_matmul_precision("high")
x = engine.ones(2, device="cpu").to("cpu")
engine.nn.Linear(2, 2)(x.reshape(1, 2)).sum().backward()
with engine.autocast(): engine.nn.Linear(2, 2)(x.reshape(1, 2))
assert "engine._cuda" not in sys.modules
assert not any("libcuda" in line for line in open("/proc/self/maps"))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(find_spec("engine._cuda") is None, reason="this build has no CUDA backend: nvcc was not found")
def test_a_precision_set_before_the_backend_is_loaded_reaches_it():
    code = """
import engine
from engine.device import cuda_backend
engine.set_float32_matmul_precision("high")
assert engine.get_float32_matmul_precision() == "high" and cuda_backend().get_matmul_precision() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_driver_is_a_clear_error():
    code = """
import engine
assert not engine.cuda.is_available() and engine.cuda.device_count() == 0 and engine.cuda.why_unavailable()
for call in (lambda: engine.ones(2).to("cuda"), lambda: engine.zeros(2, device="cuda"), engine.cuda.synchronize,
             lambda: engine.nn.Linear(2, 2).cuda(), engine.cuda.current_device):
    try:
        call()
    except RuntimeError as error:
        assert str(error).startswith("[device] type: expected a "), error
    else:
        raise AssertionError(call)
engine.cuda.empty_cache()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "ENGINE_CUDA_DRIVER": "/nowhere.so"})


def test_what_is_known_of_the_device(cuda):
    assert engine.cuda.is_available() and engine.cuda.device_count() >= 1 and engine.cuda.is_bf16_supported()
    properties = engine.cuda.get_device_properties("cuda:0")
    assert properties.name == engine.cuda.get_device_name(0) and properties.total_memory > 0
    assert engine.cuda.get_device_capability() == (properties.major, properties.minor) >= (8, 0)
    free, total = engine.cuda.mem_get_info()
    assert 0 < free <= total
    assert engine.cuda.current_device() == 0
    with engine.cuda.device(0):
        assert engine.ones(1, device="cuda").device == engine.device("cuda:0")
    engine.cuda.set_device("cuda:0")
    with pytest.raises(ValueError, match=r"device: expected a device number below"):
        engine.ones(1).to("cuda:15")
    with pytest.raises(ValueError, match=r"\[synchronize\] device: expected a CUDA device, got 'cpu'"):
        engine.cuda.synchronize("cpu")


# ---------------------------------------------------------------- tensors


def test_there_and_back(cuda):
    x = engine.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.to("cuda")
    assert y.device == engine.device("cuda:0") and y.is_cuda and not y.is_cpu and y.get_device() == 0
    assert y.to("cuda") is y and y.cuda() is y and y.to(engine.device("cuda:0"), engine.float32) is y
    assert y.cpu().tolist() == x.tolist() == y.tolist() and x.cpu() is x and y.to(x).device == x.device
    assert y[1, 0].item() == 3.0 and float(y[0, 1]) == 2.0 and y.T.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert "device='cuda:0'" in repr(y) and repr(y.cpu()) == repr(x)
    assert y.to("cpu", engine.float64).dtype is engine.float64
    assert engine.tensor([1.5], dtype=engine.float64).to("cuda", engine.float32).tolist() == [1.5]
    for dtype in (engine.int64, engine.int32, engine.uint8, engine.bool, engine.float16, engine.bfloat16):
        assert engine.tensor([0, 1]).to(dtype).cuda().to(engine.float32).tolist() == [0.0, 1.0]
    assert copy.deepcopy(y).device == y.device and pickle.loads(pickle.dumps(y)).device == y.device
    assert y.clone().device == y.device and y.contiguous() is y


def test_numpy_needs_the_cpu(cuda):
    y = engine.ones(2, device="cuda")
    for call in (y.numpy, lambda: np.asarray(y), lambda: np.array(y), lambda: np.add(1, y)):
        with pytest.raises(
            TypeError, match=r"\[numpy\] self: expected a tensor on the CPU, got one on cuda:0.*\.cpu\(\)"
        ):
            call()


def test_float64_stays_on_the_cpu(cuda):
    for call in (
        lambda: engine.ones(2, dtype=engine.float64).to("cuda"),
        lambda: engine.ones(2, device="cuda").double(),
        lambda: engine.zeros(2, dtype=engine.float64, device="cuda"),
        lambda: engine.tensor(np.ones(2), device="cuda"),
        lambda: engine.rand(2, dtype=engine.float64, device="cuda"),
        lambda: nn.Linear(2, 2, dtype=engine.float64).cuda(),
        lambda: engine.arange(3.0, dtype=engine.float64, device="cuda"),
    ):
        with pytest.raises(
            TypeError, match=r"expected one that cuda:0 computes in, got float64 \(float64 stays on the CPU\)"
        ):
            call()


def test_gradcheck_is_for_the_cpu(cuda):
    x = engine.ones(33, 32, device="cuda", requires_grad=True)
    with pytest.raises(
        ValueError, match=r"\[gradcheck\] inputs\[0\]: expected a float64 tensor on the CPU, got one on cuda:0"
    ):
        engine.autograd.gradcheck(lambda x: x * x, x)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), engine.from_dlpack])
def test_duplicates_stay_on_the_device(cuda, duplicate):
    x = engine.randn(33, 35, device="cuda")
    for each in (x, x[1:, ::2], x.bfloat16()):
        y = duplicate(each)
        assert y.device == x.device and y.dtype is each.dtype and y.tolist() == each.tolist()
    y = duplicate(x)
    y.fill_(2.0)  # DLPack shares memory, copies do not
    assert (x[0, 0].item() == 2.0) == (duplicate is engine.from_dlpack)


def test_gradients_come_back_to_the_source(cuda):
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    y = x.to("cuda", engine.bfloat16)
    (y.to("cpu", engine.float32) * 3).backward(engine.ones(2))
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.device == x.device
    z = engine.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (z.cpu() * 2).backward(engine.ones(2))
    assert z.grad.is_cuda and z.grad.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match=r"\[grad\] value: expected a tensor on cuda:0"):
        z.grad = engine.ones(2)
    with pytest.raises(ValueError, match=r"\[backward\] gradient: expected a tensor on cuda:0"):
        (z * 2).backward(engine.ones(2))


def test_a_zero_dim_tensor_of_the_cpu_may_stand_beside(cuda):
    x, s = engine.ones(3, device="cuda", requires_grad=True), engine.tensor(2.0, requires_grad=True)
    y = x * s
    assert y.is_cuda and y.tolist() == [2.0] * 3
    y.backward(engine.ones(3, device="cuda"))
    assert s.grad.is_cpu and s.grad.item() == 3.0 and x.grad.tolist() == [2.0] * 3


def test_other_devices_are_refused_in_the_name_of_the_op(cuda):
    x, y = engine.ones(2, 2), engine.ones(2, 2, device="cuda")
    for op, call in (
        ("add", lambda: x + y),
        ("mul", lambda: y * x),
        ("matmul", lambda: y @ x),
        ("linear", lambda: F.linear(y, x)),
        ("layer_norm", lambda: F.layer_norm(y, (2,), engine.ones(2))),
        ("embedding", lambda: F.embedding(engine.tensor([0]), y)),
    ):
        with pytest.raises(ValueError, match=rf"^\[{op}\] \w+: expected an array on cuda:0, got one on cpu"):
            call()


def test_factories_make_on_the_device(cuda):
    for make in (
        lambda **d: engine.zeros(2, 3, **d),
        lambda **d: engine.ones(2, dtype=engine.int64, **d),
        lambda **d: engine.full((2,), 2**60 + 1, **d),
        lambda **d: engine.tensor([[1, 2]], **d),
        lambda **d: engine.as_tensor(np.arange(3), **d),
        lambda **d: engine.arange(5, **d),
        lambda **d: engine.arange(0.0, 1.0, 0.25, **d),
        lambda **d: engine.arange(0.0, 3.0, 0.5, dtype=engine.int32, **d),
        lambda **d: engine.arange(0.0, 1.0, 0.25, dtype=engine.bfloat16, **d),
        lambda **d: engine.linspace(0.0, 1.0, 5, **d),
        lambda **d: engine.eye(3, 4, **d),
    ):
        here, there = make(), make(device="cuda")
        assert there.is_cuda and there.dtype is here.dtype and there.tolist() == here.tolist()
    x = engine.ones(2, device="cuda")
    for y in (
        engine.zeros_like(x),
        engine.ones_like(x),
        engine.empty_like(x),
        engine.full_like(x, 3),
        x.new_zeros(2),
        x.new_ones(2),
        x.new_empty(2),
        x.new_full((2,), 1.0),
        x.new_tensor([1.0]),
    ):
        assert y.device == x.device
    assert engine.zeros_like(x, device="cpu").is_cpu and x.new_zeros(1, device="cpu").is_cpu
    assert engine.empty(2, device="cuda").is_cuda and engine.ones(1, device="cuda", requires_grad=True).requires_grad


def test_random_numbers_are_those_of_the_cpu(cuda):
    for make in (
        lambda **d: engine.rand(33, **d),
        lambda **d: engine.randint(0, 100, (33,), **d),
        lambda **d: engine.randperm(17, **d),
        lambda **d: engine.rand(5, dtype=engine.bfloat16, **d),
    ):
        engine.manual_seed(3)
        here = make()
        engine.manual_seed(3)
        there = make(device="cuda")
        assert there.is_cuda and there.tolist() == here.tolist()
    engine.manual_seed(3)
    here = engine.randn(33)
    engine.cuda.manual_seed(3)
    there = engine.randn(33, device="cuda")
    np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), rtol=1e-5, atol=1e-6)


def test_copies_in_place_cross_devices(cuda):
    x = engine.zeros(2, 3, device="cuda")
    x.copy_(engine.arange(3.0))
    assert x.tolist() == [[0.0, 1.0, 2.0]] * 2
    y = engine.zeros(3, 2, dtype=engine.float64)
    y.T.copy_(x)
    assert y.tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    x[0] = engine.tensor([5.0, 6.0, 7.0])
    x[1, 0] = 9
    x[1, 1:] = [1.0, 2.0]
    assert x.tolist() == [[5.0, 6.0, 7.0], [9.0, 1.0, 2.0]]
    source = engine.ones(3, requires_grad=True)
    z = engine.zeros(3, device="cuda")
    z.copy_(source)
    z.backward(engine.full((3,), 2.0, device="cuda"))
    assert source.grad.tolist() == [2.0] * 3


def test_pinned_memory(cuda):
    x = engine.arange(6.0).reshape(2, 3)
    p = x.pin_memory()
    assert p.is_pinned() and not x.is_pinned() and p.pin_memory() is p and p.tolist() == x.tolist() and p.is_cpu
    before = waits()
    y = p.to("cuda", non_blocking=True)
    z = engine.zeros(2, 3, device="cuda")
    z.copy_(p, non_blocking=True)
    del p
    assert waits() == before
    assert y.tolist() == z.tolist() == x.tolist()
    with pytest.raises(ValueError, match=r"\[pin_memory\]"):
        y.pin_memory()


def test_events_and_memory(cuda):
    start, end = (engine.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    x = engine.ones(1000, device="cuda")
    end.record()
    end.synchronize()
    assert start.query() and end.query() and start.elapsed_time(end) >= 0
    with pytest.raises(ValueError, match=r"\[elapsed_time\] end_event"):
        start.elapsed_time(engine.cuda.Event())
    stats = engine.cuda.memory_stats()
    assert stats["allocated_bytes"] == engine.cuda.memory_allocated() >= 4000
    assert engine.cuda.max_memory_allocated() >= engine.cuda.memory_allocated()
    assert engine.cuda.max_memory_reserved() >= engine.cuda.memory_reserved() >= engine.cuda.memory_allocated()
    del x
    engine.cuda.reset_peak_memory_stats()
    assert engine.cuda.max_memory_allocated() == engine.cuda.memory_allocated()
    engine.cuda.empty_cache()


def test_waits_are_counted(cuda):
    x = engine.ones(2, device="cuda")
    before = waits()
    y = engine.tensor([1.0, 2.0]).to("cuda")  # staged
    assert waits() == before
    y.cpu()
    x.tolist()
    x[0].item()
    engine.cuda.synchronize()
    assert waits() == before + 4


def test_dlpack(cuda):
    x = engine.arange(6.0, device="cuda").reshape(2, 3)
    assert x.__dlpack_device__() == (2, 0)
    y = engine.from_dlpack(x)
    assert y.is_cuda and y.data_ptr() == x.data_ptr() and y.tolist() == x.tolist()
    assert engine.from_dlpack(x.T).tolist() == x.T.tolist()
    assert engine.tensor(x.__dlpack__(stream=1, max_version=(1, 0)) and x).is_cuda
    host = np.from_dlpack(Host(x))
    assert host.tolist() == x.tolist()
    driver, made = ctypes.CDLL(os.environ.get("ENGINE_CUDA_DRIVER", "libcuda.so.1")), ctypes.c_void_p()
    assert driver.cuStreamCreate(ctypes.byref(made), 1) == 0
    for stream in (None, 1, -1, made.value):
        x.__dlpack__(stream=stream)
    with pytest.raises(ValueError, match=r"\[__dlpack__\] stream"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError, match="copy"):
        x.__dlpack__(dl_device=(1, 0), copy=False)


class Host:
    """Asks for the CPU, as NumPy 2.1 does with device="cpu"."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **options):
        return self.x.__dlpack__(dl_device=(1, 0), max_version=options.get("max_version"))

    def __dlpack_device__(self):
        return 1, 0
