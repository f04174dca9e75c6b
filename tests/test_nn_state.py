"""What modules save and load, hooks around that and around forward, and the small methods that PyTorch's modules have."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine import nn


class Counter(nn.Module):
    """One parameter, and a number that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(engine.ones(2))
        self.seen = 0

    def forward(self, x, scale=1.0):
        return x * self.weight * scale

    def get_extra_state(self):
        return {"seen": self.seen}

    def set_extra_state(self, state):
        self.seen = state["seen"]


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Counter(), Counter()


# ---- states


def test_extra_state():
    a, b = Pair(), Pair()
    a.first.seen, a.second.seen = 3, 4
    state = a.state_dict()
    assert state["first._extra_state"] == {"seen": 3} and len(state) == 4
    assert repr(b.load_state_dict(state)) == "<All keys matched successfully>"
    assert (b.first.seen, b.second.seen) == (3, 4)
    del state["second._extra_state"]
    with pytest.raises(ValueError, match=r"missing: second\._extra_state"):
        b.load_state_dict(state)
    assert b.load_state_dict(state, strict=False).missing_keys == ["second._extra_state"]
    for method in (nn.Linear(1, 1).get_extra_state, lambda: nn.Linear(1, 1).set_extra_state(1)):
        with pytest.raises(NotImplementedError, match="extra_state"):
            method()


def test_a_state_goes_where_it_is_told():
    m = nn.Linear(2, 1)
    given = {"other": 1}
    assert m.state_dict(given, "a.") is given and list(given) == ["other", "a.weight", "a.bias"]
    assert list(m.state_dict(destination={}, prefix="b.", keep_vars=True)) == ["b.weight", "b.bias"]


def test_assign_takes_the_memory():
    m = nn.Linear(2, 1)
    weight, state = m.weight, {"weight": engine.zeros(1, 2, dtype=engine.float64), "bias": engine.ones(1)}
    m.load_state_dict(state, assign=True)
    state["weight"].fill_(3)
    assert (
        m.weight is weight and weight.dtype is engine.float64 and weight.tolist() == [[3, 3]] and weight.requires_grad
    )
    m.load_state_dict({"weight": engine.zeros(1, 2), "bias": engine.zeros(1)})
    assert weight.dtype is engine.float64 and m.bias.tolist() == [0]


def test_hooks_on_saving_and_loading():
    told = []
    m = Pair()
    m.register_state_dict_pre_hook(lambda module, prefix, keep_vars: told.append(("before", prefix, keep_vars)))
    m.second.register_state_dict_pre_hook(lambda module, prefix, keep_vars: told.append(("before", prefix, keep_vars)))

    def after(module, state, prefix, metadata):
        told.append(("after", prefix))
        state[f"{prefix}renamed"] = state.pop(f"{prefix}weight" if prefix else "first.weight")

    handles = [m.register_state_dict_post_hook(after), m.second.register_state_dict_post_hook(after)]
    state = m.state_dict(prefix="")
    assert told == [("before", "", False), ("before", "second.", False), ("after", "second."), ("after", "")]
    assert set(state) == {"renamed", "second.renamed", "first._extra_state", "second._extra_state"}
    for handle in handles:
        handle.remove()

    def before_load(module, state, prefix, metadata, strict, missing, unexpected, errors):
        told.append((prefix, strict))
        state[f"{prefix}weight"] = state.pop(f"{prefix}renamed")

    def after_load(module, keys):
        told.append((type(module), list(keys.missing_keys)))
        keys.missing_keys.clear()

    m.second.register_load_state_dict_pre_hook(before_load)
    m.register_load_state_dict_post_hook(after_load)
    del told[:]
    state["second.renamed"] = engine.full((2,), 7.0)
    kept = dict(state)
    found = m.load_state_dict(state, strict=False)
    assert told == [("second.", True), (Pair, ["first.weight"])] and found.missing_keys == []
    assert m.second.weight.tolist() == [7, 7] and list(state) == list(kept)  # hooks change a copy
    m.register_load_state_dict_pre_hook(lambda *args: args[-1].append("no such thing"))
    with pytest.raises(ValueError, match="said by hooks: no such thing"):
        m.load_state_dict(state, strict=False)


def test_state_and_hooks_survive_copies():
    m = Pair()
    m.register_state_dict_post_hook(rename)
    for again in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert "renamed" in again.state_dict() and again.state_dict()["renamed"].tolist() == [1, 1]


def rename(module, state, prefix, metadata):
    state["renamed"] = state.pop("first.weight")


# ---- hooks on forward


def test_forward_hooks_with_keywords():
    m, seen = Counter(), []
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda module, args, kwargs, y: seen.append(kwargs), with_kwargs=True)
    m.register_forward_hook(lambda module, args, y: seen.append("second"))
    m.register_forward_hook(lambda module, args, y: seen.append("first"), prepend=True)
    m.register_forward_pre_hook(lambda module, args: (args[0] + 1,), prepend=True)
    assert m(engine.ones(2), scale=2.0).tolist() == [6, 6]
    assert seen == ["first", {"scale": 3.0}, "second"]
    m.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match=r"result: expected None or \(args, kwargs\)"):
        m(engine.ones(2), scale=2.0)


def test_hooks_that_are_always_called():
    m, seen = Counter(), []
    m.register_forward_hook(lambda module, args, y: seen.append("only then"))
    m.register_forward_hook(lambda module, args, y: seen.append(y), always_call=True)
    with pytest.raises(ValueError, match="broadcasts"):
        m(engine.ones(2), scale=engine.ones(3))
    assert seen == [None]
    m(engine.zeros(2))
    assert seen[1] == "only then" and seen[2].tolist() == [0, 0]


# ---- the rest of Module


def test_finding_and_replacing_submodules():
    m = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1)))
    new = nn.ReLU()
    m.set_submodule("1.0", new)
    m.set_submodule("1.more", new)
    assert m.get_submodule("1.0") is new is m[1][0] and m[1].more is new
    for wrong in (lambda: m.set_submodule("1.x", new, strict=True), lambda: m.set_submodule("3.x", new)):
        with pytest.raises(AttributeError, match="target"):
            wrong()
    with pytest.raises(ValueError, match="target"):
        m.set_submodule("", new)
    with pytest.raises(TypeError, match="expected a Module, got int"):
        m.set_submodule("1.0", 3)
    m.register_buffer("count", engine.ones(1))
    assert m.get_buffer("count") is m.count
    with pytest.raises(AttributeError, match="the name of a buffer"):
        m.get_buffer("0.weight")


def test_conversions():
    m = nn.Linear(2, 2)
    assert m.half().weight.dtype is engine.float16 and m.type(engine.float64).weight.dtype is engine.float64
    assert m.to(engine.float32, memory_format=engine.channels_last) is m and m.share_memory() is m
    weight = m.weight
    assert m.to_empty(device="cpu") is m and m.weight is weight and weight.shape == (2, 2)
    with pytest.raises(ValueError, match="mode: expected True or False"):
        m.train("no")


def test_buffers_by_class():
    m = nn.Module()
    m.kept, m.scratch = nn.Buffer(engine.ones(2)), nn.Buffer(engine.zeros(1), persistent=False)
    assert [n for n, _ in m.named_buffers()] == ["kept", "scratch"] and list(m.state_dict()) == ["kept"]
    assert nn.Parameter().shape == (0,) and nn.Parameter().requires_grad
    with pytest.raises(TypeError, match=r"\[Buffer\] data"):
        nn.Buffer([1.0])


def test_dir_names_what_is_there():
    m = nn.Sequential(nn.Linear(1, 1))
    m.named = nn.ReLU()
    assert "named" in dir(m) and "forward" in dir(m) and "0" not in dir(m)


# ---- containers


def test_lists_print_equal_members_once():
    m = nn.ModuleList([nn.ReLU(), nn.Linear(1, 2), nn.Linear(1, 2), nn.Linear(1, 2)])
    line = "Linear(in_features=1, out_features=2, bias=True)"
    assert repr(m) == f"ModuleList(\n  (0): ReLU()\n  (1-3): 3 x {line}\n)" and repr(nn.ModuleList()) == "ModuleList()"


def test_containers_print_as_pytorch():
    torch = pytest.importorskip("torch")

    def make(n):
        return n.Sequential(
            n.ModuleList([n.Sequential(n.Linear(2, 2), n.ReLU()) for _ in range(2)]), n.ModuleDict({"a": n.Tanh()})
        )

    assert repr(make(nn)) == repr(make(torch.nn))


def test_parts_of_sequential_keep_their_names():
    m = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh(), "c": nn.Sigmoid()})
    assert [n for n, _ in m[1:].named_children()] == ["b", "c"] and m[1:][0] is m.b
    assert [n for n, _ in nn.ModuleList([nn.ReLU(), nn.Tanh()])[1:].named_children()] == ["0"]


def test_sums_products_and_pops():
    a, b = nn.ReLU(), nn.Linear(1, 1)
    m = nn.Sequential(a) + nn.Sequential(b)
    assert list(m) == [a, b]
    twice = m * 2
    assert len(twice) == 4 == len(2 * m) and twice[0] is a and twice[3] is not b
    assert twice[3].weight.tolist() == b.weight.tolist()
    m *= 2
    assert len(m) == 4 and m.pop(0) is a and m.pop(-1) is not b and len(m) == 2
    m += [a]
    assert m[2] is a and isinstance(m.pop(slice(1, 3)), nn.Sequential) and list(m) == [b]
    with pytest.raises(ValueError, match="times"):
        m * 0
    names = nn.ModuleDict({"x": a})
    names.clear()
    assert len(names) == 0 and not hasattr(names, "x")
    joined = {"a": engine.ones(1)} | nn.ParameterDict({"b": engine.ones(1)})
    assert isinstance(joined, nn.ParameterDict) and list(joined) == ["a", "b"]
    one = nn.Parameter(engine.ones(1))
    assert [v is one for v in joined.fromkeys(["x", "y"], one).values()] == [True, True]
    twice = nn.Sequential(a, a)
    assert len(list(twice.modules())) == 2 and len(list(twice.modules(remove_duplicate=False))) == 3


# ---- initial values


def test_initial_values():
    engine.manual_seed(0)
    for shape in ((3, 5), (5, 3), (4, 2, 2)):
        w = nn.init.orthogonal_(engine.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1)
        gram = w @ w.T if shape[0] <= w.shape[1] else w.T @ w
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    assert nn.init.eye_(engine.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    sparse = nn.init.sparse_(engine.empty(10, 40), 0.25).numpy()
    assert ((sparse == 0).sum(0) == 3).all() and len({tuple(row) for row in (sparse == 0).T}) > 5
    x = engine.randn(1, 4, 5)
    w = nn.init.dirac_(engine.empty(4, 2, 3), groups=2)
    assert w.sum().item() == 4 and w[:, :, 1].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]] and x.shape == (1, 4, 5)
    assert nn.init.calculate_gain("conv_transpose2d") == 1 and nn.init.orthogonal is nn.init.orthogonal_
    for wrong in (
        lambda: nn.init.eye_(engine.empty(2)),
        lambda: nn.init.dirac_(engine.empty(2, 2)),
        lambda: nn.init.dirac_(engine.empty(3, 2, 2), groups=2),
        lambda: nn.init.orthogonal_(engine.empty(2)),
        lambda: nn.init.sparse_(engine.empty(2, 2), 1.5),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_initial_values_as_pytorch():
    torch = pytest.importorskip("torch")
    for shape, groups in (((4, 3, 3), 1), ((6, 2, 3, 4), 3), ((2, 5, 2, 2, 3), 2)):
        wanted = torch.nn.init.dirac_(torch.empty(shape), groups)
        assert np.array_equal(nn.init.dirac_(engine.empty(*shape), groups).numpy(), wanted.numpy())
