from __future__ import annotations

import numpy as np

import engine
from specs.arithmetic import CUDA_PAIRS, PAIRS
from specs.spec import Bench, In, Spec, case, mask, normal

LARGE = 1 << 20


def halves(*shape):
    """Few different numbers, so that many are equal, and some are zeros."""
    return In(shape, lambda rng, s: rng.integers(-2, 3, s) * 0.5, False)


def special(*shape):
    return In(shape, lambda rng, s: rng.choice([0.0, 1.5, -2.5, np.inf, -np.inf, np.nan], s), False)


def small_integers(*shape):
    return In(shape, lambda rng, s: rng.integers(-2, 3, s), False)


def compare(name, reference):
    return Spec(
        name,
        getattr(engine, name),
        reference,
        [case(make(*a), make(*b)) for make in (halves, special, small_integers, mask) for a, b in PAIRS],
        oracle=None,
        cuda=[case(make(*a), make(*b)) for make in (special, small_integers, mask) for a, b in CUDA_PAIRS[:3]],
        bench=[Bench(case(normal(LARGE), normal(LARGE)), bytes=LARGE * 9, label="1M")],
        torch=lambda torch, a, b: getattr(torch, name)(a, b),
    )


def test(name, reference):
    return Spec(
        name,
        getattr(engine, name),
        reference,
        [case(make(*s)) for make in (special, small_integers, mask) for s in [(), (0,), (1,), (33,), (3, 5), (20011,)]],
        oracle=None,
        cuda=[case(make(4099)) for make in (special, small_integers, mask)],
    )


SPECS = [
    compare("eq", np.equal),
    compare("ne", np.not_equal),
    compare("lt", np.less),
    compare("le", np.less_equal),
    compare("gt", np.greater),
    compare("ge", np.greater_equal),
    compare("logical_and", np.logical_and),
    compare("logical_or", np.logical_or),
    compare("logical_xor", np.logical_xor),
    test("logical_not", np.logical_not),
    test("isnan", np.isnan),
    test("isinf", np.isinf),
    test("isfinite", np.isfinite),
    Spec(
        "where",
        engine.where,
        np.where,
        [
            case(mask(*c), normal(*a), normal(*b))
            for c, a, b in [
                ((33,), (33,), (33,)),
                ((7, 1), (5,), (7, 5)),
                ((3, 4), (), (4,)),
                ((), (2, 3), (2, 3)),
                ((0, 2), (2,), (1,)),
                ((20011,), (20011,), (20011,)),
            ]
        ],
        cuda=[
            case(mask(*c), normal(*a), normal(*b))
            for c, a, b in [((4099,), (4099,), (4099,)), ((67, 1), (33,), (67, 33)), ((1031, 3), (), (3,))]
        ],
        bench=[Bench(case(mask(LARGE), normal(LARGE), normal(LARGE)), bytes=LARGE * 13, label="1M")],
        torch=lambda torch, c, a, b: torch.where(c, a, b),
    ),
    Spec(
        "masked_fill",
        engine.masked_fill,
        lambda x, m, value: np.where(m, value, x),
        [
            case(normal(*s), mask(*m), value=-1e9)
            for s, m in [((33,), (33,)), ((2, 3, 5), (3, 1)), ((0,), (0,)), ((1,), ())]
        ],
        f32=1e-6,
        cuda=[case(normal(*s), mask(*m), value=-1e9) for s, m in [((4099,), (4099,)), ((7, 33, 35), (33, 1))]],
    ),
    Spec(
        "masked_fill_tensor",
        engine.masked_fill,
        lambda x, m, value: np.where(m, value, x),
        [case(normal(7, 33), mask(33), normal())],
        cuda=[case(normal(67, 33), mask(33), normal())],
    ),
]
