"""float16 and bfloat16 on the CPU: computed in float32, rounded once at the end; gradients, in-place forms, training."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import _core, nn
from engine.nn import functional as F

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """Each test draws the same numbers, whatever ran before it."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


HALVES = ["bfloat16", "float16"]


def made(shape: tuple[int, ...], dtype: str, low: float = -1.0, high: float = 1.0) -> engine.Tensor:
    return engine.tensor(RNG.uniform(low, high, shape).astype(np.float32)).to(getattr(engine, dtype))


# Forward and gradients equal those of float32 on the same numbers, rounded: one kernel each way.
ONE_KERNEL = {
    "add": lambda a, b: a + b,
    "mul by a number": lambda a, b: a * 0.3,
    "div": lambda a, b: a / (b + 3),
    "exp": lambda a, b: a.exp(),
    "relu": lambda a, b: a.relu(),
    "gelu": lambda a, b: F.gelu(a),
    "sum": lambda a, b: a.sum(),
    "mean of rows": lambda a, b: a.mean(1),
    "amax": lambda a, b: a.amax(0),
    "var": lambda a, b: a.var(1),
    "cumsum": lambda a, b: a.cumsum(1),
    "softmax": lambda a, b: a.softmax(-1),
    "log_softmax": lambda a, b: a.log_softmax(-1),
    "layer_norm": lambda a, b: F.layer_norm(a, (6,), b[0], b[1]),
    "rms_norm": lambda a, b: F.rms_norm(a, (6,), b[0]),
    "matmul": lambda a, b: a @ b.T,
    "linear": lambda a, b: F.linear(a, b, b[:, 0]),
    "mse_loss": lambda a, b: F.mse_loss(a, b),
    "bce": lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()),
    "cross_entropy": lambda a, b: F.cross_entropy(a, engine.tensor([0, 1, 2, 3, 4, 5])),
    "embedding": lambda a, b: F.embedding(engine.tensor([[0, 5], [1, 0]]), a),
    "attention": lambda a, b: F.scaled_dot_product_attention(a[None], b[None], a[None] * 1.0, is_causal=True),
    "masked attention": lambda a, b: F.scaled_dot_product_attention(a[None], b[None], b[None], attn_mask=a.detach()),
    "transposed": lambda a, b: a.T.contiguous() + b,
    "where": lambda a, b: engine.where(a.detach() > 0, a, b),
    "gather": lambda a, b: a[[0, 3, 0]],
    "cat": lambda a, b: engine.cat([a, b]),
    "scatter_add": lambda a, b: a.scatter_add(0, engine.zeros(6, 6, dtype=engine.int64), b),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ONE_KERNEL)
def test_values_and_gradients_are_those_of_float32_rounded(name: str, dtype: str) -> None:
    function, half = ONE_KERNEL[name], getattr(engine, dtype)
    a, b = made((6, 6), dtype), made((6, 6), dtype)
    found, wide = [], []
    for kind, out in ((half, found), (engine.float32, wide)):
        x, y = (t.to(kind).clone().requires_grad_() for t in (a, b))
        z = function(x, y)
        assert z.dtype is kind
        weight = engine.tensor(np.linspace(0.5, 1.5, z.numel(), dtype=np.float32)).reshape(z.shape).to(half).to(kind)
        z.backward(weight)
        out += [z.detach()] + [t.grad for t in (x, y) if t.grad is not None]
    for f, w in zip(found, wide, strict=True):
        assert f.dtype is half
        tolerance = 2 * engine.finfo(half).eps  # saved results and gradients in between are rounded, too
        scale = float(w.abs().max())
        assert engine.allclose(f.float(), w, rtol=tolerance, atol=2 * tolerance * scale), name


@pytest.mark.parametrize("dtype", HALVES)
def test_a_kernel_rounds_once(dtype: str) -> None:
    half = getattr(engine, dtype)
    x = made((1000,), dtype, 0.5, 1.0)
    assert x.sum().item() == x.float().sum().to(half).item()  # not after each addition
    for op in (engine.exp, engine.sigmoid, engine.tanh, engine.sqrt):
        assert engine.equal(op(x), op(x.float()).to(half))


@pytest.mark.parametrize("dtype", HALVES)
def test_in_place(dtype: str) -> None:
    half = getattr(engine, dtype)
    x, y = made((4, 6), dtype), made((6,), dtype)
    kept, wide = x, x.float()
    x += y
    x *= 1.7
    x[:, 1:3] -= 1
    x.clamp_(-1.5, 1.5)
    wide = (wide + y.float()).to(half).float()
    wide = (wide * 1.7).to(half).float()
    wide[:, 1:3] = (wide[:, 1:3] - 1).to(half).float()
    assert kept is x and engine.equal(x, wide.clamp(-1.5, 1.5).to(half))
    version = x._version
    x.T.add_(x.T.clone())  # strided memory
    assert x._version > version and engine.equal(x, (wide.clamp(-1.5, 1.5) * 2).to(half))
    z = made((8,), dtype)
    before = z.float()
    z[1:].add_(z[:-1])  # overlapping memory: the old values are read
    assert engine.equal(z[1:], (before[1:] + before[:-1]).to(half)) and z[0].item() == before[0].item()


def test_in_place_over_repeated_memory_adds_up_once() -> None:
    """matmul_into sums over dimensions that its result repeats (stride 0)."""
    y = engine.ones(2, 2, dtype=engine.bfloat16)
    a, b = made((3, 2, 4), "bfloat16"), made((3, 4, 2), "bfloat16")
    _core.kernels.matmul_into(y._data.expand((3, 2, 2)), a._data, b._data, True)
    expected = engine.ones(2, 2) + (a.float() @ b.float()).sum(0)
    assert engine.allclose(y.float(), expected, rtol=0.01, atol=0.01)


def test_arguments_of_two_dtypes() -> None:
    x, w = made((2, 3), "bfloat16"), made((3, 3), "float16")
    assert (x + w[:2]).dtype is engine.float32  # neither holds the other
    assert (x * engine.tensor(0.1)).dtype is engine.bfloat16
    assert engine.equal(x * 0.1, (x.float() * 0.1).bfloat16())  # the number is not rounded first
    with pytest.raises(TypeError, match=r"\[matmul\] other: expected bfloat16, got float16"):
        x @ w
    with pytest.raises(TypeError, match=r"\[layer_norm\] weight: expected float16, got float32"):
        F.layer_norm(w, (3,), engine.ones(3))
    with pytest.raises(TypeError, match=r"\[bitwise_and\] input: expected an integer dtype or bool, got bfloat16"):
        x & x


def test_read_only_memory_stays_as_it_is() -> None:
    array = np.ones(3, np.float16)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        engine.from_numpy(array).add_(1)
    assert array.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop"])
def test_training(optimizer: str, dtype: str) -> None:
    engine.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1)).to(getattr(engine, dtype))
    # An eps below the smallest float16 would be 0.
    options = {"SGD": {"momentum": 0.9}, "Adagrad": {"eps": 1e-4}, "RMSprop": {"eps": 1e-4}}.get(optimizer, {})
    opt = getattr(engine.optim, optimizer)(model.parameters(), lr=0.01, **options)
    x = made((64, 4), dtype)
    target = x.sum(1, keepdim=True)
    losses = []
    for _ in range(40):
        opt.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.dtype is getattr(engine, dtype) and p.grad.dtype is p.dtype for p in model.parameters())


@pytest.mark.parametrize("dtype", HALVES)
def test_clipping(dtype: str) -> None:
    p = engine.zeros(5, dtype=getattr(engine, dtype), requires_grad=True)
    p.grad = made((5,), dtype, 1.0, 3.0)
    wide = p.grad.float()
    norm = nn.utils.clip_grad_norm_([p], 0.5)
    assert norm.item() == wide.norm().item()
    factor = np.float32(0.5 / (norm.item() + 1e-6))
    assert p.grad.dtype is p.dtype and engine.equal(p.grad, (wide * float(factor)).to(p.dtype))


def test_gradients_of_a_conversion_between_float32_and_half() -> None:
    weight = engine.ones(3, requires_grad=True)
    (weight.bfloat16() * made((3,), "bfloat16")).sum().backward()
    assert weight.grad.dtype is engine.float32


def test_bits_of_stored_halves_do_not_change() -> None:
    bits = np.arange(2**16, dtype=np.uint16).view(np.float16)
    for y in (engine.from_numpy(bits).clone(), engine.cat([engine.from_numpy(bits)]), engine.from_numpy(bits)[:]):
        assert np.array_equal(y.numpy().view(np.uint16), bits.view(np.uint16))
