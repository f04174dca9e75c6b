"""engine.func: gradients as functions, and functions mapped over a dimension."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import tensor
from engine.func import functional_call, grad, grad_and_value, vmap


def test_grad() -> None:
    x = tensor([1.0, 2.0])
    assert grad(lambda a: (a * a).sum())(x).tolist() == [2, 4]
    both, value = grad_and_value(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x * 3)
    assert both[0].tolist() == [3, 6] and both[1].tolist() == [1, 2] and value.item() == 15
    assert not value.requires_grad and not both[0].requires_grad and x.grad is None
    found, aux = grad(lambda a: (a.sum(), "note"), has_aux=True)(x)
    assert found.tolist() == [1, 1] and aux == "note"
    tree = grad(lambda p: (p["w"] * 2).sum())({"w": x, "unused": x})
    assert tree["w"].tolist() == [2, 2] and tree["unused"].tolist() == [0, 0]
    with engine.no_grad():
        assert grad(lambda a: a.sum())(x).tolist() == [1, 1]
    with pytest.raises(TypeError, match="func: expected a function that gives a 0-dim tensor"):
        grad(lambda a: a * 2)(x)
    with pytest.raises(RuntimeError):
        grad(lambda a: grad(lambda b: (b**3).sum())(a).sum())(x)


def test_gradients_of_each_sample() -> None:
    layer = engine.nn.Linear(2, 1)
    parameters = dict(layer.named_parameters())
    x, y = engine.randn(3, 2), engine.randn(3, 1)

    def loss(p, a, b):
        return (functional_call(layer, p, (a.unsqueeze(0),)) - b).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    for i in range(3):
        layer.zero_grad()
        loss(parameters, x[i], y[i]).backward()
        assert np.allclose(found["weight"][i].numpy(), layer.weight.grad.numpy())


def test_vmap() -> None:
    x, w = engine.arange(6.0).view(2, 3), engine.arange(3.0)
    assert engine.equal(vmap(lambda a, b: a @ b, (0, None))(x, w), x @ w)
    assert engine.equal(vmap(lambda a: a * 2, in_dims=1, out_dims=1)(x), x * 2)
    first, second = vmap(lambda a: (a.sum(), a + 1))(x)
    assert first.tolist() == [3, 12] and engine.equal(second, x + 1)
    assert engine.equal(vmap(lambda d: d["a"] + d["b"], ({"a": 0, "b": None},))({"a": x, "b": w}), x + w)
    assert engine.equal(vmap(lambda a, scale: a * scale)(x, scale=tensor([2.0, 3.0])), x * tensor([[2.0], [3.0]]))
    v = x.clone().requires_grad_()
    engine.vmap(lambda a: a.square().sum())(v).sum().backward()
    assert engine.equal(v.grad, 2 * x)
    with pytest.raises(ValueError, match="tensors of one length > 0 along in_dims"):
        vmap(lambda a, b: a + b)(x, w)
    with pytest.raises(ValueError, match="in_dims: expected one for each of 1 arguments"):
        vmap(lambda a: a, (0, 0))(x)


def test_device_states() -> None:
    from engine.utils.checkpoint import get_device_states, set_device_states

    assert get_device_states(engine.ones(1), 3) == ([], [])
    set_device_states([], [])
