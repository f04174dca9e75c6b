"""MultiheadAttention, TransformerEncoderLayer and TransformerEncoder: against float64 NumPy, against PyTorch where it is
installed, packed against rectangles."""

from __future__ import annotations

import copy
import functools
import itertools

import numpy as np
import pytest

import engine
import reference
from engine import nn, optim

D, HEADS, LENGTHS = 12, 3, [5, 1, 7, 4]
LONGEST = max(LENGTHS)
REAL = np.arange(LONGEST) < np.array(LENGTHS)[:, None]
CU = np.cumsum([0, *LENGTHS]).astype(np.int32)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def filled(module: nn.Module, seed: int = 3, device: str = "cpu") -> nn.Module:
    """In float64 (on a CUDA device float32), every parameter drawn, so that no bias is 0 and no weight 1."""
    module.to(device, engine.float64 if device == "cpu" else engine.float32)
    rng = np.random.default_rng(seed)
    with engine.no_grad():
        for p in module.parameters():
            p.copy_(engine.tensor(rng.standard_normal(p.shape) * 0.3))
    return module


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {k: v.cpu().numpy().astype(np.float64) for k, v in module.state_dict().items()}


def multihead(p, q, k, v, name="", causal=False):
    w, b = p[f"{name}in_proj_weight"], p[f"{name}in_proj_bias"]
    q, k, v = (x @ w[i * D : (i + 1) * D].T + b[i * D : (i + 1) * D] for i, x in enumerate((q, k, v)))
    return reference.linear(p, f"{name}out_proj", reference.attention(q, k, v, HEADS, causal))


def encoder_layer(p, x, name="", norm_first=False, act=lambda x: np.maximum(x, 0), causal=False):
    def feed_forward(x):
        return reference.linear(p, f"{name}linear2", act(reference.linear(p, f"{name}linear1", x)))

    def norm(i, x):
        return reference.norm(p, f"{name}norm{i}", x, 1e-5)

    def attend(x):
        return multihead(p, x, x, x, f"{name}self_attn.", causal)

    if norm_first:
        x = x + attend(norm(1, x))
        return x + feed_forward(norm(2, x))
    x = norm(1, x + attend(x))
    return norm(2, x + feed_forward(x))


class Ragged:
    """Tokens of sequences, packed and as a rectangle."""

    def __init__(self, lengths: list[int], dtype: type = np.float64) -> None:
        self.real = np.arange(max(lengths)) < np.array(lengths)[:, None]
        self.cu = np.cumsum([0, *lengths]).astype(np.int32)
        self.packed = draw(sum(lengths), D).astype(dtype)
        self.rectangle = draw(len(lengths), max(lengths), D, seed=9).astype(dtype)  # padding must not matter
        self.rectangle[self.real] = self.packed

    def sequences(self) -> list[np.ndarray]:
        return [self.packed[a:b].astype(np.float64) for a, b in itertools.pairwise(self.cu.tolist())]


RAGGED = {"cpu": Ragged(LENGTHS), "cuda": Ragged([33, 1, 65, 20], np.float32)}
PACKED, RECTANGLE = RAGGED["cpu"].packed, RAGGED["cpu"].rectangle


def close(found, wanted, device: str, rtol: float = 1e-10, atol: float = 1e-11) -> None:
    np.testing.assert_allclose(found, wanted, **({"rtol": rtol, "atol": atol} if device == "cpu" else {"atol": 2e-5}))


def in_all_forms(module, causal=False, call=lambda m, *a, **k: m(*a, **k), device="cpu"):
    """The output on packed tokens, and that on rectangles of either order cut down to the real tokens."""
    r = RAGGED[device]
    tensor = functools.partial(engine.tensor, device=device)
    cu, padding = tensor(r.cu), tensor(~r.real)
    packed = call(module, tensor(r.packed), cu_seqlens=cu, is_causal=causal)
    forms = [packed.detach().cpu().numpy()]
    for batch_first in (True, False):
        for m in module.modules():
            if hasattr(m, "batch_first"):
                m.batch_first = batch_first
        x = tensor(r.rectangle if batch_first else r.rectangle.swapaxes(0, 1).copy())
        for mask in (padding, tensor(np.where(r.real, 0.0, -np.inf).astype(r.packed.dtype))):
            y = call(module, x, mask=mask, is_causal=causal).detach().cpu().numpy()
            y = y if batch_first else y.swapaxes(0, 1)
            packs = isinstance(module, nn.TransformerEncoder)  # it computes nothing for padding, all others do
            assert y.shape == r.rectangle.shape and y[~r.real].any() != packs
            forms.append(y[r.real])
    return forms


def call_attention(m, x, cu_seqlens=None, mask=None, is_causal=False):
    y, weights = m(x, x, x, mask, False, cu_seqlens=cu_seqlens, is_causal=is_causal)
    assert weights is None
    return y


def call_layer(m, x, cu_seqlens=None, mask=None, is_causal=False):
    return m(x, src_key_padding_mask=mask, cu_seqlens=cu_seqlens, is_causal=is_causal)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_against_numpy(causal, device):
    m = filled(nn.MultiheadAttention(D, HEADS), device=device)
    wanted = np.concatenate([multihead(arrays(m), x, x, x, causal=causal) for x in RAGGED[device].sequences()])
    for found in in_all_forms(m, causal, call_attention, device):
        close(found, wanted, device, 1e-11, 1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("act, plain", [("relu", lambda x: np.maximum(x, 0)), ("gelu", reference.gelu)])
def test_layer_against_numpy(norm_first, causal, act, plain, device):
    m = filled(nn.TransformerEncoderLayer(D, HEADS, 20, activation=act, norm_first=norm_first), device=device).eval()
    p = arrays(m)
    wanted = np.concatenate([encoder_layer(p, x, "", norm_first, plain, causal) for x in RAGGED[device].sequences()])
    for found in in_all_forms(m, causal, call_layer, device):
        close(found, wanted, device)


def test_encoder_against_numpy(device):
    layer = nn.TransformerEncoderLayer(D, HEADS, 20, dropout=0.0)
    m = filled(nn.TransformerEncoder(layer, 3, norm=nn.LayerNorm(D)), device=device)
    p = arrays(m)
    wanted = []
    for x in RAGGED[device].sequences():
        for i in range(3):
            x = encoder_layer(p, x, f"layers.{i}.")
        wanted.append(reference.norm(p, "norm", x, 1e-5))
    for found in in_all_forms(m, call=call_layer, device=device):
        close(found, np.concatenate(wanted), device)


def test_layers_are_copies():
    layer = nn.TransformerEncoderLayer(D, HEADS, 20)
    m = nn.TransformerEncoder(layer, 2)
    assert m.layers[0].linear1.weight is not m.layers[1].linear1.weight is not layer.linear1.weight
    assert m.layers[0].linear1.weight.tolist() == layer.linear1.weight.tolist()


def test_one_sequence_without_a_batch():
    m = filled(nn.TransformerEncoderLayer(D, HEADS, 20)).eval()
    x = PACKED[:5]
    wanted = encoder_layer(arrays(m), x)
    np.testing.assert_allclose(m(engine.tensor(x)).detach().numpy(), wanted, rtol=1e-10, atol=1e-11)
    masked = m(engine.tensor(PACKED[:7]), src_key_padding_mask=engine.tensor([False] * 5 + [True] * 2))
    np.testing.assert_allclose(masked.detach().numpy()[:5], wanted, rtol=1e-10, atol=1e-11)
    a = filled(nn.MultiheadAttention(D, HEADS))
    y, w = a(engine.tensor(x), engine.tensor(PACKED[5:8]), engine.tensor(PACKED[5:8]), need_weights=True)
    assert y.shape == (5, D) and w.shape == (5, 3)
    np.testing.assert_allclose(
        y.detach().numpy(), multihead(arrays(a), x, PACKED[5:8], PACKED[5:8]), rtol=1e-11, atol=1e-12
    )


def test_dropout_while_training(device):
    engine.manual_seed(0)
    r = RAGGED[device]
    m = nn.TransformerEncoderLayer(D, HEADS, 20, dropout=0.3).to(device)
    x, cu = engine.tensor(r.packed, device=device).float(), engine.tensor(r.cu, device=device)
    assert m(x, cu_seqlens=cu).tolist() != m(x, cu_seqlens=cu).tolist()
    engine.manual_seed(1)
    first = m(x, cu_seqlens=cu).tolist()
    engine.manual_seed(1)
    assert m(x, cu_seqlens=cu).tolist() == first
    engine.manual_seed(1)  # the CPU drops the same elements
    np.testing.assert_allclose(first, copy.deepcopy(m).cpu()(x.cpu(), cu_seqlens=cu.cpu()).tolist(), atol=2e-5)
    m.eval()
    assert m(x, cu_seqlens=cu).tolist() == m(x, cu_seqlens=cu).tolist()
    assert copy.deepcopy(m)(x, cu_seqlens=cu).tolist() == m(x, cu_seqlens=cu).tolist()


@pytest.mark.parametrize("mask", ["bool", "float", "per head"])
@pytest.mark.parametrize("average", [None, True, False], ids=["no weights", "average", "weights"])
def test_attention_masks_on_cuda_as_on_the_cpu(mask, average, cuda):
    """Outputs, weights and gradients; the CPU's numbers are compared with PyTorch's below."""
    r = RAGGED["cuda"]
    batch, length, _ = r.rectangle.shape
    rng = np.random.default_rng(4)
    given = {
        "bool": np.triu(np.ones((length, length), bool), 2),
        "float": rng.standard_normal((length, length), np.float32),
        "per head": rng.standard_normal((batch * HEADS, length, length), np.float32),
    }[mask]
    found = []
    for device in ("cpu", cuda):
        tensor = functools.partial(engine.tensor, device=device)
        m = filled(nn.MultiheadAttention(D, HEADS, batch_first=True)).float().to(device)
        x = tensor(r.rectangle).requires_grad_()
        y, weights = m(
            x, x, x, key_padding_mask=tensor(~r.real), attn_mask=tensor(given),
            need_weights=average is not None, average_attn_weights=bool(average),
        )  # fmt: skip
        (y * y).sum().backward()
        seen = [y, weights, x.grad, *(p.grad for p in m.parameters())]
        found.append([t.detach().cpu().numpy() for t in seen if t is not None])
    for on_cuda, wanted in zip(found[1], found[0]):
        assert on_cuda.shape == wanted.shape
        np.testing.assert_allclose(on_cuda, wanted, rtol=1e-4, atol=2e-5 * max(1, np.abs(wanted).max()))


def test_mistakes():
    x, cu = engine.tensor(PACKED), engine.tensor(CU)
    m = nn.MultiheadAttention(D, HEADS, batch_first=True).double()
    r = engine.tensor(RECTANGLE)
    for wrong, message in [
        (lambda: nn.MultiheadAttention(D, 5), "multiple of num_heads"),
        (lambda: nn.MultiheadAttention(D, HEADS, kdim=5)(x, cu_seqlens=cu), "cu_seqlens: .* got a module with kdim"),
        (lambda: nn.MultiheadAttention(D, HEADS, add_zero_attn=True)(x, cu_seqlens=cu), "add_zero_attn"),
        (lambda: m(x, cu_seqlens=cu, need_weights=True), "need_weights: expected False together with cu_seqlens"),
        (
            lambda: m(x, x * 2, cu_seqlens=cu),
            "cu_seqlens_k: expected None for self-attention, or a Tensor if key is not query, got None",
        ),
        (lambda: m(x, cu_seqlens=cu, cu_seqlens_k=cu), "if key is not query, got a Tensor"),
        (lambda: m(r[:, :, :5]), r"expected shape \(batch, length, 12\) or \(length, 12\), got \(4, 7, 5\)"),
        (lambda: m(r, key_padding_mask=engine.tensor(REAL[:, :5])), r"expected shape \(4, 7\), got \(4, 5\)"),
        (lambda: m(r, key_padding_mask=engine.tensor(REAL * 2)), "key_padding_mask: expected bool"),
        (lambda: m(r, attn_mask=engine.zeros(3, 3)), r"attn_mask: expected shape \(7, 7\) or \(12, 7, 7\)"),
        (lambda: m(x, cu_seqlens=engine.tensor(CU[:-1])), "cu_seqlens"),
        (lambda: nn.TransformerEncoderLayer(D, HEADS, activation="swish"), "activation: expected one of relu"),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()


# ---- PyTorch


def both(make):
    """The layer of PyTorch and ours, with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    theirs = make(torch.nn).double()
    mine = make(nn).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn(p.shape, dtype=torch.float64) * 0.3)
    mine.load_state_dict({k: engine.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    return torch, mine, theirs


def compare(mine, theirs, found, wanted, where=...):
    """Outputs at `where`, and the gradients that a weighting of them gives."""
    np.testing.assert_allclose(found.detach().numpy()[where], wanted.detach().numpy()[where], rtol=1e-10, atol=1e-12)
    weights = np.zeros(wanted.shape)
    weights[where] = draw(*weights[where].shape, seed=5)
    import torch

    found.backward(engine.tensor(weights))
    wanted.backward(torch.from_numpy(weights))
    for (name, p), q in zip(mine.named_parameters(), theirs.parameters()):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_layer_as_pytorch(norm_first, activation):
    torch, mine, theirs = both(
        lambda n: n.TransformerEncoderLayer(
            D, HEADS, 20, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first
        )
    )
    found = mine(engine.tensor(RECTANGLE), src_key_padding_mask=engine.tensor(~REAL))
    wanted = theirs(torch.from_numpy(RECTANGLE), src_key_padding_mask=torch.from_numpy(~REAL))
    compare(mine, theirs, found, wanted)


def test_encoder_as_pytorch():
    torch, mine, theirs = both(
        lambda n: n.TransformerEncoder(
            n.TransformerEncoderLayer(D, HEADS, 20, 0.0, batch_first=True), 2, n.LayerNorm(D), False
        )
    )
    found = mine(engine.tensor(RECTANGLE), src_key_padding_mask=engine.tensor(~REAL))
    wanted = theirs(torch.from_numpy(RECTANGLE), src_key_padding_mask=torch.from_numpy(~REAL))
    compare(mine, theirs, found, wanted)


MASKS = {
    "bool": np.triu(np.ones((LONGEST, LONGEST), bool), 2),
    "float": np.random.default_rng(4).standard_normal((LONGEST, LONGEST)),
    "per head": np.random.default_rng(4).standard_normal((len(LENGTHS) * HEADS, LONGEST, LONGEST)),
}


@pytest.mark.parametrize("mask", [None, *MASKS])
@pytest.mark.parametrize("need_weights, average", [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_as_pytorch(mask, need_weights, average, batch_first):
    torch, mine, theirs = both(lambda n: n.MultiheadAttention(D, HEADS, batch_first=batch_first))
    x = RECTANGLE if batch_first else RECTANGLE.swapaxes(0, 1).copy()
    m = None if mask is None else MASKS[mask]
    padding = np.where(REAL, 0.0, -np.inf)
    found, weights = mine(
        *[engine.tensor(x)] * 3, key_padding_mask=engine.tensor(padding), need_weights=need_weights,
        attn_mask=None if m is None else engine.tensor(m), average_attn_weights=average,
    )  # fmt: skip
    mask_of_torch = None if m is None else torch.from_numpy(np.where(m, -np.inf, 0.0) if m.dtype == bool else m)
    wanted, ref = theirs(
        *[torch.from_numpy(x)] * 3, key_padding_mask=torch.from_numpy(padding), need_weights=need_weights,
        attn_mask=mask_of_torch, average_attn_weights=average,
    )  # fmt: skip
    assert (weights is None) == (ref is None)
    if weights is not None:
        np.testing.assert_allclose(weights.detach().numpy(), ref.detach().numpy(), rtol=1e-10, atol=1e-12)
    compare(mine, theirs, found, wanted)


def test_attention_from_one_sequence_to_another_as_pytorch():
    torch, mine, theirs = both(lambda n: n.MultiheadAttention(D, HEADS, batch_first=True))
    q = draw(len(LENGTHS), 3, D, seed=6)
    v = draw(*RECTANGLE.shape, seed=7)
    found, _ = mine(*map(engine.tensor, (q, RECTANGLE, v)), key_padding_mask=engine.tensor(~REAL))
    wanted, _ = theirs(*map(torch.from_numpy, (q, RECTANGLE, v)), key_padding_mask=torch.from_numpy(~REAL))
    compare(mine, theirs, found, wanted)


def wave(pace: float, *shape: int) -> np.ndarray:
    """Numbers that need no generator: the same ones everywhere."""
    return np.sin(np.arange(np.prod(shape)) * pace + pace).reshape(shape)


def train(module, tensor, layer, steps=8):
    """Losses of a small training run in float64."""
    x, padding, target = tensor(wave(1.0, *RECTANGLE.shape)), tensor(~REAL), tensor(wave(2.0, len(LENGTHS), D))
    optimizer = (optim if module is nn else __import__("torch").optim).AdamW(layer.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        y = layer(x, src_key_padding_mask=padding)[:, 0]
        loss = module.MSELoss()(y, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def waves(layer, tensor):
    return {name: tensor(0.4 * wave(1 + i / 7, *p.shape)) for i, (name, p) in enumerate(layer.state_dict().items())}


# Made by PyTorch 2.13 in float64.
STORED = [
    0.7257006187003441, 0.6494968337520537, 0.5873965991473526, 0.5401246684622664, 0.5039567058652644, 0.47612565799965867,
    0.45509071295381087, 0.4391380066032111,
]  # fmt: skip


def make_trained(n):
    return n.TransformerEncoderLayer(D, HEADS, 20, dropout=0.0, activation="gelu", batch_first=True).double()


def test_training_step_by_step():
    layer = make_trained(nn)
    layer.load_state_dict(waves(layer, engine.tensor))
    np.testing.assert_allclose(train(nn, engine.tensor, layer), STORED, rtol=1e-9)


def test_the_stored_losses_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    layer = make_trained(torch.nn)
    layer.load_state_dict(waves(layer, torch.tensor))
    np.testing.assert_allclose(train(torch.nn, torch.tensor, layer), STORED, rtol=1e-9)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 8), (3, 8)])
def test_outputs_may_be_written_in_place(batch_first, shape, device):
    shape = shape if device == "cpu" else (*shape[:-2], 131, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first).to(device)
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first).to(device)
    x = engine.randn(*shape, device=device)
    for make in (layer, lambda x: attention(x, x, x)[0]):
        plain = make(x) + x
        y = make(x)
        y += x
        assert y.tolist() == plain.tolist()
        y.sum().backward()
