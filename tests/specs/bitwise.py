from __future__ import annotations

import numpy as np

import engine
from specs.spec import In, Spec, case, mask


def integers(*shape):
    return In(shape, lambda rng, s: rng.integers(-(2**62), 2**62, s), False)


def narrow(*shape):
    return In(shape, lambda rng, s: rng.integers(-(2**31), 2**31, s).astype(np.int32), False)


def octets(*shape):
    return In(shape, lambda rng, s: rng.integers(0, 256, s).astype(np.uint8), False)


def count(*shape):
    return In(shape, lambda rng, s: rng.integers(0, 63, s), False)


def row(name, reference, *cases, cuda):
    op = getattr(engine, name)
    return Spec(name, op, reference, list(cases), oracle=None, f32=0.0, f64=0.0, dtypes=("float32",), cuda=cuda)


def both(name, reference):
    kinds = (integers, narrow, octets, mask)
    cases = [case(k(*a), k(*b)) for k in kinds for a, b in (((7,), (7,)), ((3, 1, 70), (5, 1)), ((0, 3), (3,)))]
    return row(name, reference, *cases, cuda=[case(k(37, 65), k(37, 65)) for k in kinds])


SPECS = [
    both("bitwise_and", np.bitwise_and),
    both("bitwise_or", np.bitwise_or),
    both("bitwise_xor", np.bitwise_xor),
    row(
        "bitwise_not",
        np.invert,
        *[case(k(*s)) for k in (integers, narrow, octets, mask) for s in ((7,), (3, 70), (0,), ())],
        cuda=[case(k(37, 65)) for k in (integers, narrow, octets, mask)],
    ),
    row(
        "bitwise_left_shift",
        np.left_shift,
        case(integers(70), count(70)),
        case(integers(3, 1), count(5)),
        cuda=[case(integers(37, 65), count(37, 65))],
    ),
    row(
        "bitwise_right_shift",
        np.right_shift,
        case(integers(70), count(70)),
        case(integers(3, 1), count(5)),
        cuda=[case(integers(37, 65), count(37, 65))],
    ),
]
