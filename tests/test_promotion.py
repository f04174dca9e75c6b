"""Which dtype results have: PyTorch's table (torch.result_type, version 2.13), stored, so that PyTorch need not be there."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import engine

DTYPES = ["float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16", "int8", "int16"]
LETTERS = dict(zip("fdilubBhcs", DTYPES))
NUMBERS = {"bool": True, "int": 1, "float": 1.0}
RIGHT = [f"{kind} {d}" for kind in ("tensor", "zero_dim") for d in DTYPES] + [f"number {n}" for n in NUMBERS]

# A row a left operand, a letter a right one, in the order of RIGHT.
RESULT_TYPE = {
    "tensor float32": "fdfffffffffffffffffffff",
    "tensor float64": "ddddddddddddddddddddddd",
    "tensor int32": "fdiliiBhiifdiiiiBhiiiif",
    "tensor int64": "fdllllBhllfdllllBhllllf",
    "tensor uint8": "fdiluuBhssfduuuuBhuuuuf",
    "tensor bool": "fdilubBhcsfdilubBhcsblf",
    "tensor bfloat16": "fdBBBBBfBBBBBBBBBBBBBBB",
    "tensor float16": "fdhhhhfhhhhhhhhhhhhhhhh",
    "tensor int8": "fdilscBhcsfdccccBhccccf",
    "tensor int16": "fdilssBhssfdssssBhssssf",
    "zero_dim float32": "fdffffBhfffdfffffffffff",
    "zero_dim float64": "fdddddBhddddddddddddddd",
    "zero_dim int32": "fdiluiBhcsfdiliiBhiiiif",
    "zero_dim int64": "fdilulBhcsfdllllBhllllf",
    "zero_dim uint8": "fdiluuBhcsfdiluuBhssuuf",
    "zero_dim bool": "fdilubBhcsfdilubBhcsblf",
    "zero_dim bfloat16": "fdBBBBBhBBfdBBBBBfBBBBB",
    "zero_dim float16": "fdhhhhBhhhfdhhhhfhhhhhh",
    "zero_dim int8": "fdilucBhcsfdilscBhcsccf",
    "zero_dim int16": "fdilusBhcsfdilssBhssssf",
}
EXPECTED = [
    pytest.param(left, right, LETTERS[letter], id=f"{left}-{right}")
    for left, letters in RESULT_TYPE.items()
    for right, letter in zip(RIGHT, letters, strict=True)
]


def operand(name: str):
    kind, dtype = name.split()
    if kind == "number":
        return NUMBERS[dtype]
    return engine.ones(*((2,) if kind == "tensor" else ()), dtype=getattr(engine, dtype))


@pytest.mark.parametrize("left, right, expected", EXPECTED)
def test_results(left: str, right: str, expected: str) -> None:
    a, b = operand(left), operand(right)
    assert engine.result_type(a, b).name == expected
    # As in PyTorch, these take no number.
    pairs = (engine.maximum, engine.minimum, engine.logical_and) if isinstance(b, engine.Tensor) else ()
    for op in (engine.add, engine.mul, *pairs[:2]):
        assert op(a, b).dtype.name == op(b, a).dtype.name == expected
    if expected != "bool":
        for op in (engine.sub, engine.floor_divide, engine.remainder, engine.pow):
            assert op(a, b).dtype.name == op(b, a).dtype.name == expected
    floating = expected if getattr(engine, expected).is_floating_point else "float32"
    assert engine.div(a, b).dtype.name == engine.div(b, a).dtype.name == floating
    for op in (engine.eq, engine.ne, engine.lt, engine.ge, *pairs[2:]):
        assert op(a, b).dtype is engine.bool
    values = (a + b).reshape(-1).tolist()
    assert values == ([True] if expected == "bool" else [2]) * len(values)
    condition = engine.ones(2, dtype=engine.bool)
    assert engine.where(condition, a, b).dtype.name == engine.where(condition, b, a).dtype.name == expected


def test_promote_types() -> None:
    for i, a in enumerate(DTYPES):
        for j, b in enumerate(DTYPES):
            expected = LETTERS[RESULT_TYPE[f"tensor {a}"][j]]
            assert engine.promote_types(getattr(engine, a), getattr(engine, b)).name == expected, (i, j)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "int8", "int16"])
def test_functions_of_integers_give_float32(dtype: str) -> None:
    x = engine.ones(3, dtype=getattr(engine, dtype))
    for op in (engine.exp, engine.log, engine.sqrt, engine.rsqrt, engine.sin, engine.cos, engine.reciprocal):
        assert op(x).dtype is engine.float32


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "int8", "int16"])
def test_sums_of_integers_give_int64(dtype: str) -> None:
    x = engine.ones(3, dtype=getattr(engine, dtype))
    for y in (x.sum(), x.prod(), x.cumsum(0)):
        assert y.dtype is engine.int64
    with pytest.raises(TypeError, match=rf"\[mean\] input: expected a floating-point dtype, got {dtype}"):
        x.mean()


def test_a_number_does_not_widen_its_category() -> None:
    assert (engine.ones(2) * 1e300).tolist() == [float("inf")] * 2
    assert (engine.ones(2, dtype=engine.int32) + 1).dtype is engine.int32
    assert (engine.ones(2, dtype=engine.int32) + 2**32).tolist() == [1, 1]  # wraps around
    assert (engine.ones(2, dtype=engine.int8) + 128).tolist() == [-127, -127]
    with pytest.raises(ValueError, match=r"\[add\] other: expected an integer of 64 bits"):
        engine.ones(2) + 2**64


@pytest.mark.parametrize("dtype", [*DTYPES[:6], "int8", "int16"])
@pytest.mark.parametrize("number", [-1, 300, 2**40, -(2**40), 2**63, 2**70, -(2**70), 10**400, np.int64(2**40)])
def test_comparisons_with_numbers_beyond_the_dtype(dtype: str, number: int) -> None:
    for x in (engine.tensor([0, 1], dtype=getattr(engine, dtype)), engine.tensor(1, dtype=getattr(engine, dtype))):
        values = x.long()
        for op in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
            expected = [op(int(v), int(number)) for v in values.reshape(-1).tolist()]
            assert op(x, number).reshape(-1).tolist() == expected
        assert (number < x).reshape(-1).tolist() == [int(number) < v for v in values.reshape(-1).tolist()]


def test_integers_of_64_bits_are_exact() -> None:
    big = 2**53 + 1
    x = engine.tensor([big, -big])
    assert (x + 0).tolist() == [big, -big]
    assert (x * 1 == big).tolist() == [True, False]
    assert engine.where(engine.tensor([True, False]), big, x).tolist() == [big, -big]
    assert x.masked_fill(engine.tensor([False, True]), big).tolist() == [big, big]


def test_block_diag_takes_the_dtype_of_all():
    made = engine.block_diag(engine.tensor([[1]]), engine.tensor([[1.5]]), engine.tensor([2.5], dtype=engine.float64))
    assert made.dtype is engine.float64 and made.diagonal().tolist() == [1.0, 1.5, 2.5]
    made = engine.block_diag(engine.tensor([1.5], dtype=engine.float16), engine.tensor(2.5))
    assert made.dtype is engine.float16 and made.diagonal().tolist() == [1.5, 2.5]
    assert engine.block_diag(engine.tensor([True]), engine.tensor(2)).dtype is engine.int64
