from __future__ import annotations

import itertools

import numpy as np

import engine
from specs.spec import Bench, Spec, case, const, distinct, normal


def cu(*lengths):
    return const(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32))


def pool(x, cu, mode="first"):
    parts = [x[a:b] for a, b in itertools.pairwise(cu)]
    if mode == "first":
        rows = [p[0] for p in parts]
    elif mode == "mean":
        rows = [p.mean(0) for p in parts]
    else:
        rows = [np.take_along_axis(p, p.real.argmax(0)[None], 0)[0] for p in parts]
    return np.stack(rows) if rows else np.zeros((0, x.shape[1]), x.dtype)


CASES = [((1,), 1), ((3, 1, 5), 7), ((2, 129, 64, 65), 33), ((), 4), ((5,) * 70, 128)]


SPECS = [
    Spec(
        "pool_packed",
        engine.pool_packed,
        pool,
        [
            case((distinct if mode == "max" else normal)(sum(lengths), d), cu(*lengths), mode=mode)
            for mode in ("first", "mean", "max")
            for lengths, d in CASES
        ],
        cuda=[
            case((distinct if mode == "max" else normal)(sum(lengths), d), cu(*lengths), mode=mode)
            for mode in ("first", "mean", "max")
            for lengths, d in (((2, 129, 64, 65), 33), ((5,) * 70, 128))
        ],
        bench=[
            Bench(case(normal(4096, 128), cu(*[32] * 128), mode=mode), bytes=4096 * 128 * 4, label=mode)
            for mode in ("first", "mean", "max")
        ],
    ),
]
