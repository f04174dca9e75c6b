from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, In, Spec, away_from_zero, case, distinct, ids, mask, normal, uniform

# Shapes with the dimensions to reduce: a row, columns, a block between, all, those around a kept one, primes, one past a
# vector, several chunks of either kind, no elements.
SHAPES = [
    ((5,), 0),
    ((7, 33), -1),
    ((33, 7), 0),
    ((130, 129), 0),
    ((3, 4, 5), 1),
    ((3, 4, 5), (0, 2)),
    ((2, 3, 4, 5), (1, 2)),
    ((2, 3, 4), None),
    ((1,), None),
    ((40009,), None),
    ((3, 20011), 1),
    ((10007, 3), 0),
    ((700, 130), 0),
    ((3, 0), 0),
]
LARGE = 4096
# On CUDA, each of more than the elements of a block.
CUDA_SHAPES = [
    ((33, 67), -1),
    ((67, 33), 0),
    ((130, 129), 0),
    ((13, 14, 15), 1),
    ((13, 14, 15), (0, 2)),
    ((2, 23, 4, 35), (1, 2)),
    ((12, 13, 14), None),
    ((40009,), None),
    ((3, 5011), 1),
    ((3007, 3), 0),
]
CUDA_ONE_DIM = [(s, d) for s, d in CUDA_SHAPES if isinstance(d, int)]


def axes(dim):
    return tuple(dim) if isinstance(dim, tuple) else dim


def numpy_sum(x, dim=None, keepdim=False):
    return x.sum(axes(dim), keepdims=keepdim)


def numpy_mean(x, dim=None, keepdim=False):
    return x.mean(axes(dim), keepdims=keepdim)


def numpy_var(x, dim=None, keepdim=False, correction=1):
    n = x.size // max(numpy_sum(np.zeros(x.shape), dim).size, 1)
    return ((x - numpy_mean(x, dim, True)) ** 2).sum(axes(dim), keepdims=keepdim) / (n - correction)


def numpy_norm(x, p=2, dim=None, keepdim=False):
    if p == 2:
        return np.sqrt((x * x).sum(axes(dim), keepdims=keepdim))
    if np.isinf(p):
        return np.abs(x).max(axes(dim), keepdims=keepdim)
    return (np.abs(x) ** p).sum(axes(dim), keepdims=keepdim) ** (1 / p)


def cases(make=normal, shapes=SHAPES, **kwargs):
    return [case(make(*s), dim=d, keepdim=i % 2 == 0, **kwargs) for i, (s, d) in enumerate(shapes)]


def bench(make=normal, **kwargs):
    return [
        Bench(case(make(LARGE, 256), dim=d, **kwargs), bytes=LARGE * 256 * 4, label=f"4096x256 over {d}")
        for d in (0, 1)
    ]


def torch_op(name):
    return lambda torch, x, **kwargs: getattr(torch, name)(x, **kwargs)


def reduction(name, reference, make=normal, shapes=SHAPES, more=(), cuda=CUDA_SHAPES, **kwargs):
    return Spec(
        name,
        getattr(engine, name),
        reference,
        cases(make, shapes) + list(more),
        cuda=cases(make, cuda),
        bench=bench(make),
        torch=torch_op(name),
        **kwargs,
    )


NOT_EMPTY = [s for s in SHAPES if 0 not in s[0]]
ONE_DIM = [(s, d) for s, d in NOT_EMPTY if isinstance(d, int)]
SEVERAL = [s for s in NOT_EMPTY if s != ((1,), None)]


def largest(x, dim, keepdim=False):
    at = x.argmax(dim, keepdims=True)
    return (np.take_along_axis(x, at, dim) if keepdim else np.take_along_axis(x, at, dim).squeeze(dim)), (
        at if keepdim else at.squeeze(dim)
    )


def smallest(x, dim, keepdim=False):
    values, at = largest(-x, dim, keepdim)
    return -values, at


def near_one(*shape):
    return uniform(0.8, 1.2, *shape)


def few(*shape):
    """Few different integers: many are equal."""
    return In(shape, lambda rng, s: rng.integers(-3, 4, s), False)


def of_integers(name, reference, make=few, shapes=NOT_EMPTY):
    return Spec(
        f"{name}_integers",
        getattr(engine, name),
        reference,
        cases(make, shapes),
        oracle=None,
        cuda=cases(make, CUDA_SHAPES),
    )


SPECS = [
    reduction("sum", numpy_sum, f32=1e-5, more=[case(normal(2, 3)), case(normal(), dim=0)]),
    reduction("mean", numpy_mean, shapes=NOT_EMPTY, more=[case(normal(2, 3))]),
    reduction("var", numpy_var, shapes=SEVERAL, f32=1e-5, more=[case(normal(7, 5), dim=1, correction=0)]),
    reduction(
        "std",
        lambda x, **kw: np.sqrt(numpy_var(x, **kw)),
        shapes=SEVERAL,
        f32=1e-5,
        more=[case(normal(7, 5), dim=1, correction=0)],
    ),
    Spec(
        "var_mean",
        engine.var_mean,
        lambda x, dim, keepdim: (numpy_var(x, dim, keepdim), numpy_mean(x, dim, keepdim)),
        cases(shapes=SEVERAL),
        f32=1e-5,
        cuda=cases(shapes=CUDA_SHAPES),
    ),
    Spec(
        "std_mean",
        engine.std_mean,
        lambda x, dim, keepdim: (np.sqrt(numpy_var(x, dim, keepdim)), numpy_mean(x, dim, keepdim)),
        cases(shapes=SEVERAL),
        f32=1e-5,
        cuda=cases(shapes=CUDA_SHAPES),
    ),
    reduction("norm", numpy_norm),
    Spec(
        "norm_p",
        engine.norm,
        numpy_norm,
        [
            case(away_from_zero(*s), p=p, dim=d, keepdim=k)
            for p, k in ((1, True), (3, False), (2.5, True))
            for s, d in [((33,), None), ((5, 7), 1), ((3, 4, 5), (0, 2))]
        ],
        oracle="difference",
        cuda=[case(away_from_zero(*s), p=p, dim=d) for p in (1, 3) for s, d in [((4099,), None), ((67, 33), 1)]],
    ),
    Spec(
        "norm_inf",
        engine.norm,
        numpy_norm,
        [case(distinct(5, 7), p=np.inf, dim=1)],
        oracle="difference",
        cuda=[case(distinct(67, 33), p=np.inf, dim=1)],
    ),
    reduction(
        "prod",
        lambda x, dim, keepdim: x.prod(dim, keepdims=keepdim),
        near_one,
        [(s, d) for s, d in SHAPES[:9] if not isinstance(d, tuple)],
        f32_grad=1e-4,
        cuda=[((33, 67), -1), ((67, 33), 0)],
    ),
    reduction(
        "amax", lambda x, dim, keepdim: x.max(axes(dim), keepdims=keepdim), distinct, NOT_EMPTY, oracle="difference"
    ),
    reduction(
        "amin", lambda x, dim, keepdim: x.min(axes(dim), keepdims=keepdim), distinct, NOT_EMPTY, oracle="difference"
    ),
    Spec(
        "max",
        engine.max,
        largest,
        cases(distinct, ONE_DIM),
        oracle="difference",
        cuda=cases(distinct, CUDA_ONE_DIM[:4]),
    ),
    Spec(
        "min",
        engine.min,
        smallest,
        cases(distinct, ONE_DIM),
        oracle="difference",
        cuda=cases(distinct, CUDA_ONE_DIM[:4]),
    ),
    Spec(
        "max_of_all",
        engine.max,
        lambda x: x.max(),
        [case(distinct(5, 7))],
        oracle="difference",
        cuda=[case(distinct(67, 33))],
    ),
    Spec(
        "max_of_two",
        engine.max,
        np.maximum,
        [case(distinct(9), uniform(3, 4, 9))],
        oracle="difference",
        cuda=[case(distinct(4099), uniform(50, 60, 4099))],
    ),
    *[
        Spec(
            name,
            getattr(engine, name),
            lambda x, dim, keepdim=False, name=name: getattr(x, name)(dim, keepdims=keepdim),
            cases(make, [*ONE_DIM, ((3, 4, 5), None), ((40009,), None)]),
            oracle=None,
            cuda=cases(distinct, CUDA_ONE_DIM),
        )
        for name, make in (("argmax", distinct), ("argmin", distinct))
    ],
    *[
        Spec(
            f"{name}_of_equals",
            getattr(engine, name),
            lambda x, dim, keepdim=False, name=name: getattr(x, name)(dim, keepdims=keepdim),
            cases(few, [*ONE_DIM, ((3, 4, 5), None), ((40009,), None)]),
            oracle=None,
            cuda=cases(few, [*CUDA_ONE_DIM, ((40009,), None)]),
        )
        for name in ("argmax", "argmin")
    ],
    Spec(
        "cumsum",
        engine.cumsum,
        lambda x, dim: x.cumsum(dim),
        [case(normal(*s), dim=d) for s, d in ONE_DIM] + [case(normal(2, 3, 100), dim=1), case(normal(0, 3), dim=0)],
        cuda=[case(normal(*s), dim=d) for s, d in CUDA_ONE_DIM],
        bench=[Bench(case(normal(LARGE, 256), dim=1), bytes=LARGE * 256 * 8, label="4096x256 over 1")],
        torch=torch_op("cumsum"),
        f32_grad=1e-4,
    ),
    Spec(
        "cumprod",
        engine.cumprod,
        lambda x, dim: x.cumprod(dim),
        [case(uniform(0.8, 1.2, *s), dim=d) for s, d in ONE_DIM]
        + [case(uniform(-1.5, 1.5, 2, 3, 100), dim=1), case(normal(0, 3), dim=0)]
        + [case(normal(2, 5), dim=1)],
        cuda=[case(uniform(0.9, 1.1, 33, 40), dim=d) for d in (0, 1)],
        f32=1e-4,
        f64=1e-11,
        bf16=5e-2,
        f32_grad=1e-3,
        bf16_grad=0.2,
    ),
    of_integers("sum", numpy_sum),
    of_integers("amax", lambda x, dim, keepdim: x.max(axes(dim), keepdims=keepdim)),
    of_integers("amin", lambda x, dim, keepdim: x.min(axes(dim), keepdims=keepdim)),
    Spec("sum_bool", engine.sum, numpy_sum, cases(mask), oracle=None, cuda=cases(mask, CUDA_SHAPES)),
    Spec(
        "cumsum_integers",
        engine.cumsum,
        lambda x, dim: x.cumsum(dim),
        [case(ids(9, 5, 70), dim=0), case(ids(9, 5, 70), dim=1)],
        oracle=None,
        cuda=[case(ids(9, 35, 70), dim=0), case(ids(9, 35, 70), dim=1)],
    ),
    *[
        Spec(
            f"{name}{suffix}",
            getattr(engine, name),
            lambda x, dim, keepdim, name=name: getattr(np, name)(x, axes(dim), keepdims=keepdim),
            cases(make),
            oracle=None,
            cuda=cases(make, CUDA_SHAPES),
        )
        for name in ("any", "all")
        for suffix, make in (("", mask), ("_integers", few))
    ],
]
