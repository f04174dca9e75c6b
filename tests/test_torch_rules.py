"""Rules of PyTorch that scripts rely on without naming them: strides, dtypes of lists, NaN gradients, `out`, buffers, printing."""

import numpy as np
import pytest

import engine
import engine.nn.functional as F

torch = pytest.importorskip("torch")
NAN, INF = float("nan"), float("inf")


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax_is_contiguous_along_every_dimension(name, dim):
    x = np.random.default_rng(0).random((2, 3, 4), dtype=np.float32)
    mine, theirs = engine.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(engine, name)(mine, dim), getattr(torch, name)(theirs, dim)
    assert y.stride() == z.stride()
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), atol=1e-6)
    y.detach().flatten()[0] = 7
    assert y[0, 0, 0].item() == 7


def test_softmin_and_gumbel_softmax_are_contiguous():
    x = engine.zeros(3, 2)
    assert F.softmin(x, 0).is_contiguous()
    assert F.gumbel_softmax(x, dim=0).is_contiguous()


@pytest.mark.parametrize("equation", ["ij,jk->ki", "bij,bjk->bki", "i,j->ji"])
def test_einsum_lies_in_memory_as_it_is_named(equation):
    sizes = {"i": 3, "j": 4, "k": 5, "b": 2}
    rng = np.random.default_rng(0)
    operands = [rng.random([sizes[n] for n in term]) for term in equation.split("->")[0].split(",")]
    mine = engine.einsum(equation, *map(engine.tensor, operands))
    theirs = torch.einsum(equation, *map(torch.tensor, operands))
    assert mine.is_contiguous()
    np.testing.assert_allclose(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.expand(2, 3).repeat(2, 1),
        lambda x: x.repeat(2, 1),
        lambda x: x.repeat(1),
        lambda x: engine.tile(x, (2, 1)),
        lambda x: x.expand(2, 3).clone(),
        lambda x: x.expand(2, 3).contiguous(),
        lambda x: x.unsqueeze(1).repeat(1, 4),
    ],
)
def test_copies_have_memory_of_their_own(call):
    x = engine.zeros(3)
    y = call(x)
    assert y.is_contiguous()
    y.fill_(5)
    assert x.tolist() == [0, 0, 0]
    assert set(y.flatten().tolist()) == {5.0}


# ---------------------------------------------------------------- dtypes of lists


def _lists(T):
    one, f32, f64 = T.tensor(1), np.float32, np.float64
    return [
        [f32(1.5), 2],
        [2, f32(1.5)],
        [np.int32(1), 2.5],
        [1.0, f64(1)],
        [1, f64(1)],
        [np.float16(1), 1.0],
        [np.int8(1), np.int16(2)],
        [T.tensor(1.0, dtype=T.float64), T.tensor(2.0)],
        [T.tensor(1.0, dtype=T.bfloat16)],
        [T.tensor([1.0]), T.tensor([2.0])],
        [one, 2.5],
        [[one, one], [3, 4]],
        [[T.tensor([[1]]), 2]],
        [True, 1],
        [[1, 2], [f64(3), 4]],
        [np.array([1, 2], np.float32), [3, 4.5]],
        [],
        [[], []],
    ]


@pytest.mark.filterwarnings("ignore:Creating a tensor")
def test_lists_have_the_dtype_of_all_their_numbers():
    for mine, theirs in zip(_lists(engine), _lists(torch)):
        a, b = engine.tensor(mine), torch.tensor(theirs)
        assert (a.dtype.name, tuple(a.shape)) == (str(b.dtype)[6:], tuple(b.shape)), theirs
        assert a.tolist() == b.tolist()


# ---------------------------------------------------------------- NaN and infinity


_SPECIAL = [NAN, 0.0, -0.0, 1.0, -1.0, INF, -INF, 3.0, -3.0, 0.25, 100.0]
_PAIRS = [[a for a in _SPECIAL for _ in _SPECIAL], [b for _ in _SPECIAL for b in _SPECIAL]]


def _gradients(T, call, columns):
    inputs = [T.tensor(column, requires_grad=True) for column in columns]
    y = call(T, T.nn.functional, *inputs)
    y.backward(T.ones(y.shape))
    return [y.detach().tolist()] + [x.grad.tolist() for x in inputs]


@pytest.mark.parametrize(
    "call",
    [
        lambda T, F, x: F.softplus(x),
        lambda T, F, x: F.softplus(x, 0.5, 10.0),
        lambda T, F, x: F.logsigmoid(x),
        lambda T, F, x: F.mish(x),
        lambda T, F, x: F.softshrink(x),
        lambda T, F, x: F.prelu(x, T.tensor([0.2])),
        lambda T, F, x: F.rrelu(x),
        lambda T, F, x: F.relu6(x),
        lambda T, F, x: F.hardtanh(x),
        lambda T, F, x: F.silu(x),
        lambda T, F, x: F.leaky_relu(x),
        lambda T, F, x: T.deg2rad(x),
        lambda T, F, x: T.rad2deg(x),
    ],
)
def test_activations_of_nan_and_infinity(call):
    for mine, theirs in zip(_gradients(engine, call, [_SPECIAL]), _gradients(torch, call, [_SPECIAL])):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize(
    "call",
    [
        lambda T, F, x, y: T.atan2(x, y),
        lambda T, F, x, y: T.logaddexp(x, y),
        lambda T, F, x, y: F.smooth_l1_loss(x, y, reduction="none"),
        lambda T, F, x, y: F.smooth_l1_loss(x, y, reduction="none", beta=2.0),
        lambda T, F, x, y: F.smooth_l1_loss(x, y, reduction="none", beta=0.0),
        lambda T, F, x, y: F.huber_loss(x, y, reduction="none", delta=0.5),
        lambda T, F, x, y: F.mse_loss(x, y, reduction="none"),
        lambda T, F, x, y: F.l1_loss(x, y, reduction="none"),
    ],
)
def test_pairs_of_nan_and_infinity(call):
    for mine, theirs in zip(_gradients(engine, call, _PAIRS), _gradients(torch, call, _PAIRS)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-30)


# ---------------------------------------------------------------- modules


def test_converting_a_module_leaves_the_registered_tensor():
    mine = engine.ones(2)
    module = engine.nn.Module()
    module.register_buffer("b", mine)
    module.kept = engine.nn.Buffer(engine.ones(3), persistent=False)
    module.double()
    assert module.b is not mine
    assert (mine.dtype, module.b.dtype, module.kept.dtype) == (engine.float32, engine.float64, engine.float64)
    assert isinstance(module.kept, engine.nn.Buffer) and list(module.state_dict()) == ["b"]
    before = module.b
    module.double()
    assert module.b is before and dict(module.named_buffers())["b"] is before


# ---------------------------------------------------------------- out, alpha, numbers


def test_out_takes_only_what_its_dtype_can_hold():
    one = engine.ones(2)
    for call in (engine.add, engine.sub, engine.mul, engine.div):
        out = engine.full((2,), 7)
        with pytest.raises(TypeError, match="out: expected a dtype that can hold the result, float32, got int64"):
            call(one, one, out=out)
        assert out.tolist() == [7, 7]
    with pytest.raises(TypeError, match="out"):
        engine.add(one.long(), one.long(), out=engine.zeros(2, dtype=engine.bool))
    assert engine.add(one.long(), one.long(), out=engine.zeros(2)).tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="out"):
        engine.add(one, one, out=engine.zeros(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="different places"):
        engine.add(one, one, out=engine.zeros(1).expand(2))


def test_an_empty_out_gets_the_shape():
    out = engine.empty(0)
    assert engine.add(engine.ones(2), 1, out=out) is out
    assert out.tolist() == [2.0, 2.0]


def test_alpha_of_bool_operands():
    t, f = engine.tensor([True, False]), engine.tensor([False, False])
    for alpha in (True, 2, False, 0):
        mine = engine.add(f, t, alpha=alpha)
        theirs = torch.add(torch.tensor([False, False]), torch.tensor([True, False]), alpha=alpha)
        assert mine.dtype is engine.bool and mine.tolist() == theirs.tolist()
    with pytest.raises(TypeError, match="alpha"):
        engine.add(t, f, alpha=0.5)


def test_copy_takes_a_number():
    assert engine.zeros(2).copy_(2.0).tolist() == [2.0, 2.0]
    assert (
        engine.zeros(2, dtype=engine.int64).copy_(2.7).tolist() == torch.zeros(2, dtype=torch.int64).copy_(2.7).tolist()
    )


def test_small_integers_and_two_ellipses_as_index():
    x = engine.arange(5)
    for dtype in (engine.int8, engine.int16):
        assert x[engine.tensor(2, dtype=dtype)].item() == 2
        with pytest.raises(TypeError, match="index"):
            x[engine.tensor([2, 1], dtype=dtype)]
    y = engine.arange(24).view(2, 3, 4)
    assert engine.equal(y[..., 1, ...], y[..., 1]) and y[..., ...].shape == (2, 3, 4)


def test_products_in_the_old_order():
    a, m, v = engine.ones(2, 2), engine.full((2, 2), 3.0), engine.ones(2)
    with pytest.warns(UserWarning, match="old order"):
        assert engine.addmm(0.5, a, 2, m, m).tolist() == engine.addmm(a, m, m, beta=0.5, alpha=2).tolist()
    with pytest.warns(UserWarning, match="old order"):
        assert a.addmm(0.5, m, m).tolist() == engine.addmm(a, m, m, beta=0.5).tolist()
    with pytest.warns(UserWarning, match="old order"):
        assert engine.addmv(0.5, v, m, v).tolist() == engine.addmv(v, m, v, beta=0.5).tolist()
    with pytest.raises(TypeError, match="three tensors"):
        engine.addmm(1, 2, 3, m, m)


def test_broadcast_shapes_is_a_size():
    assert engine.broadcast_shapes((2, 1), 3).numel() == 6


# ---------------------------------------------------------------- Function


class Mixed(engine.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return None, x * 2, "words", x * 3

    @staticmethod
    def backward(ctx, *gradients):
        assert [g is None for g in gradients] == [True, False, True, False]
        return gradients[1] * 2 + gradients[3] * 3


def test_what_is_no_tensor_passes_through_a_function():
    x = engine.ones(2, requires_grad=True)
    nothing, double, words, triple = Mixed.apply(x)
    assert nothing is None and words == "words"
    (double * 10 + triple).sum().backward()
    assert x.grad.tolist() == [23.0, 23.0]


# ---------------------------------------------------------------- printing


@pytest.fixture
def default_print():
    yield
    engine.set_printoptions(profile="default")


@pytest.mark.usefixtures("default_print")
def test_printoptions():
    x = engine.tensor([1.23456, 1000.5])
    before = np.get_printoptions()
    engine.set_printoptions(precision=2)
    assert repr(x) == "tensor([   1.23, 1000.5 ])"
    engine.set_printoptions(precision=2, sci_mode=True)
    assert repr(x) == "tensor([1.23e+00, 1.00e+03])"
    engine.set_printoptions(sci_mode=False)
    assert repr(engine.tensor([1e-9, 1e9])) == "tensor([0.00, 1000000000.00])"
    engine.set_printoptions(threshold=5, edgeitems=1)
    assert repr(engine.arange(50)) == "tensor([ 0, ..., 49])"
    engine.set_printoptions(profile="full", linewidth=40)
    text = repr(engine.arange(2000))
    assert "..." not in text and max(map(len, text.split("\n"))) <= 40
    assert np.get_printoptions() == before
    with pytest.raises(ValueError, match="profile"):
        engine.set_printoptions(profile="long")


# ---------------------------------------------------------------- CUDA without a device


@pytest.mark.skipif(engine.cuda.is_available(), reason="there is a device")
def test_cuda_counters_without_a_device():
    names = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")
    assert [getattr(engine.cuda, name)() for name in names] == [0, 0, 0, 0]
    assert engine.cuda.reset_peak_memory_stats() is None and engine.cuda.empty_cache() is None
    assert engine.cuda.get_rng_state_all() == [] and engine.cuda.memory_summary() == "no CUDA device"
    with pytest.raises(RuntimeError):
        engine.cuda.memory_allocated(0)
