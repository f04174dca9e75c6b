from __future__ import annotations

import numpy as np

import engine
from specs.reference import log_softmax
from specs.spec import Bench, Spec, case, normal, uniform

# shapes with the dimension to work along
SHAPES = [
    ((2,), 0),
    ((3, 7), 1),
    ((1, 1), -1),
    ((4, 17), -1),
    ((5, 3, 2), 1),
    ((2, 65, 3), 0),
    ((0, 4), -1),
    ((300, 77), -1),
]
LONG = case(normal(3, 1031), dim=-1)
STEEP = case(uniform(-200, 200, 6, 19), dim=-1)


def logsumexp(x, dim, keepdim=False):
    dim = tuple(dim) if isinstance(dim, list | tuple) else dim
    high = np.real(x).max(axis=dim, keepdims=True) if x.size else np.zeros(1)
    y = np.log(np.exp(x - high).sum(axis=dim, keepdims=True)) + high
    return y if keepdim else np.squeeze(y, axis=dim)


CASES = [case(normal(*s), dim=d) for s, d in SHAPES] + [LONG, STEEP]
CUDA = [case(normal(*s), dim=d) for s, d in [((33, 67), -1), ((130, 128), -1), ((5, 33, 12), 1), ((2, 1031), -1)]]
BENCH = [
    Bench(case(normal(n, d), dim=-1), bytes=n * d * 8, label=f"{n}x{d}")
    for n, d in ((8192, 128), (1024, 1024), (64, 30522))
]

SPECS = [
    Spec(
        "softmax",
        engine.softmax,
        lambda x, dim: np.exp(log_softmax(x, dim)),
        CASES,
        cuda=CUDA,
        bench=BENCH,
        torch=lambda torch, x, dim: torch.softmax(x, dim),
    ),
    Spec(
        "log_softmax",
        engine.log_softmax,
        log_softmax,
        CASES,
        cuda=CUDA,
        bench=BENCH,
        torch=lambda torch, x, dim: torch.log_softmax(x, dim),
    ),
    Spec(
        "logsumexp",
        engine.logsumexp,
        logsumexp,
        [*CASES, case(normal(3, 4, 5), dim=(0, 2)), case(normal(3, 4, 5), dim=1, keepdim=True), case(normal(5), dim=0)],
        cuda=CUDA,
        bench=BENCH,
        torch=lambda torch, x, dim: torch.logsumexp(x, dim),
    ),
]
