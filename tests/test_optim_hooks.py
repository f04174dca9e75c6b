"""Hooks of optimizers, and averages of weights."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import engine
from engine import nn, optim
from engine.optim import swa_utils
from engine.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


def made(cls=optim.SGD, lr=0.5):
    p = nn.Parameter(engine.ones(2))
    p.grad = engine.ones(2)
    return p, cls([p], lr=lr)


def test_hooks_around_a_step():
    p, optimizer = made()
    told = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: told.append(("before", o is args[0], p.tolist()))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: told.append(("after", kwargs, p.tolist()))),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: told.append("all")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: told.append("all")),
    ]
    optimizer.step()
    assert told == ["all", ("before", True, [1, 1]), ("after", {}, [0.5, 0.5]), "all"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(told) == 4
    optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"grad_scale": 2.0}))
    optimizer.step()
    assert p.tolist() == [-1, -1]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(TypeError, match=r"returns None or \(args, kwargs\)"):
        optimizer.step()
    with pytest.raises(TypeError, match="hook: expected a function"):
        optimizer.register_step_post_hook(3)


def test_a_step_of_the_users_has_hooks_and_counts_once():
    class Twice(optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            return super().step(closure)

    p, optimizer = made(Twice)
    told = []
    optimizer.register_step_post_hook(lambda *args: told.append(p.tolist()))
    assert optimizer.step(lambda: 5) == 5 and told == [[0, 0]]
    p, optimizer = made(lambda params, lr: optim.LBFGS(params, lr=lr, max_iter=1))
    optimizer.register_step_post_hook(lambda *args: told.append("lbfgs"))
    optimizer.step(lambda: (p * p).sum())
    assert told[1:] == ["lbfgs"]


def test_hooks_around_states():
    _, optimizer = made(optim.Adam)
    optimizer.step()
    told = []
    optimizer.register_state_dict_pre_hook(lambda o: told.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: told.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    state = optimizer.state_dict()
    assert told == ["first", "second"] and state["more"] == 1

    def before(o, given):
        given["param_groups"] = [{**given["param_groups"][0], "lr": 7.0}]

    optimizer.register_load_state_dict_pre_hook(before)
    optimizer.register_load_state_dict_post_hook(lambda o: told.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(state)
    assert told[2:] == [7.0] and state["param_groups"][0]["lr"] == 0.5
    for again in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert "more" not in again.state_dict()  # copies have no hooks, as in PyTorch


# ---- averages


def model_at(value):
    m = nn.Linear(2, 1)
    m.register_buffer("count", engine.full((1,), value))
    for p in m.parameters():
        p.data.fill_(value)
    return m


@pytest.mark.parametrize(
    "functions, wanted",
    [
        ({}, 3.0),
        ({"avg_fn": swa_utils.get_swa_avg_fn()}, 3.0),
        ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, 3.0),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 3.75),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}, 3.75),
        ({"avg_fn": lambda average, new, n: new * n}, 12.0),
    ],
)
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_models(functions, wanted, use_buffers):
    averaged = swa_utils.AveragedModel(model_at(9.0), use_buffers=use_buffers, **functions)
    for value in (1.0, 2.0, 6.0):
        averaged.update_parameters(model_at(value))
    assert averaged.module.weight.tolist() == [[wanted] * 2] and averaged.n_averaged.item() == 3
    assert averaged.module.count.item() == (wanted if use_buffers else 6.0)
    assert averaged(engine.ones(1, 2)).item() == 3 * wanted and averaged.module.weight.requires_grad
    again = swa_utils.AveragedModel(model_at(0.0))
    again.load_state_dict(averaged.state_dict())
    assert again.n_averaged.item() == 3
    with pytest.raises(ValueError, match="multi_avg_fn"):
        swa_utils.AveragedModel(model_at(0.0), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="decay"):
        swa_utils.get_ema_multi_avg_fn(1.5)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_swalr_as_pytorch(strategy, epochs):
    torch = pytest.importorskip("torch")
    rates = []
    for lib, values in ((engine, nn.Parameter(engine.zeros(1))), (torch, torch.nn.Parameter(torch.zeros(1)))):
        optimizer = lib.optim.SGD([{"params": [values]}], lr=0.5)
        schedule = lib.optim.swa_utils.SWALR(optimizer, 0.05, epochs, strategy)
        seen = []
        for _ in range(8):
            seen.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.step()
        rates.append(seen)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-12)


def test_swalr_mistakes():
    _, optimizer = made()
    for arguments, name in (({"anneal_strategy": "exp"}, "anneal_strategy"), ({"anneal_epochs": -1}, "anneal_epochs")):
        with pytest.raises(ValueError, match=name):
            swa_utils.SWALR(optimizer, 0.1, **arguments)
    with pytest.raises(ValueError, match="swa_lr"):
        swa_utils.SWALR(optimizer, [0.1, 0.2])
