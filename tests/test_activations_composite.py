"""Activations that are made of other ops: values against NumPy in float64, gradients by differences, odd shapes, in place."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn, tensor
from engine.nn import functional as F


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elu(x, alpha=1.0, scale=1.0, rate=1.0):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * rate))


# name: arguments, what NumPy says, and the module
CASES = {
    "celu": ((1.5,), lambda x, a: elu(x, a, 1, 1 / a), nn.CELU),
    "elu": ((0.7,), lambda x, a: elu(x, a), nn.ELU),
    "hardshrink": ((0.4,), lambda x, s: np.where(np.abs(x) <= s, 0, x), nn.Hardshrink),
    "hardsigmoid": ((), lambda x: np.clip(x + 3, 0, 6) / 6, nn.Hardsigmoid),
    "hardswish": ((), lambda x: x * np.clip(x + 3, 0, 6) / 6, nn.Hardswish),
    "hardtanh": ((-0.5, 2.0), np.clip, nn.Hardtanh),
    "leaky_relu": ((0.2,), lambda x, s: np.where(x > 0, x, s * x), nn.LeakyReLU),
    "logsigmoid": ((), lambda x: -np.logaddexp(0, -x), nn.LogSigmoid),
    "mish": ((), lambda x: x * np.tanh(np.logaddexp(0, x)), nn.Mish),
    "relu": ((), lambda x: np.maximum(x, 0), nn.ReLU),
    "relu6": ((), lambda x: np.clip(x, 0, 6), nn.ReLU6),
    "rrelu": ((0.2, 0.4), lambda x, a, b: np.where(x > 0, x, (a + b) / 2 * x), lambda a, b: nn.RReLU(a, b).eval()),
    "selu": ((), lambda x: elu(x, 1.6732632423543772, 1.0507009873554805), nn.SELU),
    "silu": ((), lambda x: x * sigmoid(x), nn.SiLU),
    "softplus": ((2.0, 15.0), lambda x, b, t: np.where(x * b > t, x, np.logaddexp(0, b * x) / b), nn.Softplus),
    "softshrink": ((0.4,), lambda x, s: np.sign(x) * np.maximum(np.abs(x) - s, 0), nn.Softshrink),
    "softsign": ((), lambda x: x / (1 + np.abs(x)), nn.Softsign),
    "tanhshrink": ((), lambda x: x - np.tanh(x), nn.Tanhshrink),
    "threshold": ((0.3, -2.0), lambda x, t, v: np.where(x > t, x, v), nn.Threshold),
}
IN_PLACE = [name for name in CASES if "inplace" in getattr(F, name).__code__.co_varnames]
# A wide range without the kinks of any of them (0, 0.3, 0.4, 0.5, 2, 3 and 6, on both sides).
X = np.array([-90.0, -7.0, -2.5, -1.1, -0.45, -0.2, -1e-4, 1e-4, 0.25, 0.35, 0.7, 1.7, 2.6, 4.0, 7.0, 90.0])


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name):
    arguments, plain, module = CASES[name]
    function = getattr(F, name)
    x = tensor(X).requires_grad_()
    np.testing.assert_allclose(function(x, *arguments).tolist(), plain(X, *arguments), rtol=1e-12, atol=1e-13)
    assert engine.autograd.gradcheck(lambda x: function(x, *arguments), (x,))
    assert module(*arguments)(x).tolist() == function(x, *arguments).tolist()
    single = function(tensor(X).float(), *arguments)
    assert single.dtype is engine.float32
    np.testing.assert_allclose(single.tolist(), plain(X, *arguments), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_shapes(name):
    arguments = CASES[name][0]
    function = getattr(F, name)
    for shape in [(), (0,), (2, 0, 3), (1,)]:
        assert function(engine.zeros(shape), *arguments).shape == shape
    table = tensor(np.resize(X, (4, 6)))
    assert function(table.t(), *arguments).tolist() == np.array(function(table, *arguments)).T.tolist()


@pytest.mark.parametrize("name", CASES)
def test_not_a_number(name):
    assert np.isnan(getattr(F, name)(tensor([float("nan")]), *CASES[name][0]).item())


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name):
    arguments = CASES[name][0]
    function = getattr(F, name)
    leaf, other = (tensor(X).requires_grad_() for _ in range(2))
    x = leaf * 1
    y = function(x, *arguments, inplace=True)
    assert y is x and x.tolist() == function(other, *arguments).tolist()
    (x * x).sum().backward()
    y = function(other, *arguments)
    (y * y).sum().backward()
    assert leaf.grad.tolist() == other.grad.tolist()
    with pytest.raises(RuntimeError, match="a leaf that requires grad"):
        function(leaf, *arguments, inplace=True)
    with engine.no_grad():
        function(leaf, *arguments, inplace=True)
    assert leaf.tolist() == x.tolist()


@pytest.mark.parametrize(
    "name", ["celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_"]
)
def test_in_place_names(name):
    x = tensor(X)
    arguments = CASES[name[:-1]][0]
    wanted = getattr(F, name[:-1])(x, *arguments).tolist()
    assert getattr(F, name)(x, *arguments) is x and x.tolist() == wanted


def test_a_view_is_written_in_its_base():
    x = tensor([[-1.0, 2.0], [-3.0, 4.0]])
    F.relu(x[:, 0], inplace=True)
    assert x.tolist() == [[0, 2], [0, 4]]


def test_modules_write_in_place():
    for module in [
        nn.ReLU(True),
        nn.ReLU6(inplace=True),
        nn.ELU(inplace=True),
        nn.SiLU(True),
        nn.Threshold(0, 1, True),
    ]:
        x = tensor([-1.0, 2.0])
        assert module(x) is x and "inplace=True" in repr(module)


def test_dropout_in_place():
    engine.manual_seed(0)
    leaf = engine.ones(1000, requires_grad=True)
    x = leaf * 1
    assert F.dropout(x, 0.5, inplace=True) is x
    kept = x.detach().numpy() == 2
    assert 300 < kept.sum() < 700 and not x.detach().numpy()[~kept].any()
    x.sum().backward()
    assert leaf.grad.tolist() == x.tolist()
    still = engine.ones(3)
    assert nn.Dropout(0.5, inplace=True).eval()(still) is still and still.tolist() == [1, 1, 1]


def test_hardtanh_has_no_gradient_at_its_bounds():
    x = tensor([-1.0, 0.0, 1.0]).requires_grad_()
    F.hardtanh(x).sum().backward()
    assert x.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name, wanted", [("hardtanh", [-1, 0, 1]), ("relu6", [0, 0, 6]), ("threshold", [9, 9, 7])])
def test_integers_stay_integers(name, wanted):
    arguments = (1, 9) if name == "threshold" else ()
    y = getattr(F, name)(tensor([-5, 0, 7]), *arguments)
    assert y.tolist() == wanted and y.dtype is engine.int64


def test_prelu():
    rng = np.random.default_rng(0)
    x, w = tensor(rng.standard_normal((2, 3, 4))).requires_grad_(), tensor(rng.standard_normal(3)).requires_grad_()
    assert engine.autograd.gradcheck(F.prelu, (x, w))
    assert engine.autograd.gradcheck(F.prelu, (x, w[:1].detach().requires_grad_()))
    a, b = x.detach().numpy(), w.detach().numpy()[:, None]
    np.testing.assert_allclose(F.prelu(x, w).tolist(), np.where(a > 0, a, a * b))
    assert F.prelu(tensor(-2.0), tensor(0.5)).item() == -1
    layer = nn.PReLU(3, init=0.1)
    assert layer.weight.tolist() == pytest.approx([0.1] * 3) and repr(layer) == "PReLU(num_parameters=3)"
    big = tensor([float("inf")]).requires_grad_()
    slope = tensor([0.5]).requires_grad_()
    F.prelu(big, slope).sum().backward()
    assert slope.grad.tolist() == [0]  # not inf * 0


def test_glu():
    x = tensor(np.random.default_rng(0).standard_normal((2, 6, 3))).requires_grad_()
    assert engine.autograd.gradcheck(lambda x: F.glu(x, 1), (x,))
    a, b = np.split(x.detach().numpy(), 2, 1)
    np.testing.assert_allclose(nn.GLU(1)(x).tolist(), a * sigmoid(b))
    assert F.glu(engine.zeros(2, 0)).shape == (2, 0)


def test_softmin():
    x = tensor(np.random.default_rng(0).standard_normal((2, 3, 4)))
    with pytest.warns(UserWarning, match="takes dimension 0 of 3"):
        assert F.softmin(x).tolist() == F.softmax(-x, 0).tolist()  # PyTorch's choice for 3 dimensions
    assert nn.Softmin(1)(x).tolist() == F.softmax(-x, 1).tolist()


def test_rrelu_draws_a_slope_for_each_element():
    engine.manual_seed(0)
    y = nn.RReLU(0.25, 0.75)(-engine.ones(1000)).numpy()
    assert -0.75 <= y.min() < -0.7 and -0.3 < y.max() <= -0.25


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard):
    engine.manual_seed(0)
    logits = engine.zeros(4000, 2) + tensor([0.0, float(np.log(3))])
    logits.requires_grad_()
    y = F.gumbel_softmax(logits, tau=0.5, hard=hard)
    rows = y.detach().numpy()
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
    assert 0.7 < (rows[:, 1] > rows[:, 0]).mean() < 0.8  # the class of probability 3/4 wins as often
    (y[:, 0] * 2).sum().backward()
    assert logits.grad.numpy().any()


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda: F.celu(engine.ones(2), 0), ValueError, r"\[celu\] alpha: expected a number other than 0"),
        (lambda: F.elu(tensor([1])), TypeError, r"\[elu\] input: expected a floating-point dtype, got int64"),
        (lambda: F.glu(engine.ones(3)), ValueError, r"\[glu\] input: expected an even size of dimension -1, got 3"),
        (lambda: F.glu(tensor(1.0)), ValueError, r"\[glu\] input: expected at least one dimension"),
        (lambda: F.gumbel_softmax(engine.ones(3), 0.0), ValueError, r"\[gumbel_softmax\] tau"),
        (lambda: F.hardtanh(engine.ones(2), 2, 1), ValueError, r"\[hardtanh\] min_val"),
        (lambda: F.prelu(engine.ones(2, 3), engine.ones(2)), ValueError, r"\[prelu\] weight: expected 1 or 3 numbers"),
        (lambda: F.prelu(engine.ones(2), engine.ones(1).double()), ValueError, r"\[prelu\] weight: expected float32"),
        (lambda: F.rrelu(engine.ones(2), 0.5, 0.1), ValueError, r"\[rrelu\] lower"),
        (lambda: F.softshrink(engine.ones(2), -1), ValueError, r"\[softshrink\] lambd: expected a number >= 0"),
        (lambda: F.softsign([1.0]), TypeError, r"\[softsign\] input: expected a Tensor, got list"),
        (lambda: F.threshold(tensor([True]), 0, 1), ValueError, r"\[threshold\] input"),
        (lambda: nn.Hardtanh(1, 1), ValueError, r"\[Hardtanh\] max_val"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("dtype", [engine.float16, engine.bfloat16])
@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_of_16_bits_is_finite(dtype, hard):
    engine.manual_seed(0)
    assert F.gumbel_softmax(engine.zeros(50000, 4, dtype=dtype), hard=hard).isfinite().all().item()


@pytest.mark.parametrize("name", ["softplus", "mish"])
def test_float16_does_not_overflow(name):
    x = np.arange(-30, 30.1, 0.125, dtype=np.float32)
    half, single = tensor(x, dtype=engine.float16, requires_grad=True), tensor(x, requires_grad=True)
    results = [getattr(F, name)(t) for t in (half, single)]
    assert results[0].dtype is engine.float16
    for y in results:
        y.sum().backward()
    np.testing.assert_allclose(results[0].detach().float().numpy(), results[1].detach().numpy(), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(half.grad.float().numpy(), single.grad.numpy(), rtol=2e-3, atol=1e-4)
