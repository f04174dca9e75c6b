"""Losses of an input and a target of different dtypes: values, dtypes of losses and gradients, and refusals are PyTorch's."""

from __future__ import annotations

from itertools import product

import pytest

import engine

FLOATING = ["float16", "bfloat16", "float32", "float64"]
DTYPES = [*FLOATING, "int64", "bool"]
INPUT, TARGET = [[0.25, 0.75, 1.0], [1.0, 0.0, 0.5]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]
LOSSES = {
    "mse_loss": {},
    "l1_loss": {},
    "smooth_l1_loss": {},
    "binary_cross_entropy_with_logits": {},
    "cross_entropy": {"label_smoothing": 0.1},
}


def outcome(library, loss, dtypes, grads, options):
    """The dtypes and values of the loss and of both gradients; None: refused."""
    tensors = [library.tensor(v).to(getattr(library, dtype)) for v, dtype in zip((INPUT, TARGET), dtypes)]
    for tensor, grad, dtype in zip(tensors, grads, dtypes):
        tensor.requires_grad_(grad and dtype in FLOATING)
    if not any(tensor.requires_grad for tensor in tensors):
        return None
    try:
        y = getattr(library.nn.functional, loss)(*tensors, **options)
        y.sum().backward()
    except (RuntimeError, ValueError, TypeError):
        return None
    found = [y.detach(), *(tensor.grad for tensor in tensors)]
    return [None if x is None else (str(x.dtype).split(".")[-1], x.to(library.float64).tolist()) for x in found]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", LOSSES)
def test_two_dtypes_as_pytorch(loss, reduction):
    torch = pytest.importorskip("torch")
    options, trained = {"reduction": reduction, **LOSSES[loss]}, 0
    for dtypes, grads in product(product(DTYPES, DTYPES), [(True, False), (False, True), (True, True)]):
        theirs, mine = (outcome(library, loss, dtypes, grads, options) for library in (torch, engine))
        case = f"{dtypes}, gradients {grads}"
        if theirs is None:
            integers = loss == "binary_cross_entropy_with_logits" and dtypes[0] not in FLOATING
            assert mine is None or integers, case  # engine makes no difference between a logit of 1 and of 1.0
            continue
        trained += 1
        assert mine is not None, case
        for a, b in zip(mine, theirs):
            assert (a is None) == (b is None), case
            if a is not None:
                assert a[0] == b[0], case
                coarse = "bfloat16" in dtypes or "float16" in dtypes
                flat = [engine.tensor(x[1], dtype=engine.float64).reshape(-1).tolist() for x in (a, b)]
                assert flat[0] == pytest.approx(flat[1], abs=2e-2 if coarse else 1e-6), case
    assert trained >= 40


def test_weights_of_another_dtype():
    torch = pytest.importorskip("torch")
    for dtype, target_dtype in product(("float64", "float16", "int64"), ("float32", "float64")):
        values = []
        for library in (torch, engine):
            x = library.tensor(INPUT, requires_grad=True)
            t = library.tensor(TARGET).to(getattr(library, target_dtype))
            weight = library.tensor([1.0, 2.0, 3.0]).to(getattr(library, dtype))
            y = library.nn.functional.binary_cross_entropy_with_logits(x, t, weight, pos_weight=weight)
            y.backward()
            assert str(x.grad.dtype).endswith("float32")
            values.append((y.item(), x.grad.tolist(), str(y.dtype).split(".")[-1]))
        assert values[0][2] == values[1][2]
        assert values[1][0] == pytest.approx(values[0][0], abs=1e-6)
        for mine, theirs in zip(values[1][1], values[0][1]):
            assert mine == pytest.approx(theirs, abs=1e-6)


def test_a_boolean_target_is_refused_where_it_is_subtracted():
    x, t = engine.ones(2), engine.tensor([True, False])
    with pytest.raises(TypeError, match=r"\[l1_loss\] target: expected a dtype of numbers, got bool"):
        engine.nn.functional.l1_loss(x, t)
    with pytest.raises(TypeError, match=r"\[l1_loss\] input"):
        engine.nn.functional.l1_loss(t, x)
    assert engine.nn.functional.mse_loss(x, t).item() == 0.5


def test_integers_alone_are_refused():
    for loss in ("mse_loss", "l1_loss"):
        with pytest.raises(TypeError, match="floating-point"):
            getattr(engine.nn.functional, loss)(engine.tensor([1, 2]), engine.tensor([1, 2]))
