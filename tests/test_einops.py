"""einops on engine's Tensors: functions, layers, gradients, and either order of the imports."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import engine
from engine import nn

einops = pytest.importorskip("einops")

X = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(np.float32)

CALLS = {
    "rearrange": lambda x: einops.rearrange(x, "b (h w) c -> b c h w", h=2),
    "rearrange a list": lambda x: einops.rearrange([x, x], "n b t c -> b t (n c)"),
    "repeat": lambda x: einops.repeat(x, "b t c -> b (t k) c n", k=2, n=3),
    "sum": lambda x: einops.reduce(x, "b (h w) c -> h", "sum", w=3),
    "mean": lambda x: einops.reduce(x, "b t c -> b 1 c", "mean"),
    "max": lambda x: einops.reduce(x, "b (t k) c -> b t c", "max", k=2),
    "min": lambda x: einops.reduce(x, "b t c -> ", "min"),
    "prod": lambda x: einops.reduce(x, "b t c -> t", "prod"),
    "einsum": lambda x: einops.einsum(x, x, "b t c, b s c -> b t s"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "b * c")[0],
    "unpack": lambda x: einops.unpack(x, [(2, 2), (2,)], "b * c")[0],
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_as_on_numpy(name):
    x = engine.tensor(X, requires_grad=True)
    y = CALLS[name](x)
    np.testing.assert_allclose(y.detach().numpy(), CALLS[name](X), rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert x.grad.shape == X.shape and x.grad.abs().sum().item() > 0


def test_bool_and_the_rest():
    x = engine.tensor(X > 0)
    for operation in ("any", "all"):
        assert (
            einops.reduce(x, "b t c -> t", operation).tolist() == einops.reduce(X > 0, "b t c -> t", operation).tolist()
        )
    assert einops.parse_shape(engine.tensor(X), "b _ c") == {"b": 2, "c": 4}
    assert np.array_equal(einops.asnumpy(engine.tensor(X)), X)
    with pytest.raises(einops.EinopsError, match=r"(?i)divi"):
        einops.rearrange(engine.tensor(X), "b (h w) c -> b h w c", h=4)


def test_layers():
    from einops.layers.engine import Rearrange, Reduce

    from engine.utils import einops as ours

    assert Rearrange is ours.Rearrange and Reduce is ours.Reduce
    model = nn.Sequential(Rearrange("b (t k) c -> b t (k c)", k=2), nn.Linear(8, 3), Reduce("b t c -> b c", "mean"))
    y = model(engine.tensor(X))
    assert y.shape == (2, 3) and "Rearrange('b (t k) c -> b t (k c)', k=2)" in repr(model)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again(engine.tensor(X)).tolist() == y.tolist()


@pytest.mark.parametrize("imports", ["import engine, einops", "import einops, engine"])
def test_either_may_be_imported_first(imports):
    code = f"""{imports}
import sys
assert ("engine.nn" in sys.modules) is False
print(einops.rearrange(engine.arange(6), "(a b) -> b a", a=2).tolist())"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[[0, 3], [1, 4], [2, 5]]"


def test_engine_does_not_import_einops():
    code = "import engine, sys; assert not any(name.startswith('einops') for name in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
