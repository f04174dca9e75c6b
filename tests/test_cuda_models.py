"""Modules, optimizers, autocast and the trainer on a CUDA device, and that training waits for nothing."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import engine
from engine import _core, nn, optim
from engine.nn import functional as F
from engine.notices import say_once


def waits() -> int:
    return engine.cuda.memory_stats()["host_waits"]


# ---------------------------------------------------------------- modules and optimizers


def test_modules_move(cuda):
    net = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    net.register_buffer("counts", engine.tensor([1, 2]))
    names = {id(p) for p in net.parameters()}
    assert net.to("cuda") is net and {id(p) for p in net.parameters()} == names
    assert all(t.is_cuda for t in [*net.parameters(), *net.buffers()])
    net.to("cuda", engine.bfloat16)
    assert net[0].weight.dtype is engine.bfloat16 and net.counts.dtype is engine.int64
    net.float().cpu()
    assert all(t.is_cpu and t.dtype is not engine.bfloat16 for t in net.parameters())
    engine.manual_seed(0)
    here = nn.Linear(4, 3)
    engine.manual_seed(0)
    there = nn.Linear(4, 3, device="cuda")
    assert there.weight.is_cuda and there.weight.tolist() == here.weight.tolist()
    for layer in (
        nn.Embedding(5, 2, padding_idx=0, device="cuda"),
        nn.LayerNorm(3, device="cuda"),
        nn.RMSNorm(3, device="cuda"),
        nn.MultiheadAttention(4, 2, device="cuda"),
        nn.TransformerEncoderLayer(4, 2, 8, device="cuda"),
    ):
        assert all(p.is_cuda for p in layer.parameters())


def test_states_cross_devices(cuda, tmp_path):
    from engine.serialization import load_file, save_file

    here, there = nn.Linear(3, 2), nn.Linear(3, 2, device="cuda")
    there.load_state_dict(here.state_dict())
    assert there.weight.is_cuda and there.weight.tolist() == here.weight.tolist()
    save_file(there.state_dict(), tmp_path / "x.safetensors")
    loaded = load_file(tmp_path / "x.safetensors")
    assert loaded["weight"].is_cpu and loaded["weight"].tolist() == here.weight.tolist()
    here.weight.data.fill_(0.0)
    here.load_state_dict(there.state_dict())
    assert here.weight.tolist() == loaded["weight"].tolist()


OPTIMIZERS = [
    lambda p: optim.AdamW(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_optimizers(cuda, make):
    values, gradients = np.linspace(-1, 1, 7, dtype=np.float32), np.linspace(2, -1, 7, dtype=np.float32)
    ends = []
    for device in ("cpu", "cuda"):
        p = engine.tensor(values, device=device, requires_grad=True)
        optimizer = make([p])
        for _ in range(3):
            p.grad = engine.tensor(gradients, device=device)
            scale = engine.tensor(0.5, device=device)
            before = waits()
            optimizer.step(grad_scale=scale)
            assert waits() == before
        ends.append(p.tolist())
        for state in optimizer.state.values():
            assert all(v.device == p.device for v in state.values() if isinstance(v, engine.Tensor))
        again = make([engine.tensor(values, requires_grad=True)])
        again.load_state_dict(optimizer.state_dict())
        assert all(v.is_cpu for s in again.state.values() for v in s.values() if isinstance(v, engine.Tensor))
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_clipping(cuda, norm_type):
    found = []
    for device in ("cpu", "cuda"):
        params = [engine.zeros(n, device=device, requires_grad=True) for n in (3, 5)]
        for i, p in enumerate(params):
            p.grad = engine.arange(1.0, p.numel() + 1.0, device=device) * (i + 1)
        before = waits()
        norm = nn.utils.clip_grad_norm_(params, 1.5, norm_type)
        assert waits() == before and norm.device == params[0].device
        found.append([norm.item(), *[g for p in params for g in p.grad.tolist()]])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_clipping_leaves_small_gradients(cuda):
    p = engine.zeros(3, device="cuda", requires_grad=True)
    p.grad = engine.full((3,), 0.25, device="cuda")
    nn.utils.clip_grad_norm_([p], 10.0)
    assert p.grad.tolist() == [0.25] * 3


# ---------------------------------------------------------------- precision


def test_matmul_precision(cuda):
    from engine.device import cuda_backend

    assert engine.get_float32_matmul_precision() == "highest"
    try:
        for number, name in enumerate(("highest", "high", "medium")):
            engine.set_float32_matmul_precision(name)
            assert engine.get_float32_matmul_precision() == name and cuda_backend().get_matmul_precision() == number
    finally:
        engine.set_float32_matmul_precision("highest")
    with pytest.raises(ValueError, match=r"\[set_float32_matmul_precision\] precision"):
        engine.set_float32_matmul_precision("low")


def test_autocast_dtypes(cuda):
    x = engine.rand(4, 8, device="cuda")
    w, b = engine.rand(6, 8, device="cuda"), engine.rand(6, device="cuda")
    with engine.autocast(device_type="cuda", dtype=engine.bfloat16):
        assert engine.is_autocast_enabled()
        y = F.linear(x, w, b)
        assert y.dtype is engine.bfloat16 and (x @ w.T).dtype is engine.bfloat16
        assert engine.bmm(x.view(2, 2, 8), x.view(2, 8, 2)).dtype is engine.bfloat16
        assert F.linear_gelu(x, w, b).dtype is engine.bfloat16 and F.relu(y).dtype is engine.bfloat16
        q = engine.rand(1, 2, 3, 8, device="cuda")
        assert F.scaled_dot_product_attention(q, q, q).dtype is engine.bfloat16
        assert F.layer_norm(y, (6,)).dtype is F.softmax(y, -1).dtype is y.exp().dtype is engine.float32
        assert y.sum().dtype is (y**2).dtype is F.log_softmax(y, -1).dtype is engine.float32
        assert F.cross_entropy(y, engine.tensor([0, 1, 2, 3], device="cuda")).dtype is engine.float32
        assert F.dropout_add_layer_norm(y, b.expand(4, 6), b, b, 0.0).dtype is engine.float32
        assert (y + b).dtype is engine.float32
        with engine.autocast(enabled=False):
            assert F.linear(x, w).dtype is engine.float32
        assert F.linear(x, w).dtype is engine.bfloat16
        here = x.cpu()
        assert F.linear(here, w.cpu()).dtype is engine.float32
        seen = []
        thread = threading.Thread(target=lambda: seen.append(engine.is_autocast_enabled()))
        thread.start()
        thread.join()
        assert seen == [False]
    assert not engine.is_autocast_enabled() and F.linear(x, w).dtype is engine.float32

    @engine.autocast(dtype=engine.bfloat16)
    def product():
        return F.linear(x, w)

    assert product().dtype is engine.bfloat16


def test_autocast_off_the_device():
    x = engine.ones(2, 2)
    say_once.cache_clear()
    with pytest.warns(UserWarning, match="changes nothing on the CPU"):
        on_cpu = engine.autocast("cpu")
    for region in (engine.autocast(), on_cpu, engine.autocast("cuda", enabled=False)):
        with region:
            assert F.linear(x, x).dtype is engine.float32
    with pytest.warns(UserWarning, match="in bfloat16, .* instead of float16"):
        engine.autocast(dtype=engine.float16)
    with pytest.raises(ValueError, match=r"\[autocast\] dtype: expected bfloat16, got float32"):
        engine.autocast(dtype=engine.float32)
    with pytest.raises(ValueError, match=r"\[device\] type"):
        engine.autocast("xla")


def test_autocast_keeps_casts_of_parameters(cuda):
    layer = nn.Linear(8, 8, device="cuda")
    x = engine.rand(2, 8, device="cuda")
    with engine.autocast():
        before = engine.cuda.memory_stats()["allocations"]
        first = layer(x)
        middle = engine.cuda.memory_stats()["allocations"]
        second = layer(x)
        assert engine.cuda.memory_stats()["allocations"] - middle == (middle - before) - 2  # weight and bias
        with engine.no_grad():
            layer.weight.zero_()  # a cast that is older than a write is not used
        assert layer(engine.ones(1, 8, device="cuda")).tolist() == [layer.bias.bfloat16().tolist()]
    (first.float().sum() + second.float().sum()).backward()
    assert layer.weight.grad.dtype is engine.float32 and layer.weight.grad.is_cuda
    expected = 2 * x.bfloat16().float().cpu().numpy().sum(0)
    np.testing.assert_allclose(layer.weight.grad.cpu().numpy(), np.tile(expected, (8, 1)), rtol=2e-2)


# ---------------------------------------------------------------- training


def classifier(device):
    from engine.models import TransformerClassifier, TransformerConfig

    engine.manual_seed(0)
    config = TransformerConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    return TransformerClassifier(config).to(device)


def batches():
    from engine.text import PackedBatch

    rng = np.random.default_rng(0)
    for lengths in ((3, 5), (1, 7, 2), (4, 4)):
        ids = [rng.integers(1, 50, n) for n in lengths]
        yield PackedBatch.from_sequences(ids, labels=rng.integers(0, 3, len(lengths)))


def test_batches_move(cuda):
    batch = next(iter(batches()))
    there = batch.to("cuda")
    assert there.device == engine.device("cuda:0") and there.labels.is_cuda and batch.device.type == "cpu"
    assert (
        there.to("cuda") is there
        and there.lengths.is_cuda
        and there.cpu().input_ids.tolist() == batch.input_ids.tolist()
    )
    assert [t.tolist() for t in there.to_padded()] == [t.tolist() for t in batch.to_padded()]
    assert batch.pin_memory().cuda(non_blocking=True).labels.tolist() == batch.labels.tolist()
    with pytest.raises(ValueError, match=r"\[PackedBatch\] position_ids: expected a tensor on cuda:0"):
        type(batch)(there.input_ids, there.cu_seqlens, batch.position_ids, batch.max_seqlen)


@pytest.mark.parametrize("low", [False, True], ids=["float32", "autocast"])
def test_a_training_step_waits_for_nothing(cuda, low):
    losses = {}
    for device in ("cpu", "cuda"):
        model = classifier(device)
        optimizer = optim.AdamW(model.parameters(), lr=1e-2)
        schedule = optim.get_linear_schedule_with_warmup(optimizer, 1, 10)
        found = []
        for i, batch in enumerate(batches()):
            before = waits()
            batch = batch.to(device, non_blocking=True)
            with engine.autocast(enabled=low):
                loss = F.cross_entropy(model(batch), batch.labels, label_smoothing=0.1)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            found.append(loss.detach())
            assert waits() == before, f"step {i} waited"
        losses[device] = [x.item() for x in found]
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=3e-2 if low else 1e-3)


def test_the_trainer(cuda, tmp_path):
    from engine.data import DataLoader
    from engine.tasks import Classification
    from engine.text import TextDataset
    from engine.train import Callback, Trainer, TrainerConfig

    rng = np.random.default_rng(1)
    data = TextDataset([rng.integers(1, 50, n) for n in (3, 5, 2, 4)], np.array([0, 1, 2, 0]))
    ends = {}

    class Count(Callback):
        """What steps waited for, apart from the log's lines."""

        def __init__(self):
            self.seen = []

        def on_step_end(self, trainer, loss):
            self.seen.append(waits())
            assert float(loss) > 0 if trainer.device.type == "cpu" else loss.is_cuda

    for device in ("cpu", "cuda"):
        count = Count()
        settings = TrainerConfig(epochs=2, lr=1e-2, device=device, log_every=10, checkpoint_every=0)
        trainer = Trainer(
            classifier("cpu"),
            Classification(),
            settings,
            DataLoader(data, 2),
            output=tmp_path / device,
            callbacks=[count],
        )
        assert trainer.device.type == device
        trainer.train()
        ends[device] = trainer.evaluate(data)["loss"]
        assert count.seen[0] == count.seen[1]  # the first step of an epoch, and the one behind it
        lines = (tmp_path / device / "log.jsonl").read_text()
        assert '"train"' in lines
    assert ends["cuda"] == pytest.approx(ends["cpu"], rel=1e-2)
    with pytest.raises(ValueError, match=r"\[Trainer\] precision"):
        Trainer(classifier("cpu"), Classification(), TrainerConfig(precision="bfloat16"), DataLoader(data, 2))


def test_indices_come_from_wherever(cuda):
    x = engine.arange(12.0, device="cuda").reshape(4, 3)
    here = x.cpu()
    for key in (
        engine.tensor([2, 0]),
        [1, 3],
        (slice(None), np.array([2, 0])),
        engine.tensor([True, False, True, False]),
        engine.tensor([2, 0], device="cuda"),
        engine.tensor(1, device="cuda"),
        (engine.tensor([0, 1]), engine.tensor([1, 2], device="cuda")),
    ):
        host = tuple(k.cpu() if isinstance(k, engine.Tensor) else k for k in key) if isinstance(key, tuple) else key
        host = host.cpu() if isinstance(host, engine.Tensor) else host
        assert x[key].is_cuda and x[key].tolist() == here[host].tolist()


def test_padded_rectangles(cuda):
    """Masks are the host's to read: one on the CPU costs no wait."""
    model, there = classifier("cpu").eval(), classifier("cuda").eval()
    ids = engine.tensor([[2, 7, 8, 3], [2, 9, 3, 0]])
    mask = engine.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    before = waits()
    y = there(ids.cuda(), mask)
    assert waits() == before
    np.testing.assert_allclose(y.detach().cpu().numpy(), model(ids, mask).detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(there(ids.cuda(), mask.cuda()).tolist(), y.tolist())
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x, padding = engine.rand(2, 4, 8), mask == 0
    wanted = layer(x, src_key_padding_mask=padding)
    found = copy.deepcopy(layer).cuda()(x.cuda(), src_key_padding_mask=padding.cuda())
    np.testing.assert_allclose(found.detach().cpu().numpy(), wanted.detach().numpy(), atol=1e-5)


def test_the_command_names_devices(cuda):
    from click.testing import CliRunner

    from engine.commands import cli

    shown = CliRunner().invoke(cli, ["info"])
    assert shown.exit_code == 0 and "cuda:0:" in shown.output and engine.cuda.get_device_name() in shown.output
    refused = CliRunner().invoke(cli, ["predict", ".", "text", "--device", "cuda:9"])
    assert refused.exit_code == 2 and "expected a device number below" in refused.output


def test_dlpack_of_the_core_array_says_where_it_is(cuda):
    assert _core.empty((2,), _core.float32, 0).__dlpack_device__() == (2, 0)
