"""Products of vectors and matrices, einsum, distances and norms: against NumPy, with gradients."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.autograd import gradcheck

rng = np.random.default_rng(0)
SHAPES = {
    "v": (3,), "w": (4,), "m": (2, 3), "n": (3, 4), "p": (2, 4), "b": (5, 2, 3), "c": (5, 3, 4), "o": (5, 2, 4), "s": (),
    "q": (2,),
}  # fmt: skip
VALUES = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
T = engine.tensor

# name: (operands, engine's call, NumPy's call)
CALLS = {
    "dot": ("vv", engine.dot, np.dot),
    "vdot": ("vv", lambda a, b: a.vdot(b), np.vdot),
    "mv": ("mv", engine.mv, np.dot),
    "outer": ("vw", engine.outer, np.outer),
    "ger": ("vw", lambda a, b: a.ger(b), np.outer),
    "inner": ("bm", engine.inner, np.inner),
    "inner of a number": ("ms", lambda a, b: a.inner(b), np.inner),
    "kron": ("mn", engine.kron, np.kron),
    "kron of other ranks": ("vb", engine.kron, np.kron),
    "addmm": ("pmn", lambda a, b, c: engine.addmm(a, b, c, beta=2, alpha=0.5), lambda a, b, c: 2 * a + 0.5 * b @ c),
    "addmm of a row": ("wmn", lambda a, b, c: a.addmm(b, c), lambda a, b, c: a + b @ c),
    "baddbmm": ("obc", lambda a, b, c: engine.baddbmm(a, b, c, alpha=3), lambda a, b, c: a + 3 * b @ c),
    "addbmm": ("pbc", engine.addbmm, lambda a, b, c: a + (b @ c).sum(0)),
    "addmv": ("qmv", engine.addmv, lambda a, b, c: a + b @ c),
    "addr": ("nvw", engine.addr, lambda a, b, c: a + np.outer(b, c)),
    "tensordot": ("bc", lambda a, b: engine.tensordot(a, b, ([0, 2], [0, 1])), lambda a, b: np.tensordot(a, b, ((0, 2), (0, 1)))),
    "tensordot of neighbours": ("mn", lambda a, b: engine.tensordot(a, b, 1), lambda a, b: np.tensordot(a, b, 1)),
    "tensordot of nothing": ("vm", lambda a, b: engine.tensordot(a, b, dims=0), lambda a, b: np.tensordot(a, b, 0)),
}  # fmt: skip

EQUATIONS = {
    "ij,jk->ik": "mn", "ij,jk": "mn", "bij,bjk->bik": "bc", "bij,bjk->ki": "bc", "i,i->": "vv", "i,j->ji": "vw", "ij->ji": "m",
    "ij->": "m", "ij->j": "m", "bij->b": "b", "b...,b...->...": "bb", "...ij,...jk->...ik": "bn", "ij,ij,jk->k": "mmn",
    "bij,j,b i k->bk": "bvo", "ba,cb,ad->cd": "", "...": "b", "...j->j...": "b", ",ij->ij": "sm", "ij,kj->ik": "mm",
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_as_numpy(name: str) -> None:
    operands, ours, theirs = CALLS[name]
    values = [VALUES[o] for o in operands]
    np.testing.assert_allclose(ours(*map(T, values)).numpy(), theirs(*values), rtol=1e-12, atol=1e-12)
    assert gradcheck(ours, [T(v, requires_grad=True) for v in values])


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation: str) -> None:
    values = [VALUES[o] for o in EQUATIONS[equation]] or [rng.normal(size=s) for s in ((2, 3), (4, 2), (3, 5))]
    expected = np.einsum(equation, *values)
    np.testing.assert_allclose(engine.einsum(equation, *map(T, values)).numpy(), expected, rtol=1e-12, atol=1e-12)
    strided = [T(np.ascontiguousarray(v.T)).permute(*range(v.ndim)[::-1]) if v.ndim else T(v) for v in values]
    np.testing.assert_allclose(engine.einsum(equation, strided).numpy(), expected, rtol=1e-12, atol=1e-12)
    assert gradcheck(lambda *t: engine.einsum(equation, *t), [T(v, requires_grad=True) for v in values])


def test_einsum_by_numbers_diagonals_and_empty_operands() -> None:
    m, n = VALUES["m"], VALUES["n"]
    np.testing.assert_allclose(engine.einsum(T(m), [0, 1], T(n), [1, 2], [2, 0]).numpy(), (m @ n).T)
    np.testing.assert_allclose(engine.einsum(T(m), [0, 1], T(n), [1, 2]).numpy(), m @ n)
    square = rng.normal(size=(3, 3, 3))
    for equation in ("iii->i", "iij->j", "iji->ij", "iii"):
        np.testing.assert_allclose(engine.einsum(equation, T(square)).numpy(), np.einsum(equation, square))
    assert engine.einsum("ij,jk->ik", engine.zeros(2, 0), engine.zeros(0, 3)).tolist() == [[0] * 3] * 2
    ones = T(rng.normal(size=(1, 3)))
    np.testing.assert_allclose(engine.einsum("ij,ij->i", T(m), ones).numpy(), (m * ones.numpy()).sum(1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("ij,jk->ik", "m"), "operands: expected 2 tensors, one for each term of 'ij,jk->ik', got 1"),
        (("ijk->i", "m"), "equation: expected a term for 2 dimensions, got 'ijk' in 'ijk->i'"),
        (("ij,jk->ik", "mm"), r"operands: expected equal dimensions of 'j' in 'ij,jk->ik', got 3 and 2"),
        (("ij->k", "m"), "equation: expected letters of the operands behind '->', each once, got 'ij->k'"),
        (("i1->i", "m"), "equation: expected letters, commas"),
    ],
)
def test_einsum_errors(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=rf"\[einsum\] {message}"):
        engine.einsum(arguments[0], *(T(VALUES[o]) for o in arguments[1]))


def test_beta_zero_does_not_read_the_input() -> None:
    nothing = engine.full((2, 4), float("nan"), dtype=engine.float64)
    for y in (
        nothing.addmm(T(VALUES["m"]), T(VALUES["n"]), beta=0),
        nothing[0].addmv(T(VALUES["n"].T), T(VALUES["v"]), beta=0),
    ):
        assert bool(engine.isfinite(y).all())


@pytest.mark.parametrize("p", [0, 1, 2, 3.5, np.inf])
def test_cdist(p: float) -> None:
    a, b = rng.normal(size=(2, 4, 3)), rng.normal(size=(5, 3))
    expected = np.linalg.norm(a[:, :, None] - b, ord=p, axis=-1)
    np.testing.assert_allclose(engine.cdist(T(a), T(b), p).numpy(), expected)
    assert gradcheck(lambda x, y: engine.cdist(x, y, p), (T(a, requires_grad=True), T(b, requires_grad=True)))
    assert engine.cdist(engine.zeros(2, 0), engine.zeros(3, 0)).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order) -> None:
    x = rng.normal(size=(2, 3, 4))
    for keepdim in (False, True):
        expected = np.linalg.norm(x, order, (2, 0), keepdims=keepdim)
        got = engine.linalg.norm(T(x), order, (2, 0), keepdim)
        assert got.shape == expected.shape
        np.testing.assert_allclose(got.numpy(), expected)
    np.testing.assert_allclose(engine.linalg.matrix_norm(T(x), order).numpy(), np.linalg.norm(x, order, (1, 2)))
    assert gradcheck(lambda t: engine.linalg.matrix_norm(t, order), T(x, requires_grad=True))
    if order in ("fro", "nuc"):
        np.testing.assert_allclose(T(x[0]).norm(order).item(), np.linalg.norm(x[0], order))


@pytest.mark.parametrize("order", [0, 1, 2, 3, -1.5, np.inf, -np.inf])
def test_vector_norms(order: float) -> None:
    x = rng.normal(size=(2, 3, 4))
    for keepdim in (False, True):
        expected = np.linalg.norm(x, order, 1, keepdims=keepdim)
        for got in (engine.linalg.vector_norm(T(x), order, 1, keepdim), engine.linalg.norm(T(x), order, 1, keepdim)):
            np.testing.assert_allclose(got.numpy(), expected)
    np.testing.assert_allclose(engine.linalg.vector_norm(T(x), order).item(), np.linalg.norm(x.ravel(), order))
    assert gradcheck(lambda t: engine.linalg.vector_norm(t, order, (0, 2)), T(x, requires_grad=True))
    assert engine.linalg.norm(T(x)).item() == pytest.approx(np.linalg.norm(x))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: engine.dot(engine.ones(2), engine.ones(3)), r"\[dot\] tensor: expected shape \(2,\), as input, got \(3,\)"),
        (lambda: engine.dot(engine.ones(2), engine.ones(2).double()), r"\[dot\] tensor: expected dtype float32, got float64"),
        (lambda: engine.mv(engine.ones(2, 3), engine.ones(2)), r"\[mv\] "),
        (lambda: engine.outer(engine.ones(2, 2), engine.ones(2)), r"\[outer\] input: expected 1 dimension, got 2 dimensions"),
        (lambda: engine.addmm(engine.ones(3), engine.ones(2, 2), engine.ones(2, 2)), r"\[addmm\] input: expected a shape that"),
        (lambda: engine.addmm(engine.ones(2), engine.ones(2), engine.ones(2, 2)), r"\[addmm\] mat1: expected 2 dimensions"),
        (lambda: engine.inner(engine.ones(2), engine.ones(3)), r"\[inner\] other: expected a last dimension of 2"),
        (lambda: engine.tensordot(engine.ones(2), engine.ones(3), 1), r"\[tensordot\] b: expected size 2 in dimension 0, got 3"),
        (lambda: engine.cdist(engine.ones(2, 3), engine.ones(2, 4)), r"\[cdist\] x2: expected 3 columns, as x1, got 4"),
        (lambda: engine.linalg.norm(engine.ones(2, 2), "max"), r"\[norm\] ord: expected 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"),
        (lambda: engine.linalg.norm(engine.ones(2).long()), r"\[norm\] .*: expected a floating-point dtype, got int64"),
    ],
)  # fmt: skip
def test_errors_name_the_op(call, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()
