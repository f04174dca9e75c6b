"""`out=`: the result of an op, written to a tensor that is there."""

from __future__ import annotations

import pytest

import engine
from engine import tensor

A, B = [[1.0, 2.0], [3.0, 4.0]], [[0.5, 2.0], [1.0, -1.0]]
PAIRS = "add sub mul div remainder pow maximum minimum matmul mm eq ne lt le gt ge"
SINGLE = "abs exp log sqrt rsqrt sin cos reciprocal sigmoid tanh isnan neg sign floor ceil round"


def cases():
    a, b = tensor(A), tensor(B)
    batch = a.view(1, 2, 2)
    calls = {name: (getattr(engine, name), (a, b), {}) for name in PAIRS.split()}
    calls |= {name: (getattr(engine, name), (a,), {}) for name in SINGLE.split()}
    return calls | {
        "bmm": (engine.bmm, (batch, batch), {}),
        "mv": (engine.mv, (a, b[0]), {}),
        "dot": (engine.dot, (a[0], b[0]), {}),
        "outer": (engine.outer, (a[0], b[0]), {}),
        "addmm": (engine.addmm, (a, a, b), {"beta": 2, "alpha": 0.5}),
        "baddbmm": (engine.baddbmm, (batch, batch, batch), {"alpha": 0.5}),
        "cat": (engine.cat, ([a, b], 1), {}),
        "stack": (engine.stack, ([a, b],), {"dim": 1}),
        "clamp": (engine.clamp, (a, 1.5), {"max": 3.5}),
        "index_select": (engine.index_select, (a, 0, tensor([1, 0, 1])), {}),
        "gather": (engine.gather, (a, 1, tensor([[0], [1]])), {}),
        "logical_and": (engine.logical_and, (a > 1, b > 0), {}),
        "logical_or": (engine.logical_or, (a > 1, b > 0), {}),
        "logical_xor": (engine.logical_xor, (a > 1, b > 0), {}),
        "sum": (engine.sum, (a, 1), {"keepdim": True}),
        "mean": (engine.mean, (a, 0), {}),
        "lerp": (engine.lerp, (a, b, 0.25), {}),
        "addcmul": (engine.addcmul, (a, a, b), {"value": 2}),
        "addcdiv": (engine.addcdiv, (a, a, b), {"value": 2}),
        "arange": (engine.arange, (1, 7, 2), {}),
        "cumsum": (engine.cumsum, (a, 1), {}),
    }


CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_the_result_lands_in_out(name) -> None:
    function, arguments, options = CASES[name]
    wanted = function(*arguments, **options)
    out = engine.empty_like(wanted)
    memory = out.data_ptr()
    assert function(*arguments, **options, out=out) is out
    assert out.data_ptr() == memory and engine.equal(out, wanted)
    empty = engine.empty(0, dtype=wanted.dtype)
    assert engine.equal(function(*arguments, **options, out=empty), wanted)
    with pytest.raises(ValueError, match="out: expected shape"):
        function(*arguments, **options, out=engine.empty((7,), dtype=wanted.dtype))


def test_a_part_of_a_tensor() -> None:
    whole = engine.zeros(2, 4)
    engine.mm(tensor(A), tensor(B), out=whole[:, ::2])
    assert whole.tolist() == [[2.5, 0, 0, 0], [5.5, 0, 2, 0]]


def test_out_that_is_an_operand() -> None:
    a, b = tensor(A), tensor(B)
    wanted = a @ b
    assert engine.equal(engine.mm(a, b, out=a), wanted)
    assert engine.equal(a, wanted)


@pytest.mark.parametrize("name", ["sort", "topk"])
def test_values_and_indices(name) -> None:
    x = tensor([[3.0, 1.0, 2.0]])
    options = {"k": 2} if name == "topk" else {}
    wanted = getattr(engine, name)(x, **options)
    values, indices = engine.empty_like(wanted.values), engine.empty_like(wanted.indices)
    found = getattr(engine, name)(x, **options, out=(values, indices))
    assert found.values is values and found.indices is indices
    assert engine.equal(values, wanted.values) and engine.equal(indices, wanted.indices)
    with pytest.raises(ValueError, match=r"out: expected \(values, indices\)"):
        getattr(engine, name)(x, **options, out=(values,))


def test_gradients_are_refused_before_anything_is_written() -> None:
    a, out = tensor(A, requires_grad=True), engine.zeros(2, 2)
    with pytest.raises(RuntimeError, match="operands that do not require grad"):
        engine.mm(a, a, out=out)
    with pytest.raises(RuntimeError, match="out: expected a tensor that does not require grad"):
        engine.exp(a.detach(), out=engine.zeros(2, 2, requires_grad=True))
    with pytest.raises(TypeError, match="a dtype that can hold the result, float32"):
        engine.mm(a.detach(), a.detach(), out=out.long())
    assert not out.any()
    with engine.no_grad():
        assert engine.mm(a, a, out=out) is out
