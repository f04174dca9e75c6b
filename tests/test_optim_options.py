"""The hyperparameters in an optimizer's `defaults` and `param_groups`: their names and values are PyTorch's."""

from __future__ import annotations

import pytest

import engine
from engine import optim

KINDS = [
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
]  # fmt: skip
ASKED = {"foreach": True, "capturable": True, "maximize": True}


def of(library, kind, **options):
    return getattr(library.optim, kind)([library.nn.Parameter(library.ones(2, 2))], lr=0.1, **options)


def without_params(optimizer):
    return {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_and_groups_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch")
    theirs, mine = of(torch, kind), of(engine, kind)
    assert mine.defaults == theirs.defaults
    assert without_params(mine) == without_params(theirs)
    for name in ASKED.keys() & theirs.defaults.keys():
        chosen = {name: ASKED[name]}
        assert without_params(of(engine, kind, **chosen)) == without_params(of(torch, kind, **chosen))


def test_fused_is_kept():
    assert of(engine, "SGD", fused=True).param_groups[0]["fused"] is True
    assert of(engine, "AdamW", fused=False).defaults["fused"] is False


def test_a_group_that_asks_for_gradients_through_steps_is_refused():
    group = {"params": [engine.nn.Parameter(engine.ones(2))], "differentiable": True}
    with pytest.raises(ValueError, match="differentiable: expected False"):
        optim.SGD([group], lr=0.1)


def test_a_state_from_before_the_options_leaves_them_alone():
    mine = of(engine, "Adam", foreach=False)
    state = mine.state_dict()
    for name in ("foreach", "capturable", "differentiable", "fused"):
        del state["param_groups"][0][name]
    mine.load_state_dict(state)
    assert mine.param_groups[0]["foreach"] is False
    mine.step()
