"""Layers, losses and initial values: shapes, arguments and mistakes always, numbers against PyTorch where it is installed
(the numbers of the ops beneath are the business of test_specs)."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import engine
from engine import nn


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def load_from(theirs, mine: nn.Module) -> nn.Module:
    mine.load_state_dict({k: engine.from_numpy(v.detach().numpy().copy()) for k, v in theirs.state_dict().items()})
    return mine


LAYERS = [
    ("Linear", lambda n: n.Linear(5, 7), (2, 3, 5)),
    ("Linear without bias", lambda n: n.Linear(5, 7, bias=False), (4, 5)),
    ("LayerNorm", lambda n: n.LayerNorm(6), (2, 3, 6)),
    ("LayerNorm plain", lambda n: n.LayerNorm((3, 6), eps=1e-3, elementwise_affine=False), (2, 3, 6)),
    ("LayerNorm without bias", lambda n: n.LayerNorm(6, bias=False), (4, 6)),
    ("RMSNorm", lambda n: n.RMSNorm(6, eps=1e-6), (4, 6)),
    ("RMSNorm default eps", lambda n: n.RMSNorm(6), (4, 6)),
    ("ReLU", lambda n: n.ReLU(), (4, 5)),
    ("LeakyReLU", lambda n: n.LeakyReLU(0.2), (4, 5)),
    ("GELU", lambda n: n.GELU(), (4, 5)),
    ("GELU tanh", lambda n: n.GELU("tanh"), (4, 5)),
    ("SiLU", lambda n: n.SiLU(), (4, 5)),
    ("Sigmoid", lambda n: n.Sigmoid(), (4, 5)),
    ("Tanh", lambda n: n.Tanh(), (4, 5)),
    ("Softmax", lambda n: n.Softmax(dim=1), (4, 5, 3)),
    ("LogSoftmax", lambda n: n.LogSoftmax(dim=-1), (4, 5)),
    ("Identity", lambda n: n.Identity(3), (4, 5)),
    ("Flatten", lambda n: n.Flatten(), (4, 5, 3)),
    ("Dropout in evaluation", lambda n: n.Dropout(0.3).eval(), (4, 5)),
    ("Sequential", lambda n: n.Sequential(n.Linear(5, 8), n.Tanh(), n.Linear(8, 2)), (4, 5)),
]


@pytest.mark.parametrize("make, shape", [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS])
def test_layer_as_pytorch(make, shape):
    torch = pytest.importorskip("torch")
    theirs = make(torch.nn).double()
    mine = load_from(theirs, make(nn).double())
    assert type(mine).__name__ == type(theirs).__name__
    x, y = values(*shape), engine.tensor(values(*shape)).requires_grad_()
    t = torch.from_numpy(x).requires_grad_()
    out, ref = mine(y), theirs(t)
    np.testing.assert_allclose(out.detach().numpy(), ref.detach().numpy(), rtol=1e-12, atol=1e-13)
    seed = values(*ref.shape, seed=1)
    out.backward(engine.tensor(seed))
    ref.backward(torch.from_numpy(seed))
    np.testing.assert_allclose(y.grad.numpy(), t.grad.numpy(), rtol=1e-11, atol=1e-12)
    for (name, p), (other, q) in zip(mine.named_parameters(), theirs.named_parameters()):
        assert name == other and p.shape == tuple(q.shape)
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("make, shape", [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS])
def test_layer_on_cuda_as_on_the_cpu(make, shape, cuda):
    shape = (401, *shape[1:])
    engine.manual_seed(0)
    here = make(nn)
    there = copy.deepcopy(here).to(cuda)
    x = engine.tensor(values(*shape), dtype=engine.float32)
    y = x.clone().to(cuda)
    outputs = [here(x.requires_grad_()), there(y.requires_grad_())]
    seed = engine.tensor(values(*outputs[0].shape, seed=1), dtype=engine.float32)
    for out in outputs:
        out.backward(seed.to(out.device))
    pairs = [(outputs[1].detach(), outputs[0].detach()), (y.grad, x.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(there.parameters(), here.parameters())]
    for found, wanted in pairs:
        assert found.is_cuda and found.shape == wanted.shape
        scale = max(1.0, float(wanted.abs().max().item()))
        np.testing.assert_allclose(found.cpu().numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("make", [row[1] for row in LAYERS if "RMS" not in row[0]][:-1])
def test_repr_as_pytorch(make):
    torch = pytest.importorskip("torch")
    assert repr(make(nn)) == repr(make(torch.nn)).replace("approximate=none", "approximate='none'")


LOSSES = [
    ("CrossEntropyLoss", {}),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 2, "reduction": "sum"}),
    ("CrossEntropyLoss", {"weight": [1.0, 2.0, 0.5, 3.0], "reduction": "none"}),
    ("NLLLoss", {"ignore_index": 2}),
    ("BCEWithLogitsLoss", {"pos_weight": [1.0, 2.0, 0.5, 3.0]}),
    ("MSELoss", {}),
    ("L1Loss", {"reduction": "sum"}),
]


@pytest.mark.parametrize("name, options", LOSSES)
def test_loss_as_pytorch(name, options):
    torch = pytest.importorskip("torch")
    x = values(6, 4)
    targets = (
        np.array([0, 1, 2, 3, 3, 1]) if name in ("CrossEntropyLoss", "NLLLoss") else np.abs(values(6, 4, seed=2)) % 1
    )

    def run(module, tensor):
        made = {k: tensor(np.array(v)) if isinstance(v, list) else v for k, v in options.items()}
        t = tensor(x).requires_grad_()
        loss = getattr(module, name)(**made)(t, tensor(targets))
        loss.sum().backward()
        return loss.detach().numpy(), t.grad.numpy()

    for mine, theirs in zip(run(nn, engine.tensor), run(torch.nn, torch.tensor)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name, options", LOSSES)
def test_loss_on_cuda_as_on_the_cpu(name, options, cuda):
    x, n = values(401, 4).astype(np.float32), 401
    classes = np.random.default_rng(2).integers(0, 4, n)
    targets = classes if name in ("CrossEntropyLoss", "NLLLoss") else (np.abs(values(n, 4, seed=2)) % 1).astype("f4")
    seen = []
    for device in ("cpu", cuda):
        made = {k: engine.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
        module = getattr(nn, name)(**made).to(device)  # weights move with the module
        t = engine.tensor(x, device=device).requires_grad_()
        loss = module(t, engine.tensor(targets, device=device))
        loss.sum().backward()
        seen.append((loss.detach().cpu().numpy(), t.grad.cpu().numpy()))
    for found, wanted in zip(seen[1], seen[0]):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_loss_mistakes():
    with pytest.raises(ValueError, match=r"\[MSELoss\] reduction"):
        nn.MSELoss(reduction="average")


def test_embedding(device):
    d = 3 if device == "cpu" else 131
    e = nn.Embedding(10, d, padding_idx=-8, device=device)
    assert e.padding_idx == 2 and e.weight[2].tolist() == [0] * d and repr(e) == f"Embedding(10, {d}, padding_idx=2)"
    y = e(engine.tensor([[1, 2], [1, 9]], device=device))
    assert y.shape == (2, 2, d) and y[1, 1].tolist() == e.weight[9].tolist()
    y.sum().backward()
    assert e.weight.grad.sum(1).tolist() == [0, 2 * d, 0, 0, 0, 0, 0, 0, 0, d]
    with pytest.raises(ValueError, match="padding_idx"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(IndexError):
        e(engine.tensor([10], device=device)).tolist()
    table = engine.arange(6.0, device=device).view(3, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen(engine.tensor([2], device=device)).tolist() == [[4, 5]] and not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


def test_dropout(device):
    engine.manual_seed(0)
    d = nn.Dropout(0.25)
    x = engine.ones(40000, device=device)
    y = d(x).cpu().numpy()
    assert set(np.unique(y)) == {0.0, np.float32(4 / 3)} and abs((y == 0).mean() - 0.25) < 0.01
    assert d.eval()(x).tolist() == x.tolist()
    assert repr(d) == "Dropout(p=0.25, inplace=False)"
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="probability"):
            nn.Dropout(p)


def test_initial_values():
    engine.manual_seed(0)
    linear = nn.Linear(400, 300)
    for p in linear.parameters():
        assert abs(p.detach().numpy()).max() <= 0.05 + 1e-7
        assert p.detach().numpy().std() == pytest.approx(0.05 / math.sqrt(3), rel=0.1)
    assert nn.Embedding(300, 50).weight.detach().numpy().std() == pytest.approx(1, rel=0.05)
    w = engine.empty(200, 300)
    for fill, std in [
        (lambda: nn.init.uniform_(w, -1, 3), 4 / math.sqrt(12)),
        (lambda: nn.init.normal_(w, 1.0, 0.3), 0.3),
        (lambda: nn.init.xavier_uniform_(w, gain=2.0), 2 * math.sqrt(2 / 500)),
        (lambda: nn.init.xavier_normal_(w), math.sqrt(2 / 500)),
        (lambda: nn.init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(2 / 300)),
        (lambda: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 200)),
        (lambda: nn.init.trunc_normal_(w, 0.0, 0.02, -0.04, 0.04), 0.02 * 0.8796),
    ]:
        assert fill() is w
        assert w.numpy().std() == pytest.approx(std, rel=0.02)
    assert abs(w.numpy()).max() <= 0.04
    assert nn.init.constant_(w, 2.5).numpy().max() == 2.5
    assert nn.init.zeros_(w).numpy().max() == 0 and nn.init.ones_(w).numpy().min() == 1
    assert nn.init.calculate_gain("leaky_relu", 1.0) == 1.0 and nn.init.calculate_gain("tanh") == 5 / 3
    p = nn.Parameter(engine.empty(3, 2))
    assert nn.init.normal_(p) is p and p.is_leaf and p.requires_grad
    for wrong in (
        lambda: nn.init.xavier_uniform_(engine.empty(3)),
        lambda: nn.init.kaiming_normal_(w, mode="fan"),
        lambda: nn.init.calculate_gain("what"),
        lambda: nn.init.trunc_normal_(w, 0.0, 1.0, 50.0, 51.0),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_same_seed_same_values():
    def draw():
        engine.manual_seed(7)
        return [p.tolist() for p in nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 2)).parameters()]

    assert draw() == draw()


def test_vector_of_parameters(device):
    inputs, outputs = (2, 3) if device == "cpu" else (34, 33)
    m = nn.Linear(inputs, outputs, device=device)
    n = outputs * (inputs + 1)
    v = nn.utils.parameters_to_vector(m.parameters())
    assert v.shape == (n,) and v.device == m.bias.device
    line = engine.arange(float(n), device=device)
    nn.utils.vector_to_parameters(line, m.parameters())
    assert m.bias.tolist() == line[n - outputs :].tolist() and m.bias.is_leaf
    assert m.weight.tolist() == line[: n - outputs].view(outputs, inputs).tolist()
    with pytest.raises(ValueError, match=rf"expected shape \({n},\), got \({n - 1},\)"):
        nn.utils.vector_to_parameters(line[1:], m.parameters())


def test_names_are_pytorchs_or_listed_here() -> None:
    """Both modules take names from other files by `import *`: nothing else may come along."""
    torch = pytest.importorskip("torch")
    functional = {name for name in vars(nn.functional) if not name.startswith("_")}
    assert functional - set(vars(torch.nn.functional)) == {
        "attention", "attention_qkv", "dropout_add_layer_norm", "embedding_sum", "linear_gelu", "pack_padded", "pad_packed",
        "pool_packed",
    }  # fmt: skip
    assert set(nn.__all__) - set(vars(torch.nn)) == {"lora"}
    assert len(set(nn.__all__)) == len(nn.__all__)
