"""What the rows of tests/specs do not show of elementwise ops: special values, operators, in-place ops, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine import Tensor

NAN, INF = math.nan, math.inf


def t(values, dtype=None, grad=False) -> Tensor:
    return engine.tensor(values, dtype=dtype, requires_grad=grad)


def same(found: Tensor, expected) -> None:
    wanted = np.asarray(expected)
    assert found.shape == wanted.shape
    values = found.detach().numpy()
    np.testing.assert_array_equal(values, wanted.astype(values.dtype))


# ---------------------------------------------------------------- special values


@pytest.mark.parametrize("dtype", [engine.float32, engine.float64])
def test_nan_is_the_larger_and_the_smaller(isa: str, dtype) -> None:
    a = t([NAN, 1.0, NAN, 2.0, -INF] * 9, dtype)
    b = t([1.0, NAN, NAN, 1.0, INF] * 9, dtype)
    same(engine.maximum(a, b), [NAN, NAN, NAN, 2, INF] * 9)
    same(engine.minimum(a, b), [NAN, NAN, NAN, 1, -INF] * 9)
    same(a.clamp(0, 1), [NAN, 1, NAN, 1, 0] * 9)


def test_division_by_zero_and_roots(isa: str) -> None:
    same(t([1.0, -1.0, 0.0]) / 0, [INF, -INF, NAN])
    same(t([1.0, -1.0, 0.0]) // 0, [INF, -INF, NAN])
    same(t([4.0, 0.0, -1.0]).sqrt(), [2, 0, NAN])
    same(t([4.0, 0.0, -1.0]).rsqrt(), [0.5, INF, NAN])
    same(t([1.0, 0.0, -1.0, INF]).log(), [0, -INF, NAN, INF])
    same(t([0.0, -INF, INF, NAN]).exp(), [1, 0, INF, NAN])
    same(t([NAN, -0.0, 2.5, -3.0]).sign(), [0, 0, 1, -1])
    same(t([-2.5, -0.5, 0.5, 1.5, 2.5, 1e10]).round(), [-2, 0, 0, 2, 2, 1e10])


def test_floor_division_has_python_rules(isa: str) -> None:
    a = [7, -7, 7, -7, 6, -6, 0]
    b = [2, 2, -2, -2, 3, 3, 5]
    for dtype in (engine.int32, engine.int64, engine.float32, engine.float64):
        same(t(a, dtype) // t(b, dtype), [x // y for x, y in zip(a, b)])
        same(t(a, dtype) % t(b, dtype), [x % y for x, y in zip(a, b)])
    same(7 // t([2, -2]), [3, -4])
    same(7 % t([2, -2]), [1, -1])
    same(t([5.5, -5.5]) // 2, [2, -3])
    same(t([5.5, -5.5]) % 2, [1.5, 0.5])


@pytest.mark.parametrize("dtype, low", [(engine.int32, -(2**31)), (engine.int64, -(2**63))])
def test_integers_wrap_around(isa: str, dtype, low: int) -> None:
    x = t([low] * 17, dtype)
    same(x - 1, [-(low + 1)] * 17)
    same(-x, [low] * 17)
    same(x.abs(), [low] * 17)
    same(x // -1, [low] * 17)
    same(x % -1, [0] * 17)
    same(x * 2, [0] * 17)
    same(t([255, 1], engine.uint8) + 1, [0, 2])
    same(t([2, 3], engine.uint8) - t([3, 3], engine.uint8), [255, 0])
    same(-t([1], engine.uint8), [255])


def test_division_of_integers_by_zero_is_refused() -> None:
    x = t([1, 2, 3])
    for op in (engine.floor_divide, engine.remainder):
        with pytest.raises(ValueError, match=r"other: expected integers other than 0, got 0"):
            op(x, t([1, 0, 1]))
        with pytest.raises(ValueError, match=r"other: expected integers other than 0, got 0"):
            op(x, 0)


def test_powers(isa: str) -> None:
    same(t([2, -2, 0, 1]) ** 3, [8, -8, 0, 1])
    same(t([2, -1, -1, 1]) ** t([-1, -1, -2, -9]), [0, -1, 1, 1])
    same(2 ** t([0, 3, 10]), [1, 8, 1024])
    same(2 ** t([0.0, -1.0]), [1, 0.5])
    same(t([0.0, -2.0, 2.0, NAN]) ** 0, [1, 1, 1, 1])
    same(t([-8.0, 4.0]) ** 0.5, [NAN, 2])
    with pytest.raises(ValueError, match=r"\[pow\] exponent: expected an integer >= 0 for an integer input, got -1"):
        t([1, 2]) ** -1
    x = t([0.0, 2.0, -2.0], grad=True)
    (x**0 + x**1 + x**2).backward(t([1.0, 1.0, 1.0]))
    same(x.grad, [1, 5, -3])
    x, e = t([0.0, 0.0, 2.0], grad=True), t([0.0, 2.0, 3.0], grad=True)
    (x**e).backward(t([1.0, 1.0, 1.0]))
    same(x.grad, [0, 0, 12])
    assert e.grad.tolist() == pytest.approx([0, 0, 8 * math.log(2)])


def test_equal_elements_share_the_gradient_of_maximum() -> None:
    for op in (engine.maximum, engine.minimum):
        a, b = t([1.0, 2.0, 3.0], grad=True), t([1.0, 3.0, 2.0], grad=True)
        op(a, b).backward(t([1.0, 1.0, 1.0]))
        same(a.grad + b.grad, [1, 1, 1])
        assert a.grad.tolist()[0] == 0.5
    x = t([-1.0, -0.5, 0.0, 1.0, 2.0, NAN], grad=True)
    x.clamp(-0.5, 1.0).backward(engine.ones(6))
    same(x.grad, [0, 1, 1, 1, 0, 0])


def test_gradients_at_kinks() -> None:
    x = t([0.0, -1.0, 1.0], grad=True)
    x.abs().backward(engine.ones(3))
    same(x.grad, [0, -1, 1])


# ---------------------------------------------------------------- operators


def test_operators_and_numbers() -> None:
    x = t([1.0, 2.0, 4.0])
    same(x + 1, [2, 3, 5])
    same(1 + x, [2, 3, 5])
    same(1 - x, [0, -1, -3])
    same(x - 1, [0, 1, 3])
    same(2 * x, [2, 4, 8])
    same(8 / x, [8, 4, 2])
    same(x / 2, [0.5, 1, 2])
    same(-x, [-1, -2, -4])
    same(+x, [1, 2, 4])
    same(abs(-x), [1, 2, 4])
    same(x**2, [1, 4, 16])
    same(x > 1.5, [False, True, True])
    same(x < 1.5, [True, False, False])
    same(x <= 2, [True, True, False])
    same(x == 2, [False, True, False])
    same(x != 2, [True, False, True])
    same(x + True, [2, 3, 5])


def test_numpy_on_either_side() -> None:
    x = t([1.0, 2.0])
    for number in (np.float32(2), np.float64(2), np.int64(2)):
        for y in (x * number, number * x):
            assert isinstance(y, Tensor)
            assert y.dtype is engine.float32
            same(y, [2, 4])
    for y in (np.ones(2) + x, x + np.ones(2)):  # as in PyTorch, a tensor of the array's dtype
        assert isinstance(y, Tensor) and y.dtype is engine.float64
        same(y, [2, 3])
    with pytest.raises(TypeError, match=r"\[add\] \w+: expected a Tensor or a number, got numpy.ndarray"):
        np.array(["a", "b"]) + x


def test_comparison_with_what_is_no_number() -> None:
    x = t([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    assert x in [x]
    assert hash(x) == hash(x)
    assert len({x, t([1.0])}) == 2


def test_logic_of_bool() -> None:
    a, b = t([True, True, False, False]), t([True, False, True, False])
    same(a & b, [True, False, False, False])
    same(a | b, [True, True, True, False])
    same(a ^ b, [False, True, True, False])
    same(~a, [False, False, True, True])
    same(a & True, [True, True, False, False])
    same(a + b, [True, True, True, False])
    same(a * b, [True, False, False, False])
    with pytest.raises(TypeError, match=r"\[bitwise_and\] input: expected an integer dtype or bool, got float32"):
        t([1.0]) & t([1.0])
    with pytest.raises(
        TypeError, match=r"\[sub\] input: expected a floating-point dtype or an integer dtype, got bool"
    ):
        a - b


def test_equal() -> None:
    assert engine.equal(t([1, 2]), t([1, 2]))
    assert not engine.equal(t([1, 2]), t([1, 3]))
    assert not engine.equal(t([1, 2]), t([[1, 2]]))


def test_where_as_a_method_takes_the_condition_first() -> None:
    x = t([1.0, 2.0])
    same(x.where(t([True, False]), 0), [1, 0])
    same(x.where(t([True, False]), t([5.0, 6.0])), [1, 6])
    with pytest.raises(TypeError, match=r"\[where\] condition: expected bool, got float32"):
        engine.where(x, x, x)


def test_where_moves_16_bit_floats() -> None:
    x = t([1.5, 2.5]).to(engine.bfloat16)
    y = engine.where(t([True, False]), x, 0.25)
    assert y.dtype is engine.bfloat16
    assert y.tolist() == [1.5, 0.25]
    assert x.masked_fill(t([True, False]), -3).tolist() == [-3, 2.5]


def test_functional_names_take_numbers_and_refuse_the_rest() -> None:
    same(engine.add(1, t([1.0])), [2])
    for op in (engine.add, engine.mul, engine.lt):
        with pytest.raises(TypeError, match=r"other: expected a Tensor or a number, got str"):
            op(t([1.0]), "a")
    with pytest.raises(TypeError, match=r"\[exp\] input: expected a Tensor, got float"):
        engine.exp(1.0)


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\[add\] other: expected a shape that broadcasts with \(3,\), got \(4,\)"):
        engine.ones(3) + engine.ones(4)


def test_mixed_dtypes_give_each_operand_a_gradient_of_its_own() -> None:
    a = t([1.0, 2.0], engine.float32, grad=True)
    b = t([[3.0], [4.0]], engine.float64, grad=True)
    y = a * b
    assert y.dtype is engine.float64
    y.backward(engine.ones(2, 2, dtype=engine.float64))
    assert a.grad.dtype is engine.float32
    assert b.grad.dtype is engine.float64
    same(a.grad, [7, 7])
    same(b.grad, [[3], [3]])


# ---------------------------------------------------------------- in place


def test_in_place_values_and_identity(isa: str) -> None:
    x = t([[1.0, -2.0], [3.0, 4.0]])
    memory = x.data_ptr()
    assert x.add_(1) is x
    same(x, [[2, -1], [4, 5]])
    same(x.sub_(t([1.0, 0.0]), alpha=2), [[0, -1], [2, 5]])
    same(x.mul_(t([[2.0], [1.0]])), [[0, -2], [2, 5]])
    same(x.div_(2), [[0, -1], [1, 2.5]])
    same(x.neg_(), [[0, 1], [-1, -2.5]])
    same(x.clamp_(min=-2), [[0, 1], [-1, -2]])
    same(x.masked_fill_(x < 0, 7), [[0, 1], [7, 7]])
    same(x.add_(x, alpha=-1), [[0, 0], [0, 0]])
    same(x.fill_(3), [[3, 3], [3, 3]])
    same(x.copy_(t([1, 2])), [[1, 2], [1, 2]])
    same(x.zero_(), [[0, 0], [0, 0]])
    assert x.data_ptr() == memory
    before = x
    x += 1
    x -= 3
    x *= -2
    x /= 4
    assert x is before
    same(x, [[1, 1], [1, 1]])


def test_in_place_on_strided_and_overlapping_memory() -> None:
    x = engine.arange(6, dtype=engine.float32)
    wanted = np.arange(6, dtype=np.float32)
    x.narrow(0, 1, 5).add_(x.narrow(0, 0, 5))
    wanted[1:] = wanted[1:] + wanted[:5].copy()
    same(x, wanted)
    y = engine.zeros(3, 4)
    y.t().add_(t([1.0, 2.0, 3.0]))
    same(y, [[1] * 4, [2] * 4, [3] * 4])


def test_in_place_keeps_shape_and_dtype() -> None:
    with pytest.raises(ValueError, match=r"\[add_\] other: expected a shape that broadcasts to \(2,\), got \(3, 2\)"):
        engine.ones(2).add_(engine.ones(3, 2))
    with pytest.raises(TypeError, match=r"\[add_\] other: expected what converts to int64, got float"):
        engine.ones(2, dtype=engine.int64).add_(0.5)
    with pytest.raises(TypeError, match=r"\[div_\] input: expected a floating-point dtype, got int64"):
        engine.ones(2, dtype=engine.int64).div_(2)
    x = engine.ones(2)
    same(x.add_(engine.ones(2, dtype=engine.float64)), [2, 2])
    assert x.dtype is engine.float32


def test_in_place_gradients() -> None:
    x, w = t([1.0, 2.0, -3.0], grad=True), t([2.0, 4.0, 0.5], grad=True)
    y = x * 1
    y.add_(w).mul_(w).div_(w).sub_(w, alpha=0.5).mul_(w).neg_()  # -(x + w/2) w
    y.backward(engine.ones(3))
    assert x.grad.tolist() == pytest.approx([-2, -4, -0.5])
    assert w.grad.tolist() == pytest.approx([-3, -6, 2.5])
    x = t([1.0, 2.0, -3.0], grad=True)
    y = x * 2
    y.clamp_(-1, 3).masked_fill_(t([True, False, False]), 0)
    y.backward(engine.ones(3))
    same(x.grad, [0, 0, 0])
    x, w = t([1.0, 2.0, -3.0], grad=True), t(5.0, grad=True)
    y = x * 2
    y.masked_fill_(t([True, False, True]), w)
    y.backward(t([1.0, 10.0, 100.0]))
    same(x.grad, [0, 20, 0])
    same(w.grad, 101)


def test_in_place_rules_of_autograd() -> None:
    leaf = t([1.0, 2.0], grad=True)
    for write in (
        lambda x: x.add_(1),
        lambda x: x.sub_(1),
        lambda x: x.mul_(2),
        lambda x: x.div_(2),
        lambda x: x.neg_(),
        lambda x: x.clamp_(0, 1),
        lambda x: x.masked_fill_(t([True, True]), 0),
        lambda x: x.fill_(0),
        lambda x: x.copy_(t([0.0, 0.0])),
        lambda x: x.zero_(),
    ):
        with pytest.raises(RuntimeError, match="expected a tensor that is not a leaf"):
            write(leaf)
    same(leaf, [1, 2])
    with engine.no_grad():
        leaf.add_(1)
    same(leaf, [2, 3])
    y = leaf * 1
    z = y.exp()
    z.add_(1)  # exp saved its result
    with pytest.raises(RuntimeError, match=r"\[exp\] backward: .* modified by an in-place operation"):
        z.backward(engine.ones(2))


def test_grad_gives_every_input_its_gradient() -> None:
    x, y = t([1.0, 2.0], grad=True), t([3.0, 4.0], grad=True)
    middle = x * y
    found = engine.autograd.grad((middle.sum(), (x * 5).sum()), (x, middle, x, y))
    for gradient, expected in zip(found, ([8, 9], [1, 1], [8, 9], [1, 2])):
        same(gradient, expected)
    assert x.grad is None
    assert engine.autograd.grad((x * 5).sum(), (x, y), allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match=r"\[grad\] inputs\[1\]: expected a tensor on which the outputs depend"):
        engine.autograd.grad((x * 5).sum(), (x, y))
    for op, call in (("grad", lambda *a: engine.autograd.grad(a[0], x, a[1])), ("backward", engine.autograd.backward)):
        with pytest.raises(ValueError, match=rf"\[{op}\] .*expected 2 gradients, one for each output, got 1"):
            call((x.sum(), (x * 2).sum()), [t(1.0)])
        with pytest.raises(RuntimeError, match=rf"\[{op}\] gradient: expected a Tensor of shape \(2,\)"):
            call(x * 2, None)


def test_a_hook_must_return_a_gradient_like_that_of_its_tensor() -> None:
    for result, error in ((t([1.0]), ValueError), (t([1, 2]), ValueError), (1.0, TypeError)):
        x = t([1.0, 2.0], grad=True)
        x.register_hook(lambda g, result=result: result)
        with pytest.raises(error, match="hook: expected a"):
            (x * 2).sum().backward()


def test_grad_modes_hold_in_generators_and_not_between_their_steps() -> None:
    closed = []

    @engine.no_grad()
    def count(n):
        try:
            for i in range(n):
                try:
                    got = yield i, engine.is_grad_enabled()
                except KeyError:
                    got = "thrown"
                assert got in (None, "sent", "thrown") and not engine.is_grad_enabled()
            return got
        finally:
            closed.append(engine.is_grad_enabled())

    steps = count(3)
    assert next(steps) == (0, False) and engine.is_grad_enabled()
    assert steps.throw(KeyError()) == (1, False) and engine.is_grad_enabled()
    assert steps.send("sent") == (2, False) and engine.is_grad_enabled()
    with pytest.raises(StopIteration) as end:
        steps.send("sent")
    assert end.value.value == "sent" and engine.is_grad_enabled()
    next(steps := count(3))
    steps.close()
    assert closed == [False, False] and engine.is_grad_enabled()
    with pytest.raises(ValueError, match="from outside"):
        next(steps := count(3))
        steps.throw(ValueError("from outside"))
    with engine.no_grad():
        assert list(engine.enable_grad()(lambda: (yield engine.is_grad_enabled()))()) == [True]


# ---------------------------------------------------------------- large


def test_broadcasts_of_every_stride(isa: str, threads) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3, 700)).astype(np.float32)
    columns, planes = x.transpose(2, 1, 0), np.ascontiguousarray(x[:, :1, :])
    for n in (1, 2):
        threads(n)
        same(t(x) + t(planes), x + planes)
        same(engine.from_numpy(x).permute(2, 1, 0) * t(columns), columns * columns)
        x3, columns7 = x[:, :, ::3], columns[::7]
        same(engine.from_numpy(x3) - t(x[:, :, :1]), x3 - x[:, :, :1])
        same(engine.from_numpy(columns7) / 3, columns7 / np.float32(3))


@pytest.mark.parametrize("bounds", [(math.nan, 1.0), (0.0, math.nan), (math.nan, None), (None, math.nan)])
@pytest.mark.parametrize("tensors", [False, True])
def test_a_bound_that_is_no_number_gives_no_number(bounds, tensors):
    low, high = (engine.tensor([b, b]) if tensors and b is not None else b for b in bounds)
    x = engine.tensor([-3.0, 0.5])
    assert engine.clamp(x, low, high).isnan().all().item()
    assert x.clamp_(low, high).isnan().all().item()
