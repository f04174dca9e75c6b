"""Parameters that are computed: parametrizations, and weight normalisation in its two forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import engine
from engine import nn
from engine.nn.utils import parametrizations, remove_weight_norm, weight_norm
from engine.nn.utils.parametrize import (
    cached,
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
    type_before_parametrizations,
)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x):
        return x.triu()


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(engine.tensor(2.0))

    def forward(self, x):
        return x * self.factor


class TopRows(nn.Module):
    def forward(self, x):
        return x[:2]


def linear(size=3):
    layer = nn.Linear(size, size)
    with engine.no_grad():
        layer.weight.copy_(engine.arange(float(size * size)).view(size, size) / 9)
        layer.bias.zero_()
    return layer


def test_a_weight_is_computed() -> None:
    layer = linear()
    weight = layer.weight
    assert register_parametrization(layer, "weight", Symmetric()) is layer
    assert engine.equal(layer.weight, layer.weight.T) and layer.weight[1, 0] == layer.weight[0, 1]
    assert layer.parametrizations.weight.original is weight  # an optimizer that holds it goes on
    assert sorted(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert isinstance(layer, nn.Linear) and type(layer).__name__ == "ParametrizedLinear"
    assert type_before_parametrizations(layer) is nn.Linear
    assert is_parametrized(layer) and is_parametrized(layer, "weight") and not is_parametrized(layer, "bias")
    layer(engine.ones(1, 3)).sum().backward()
    assert weight.grad.tolist() == [[1, 2, 2], [0, 1, 2], [0, 0, 1]]
    layer.weight = engine.eye(3) * 3
    assert layer.weight.tolist() == weight.tolist() == (engine.eye(3) * 3).tolist()


def test_functions_follow_each_other() -> None:
    layer = linear()
    register_parametrization(layer, "weight", Symmetric())
    before = layer.weight.detach()
    register_parametrization(layer, "weight", Scaled())
    assert engine.equal(layer.weight, before * 2)
    other = linear()
    register_parametrization(other, "weight", Symmetric())
    register_parametrization(other, "weight", Scaled())
    other.load_state_dict(layer.state_dict())
    assert engine.equal(other.weight, layer.weight)
    layer.eval()
    assert not layer.parametrizations.weight[1].training


@pytest.mark.parametrize("leave", [True, False])
def test_removal(leave) -> None:
    layer = linear()
    original = layer.weight.detach().clone()
    register_parametrization(layer, "weight", Scaled())
    register_parametrization(layer, "bias", Scaled())
    remove_parametrizations(layer, "weight", leave_parametrized=leave)
    assert engine.equal(layer.weight, original * 2 if leave else original)
    assert isinstance(layer.weight, nn.Parameter) and is_parametrized(layer, "bias")
    remove_parametrizations(layer, "bias")
    assert type(layer) is nn.Linear and sorted(layer.state_dict()) == ["bias", "weight"]


def test_copies_are_apart() -> None:
    layer = linear()
    register_parametrization(layer, "weight", Symmetric())
    twin = copy.deepcopy(layer)
    remove_parametrizations(layer, "weight")
    with engine.no_grad():
        twin.parametrizations.weight.original.fill_(1)
    assert twin.weight.tolist() == [[1.0] * 3] * 3 and layer.weight[0, 0] == 0


def test_cached() -> None:
    layer = linear()
    register_parametrization(layer, "weight", Symmetric())
    with cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_a_buffer() -> None:
    module = nn.Module()
    module.register_buffer("b", engine.ones(2))
    register_parametrization(module, "b", Scaled())
    assert module.b.tolist() == [2, 2]
    assert sorted(module.state_dict()) == ["parametrizations.b.0.factor", "parametrizations.b.original"]


def test_mistakes_change_nothing() -> None:
    layer = linear()
    before = layer.weight.detach().clone()
    with pytest.raises(ValueError, match=r"parametrization: expected one that gives float32 of shape \(3, 3\)"):
        register_parametrization(layer, "weight", TopRows())
    with pytest.raises(ValueError, match="tensor_name: expected the name of a parameter or buffer"):
        register_parametrization(layer, "wheight", Symmetric())
    assert type(layer) is nn.Linear and engine.equal(layer.weight, before)
    with pytest.raises(ValueError, match="tensor_name: expected a parametrized tensor"):
        remove_parametrizations(layer, "weight")
    register_parametrization(layer, "weight", TopRows(), unsafe=True)
    assert layer.weight.shape == (2, 3)


@pytest.mark.parametrize("part", ["linear1", "linear2", "self_attn.out_proj"])
def test_transformer_layers_read_the_computed_weight(part) -> None:
    """Layers that compute several parts at once must not read a parametrized one past its functions."""
    engine.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 4, dropout=0.0, batch_first=True)
    x = engine.randn(2, 3, 4)
    wanted = copy.deepcopy(layer)
    with engine.no_grad():
        wanted.get_submodule(part).weight.mul_(2)
    register_parametrization(layer.get_submodule(part), "weight", Scaled())
    assert np.allclose(layer(x).detach().numpy(), wanted(x).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim) -> None:
    new, old, plain = linear(), weight_norm(linear(), dim=dim), linear()
    parametrizations.weight_norm(new, dim=dim)
    x = engine.arange(3.0).view(1, 3)
    for layer in (new, old):
        assert np.allclose(layer(x).detach().numpy(), plain(x).detach().numpy(), atol=1e-5)
        layer(x).sum().backward()
    assert sorted(old.state_dict()) == ["bias", "weight_g", "weight_v"]
    g, v = new.parametrizations.weight.original0, new.parametrizations.weight.original1
    assert g.shape == old.weight_g.shape == {0: (3, 1), 1: (1, 3), None: ()}[dim]
    assert engine.equal(g.grad, old.weight_g.grad) and engine.equal(v.grad, old.weight_v.grad)
    # The gradient of the directions does not change their lengths.
    across = (v.grad * v).sum(None if dim is None else 1 - dim)
    assert np.allclose(across.detach().numpy(), 0, atol=1e-5)
    with engine.no_grad():
        old.weight_g.mul_(2)
    assert np.allclose(old(x).detach().numpy(), 2 * plain(x).detach().numpy(), atol=1e-5)
    remove_weight_norm(old)
    assert sorted(old.state_dict()) == ["bias", "weight"]
    assert np.allclose(old.weight.detach().numpy(), 2 * plain.weight.detach().numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="the name of a weight that has weight_norm"):
        remove_weight_norm(old)
