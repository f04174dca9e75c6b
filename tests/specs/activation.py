from __future__ import annotations

import numpy as np

import engine
from specs.reference import erf, normal_cdf, sigmoid
from specs.spec import Bench, Spec, away_from_zero, case, normal, uniform

SHAPES = [(0,), (1,), (2, 3), (17,), (3, 5, 7), (129,), (5, 33)]
WIDE = uniform(-30, 30, 257)
LARGE = 1 << 20


def spec(name, op, reference, torch, more=(), make=normal, wide=WIDE, **kwargs):
    return Spec(
        name,
        op,
        reference,
        [case(make(*s)) for s in SHAPES] + [case(wide), case(make(20011))] + list(more),
        cuda=[case(make(4099)), case(make(33, 67))],
        bench=[Bench(case(make(LARGE)), bytes=LARGE * 8, label="1M")],
        torch=torch,
        **kwargs,
    )


def gelu(x, approximate="none"):
    if approximate == "none":
        return x * normal_cdf(x)
    return x * sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def F(name):
    return lambda torch, x, **kw: getattr(torch.nn.functional, name)(x, **kw)


SPECS = [
    spec("relu", engine.relu, lambda x: np.where(np.real(x) > 0, x, 0), F("relu"), make=away_from_zero),
    spec(
        "leaky_relu",
        engine.leaky_relu,
        lambda x, negative_slope=0.01: np.where(np.real(x) > 0, x, negative_slope * x),
        F("leaky_relu"),
        [case(away_from_zero(41), negative_slope=0.2)],
        make=away_from_zero,
    ),
    spec("gelu", engine.gelu, gelu, F("gelu"), [case(normal(100), approximate="none")]),
    spec(
        "gelu_tanh",
        lambda x: engine.gelu(x, "tanh"),
        lambda x: gelu(x, "tanh"),
        lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
    spec("silu", engine.silu, lambda x: x * sigmoid(x), F("silu")),
    spec("sigmoid", engine.sigmoid, sigmoid, F("sigmoid")),
    spec("tanh", engine.tanh, np.tanh, F("tanh")),
    spec("erf", engine.erf, erf, lambda torch, x: torch.erf(x)),
    spec(
        "log1p",
        engine.log1p,
        lambda x: np.log(1 + x),
        lambda torch, x: torch.log1p(x),
        make=lambda *s: uniform(-0.9, 5, *s),
        wide=uniform(0, 1e6, 257),
    ),
]
