"""Other names of ops, and the in-place methods that are made from tables: what they write, record and refuse."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck
from engine.ops import methods

X = np.random.default_rng(0).uniform(0.2, 0.8, (3, 3))
Y = np.random.default_rng(1).uniform(0.2, 0.8, (3, 3))
UNARY = [
    "acosh",
    "arccosh",
    "arcsinh",
    "arctanh",
    "asinh",
    "atanh",
    "sgn",
    "abs",
    "absolute",
    "acos",
    "arccos",
    "arcsin",
    "arctan",
    "asin",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "frac",
    "log",
    "log10",
    "log1p",
    "log2",
    "logit",
    "nan_to_num",
    "rad2deg",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "tril",
    "triu",
    "trunc",
]
BINARY = ["arctan2", "atan2", "clamp_max", "clamp_min", "floor_divide", "fmod", "hypot", "pow", "remainder", "xlogy"]
TRUTH = [
    "eq",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "le",
    "less",
    "less_equal",
    "lt",
    "ne",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
]
OTHERS = {
    "addbmm": (engine.tensor(X[None]), engine.tensor(Y[None])),
    "addcdiv": (engine.tensor(X), engine.tensor(Y)),
    "addcmul": (engine.tensor(X), engine.tensor(Y)),
    "addmm": (engine.tensor(X), engine.tensor(Y)),
    "addmv": (engine.tensor(X), engine.tensor(Y[0])),
    "addr": (engine.tensor(X[0]), engine.tensor(Y[0])),
    "baddbmm": (engine.tensor(X[None]), engine.tensor(Y[None])),
    "cumsum": (0,),
    "lerp": (engine.tensor(Y), 0.3),
}


def arguments_of(name: str) -> tuple:
    if name in OTHERS:
        return OTHERS[name]
    return (engine.tensor(Y),) if name in BINARY or (name in TRUTH and name != "logical_not") else ()


def test_the_tables_are_tested_whole() -> None:
    assert set(methods._WRITTEN.split()) == {*UNARY, *BINARY, *TRUTH, *OTHERS}


@pytest.mark.parametrize("name", methods._WRITTEN.split())
def test_written_in_place(name: str) -> None:
    arguments = arguments_of(name)
    start = engine.tensor({"baddbmm": X[None], "addmv": X[0], "acosh": X + 1, "arccosh": X + 1}.get(name, X))
    expected = getattr(start, name)(*arguments)
    x = start.clone()
    memory = x.data_ptr()
    assert getattr(x, f"{name}_")(*arguments) is x
    assert x.data_ptr() == memory
    assert x.dtype is engine.float64
    assert engine.equal(x, expected.double())

    def in_place(t: engine.Tensor, *others: engine.Tensor) -> engine.Tensor:
        return getattr(t * 1, f"{name}_")(*(others or arguments)) * 2

    learned = [a.detach().requires_grad_() for a in arguments if isinstance(a, engine.Tensor)]
    whole = learned if len(learned) == len(arguments) else []
    assert gradcheck(in_place, [start.detach().requires_grad_(), *whole])


def test_leaves_shapes_and_dtypes_are_guarded() -> None:
    leaf = engine.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"\[exp_\] self: expected a tensor that is not a leaf"):
        leaf.exp_()
    with engine.no_grad():
        assert leaf.exp_().tolist() == pytest.approx([np.e] * 2)
    with pytest.raises(RuntimeError, match=r"\[squeeze_\] self: expected a tensor that is not a leaf"):
        leaf.squeeze_()
    x = engine.tensor([1, 4])
    with pytest.raises(
        TypeError, match=r"\[sqrt_\] input: expected a dtype that can hold the result, float32, got int64"
    ):
        x.sqrt_()
    with pytest.raises(
        ValueError, match=r"\[fmod_\] input: expected shape \(3, 2\), to which the operands broadcast, got \(2,\)"
    ):
        x.fmod_(engine.ones(3, 2, dtype=engine.int64))
    with pytest.raises(TypeError, match=r"\[hypot_\] other: expected a Tensor, got float"):
        x.float().hypot_(2.0)
    with pytest.raises(RuntimeError, match=r"\[exp_\] self: expected a tensor whose elements lie in different places"):
        engine.ones(1).expand(3).exp_()
    assert x.tolist() == [1, 4]
    assert x.eq_(4).tolist() == [0, 1]


def test_what_other_ops_saved_is_seen_to_be_overwritten() -> None:
    x = engine.tensor([0.5], requires_grad=True)
    z = x * 1
    y = z.sin()
    z.exp_()
    with pytest.raises(RuntimeError, match=r"\[sin\] backward: expected the arrays that the op saved, unchanged"):
        y.backward()


def test_an_operand_may_be_the_tensor_itself() -> None:
    x = engine.tensor(X, requires_grad=True)
    for name in ("pow", "atan2", "fmod", "hypot"):
        y = x * 1
        getattr(y, f"{name}_")(y)
        assert engine.equal(y, getattr(x, name)(x))


def test_comparisons_in_place_end_the_gradient() -> None:
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 3).gt_(4)
    assert y.tolist() == [0, 1]
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_div_in_place_rounds() -> None:
    x = engine.tensor([7, -7])
    assert x.div_(2, rounding_mode="trunc").tolist() == [3, -3]
    assert x.divide_(2, rounding_mode="floor").tolist() == [1, -2]
    with pytest.raises(TypeError):
        x.div_(2)


def test_reshaped_in_place() -> None:
    x = engine.arange(6).reshape(2, 1, 3)
    memory = x.data_ptr()
    assert x.squeeze_() is x
    assert x.shape == (2, 3)
    assert x.t_().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.unsqueeze_(0).shape == (1, 3, 2)
    assert x.transpose_(0, 2).shape == (2, 3, 1)
    assert x.swapdims_(1, 2).shape == (2, 1, 3)
    assert x.swapaxes_(0, 2).shape == (3, 1, 2)
    assert x.data_ptr() == memory

    def reshaped(t: engine.Tensor) -> engine.Tensor:
        y = t * 2
        y.unsqueeze_(0).transpose_(0, 1)
        return y.exp()

    assert gradcheck(reshaped, engine.tensor(X, requires_grad=True))
    assert reshaped(engine.tensor(X)).shape == (3, 1, 3)


@pytest.mark.parametrize(
    "other, name",
    [
        ("greater", "gt"), ("greater_equal", "ge"), ("less", "lt"), ("less_equal", "le"), ("not_equal", "ne"),
        ("multiply", "mul"), ("subtract", "sub"), ("divide", "div"), ("true_divide", "div"), ("arctan2", "atan2"),
    ],
)  # fmt: skip
def test_other_names(other: str, name: str) -> None:
    x, y = engine.tensor(X), engine.tensor(Y)
    expected = getattr(engine, name)(x, y)
    assert engine.equal(getattr(engine, other)(x, y), expected)
    assert engine.equal(getattr(x, other)(y), expected)
    assert engine.equal(getattr(x.clone(), f"{other}_")(y), expected.double())


def test_other_names_of_one_operand() -> None:
    x = engine.tensor(X)
    for other, name in (
        ("negative", "neg"),
        ("arcsin", "asin"),
        ("arccos", "acos"),
        ("arctan", "atan"),
        ("fix", "trunc"),
    ):
        expected = getattr(engine, name)(x)
        assert engine.equal(getattr(engine, other)(x), expected)
        assert engine.equal(getattr(x, other)(), expected)
        assert engine.equal(getattr(x.clone(), f"{other}_")(), expected)


def test_names_of_numpy_for_dimensions() -> None:
    x = engine.tensor(X)
    for name in ("sum", "mean", "prod", "std", "var", "amax", "amin", "argmax", "argmin", "any", "all"):
        expected = getattr(x, name)(dim=1, keepdim=True)
        assert engine.equal(getattr(x, name)(axis=1, keepdims=True), expected)
        assert engine.equal(getattr(engine, name)(x, axis=-1, keepdims=True), expected)
    for name in ("max", "min"):
        assert engine.equal(getattr(x, name)(axis=0).indices, getattr(x, name)(dim=0).indices)
        assert getattr(x, name)(axis=0, keepdims=True).values.shape == (1, 3)
    for pair in zip(engine.var_mean(x, axis=0), engine.var_mean(x, 0), strict=True):
        assert engine.equal(*pair)
    for join in (engine.cat, engine.concat, engine.concatenate, engine.stack):
        assert engine.equal(join([x, x], axis=1), join([x, x], dim=1))


def test_shapes_by_keyword() -> None:
    x = engine.tensor(X)
    assert x.reshape(shape=(9,)).shape == (9,)
    assert x.view(size=(1, 9)).shape == (1, 9)
    assert engine.equal(x.permute(dims=(1, 0)), x.t())
    assert x.expand(size=(2, 3, 3)).shape == (2, 3, 3)
    assert x.flip(dims=(0,)).tolist() == x.tolist()[::-1]
    assert x.repeat(repeats=(2, 1)).shape == (6, 3)
    assert x.tile(dims=(2,)).shape == (3, 6)
