from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, In, Spec, case, const, distinct, ids, mask, normal


def row(name, op, reference, *cases, **options):
    return Spec(name, op, reference, list(cases), **{"f32": 0.0, "f64": 0.0, **options})


def ordered(x, dim, descending):
    """Stable, by the real part: the gradient test passes complex numbers."""
    real = np.real(x)
    if descending:
        order = x.shape[dim] - 1 - np.flip(np.argsort(np.flip(real, dim), dim, kind="stable"), dim) if x.ndim else None
    else:
        order = np.argsort(real, dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def sort(x, dim=-1, descending=False):
    return ordered(x, dim, descending)


def topk(x, k, dim=-1, largest=True):
    values, order = ordered(x, dim, largest)
    first = tuple(slice(k) if d == dim % x.ndim else slice(None) for d in range(x.ndim))
    return values[first], order[first]


def mode(x, dim=-1):
    def most(line):
        return max(np.unique(line), key=lambda v: (np.sum(line == v), -v))

    values = np.apply_along_axis(most, dim, x)
    return values, np.apply_along_axis(lambda line: np.flatnonzero(line == most(line))[-1], dim, x)


def few(limit, *shape):
    """Numbers of which many are equal."""
    return In(shape, lambda rng, s: rng.integers(0, limit, s).astype(float), False)


SORTED = [
    case(distinct(7)),
    case(distinct(3, 33), descending=True),
    case(distinct(5, 4, 3), dim=1),
    case(distinct(40, 3), dim=0, descending=True),
    case(distinct(0, 3)),
    case(distinct(3, 0)),
    case(distinct(3000)),
    case(distinct(130, 130)),
]
TOP = [
    case(distinct(9), k=3),
    case(distinct(4, 50), k=2, largest=False),
    case(distinct(60, 5), k=4, dim=0),
    case(distinct(5), k=5),
    case(distinct(5, 3), k=0, dim=0),
    case(distinct(2, 5000), k=7),
]

SPECS = [
    row(
        "sort",
        lambda x, **k: tuple(engine.sort(x, **k)),
        sort,
        *SORTED,
        cuda=[case(distinct(37, 45)), case(distinct(33, 5, 9), dim=1)],
        bench=[Bench(case(normal(64, 4096)), bytes=64 * 4096 * 16, label="64x4096")],
        torch=lambda torch, x: torch.sort(x),
    ),
    row(
        "sort_of_equals",
        lambda x, **k: tuple(engine.sort(x, **k)),
        sort,
        case(few(4, 90)),
        case(few(4, 6, 70), descending=True),
        case(ids(9, 200)),
        case(const([2.0, -0.0, 0.0, -np.inf, np.inf, -3.5])),
        oracle=None,
        cuda=[case(few(4, 3, 2051), descending=True), case(ids(9, 33, 40)), case(mask(33, 40), dim=0)],
    ),
    row(
        "topk",
        lambda x, **k: tuple(engine.topk(x, **k)),
        topk,
        *TOP,
        cuda=[case(distinct(37, 45), k=5), case(distinct(1100, 3), k=1, dim=0)],
        bench=[Bench(case(normal(64, 50257), k=40), bytes=64 * 50257 * 4, label="64x50257")],
        torch=lambda torch, x, k: torch.topk(x, k),
    ),
    row(
        "topk_of_equals",
        lambda x, **k: tuple(engine.topk(x, **k)),
        topk,
        case(few(3, 200), k=11),
        case(few(3, 5, 200), k=50, largest=False),
        oracle=None,
        cuda=[case(few(3, 33, 40), k=7)],
    ),
    row(
        "searchsorted",
        lambda s, v, right: engine.searchsorted(engine.sort(s).values, v, right=right),
        lambda s, v, right: np.searchsorted(np.sort(s), v, "right" if right else "left"),
        case(few(30, 20), few(30, 4, 9), right=False),
        case(few(30, 20), few(30, 4, 9), right=True),
        case(normal(500), normal(2000), right=False),
        case(normal(0), normal(3), right=True),
        case(normal(7), normal(0), right=True),
        oracle=None,
        cuda=[case(few(30, 1031), few(30, 33, 40), right=False), case(normal(65), normal(1100), right=True)],
    ),
    row(
        "mode",
        lambda x, **k: tuple(engine.mode(x, **k)),
        mode,
        case(few(3, 9)),
        case(few(3, 5, 8), dim=0),
        case(few(1, 4, 2)),
        oracle=None,
        cuda=[case(few(5, 33, 40))],
    ),
    row(
        "kthvalue",
        lambda x, **k: tuple(engine.kthvalue(x, **k)),
        lambda x, k, dim=-1: tuple(np.take(a, k - 1, dim) for a in ordered(x, dim, False)),
        case(distinct(9), k=3),
        case(distinct(4, 6), k=6),
        case(distinct(4, 6), k=1, dim=0),
        cuda=[case(distinct(33, 40), k=7)],
    ),
    row(
        "median",
        lambda x, dim: tuple(engine.median(x, dim)),
        lambda x, dim: tuple(np.take(a, (x.shape[dim] - 1) // 2, dim) for a in ordered(x, dim, False)),
        case(distinct(9), dim=0),
        case(distinct(4, 6), dim=-1),
        case(distinct(4, 6), dim=0),
        cuda=[case(distinct(33, 40), dim=1)],
    ),
    row(
        "unique",
        lambda x: engine.unique(x, return_inverse=True, return_counts=True),
        lambda x: (
            np.unique(x),
            np.unique(x, return_inverse=True)[1].reshape(x.shape),
            np.unique(x, return_counts=True)[1],
        ),
        case(few(5, 40)),
        case(few(5, 3, 4)),
        case(ids(9, 4, 5)),
        case(normal(0)),
        oracle=None,
        cuda=[case(few(50, 33, 40))],
    ),
]
