"""PyTorch's paths beside engine's own, and names that cannot do here what they do there: they say once what happens instead."""

import subprocess
import sys
import warnings

import pytest

import engine
from engine import nn
from engine.errors import BadState
from engine.notices import say_once

PATHS = """
amp: GradScaler autocast custom_bwd custom_fwd
autograd: Function Variable
autograd.variable: Variable
backends.cuda: matmul sdp_kernel enable_flash_sdp
backends.cudnn: allow_tf32 benchmark deterministic enabled is_available version
backends.mkldnn: flags is_available
backends.mps: is_available is_built
compiler: disable is_compiling
cuda.amp: GradScaler autocast
distributed: ReduceOp all_reduce barrier get_rank get_world_size init_process_group is_available is_initialized
fx: wrap
jit: Final export ignore is_scripting script trace unused
multiprocessing: Process get_context set_start_method spawn
nn.attention: MultiheadAttention SDPBackend sdpa_kernel
nn.modules: Linear Module
nn.modules.activation: GELU MultiheadAttention
nn.modules.linear: Linear
nn.modules.loss: CrossEntropyLoss _Loss
nn.modules.module: Module
nn.modules.normalization: LayerNorm
nn.modules.utils: _pair
nn.parallel: DataParallel DistributedDataParallel
nn.parameter: Buffer Parameter
nn.utils.clip_grad: clip_grad_norm_
nn.utils.rnn: pad_sequence unpad_sequence
onnx.operators: shape_as_tensor
optim.adamw: AdamW
optim.lr_scheduler: _LRScheduler
optim.optimizer: Optimizer
random: fork_rng manual_seed
testing: assert_close
utils.checkpoint: checkpoint
utils.data.dataloader: DataLoader
utils.data.dataset: Dataset
utils.data.distributed: DistributedSampler
utils.tensorboard: SummaryWriter
"""


def test_paths_are_there_in_a_new_process_in_each_form() -> None:
    lines = [line.split(": ") for line in PATHS.split("\n") if line]
    script = "".join(f"from engine.{path} import {', '.join(names.split())}\n" for path, names in lines)
    script += "".join(f"import engine.{path}\nimport engine.{path} as m; engine.{path}\n" for path, _ in lines)
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_attributes_need_no_import() -> None:
    script = (
        "import engine as torch\ntorch.nn.parallel.DistributedDataParallel; torch.nn.modules.linear.Linear; torch.cuda.amp.autocast\n"
        "torch.backends.cudnn.benchmark; torch.utils.data.dataloader.DataLoader; torch.random.fork_rng; torch.jit.script\n"
        "torch.distributed.is_available(); torch.compile; torch.nn.parameter.Parameter; torch.cuda.LongTensor\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_it_is_said_once() -> None:
    say_once.cache_clear()
    model = nn.Linear(2, 2)
    for act in (
        lambda: engine.compile(model),
        lambda: engine.jit.script(model),
        lambda: setattr(engine.backends.cudnn, "benchmark", True),
        lambda: nn.parallel.DataParallel(model, device_ids=[0, 1]),
        lambda: engine.autocast("cpu", dtype=engine.bfloat16),
        lambda: engine.use_deterministic_algorithms(False),
    ):
        with pytest.warns(UserWarning, match="engine"):
            act()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            act()
    assert engine.backends.cudnn.benchmark is False
    with warnings.catch_warnings():  # what holds already, or is off, says nothing
        warnings.simplefilter("error")
        engine.backends.cudnn.deterministic = True
        assert engine.compile(model, disable=True) is model
        engine.autocast("cpu", enabled=False)


def test_tf32_is_the_precision_of_products() -> None:
    before = engine.get_float32_matmul_precision()
    try:
        engine.backends.cuda.matmul.allow_tf32 = True
        assert engine.get_float32_matmul_precision() == "high" and engine.backends.cudnn.allow_tf32
        engine.backends.cudnn.allow_tf32 = False
        assert engine.get_float32_matmul_precision() == "highest"
    finally:
        engine.set_float32_matmul_precision(before)


def test_a_scaler_leaves_out_infinite_steps_and_refuses_another_order() -> None:
    weight = nn.Parameter(engine.ones(2))
    sgd = engine.optim.SGD([weight], lr=1.0)
    scaler = engine.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    scaler.scale(weight.sum()).backward()
    assert weight.grad.tolist() == [4.0, 4.0]
    scaler.unscale_(sgd)
    with pytest.raises(BadState, match="a second call"):
        scaler.unscale_(sgd)
    scaler.step(sgd)
    with pytest.raises(BadState, match="a second call"):
        scaler.step(sgd)
    scaler.update()
    assert weight.tolist() == [0.0, 0.0] and scaler.get_scale() == 8.0
    weight.grad = engine.tensor([float("nan"), 1.0])
    scaler.step(sgd)
    scaler.update()
    assert weight.tolist() == [0.0, 0.0] and scaler.get_scale() == 4.0
    with pytest.raises(BadState, match="step"):
        scaler.update()
    again = engine.amp.GradScaler()
    again.load_state_dict(scaler.state_dict())
    assert again.get_scale() == 4.0


def test_a_group_of_more_processes_is_refused() -> None:
    dist = engine.distributed
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, False)
    with pytest.raises(BadState, match="expected 1, got 2"):
        dist.init_process_group("nccl", world_size=2, rank=0)
    dist.init_process_group("gloo", world_size=1, rank=0)
    try:
        value, gathered = engine.tensor([1.0, 2.0]), [engine.zeros(2)]
        dist.all_reduce(value)
        dist.all_gather(gathered, value, async_op=True).wait()
        assert value.tolist() == gathered[0].tolist() == [1.0, 2.0]
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


def test_an_endless_sampler_draws_as_it_goes() -> None:
    sampler = engine.data.RandomSampler(range(5), replacement=True, num_samples=10**10)
    drawn = [i for i, _ in zip(sampler, range(70000))]
    assert len(sampler) == 10**10 and set(drawn) == set(range(5))
    engine.manual_seed(3)
    few = list(engine.data.RandomSampler(range(9), replacement=True, num_samples=20))
    engine.manual_seed(3)
    assert few == engine.randint(0, 9, (20,)).tolist()


def test_complex_numbers_are_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="no complex numbers, and no polar"):
        engine.polar  # noqa: B018 - raises


def test_assert_close_says_where() -> None:
    close = engine.testing.assert_close
    close([engine.tensor([1.0, 2.0]), 3], [engine.tensor([1.0, 2.000001]), 3])
    with pytest.raises(AssertionError, match=r"1 of 2 elements at \[0\].*at \[1\]: 2.0 and 3.0"):
        close([engine.tensor([1.0, 2.0])], [engine.tensor([1.0, 3.0])])
    with pytest.raises(AssertionError, match="dtypes differ"):
        close(engine.tensor([1.0]), engine.tensor([1]))
    with pytest.raises(AssertionError, match="shapes differ"):
        close(engine.ones(2), engine.ones(3))
    with pytest.raises(AssertionError, match="mine"):
        close(engine.ones(2), engine.zeros(2), msg="mine")


def test_a_state_is_taken_over() -> None:
    layer, weight = nn.Linear(2, 2), engine.ones(2, 2, dtype=engine.float64)
    layer.load_state_dict({"weight": weight, "bias": engine.zeros(2)}, assign=True)
    assert layer.weight.dtype is engine.float64 and layer.weight.data_ptr() == weight.data_ptr()
    with pytest.raises(ValueError, match="mis-shaped"):
        layer.load_state_dict({"weight": engine.ones(3, 2), "bias": engine.zeros(2)}, assign=True)
    assert layer.weight.shape == (2, 2)
