"""Module: registries, walking, state, hooks, conversion, copies; containers."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine import nn


class Scale(nn.Module):
    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(engine.ones(n))
        self.register_parameter("bias", None)
        self.register_buffer("count", engine.zeros(1))
        self.register_buffer("scratch", engine.zeros(1), persistent=False)

    def forward(self, x):
        return x + self.weight

    def extra_repr(self) -> str:
        return "n=2"


SIZE = {"cpu": 2, "cuda": 1100}


class Pair(nn.Module):
    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.first = Scale(n)
        self.rest = nn.ModuleList([Scale(3), Scale(3)])
        self.free = nn.Parameter(engine.zeros(1))

    def forward(self, x):
        return self.first(x)


NAMES = ["free", "first.weight", "rest.0.weight", "rest.1.weight"]


def test_parameters_buffers_and_modules():
    m = Pair()
    assert [n for n, _ in m.named_parameters()] == NAMES
    assert [n for n, _ in m.named_parameters(recurse=False)] == ["free"]
    assert [n for n, _ in m.named_parameters(prefix="m")] == ["m." + n for n in NAMES]
    assert len(list(m.parameters())) == 4 and len(list(m.buffers())) == 6
    assert [n for n, _ in m.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in m.named_children()] == ["first", "rest"] and list(m.children()) == [m.first, m.rest]
    assert m.get_submodule("rest.1") is m.rest[1] and m.get_parameter("rest.1.weight") is m.rest[1].weight
    for wrong in ("rest.2.weight", "first.bias"):
        with pytest.raises(AttributeError, match="target"):
            m.get_parameter(wrong)


def test_shared_parts_come_once():
    m = Pair()
    m.rest[1].weight = m.rest[0].weight
    m.again = m.first
    assert [n for n, _ in m.named_parameters()] == NAMES[:3]
    assert [n for n, _ in m.named_parameters(remove_duplicate=False)] == [*NAMES, "again.weight"]
    assert len(m.state_dict()) == 9


def test_attributes():
    m = Scale()
    with pytest.raises(TypeError, match=r"\[Scale\] weight: expected a Parameter or None, got Tensor"):
        m.weight = engine.zeros(2)
    with pytest.raises(TypeError, match="count: expected a Tensor or None, got int"):
        m.count = 3
    m.count = engine.ones(1)
    assert m.state_dict()["count"].tolist() == [1]
    m.weight = None
    assert list(m.parameters()) == [] and m.weight is None
    m.weight = nn.Parameter(engine.zeros(4))
    assert [p.shape for p in m.parameters()] == [(4,)]
    del m.weight
    assert not hasattr(m, "weight") and "weight" not in m.state_dict()
    m.count = nn.Parameter(engine.zeros(1))  # what was a buffer becomes a parameter
    assert [n for n, _ in m.named_buffers()] == ["scratch"] and list(m.state_dict()) == ["count"]

    class Early(nn.Module):
        def __init__(self) -> None:
            self.layer = Scale()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Early()
    with pytest.raises(KeyError, match="forward"):
        m.add_module("forward", Scale())
    with pytest.raises(ValueError, match="has no dots"):
        m.register_buffer("a.b", None)
    with pytest.raises(TypeError, match="expected a Parameter or None, got Tensor"):
        m.register_parameter("x", engine.zeros(1))
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        nn.Parameter([1.0])
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_state_dict_round_trip(device):
    a, b = Pair(SIZE[device]).to(device), Pair(SIZE[device]).to(device)
    with engine.no_grad():
        for i, t in enumerate([*a.parameters(), *a.buffers()]):
            t.fill_(i + 1)
    state = a.state_dict()
    assert list(state) == [
        "free", "first.weight", "first.count", "rest.0.weight", "rest.0.count", "rest.1.weight", "rest.1.count"
    ]  # fmt: skip
    assert not state["free"].requires_grad and a.state_dict(keep_vars=True)["free"] is a.free
    weight = b.first.weight
    assert b.load_state_dict(state) == ([], [])
    assert b.first.weight is weight and weight.requires_grad and weight.tolist() == a.first.weight.tolist()
    assert {k: v.tolist() for k, v in b.state_dict().items()} == {k: v.tolist() for k, v in state.items()}
    state["free"].fill_(9)  # shares memory with a, not with b
    assert a.free.tolist() == [9] and b.free.tolist() == [1]
    b.load_state_dict({k: v.cpu().double() for k, v in state.items()})
    assert b.free.device == a.free.device and b.free.dtype is engine.float32 and b.free.tolist() == [9]


def test_load_reports_everything_and_writes_nothing():
    m = Pair()
    state = Pair().state_dict()
    del state["free"], state["rest.1.count"]
    state["other"] = engine.zeros(1)
    state["first.weight"] = engine.zeros(7)
    state["rest.0.weight"] = engine.zeros(3)
    with pytest.raises(ValueError) as error:
        m.load_state_dict(state)
    assert str(error.value) == (
        "[load_state_dict] state_dict: expected the entries of Pair, got entries that differ:\n  missing: free, rest.1.count\n  unexpected: other\n"
        "  mis-shaped: first.weight: expected shape (2,), got (7,)"
    )
    with pytest.raises(ValueError, match="mis-shaped"):
        m.load_state_dict(state, strict=False)
    assert m.rest[0].weight.tolist() == [1, 1, 1]
    del state["first.weight"]
    found = m.load_state_dict(state, strict=False)
    assert found.missing_keys == ["free", "first.weight", "rest.1.count"] and found.unexpected_keys == ["other"]
    assert m.rest[0].weight.tolist() == [0, 0, 0]
    with pytest.raises(TypeError, match="expected a mapping from names to Tensors, got list"):
        m.load_state_dict([1])
    with pytest.raises(ValueError, match="expected a Tensor, got ndarray"):
        m.load_state_dict({"free": np.zeros(1)}, strict=False)


def test_modes_and_gradients(device):
    n = SIZE[device]
    m = Pair(n).to(device)
    assert m.training and m.eval() is m and not any(x.training for x in m.modules())
    m.train()
    assert all(x.training for x in m.modules())
    m.first.weight.grad = engine.ones(n, device=device)
    m.zero_grad(set_to_none=False)
    assert m.first.weight.grad.tolist() == [0] * n
    m.zero_grad()
    assert m.first.weight.grad is None
    m.requires_grad_(False)
    assert not any(p.requires_grad for p in m.parameters())


def test_conversion_keeps_the_objects():
    m = Pair()
    m.register_buffer("ids", engine.arange(3))
    p = m.first.weight
    p.grad = engine.ones(2)
    assert m.double() is m and m.first.weight is p and p.dtype is engine.float64 and p.requires_grad
    assert p.grad.dtype is engine.float64 and m.first.count.dtype is engine.float64 and m.ids.dtype is engine.int64
    assert m.float().free.dtype is engine.float32
    assert m.to("cpu", engine.float64).free.dtype is engine.float64
    assert (
        m.to(engine.zeros(1)).free.dtype is engine.float32 and m.to(dtype=engine.float64).free.dtype is engine.float64
    )
    with pytest.raises(TypeError, match="expected a floating-point dtype, got int64"):
        m.to(engine.int64)
    with pytest.raises(ValueError, match="device"):
        m.to("xla")


def test_apply_goes_from_the_leaves_to_the_root():
    seen = []
    m = Pair()
    assert m.apply(lambda x: seen.append(type(x).__name__)) is m
    assert seen == ["Scale", "Scale", "Scale", "ModuleList", "Pair"]


def test_hooks(device):
    n = SIZE[device]
    m, ones = Scale(n).to(device), engine.ones(n, device=device)
    calls = []
    before = m.register_forward_pre_hook(lambda mod, args: calls.append(args) or (args[0] + args[0],))
    with m.register_forward_hook(lambda mod, args, out: calls.append(out) or out + out):
        assert m(ones).tolist() == [6] * n
    assert len(calls) == 2
    before.remove()
    assert m(ones).tolist() == [2] * n


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(duplicate, device):
    m = Pair(SIZE[device]).to(device)
    m.tied = m.first.weight
    m.first.weight.requires_grad_(False)
    other = duplicate(m)
    assert other.tied is other.first.weight and not other.tied.requires_grad and isinstance(other.free, nn.Parameter)
    other.free.detach().fill_(5)
    assert m.free.tolist() == [0] and other.state_dict()["free"].tolist() == [5]
    assert other.first._parameters["weight"] is other.first.weight
    assert other.first.weight.tolist() == m.first.weight.tolist()
    assert all(t.device.type == device for t in [*other.parameters(), *other.buffers()])
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in m.named_parameters()]


def test_repr():
    assert repr(Scale()) == "Scale(n=2)"
    assert repr(nn.Sequential(Scale(), nn.Sequential(Scale()))) == (
        "Sequential(\n  (0): Scale(n=2)\n  (1): Sequential(\n    (0): Scale(n=2)\n  )\n)"
    )
    assert repr(nn.Module()) == "Module()"
    assert repr(nn.Parameter(engine.zeros(1))).startswith("Parameter containing:\n")


# ---- containers


def test_sequential():
    s = nn.Sequential(Scale(), Scale())
    assert s(engine.ones(2)).tolist() == [3, 3] and len(s) == 2
    assert s[-1] is s[1] and isinstance(s[:1], nn.Sequential) and len(s[:1]) == 1 and s[:1][0] is s[0]
    s.append(Scale())
    assert s(engine.ones(2)).tolist() == [4, 4]
    del s[0]
    assert [n for n, _ in s.named_parameters()] == ["0.weight", "1.weight"]
    named = nn.Sequential({"a": Scale(), "b": Scale()})
    assert named.b is named[1] and [n for n, _ in named.named_parameters()] == ["a.weight", "b.weight"]
    named[0] = Scale(2)
    assert named.a is named[0] and len(named) == 2
    with pytest.raises(IndexError):
        s[5]


def test_module_list_and_dict():
    a, b, c = Scale(), Scale(), Scale()
    m = nn.ModuleList([a])
    m += [c]
    m.insert(1, b)
    assert list(m) == [a, b, c] and m[1:][1] is c and [n for n, _ in m.named_parameters()][2] == "2.weight"
    d = nn.ModuleDict({"x": a})
    d["y"] = b
    assert list(d) == ["x", "y"] and "x" in d and d["y"] is b and next(iter(d.items())) == ("x", a) and len(d) == 2
    assert d.pop("x") is a and list(d.keys()) == ["y"] and list(d.values()) == [b]
    p = nn.ParameterList([engine.zeros(1), nn.Parameter(engine.ones(2))])
    p[0] = engine.ones(3)
    assert [q.shape for q in p] == [(3,), (2,)] and len(list(p.parameters())) == 2 and p[-1] is p[1]
    p.extend([engine.ones(4)]).insert(0, engine.ones(5))
    assert [q.shape[0] for q in p] == [5, 3, 2, 4] and all(isinstance(q, nn.Parameter) for q in p)
    del p[1]
    assert [q.shape[0] for q in p[1:]] == [2, 4] and list(p.state_dict()) == ["0", "1", "2"]


def test_registries_are_the_attributes():
    m = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    new = nn.Linear(2, 5)
    m._modules["0"] = new
    assert getattr(m, "0") is new and m(engine.ones(1, 2)).shape == (1, 5)
    layer = nn.Linear(2, 3)
    p = nn.Parameter(engine.zeros(3, 2))
    layer._parameters["weight"] = p
    layer._buffers.update(b=engine.ones(1))
    assert layer.weight is p and layer.b is layer._buffers["b"]
    assert layer._buffers.pop("b").shape == (1,) and not hasattr(layer, "b")
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.copy(layer)):
        q = nn.Parameter(engine.ones(3, 2))
        again._parameters["weight"] = q
        assert again.weight is q
    assert layer.weight is q  # copy.copy shares the registries
    layer._parameters = {"bias": None}
    assert layer.bias is None and not hasattr(layer, "weight") and again.weight is q
    d = nn.ParameterDict({"a": engine.ones(1)})
    d["a"] = p
    assert d.a is p and d["a"] is p
    d.clear()
    assert not hasattr(d, "a")
    d["a"] = q
    assert d.pop("a") is q and not hasattr(d, "a")
    shared = nn.Linear(2, 2).share_memory()
    assert shared(engine.zeros(1, 2)).shape == (1, 2)
