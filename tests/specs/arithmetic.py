from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, In, Spec, away_from_zero, case, const, normal, uniform

LARGE = 1 << 20
# Pairs of shapes: equal, one past a vector, with a repeated row, column or element, both repeated, none, several chunks.
PAIRS = [
    ((1,), (1,)),
    ((17,), (17,)),
    ((7, 33), (33,)),
    ((7, 33), (7, 1)),
    ((3, 1), (1, 5)),
    ((2, 3, 5), ()),
    ((), (4,)),
    ((2, 1, 3), (4, 1)),
    ((0, 3), (3,)),
    ((20011,), (20011,)),
    ((300, 131), (131,)),
]
# The same on CUDA, each of more than the elements of a block.
CUDA_PAIRS = [
    ((4099,), (4099,)),
    ((67, 33), (33,)),
    ((67, 33), (67, 1)),
    ((1031, 1), (1, 33)),
    ((3, 5, 131), ()),
    ((2, 1, 600), (4, 1)),
]


def torch_op(name):
    return lambda torch, *tensors, **kwargs: getattr(torch, name)(*tensors, **kwargs)


def binary(name, op, reference, first=normal, second=normal, more=(), **kwargs):
    return Spec(
        name,
        op,
        reference,
        [case(first(*a), second(*b)) for a, b in PAIRS] + list(more),
        cuda=[case(first(*a), second(*b)) for a, b in CUDA_PAIRS],
        bench=[
            Bench(case(first(LARGE), second(LARGE)), bytes=LARGE * 12, label="1M"),
            Bench(case(first(4096, 256), second(256)), bytes=LARGE * 8, label="4096x256 + 256"),
            Bench(case(first(64), second(64)), bytes=64 * 12, label="64"),
        ],
        torch=torch_op(name),
        **kwargs,
    )


def positive(*shape):
    return uniform(0.3, 2.5, *shape)


def on_grid(*shape):
    return In(shape, lambda rng, s: rng.integers(-100, 100, s) * 0.01)


def apart(*shape):
    """Never within 0.005 of the numbers of `on_grid`."""
    return In(shape, lambda rng, s: rng.integers(-100, 100, s) * 0.01 + 0.005)


def clamp(x, min=None, max=None):
    return np.clip(x, min, max)


def remainder(x, y):
    return x - y * np.floor(x / y)


def integers(*shape):
    return In(shape, lambda rng, s: rng.integers(-50, 50, s), False)


def nonzero(*shape):
    return In(shape, lambda rng, s: rng.integers(1, 9, s) * rng.choice([-1, 1], s), False)


def of_integers(name, reference, second=integers, **kwargs):
    """int64 and int32 operands: exact."""
    pairs = [((5,), (5,)), ((7, 33), (33,)), ((3, 1), ()), ((0,), (1,)), ((20011,), (20011,))]
    return Spec(
        f"{name}_integers",
        getattr(engine, name),
        reference,
        [case(integers(*a), second(*b)) for a, b in pairs],
        oracle=None,
        cuda=[case(integers(*a), second(*b)) for a, b in CUDA_PAIRS],
        **kwargs,
    )


SPECS = [
    binary("add", engine.add, lambda a, b, alpha=1: a + alpha * b, more=[case(normal(5), normal(5), alpha=2.5)]),
    binary("sub", engine.sub, lambda a, b, alpha=1: a - alpha * b, more=[case(normal(5), normal(5), alpha=-0.5)]),
    binary("mul", engine.mul, lambda a, b: a * b),
    binary("div", engine.div, lambda a, b: a / b, second=away_from_zero, f32_grad=4e-5),
    binary("pow", engine.pow, lambda a, b: a**b, first=positive, f32=4e-6, f32_grad=4e-5),
    binary("maximum", engine.maximum, np.maximum, on_grid, apart, oracle="difference"),
    binary("minimum", engine.minimum, np.minimum, on_grid, apart, oracle="difference"),
    binary(
        "remainder", engine.remainder, remainder, away_from_zero, lambda *s: uniform(2.1, 3, *s), oracle="difference"
    ),
    Spec(
        "floor_divide",
        engine.floor_divide,
        lambda a, b: np.floor_divide(a, b),
        [case(normal(*a), away_from_zero(*b)) for a, b in PAIRS],
        oracle=None,
        cuda=[case(normal(*a), away_from_zero(*b)) for a, b in CUDA_PAIRS],
    ),
    *[
        Spec(
            f"pow_{exponent}".replace(".", "_").replace("-", "minus_"),
            lambda x, e=exponent: x**e,
            lambda x, e=exponent: x**e,
            [case(positive(*s)) for s in [(1,), (17,), (3, 5), (0,)]],
            cuda=[case(positive(4099))],
            f32=4e-6,
            f32_grad=4e-5,
        )
        for exponent in (0, 1, 2, 3, 0.5, -1, -2, 2.5)
    ],
    Spec("square", engine.square, lambda x: x * x, [case(normal(33))], cuda=[case(normal(4099))]),
    Spec(
        "clamp",
        engine.clamp,
        clamp,
        [
            case(apart(*s), **kw)
            for s in [(1,), (33,), (5, 7), (0,), (20011,)]
            for kw in ({"min": -0.3}, {"max": 0.2}, {"min": -0.5, "max": 0.5})
        ],
        oracle="difference",
        cuda=[case(apart(4099), **kw) for kw in ({"min": -0.3}, {"max": 0.2}, {"min": -0.5, "max": 0.5})],
        bench=[Bench(case(normal(LARGE), min=-1.0, max=1.0), bytes=LARGE * 8, label="1M")],
        torch=torch_op("clamp"),
    ),
    Spec(
        "clamp_tensors",
        lambda x, low, high: engine.clamp(x, low, high),
        lambda x, low, high: np.minimum(np.maximum(x, low), high),
        [case(apart(6, 9), const(np.full((9,), -0.25)), const(np.full((6, 1), 0.25)))],
        oracle="difference",
        cuda=[case(apart(67, 33), const(np.full((33,), -0.25)), const(np.full((67, 1), 0.25)))],
    ),
    Spec(
        "numbers",
        lambda x: 3 - (2.0 * x + 1) / 4 + 1 / (x * x + 2),
        lambda x: 3 - (2.0 * x + 1) / 4 + 1 / (x * x + 2),
        [case(normal(33))],
        cuda=[case(normal(4099))],
    ),
    of_integers("add", lambda a, b: a + b),
    of_integers("sub", lambda a, b: a - b),
    of_integers("mul", lambda a, b: a * b),
    of_integers("maximum", np.maximum),
    of_integers("minimum", np.minimum),
    of_integers("floor_divide", np.floor_divide, nonzero),
    of_integers("remainder", np.remainder, nonzero),
    of_integers("pow", lambda a, b: a**b, lambda *s: In(s, lambda rng, shape: rng.integers(0, 6, shape), False)),
]
