"""What a module asks of its children by their own methods, as PyTorch does: saving, loading, converting, switching modes."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import engine


def sides():
    torch = pytest.importorskip("torch")
    return engine, torch


def counting(T):
    """A model whose child overrides what PyTorch lets it override."""

    class Child(T.nn.Linear):
        _version = 3

        def __init__(self):
            super().__init__(1, 1)
            self.seen, self.told = [1, 2], []
            self.outside = T.ones(2)

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "seen"] = list(self.seen)

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            self.told.append((prefix, local_metadata.get("version")))
            self.seen = state_dict.pop(prefix + "seen", [])
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)
            self.doubled = (self.weight * 2).tolist()

        def train(self, mode=True):
            self.told.append(("train", mode))
            return super().train(mode)

        def _apply(self, fn, recurse=True):
            super()._apply(fn, recurse)
            self.outside = fn(self.outside)
            return self

        def apply(self, fn):
            self.told.append("apply")
            return super().apply(fn)

    class Saver(T.nn.Module):
        def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
            destination[prefix + "own"] = T.ones(1)
            return destination

        def _load_from_state_dict(self, state_dict, prefix, *args):
            self.own = state_dict.pop(prefix + "own").tolist()

    class Parent(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.child, self.saver = T.nn.Sequential(Child()), Saver()

    return Parent()


def test_children_save_and_load_themselves():
    found = []
    for T in sides():
        a, b = counting(T), counting(T)
        a.child[0].seen = [7]
        state = a.state_dict()
        names, version = list(state), state._metadata["child.0"]
        assert repr(b.load_state_dict(state)) == "<All keys matched successfully>"
        child = b.child[0]
        assert child.weight.tolist() == a.child[0].weight.tolist()
        assert child.doubled == (child.weight * 2).tolist()  # what was loaded is there already
        found.append((names, version, child.seen, child.told, b.saver.own, list(state._metadata)))
    assert found[0] == found[1]
    assert found[0][0] == ["child.0.weight", "child.0.bias", "child.0.seen", "saver.own"]


def test_children_convert_and_switch_themselves():
    found = []
    for T in sides():
        m = counting(T)
        m.eval()
        m.apply(lambda module: None)
        kinds = []
        for convert in (m.double, m.half, m.float, lambda m=m, T=T: m.to(T.float64)):
            convert()
            kinds.append(str(m.child[0].outside.dtype).rpartition(".")[2])
        found.append((m.child[0].told, kinds, m.child[0].training))
    assert found[0] == found[1] and found[0][1] == ["float64", "float16", "float32", "float64"]


def test_after_an_error_the_old_values_are_back():
    m = counting(engine)
    before = {name: tensor.clone() for name, tensor in m.named_parameters()}
    state = counting(engine).state_dict()
    state["child.0.bias"] = engine.ones(2)
    with pytest.raises(ValueError, match=r"mis-shaped: child\.0\.bias: expected shape \(1,\), got \(2,\)"):
        m.load_state_dict(state)
    assert all(engine.equal(tensor, before[name]) for name, tensor in m.named_parameters())


def test_hooks_of_children_see_what_was_loaded_and_decide_what_is_missing():
    found = []
    for T in sides():
        m, told = T.nn.Sequential(T.nn.Linear(1, 1), T.nn.Linear(1, 1)), []
        m[1].register_load_state_dict_post_hook(lambda module, keys, told=told: told.append(module.weight.tolist()))
        m.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
        state = m.state_dict()
        state["1.weight"] = T.full((1, 1), 5.0)
        del state["0.bias"]
        m.load_state_dict(state)
        m._register_load_state_dict_pre_hook(lambda state, prefix, *args: state.pop(prefix + "extra"))
        m._register_state_dict_hook(lambda module, state, prefix, local: {**state, "extra": 1})
        state = m.state_dict()
        m.load_state_dict(state)
        found.append((told, list(state)))
        m.register_state_dict_post_hook(lambda *args: 3)
        with pytest.raises(RuntimeError):
            m.state_dict()
    assert found[0] == found[1]


def test_metadata_goes_through_files(tmp_path):
    torch = pytest.importorskip("torch")
    state = counting(engine).state_dict()
    engine.save(state, tmp_path / "a.pt")
    for load in (engine.load, torch.load):
        again = load(tmp_path / "a.pt")
        assert list(again) == list(state) and again._metadata == state._metadata


def test_a_module_loads_its_own_entries_when_it_is_asked_directly():
    m = engine.nn.Linear(1, 1)
    missing, unexpected, errors = [], [], []
    state = {"x.weight": engine.ones(1, 1), "x.more": engine.ones(1), "y": engine.ones(1)}
    m._load_from_state_dict(state, "x.", {}, True, missing, unexpected, errors)
    assert m.weight.tolist() == [[1]] and (missing, unexpected, errors) == (["x.bias"], ["x.more"], [])
    with pytest.raises(TypeError, match="names that are strings"):
        m.load_state_dict({3: 4})
    n = engine.nn.Module()
    n.register_buffer("scale", engine.zeros(()))
    n.load_state_dict({"scale": engine.ones(1)})  # numbers of the first versions of PyTorch
    assert n.scale.item() == 1 and n.scale.shape == ()


def test_values_that_are_no_tensors():
    found = []
    for T in sides():
        values = T.nn.ParameterList([T.ones(2), "a", 3])
        values.append(None)
        values[1] = T.zeros(1)
        values += [2]
        names = T.nn.ParameterDict({"a": 1, "b": T.ones(1), "c": "s"})
        names["a"] = T.ones(2)
        del names["c"]
        plain = lambda v: v.tolist() if hasattr(v, "tolist") else v  # noqa: E731
        copies = [copy.deepcopy(names), pickle.loads(pickle.dumps(names))]
        found.append((
            [plain(v) for v in values], len(values), sorted(values.state_dict()), plain(values[-1]),
            [plain(v) for v in values[1:3]], [(k, plain(v)) for k, v in names.items()], sorted(names.state_dict()),
            [list(c) for c in copies], "c" in names, names.get("c", 4),
        ))  # fmt: skip
    assert found[0] == found[1]
    with pytest.raises(KeyError, match="a name that is not an attribute yet"):
        engine.nn.ParameterDict({"keys": 3})


def test_copies_and_pickles_of_results():
    for T in sides():
        y = T.ones(2, requires_grad=True) * 2
        for again in (copy.copy(y), pickle.loads(pickle.dumps(y))):
            assert again.requires_grad and again.is_leaf and again.tolist() == [2, 2]
        assert copy.copy(y).data_ptr() == y.data_ptr()
        with pytest.raises(RuntimeError):
            copy.deepcopy(y)


@pytest.mark.parametrize("kind", ["inf", "2", 0, -1, float("-inf"), 3.5, -2.0])
def test_norms_for_clipping(kind):
    found = []
    for T in sides():
        a, b = (T.tensor(v, requires_grad=True) for v in ([1.0, -2, 0.5], [[3.0, 4], [2, 1]]))
        a.grad, b.grad = T.tensor([1.0, -2, 0.5]), T.tensor([[3.0, 4], [2, 1]]).t()
        strided = b.grad
        norm = T.nn.utils.clip_grad_norm_([a, b], "0.3", kind)
        found.append([norm.item(), *a.grad.tolist(), *strided.reshape(-1).tolist()])
        assert b.grad is strided
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_clipping_mistakes():
    p = engine.ones(2, requires_grad=True)
    for wrong in ("many", float("nan")):
        with pytest.raises(ValueError, match="norm_type: expected a number"):
            engine.nn.utils.clip_grad_norm_([p], 1.0, wrong)
    with pytest.warns(UserWarning, match="empty generator"):
        engine.nn.utils.clip_grad_norm_((p for p in ()), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.nn.utils.clip_grad_norm_([], 1.0)


def test_skip_init_draws_nothing():
    engine.manual_seed(0)
    wanted = engine.rand(1).item()
    engine.manual_seed(0)
    assert engine.nn.utils.skip_init(engine.nn.Linear, 2, 3).weight.shape == (3, 2)
    assert engine.rand(1).item() == wanted
    with pytest.raises(TypeError, match="a class that takes device="):
        engine.nn.utils.skip_init(engine.nn.ReLU)
