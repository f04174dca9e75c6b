"""Names of `torch.nn` that other libraries import from its inner files."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import engine
from engine import nn

torch = pytest.importorskip("torch")


def sides():
    return engine, torch


def inner(T, name):
    return importlib.import_module(f"{T.__name__}.nn.{name}")


def test_clones_and_activations():
    for T in sides():
        m = inner(T, "modules.transformer")
        layer = T.nn.Linear(2, 2)
        clones = m._get_clones(layer, 3)
        assert isinstance(clones, T.nn.ModuleList) and len({id(c) for c in clones} | {id(layer)}) == 4
        assert m._get_activation_fn("gelu") is T.nn.functional.gelu
        with pytest.raises((ValueError, RuntimeError), match="gelu"):
            m._get_activation_fn("none of these")


def test_base_classes():
    for T in sides():
        loss, linear = inner(T, "modules.loss"), inner(T, "modules.linear")

        class Own(loss._WeightedLoss):
            def forward(self, x):
                return (x * self.weight).sum()

        m = Own(T.ones(2), reduction="sum")
        assert m(T.ones(2)).item() == 2 and list(m.state_dict()) == ["weight"] and m.reduction == "sum"
        assert issubclass(T.nn.NLLLoss, loss._WeightedLoss) and isinstance(T.nn.CrossEntropyLoss(), loss._WeightedLoss)
        attention = T.nn.MultiheadAttention(4, 2)
        assert isinstance(attention.out_proj, linear.NonDynamicallyQuantizableLinear)
        assert attention._qkv_same_embed_dim and not T.nn.MultiheadAttention(4, 2, kdim=3)._qkv_same_embed_dim


def test_prefixes():
    found = []
    for T in sides():
        state = T.nn.Sequential(T.nn.ModuleDict({"module": T.nn.Linear(1, 1)}), T.nn.Tanh()).state_dict(
            prefix="module."
        )
        state["other"] = T.ones(1)
        inner(T, "modules.utils").consume_prefix_in_state_dict_if_present(state, "module.")
        found.append((list(state), sorted(state._metadata)))
        plain = {"module.a": 1, "b": 2}
        inner(T, "modules.utils").consume_prefix_in_state_dict_if_present(plain, "module.")
        assert sorted(plain) == ["a", "b"]
    assert found[0] == found[1]


def test_calls_with_other_parameters():
    found = []
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    for T in sides():
        m = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.Linear(2, 2))
        m[1].weight = m[0].weight  # shared
        own = [*m.parameters()]
        state = {"0.weight": T.full((2, 2), 0.5), "0.bias": T.ones(2), "1.bias": T.zeros(2)}
        for value in state.values():
            value.requires_grad_()
        call = torch.func.functional_call if T is torch else nn.utils.stateless.functional_call
        y = call(m, state, T.tensor(x), strict=False)
        y.sum().backward()
        found.append([y.tolist(), *(v.grad.tolist() for v in state.values())])
        assert all(a is b for a, b in zip(m.parameters(), own)) and all(p.grad is None for p in own)
    assert found[0] == found[1]


def test_mistakes_in_calls():
    m, x = nn.Linear(2, 2), engine.ones(1, 2)
    call = nn.utils.stateless.functional_call
    with pytest.raises(ValueError, match="names of parameters and buffers, got 'wieght'"):
        call(m, {"wieght": engine.ones(2, 2)}, x)
    with pytest.raises(ValueError, match="all names, got none for 'bias'"):
        call(m, {"weight": engine.ones(2, 2)}, x, strict=True)
    with pytest.raises(TypeError, match="a Tensor, got int"):
        call(m, {"weight": 1}, x)
    weight = m.weight
    with pytest.raises(ValueError):
        call(m, {"weight": engine.ones(2, 3)}, (x,))
    assert m.weight is weight
