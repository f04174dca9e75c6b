"""Names of PyTorch that engine makes of its ops, against PyTorch: signs, powers, parts, pads, channels, derivatives of functions."""

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")
NUMBERS = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan], np.float32)
CUBES = np.random.default_rng(0).random((4, 3, 3), dtype=np.float32)
PLANES = np.random.default_rng(1).random((2, 8, 4, 6), dtype=np.float32)
POSITIONS = (0.0, 1.0, 3.0, 4.0)


def _places(T):
    return (T.tensor(POSITIONS),)


@pytest.mark.parametrize(
    "call",
    [
        lambda T: T.signbit(T.tensor(NUMBERS)),
        lambda T: T.signbit(T.tensor([1, -1])),
        lambda T: T.copysign(T.tensor(NUMBERS), T.tensor(NUMBERS).flip(0)),
        lambda T: T.copysign(T.tensor([1, 2]), -0.0),
        lambda T: T.copysign(T.tensor([True, False]), T.tensor([True, False])),
        lambda T: T.copysign(T.ones(2), T.tensor([1.0, -1.0], dtype=T.float64)),
        lambda T: T.signbit(T.tensor([True, False])),
        lambda T: T.gradient(T.tensor(CUBES), spacing=None)[0],
        lambda T: T.isposinf(T.tensor(NUMBERS)),
        lambda T: T.isneginf(T.tensor(NUMBERS)),
        lambda T: T.float_power(T.tensor([2, 3]), 2),
        lambda T: T.float_power(2, T.tensor([0.5])),
        lambda T: T.matrix_power(T.tensor(CUBES), 0),
        lambda T: T.matrix_power(T.tensor(CUBES), 1),
        lambda T: T.linalg.matrix_power(T.tensor(CUBES), 5),
        lambda T: T.cross(T.tensor(CUBES), T.tensor(CUBES).flip(0), dim=1),
        lambda T: T.linalg.cross(T.tensor(CUBES), T.tensor(CUBES[:1])),
        lambda T: T.select_scatter(T.tensor(CUBES), T.ones(4, 3), 1, 2),
        lambda T: T.slice_scatter(T.tensor(CUBES), T.ones(4, 2, 3), 1, 1),
        lambda T: T.slice_scatter(T.tensor(CUBES), T.ones(2, 3, 3), 0, 0, 4, 2),
        lambda T: T.gradient(T.tensor(CUBES))[1],
        lambda T: T.gradient(T.tensor(CUBES), spacing=2.0, dim=0)[0],
        lambda T: T.gradient(T.tensor(CUBES), dim=0, edge_order=2)[0],
        lambda T: T.gradient(T.tensor(CUBES[:, 0, 0]), spacing=_places(T), edge_order=2)[0],
        lambda T: T.gradient(T.tensor(CUBES), spacing=[1.0, 2.0, 3.0])[2],
        lambda T: T.frombuffer(bytearray(b"abcdefgh"), dtype=T.int16),
        lambda T: T.frombuffer(bytearray(b"abcdefgh"), dtype=T.float32, offset=4, count=1),
        lambda T: T.exp_(T.tensor(CUBES)),
        lambda T: T.clamp_(T.tensor(CUBES), 0.2, 0.5),
        lambda T: T.nn.functional.pixel_shuffle(T.tensor(PLANES), 2),
        lambda T: T.nn.PixelShuffle(2)(T.tensor(PLANES[0])),
        lambda T: T.nn.PixelUnshuffle(2)(T.tensor(PLANES)),
        lambda T: T.nn.ZeroPad2d((1, 2, 3, 0))(T.tensor(PLANES)),
        lambda T: T.nn.ConstantPad1d(2, 3.5)(T.tensor(CUBES)),
        lambda T: T.nn.ReflectionPad1d(2)(T.tensor(CUBES)),
        lambda T: T.nn.ReplicationPad2d(1)(T.tensor(PLANES)),
        lambda T: T.nn.CircularPad2d(1)(T.tensor(PLANES)),
        lambda T: T.autograd.functional.vjp(lambda a: (a * a).sum(1), T.tensor(CUBES), T.ones(4, 3))[1],
        lambda T: T.autograd.functional.jacobian(lambda a: (a * a).sum(1), T.tensor(CUBES)),
        lambda T: T.autograd.functional.jacobian(lambda a, b: (a * b, b.sum()), _two(T))[0][1],
        lambda T: T.autograd.functional.jacobian(lambda a, b: (a * b, b.sum()), _two(T))[1][0],
    ],
)
def test_as_in_torch(call):
    mine, theirs = call(engine), call(torch)
    assert (mine.dtype.name, tuple(mine.shape)) == (str(theirs.dtype)[6:], tuple(theirs.shape))
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


def _two(T):
    return T.tensor([1.0, 2.0]), T.tensor([3.0, 4.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: T.copysign(x, T.tensor([-1.0, 1.0, 1.0])),
        lambda T, x: T.float_power(x, 3),
        lambda T, x: T.matrix_power(x, 3),
        lambda T, x: T.cross(x, x.flip(0), dim=1),
        lambda T, x: T.select_scatter(x, x[:, 0] * 2, 1, 2),
        lambda T, x: T.slice_scatter(x, x[:, :2] * 2, 1, 1),
        lambda T, x: T.gradient(x, dim=1, edge_order=2)[0],
        lambda T, x: T.nn.ReflectionPad1d(1)(x),
    ],
)
def test_gradients_as_in_torch(call):
    grads = []
    for T in (engine, torch):
        x = T.tensor(CUBES, requires_grad=True)
        y = call(T, x)
        (y * y).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer", ["ZeroPad2d((1, 2, 3, 0))", "ConstantPad1d(2, 3.5)", "PixelShuffle(2)", "Dropout2d(0.2)"]
)
def test_printed_as_in_torch(layer):
    assert repr(eval(f"engine.nn.{layer}")) == repr(eval(f"torch.nn.{layer}"))


def test_dropout_of_channels_and_for_selu():
    engine.manual_seed(0)
    y = engine.nn.Dropout2d(0.5)(engine.ones(8, 16, 3, 3))
    assert set(y.flatten().tolist()) == {0.0, 2.0}
    assert engine.equal(y, y[:, :, :1, :1].expand(y.shape))
    assert engine.nn.Dropout3d().eval()(y.unsqueeze(0)).data_ptr() == y.data_ptr()
    z = engine.nn.AlphaDropout(0.3)(engine.randn(100_000))
    assert abs(z.mean().item()) < 0.02 and abs(z.std().item() - 1) < 0.02
    low, high = engine.unique(engine.nn.AlphaDropout(0.3)(engine.ones(20_000)), return_counts=True)[1].tolist()
    assert low / (low + high) == pytest.approx(0.3, abs=0.02)
    with pytest.raises(ValueError, match="dropout1d"):
        engine.nn.functional.dropout1d(engine.ones(2))


def test_the_sign_of_copysign_has_the_gradient_zero():
    x, y = engine.ones(2, requires_grad=True), engine.tensor([-1.0, 1.0], requires_grad=True)
    engine.copysign(x, y).sum().backward()
    assert x.grad.tolist() == [-1.0, 1.0] and y.grad.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="gradient"):
        engine.gradient(engine.ones(3, 3), dim=(1, 1))


def test_poisson():
    engine.manual_seed(0)
    rates = engine.tensor([[0.0, 4.0]]).expand(5000, 2)
    drawn = engine.poisson(rates)
    assert drawn.dtype is engine.float32 and drawn[:, 0].sum().item() == 0
    assert drawn[:, 1].mean().item() == pytest.approx(4, abs=0.15)
    engine.manual_seed(0)
    assert engine.equal(drawn, engine.poisson(rates))
    with pytest.raises(ValueError, match="poisson"):
        engine.poisson(engine.tensor([-1.0]))


def test_frombuffer_shares_memory_and_refuses_what_does_not_fit():
    memory = bytearray(8)
    x = engine.frombuffer(memory, dtype=engine.int32)
    x[1] = 1
    assert memory == bytearray(4) + (1).to_bytes(4, "little")
    for arguments in ({"offset": 8}, {"offset": 1}, {"count": 3}, {"count": 0}):
        with pytest.raises(ValueError, match="frombuffer"):
            engine.frombuffer(memory, dtype=engine.int32, **arguments)


def test_what_needs_gradients_of_gradients_is_refused_by_name():
    functional = engine.autograd.functional
    for name in ("hessian", "hvp", "vhp", "jvp"):
        with pytest.raises(RuntimeError, match=name):
            getattr(functional, name)(lambda x: x, engine.ones(1))
    with pytest.raises(RuntimeError, match="create_graph"):
        functional.jacobian(lambda x: x, engine.ones(1), create_graph=True)
    with pytest.raises(RuntimeError, match="strict"):
        functional.vjp(lambda x, y: x, (engine.ones(1), engine.ones(1)), strict=True)


def test_names_that_change_nothing_or_stand_for_others():
    from engine.autograd.function import once_differentiable
    from engine.utils.hooks import RemovableHandle

    x = engine.ones(1, requires_grad=True)
    assert isinstance(x.register_hook(lambda g: g), RemovableHandle)
    assert once_differentiable(len) is len
    assert engine.get_autocast_dtype("cuda") is engine.bfloat16
    assert engine.OutOfMemoryError is engine.cuda.OutOfMemoryError and issubclass(engine.OutOfMemoryError, MemoryError)
    with pytest.warns(UserWarning, match="change nothing"), engine.serialization.safe_globals([int]):
        pass
    try:
        engine.set_default_tensor_type("torch.DoubleTensor")
        assert engine.zeros(1).dtype is engine.float64
    finally:
        engine.set_default_tensor_type(engine.FloatTensor)
    with pytest.raises(ValueError, match="set_default_tensor_type"):
        engine.set_default_tensor_type("torch.cuda.FloatTensor")
