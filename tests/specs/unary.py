from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, In, Spec, away_from_zero, case, normal, uniform

SHAPES = [(), (0,), (1,), (17,), (3, 5, 7), (129,), (20011,)]
LARGE = 1 << 20


def positive(*shape):
    return uniform(0.2, 3, *shape)


def off_grid(*shape):
    """Never near an integer or a half: where rounding jumps."""
    return In(shape, lambda rng, s: rng.integers(-20, 20, s) * 0.5 + rng.uniform(0.1, 0.4, s))


def unary(name, reference, make=normal, more=(), **kwargs):
    return Spec(
        name,
        getattr(engine, name),
        reference,
        [case(make(*s)) for s in SHAPES] + list(more),
        cuda=[case(make(4099)), case(make(33, 67))],
        bench=[Bench(case(make(LARGE)), bytes=LARGE * 8, label="1M")],
        torch=lambda torch, x: getattr(torch, name)(x),
        **kwargs,
    )


SPECS = [
    unary("neg", lambda x: -x),
    unary("abs", np.abs, away_from_zero, oracle="difference"),
    unary("exp", np.exp, more=[case(uniform(-30, 5, 257))], f32_grad=2e-5),
    unary("log", np.log, positive, more=[case(uniform(1e-3, 1e4, 257))], f32_grad=2e-5),
    unary("sqrt", np.sqrt, positive),
    unary("rsqrt", lambda x: 1 / np.sqrt(x), positive),
    unary("reciprocal", lambda x: 1 / x, away_from_zero, f32_grad=4e-5),
    unary("sin", np.sin, more=[case(uniform(-20, 20, 257))]),
    unary("cos", np.cos, more=[case(uniform(-20, 20, 257))]),
    unary("sign", np.sign, away_from_zero, oracle="difference"),
    unary("floor", np.floor, off_grid, oracle="difference"),
    unary("ceil", np.ceil, off_grid, oracle="difference"),
    unary("round", np.round, off_grid, oracle="difference"),
]
