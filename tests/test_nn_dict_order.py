"""In which order dicts of modules and of parameters keep their entries: PyTorch's."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import engine


def parameters(library):
    return {name: library.nn.Parameter(library.ones(1)) for name in ("w", "b", "a")}


def modules(library):
    return {name: library.nn.Linear(1, 1) for name in ("w", "b", "a")}


CASES = {
    "a dict": lambda nn, p: nn.ParameterDict(p),
    "an OrderedDict": lambda nn, p: nn.ParameterDict(OrderedDict(p)),
    "pairs": lambda nn, p: nn.ParameterDict(list(p.items())),
    "a ParameterDict": lambda nn, p: nn.ParameterDict(nn.ParameterDict(OrderedDict(p))),
    "an update": lambda nn, p: updated(nn.ParameterDict({"b": p["b"]}), p),
    "an update in order": lambda nn, p: updated(nn.ParameterDict({"b": p["b"]}), OrderedDict(p)),
    "joined": lambda nn, p: nn.ParameterDict({"b": p["b"]}) | nn.ParameterDict(OrderedDict(p)),
    "a copy": lambda nn, p: nn.ParameterDict(OrderedDict(p)).copy(),
}


def updated(target, source):
    target.update(source)
    return target


@pytest.mark.parametrize("name", CASES)
def test_parameters(name):
    torch = pytest.importorskip("torch")
    theirs, mine = (CASES[name](library.nn, parameters(library)) for library in (torch, engine))
    assert list(mine.keys()) == list(theirs.keys())
    assert [key for key, _ in mine.named_parameters()] == [key for key, _ in theirs.named_parameters()]
    assert list(mine.state_dict()) == list(theirs.state_dict())


def test_modules_keep_their_order():
    torch = pytest.importorskip("torch")
    for make in (dict, OrderedDict, lambda m: list(m.items())):
        theirs, mine = (library.nn.ModuleDict(make(modules(library))) for library in (torch, engine))
        assert list(mine) == list(theirs) == ["w", "b", "a"]
    again = engine.nn.ModuleDict(engine.nn.ModuleDict(modules(engine)))
    assert list(again) == ["w", "b", "a"]


def test_values_that_cannot_be_compared():
    mine = engine.nn.ParameterDict({"b": object(), "a": object()})
    assert list(mine.keys()) == ["a", "b"]
