"""Dense products. Sizes: 0, 1, primes, and one past a register tile, a panel and a block of k in each dimension."""

from __future__ import annotations

from math import erf, pi

import numpy as np

import engine
from specs.spec import Bench, Spec, case, const, ids, normal

_erf = np.vectorize(erf)


def gelu(z, approximate):
    """Analytic in z, so that a complex step goes through: erf is expanded around the real part."""
    if approximate == "tanh":
        return 0.5 * z * (1 + np.tanh(np.sqrt(2 / pi) * (z + 0.044715 * z**3)))
    x = np.real(z)
    cdf = 0.5 * (1 + (_erf(x / np.sqrt(2)) if x.size else x)) + 0j
    cdf = cdf + 1j * np.imag(z) * np.exp(-x * x / 2) / np.sqrt(2 * pi)
    return z * cdf if np.iscomplexobj(z) else x * cdf.real


def linear(x, w, b=None):
    y = x @ w.swapaxes(-1, -2)
    return y if b is None else y + b


MATMUL = [
    ((1, 1), (1, 1)),
    ((3, 2), (2, 5)),
    ((13, 17), (17, 33)),
    ((7, 0), (0, 5)),
    ((0, 3), (3, 4)),
    ((4, 3), (3, 0)),
    ((25, 385), (385, 65)),
    ((601, 9), (9, 261)),
    ((5,), (5,)),
    ((5,), (5, 3)),
    ((3, 5), (5,)),
    ((0,), (0,)),
    ((2, 3, 4), (4, 5)),
    ((4, 5), (3, 5, 2)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((6, 5, 7), (6, 7, 3)),
    ((2, 1, 3, 5), (4, 5, 2)),
    ((3, 1, 3, 5), (1, 4, 5, 2)),
    ((2, 0, 3, 4), (4, 5)),
    ((40, 16, 24), (40, 24, 16)),
    ((1, 4096), (4096, 1)),
]

LINEAR = [
    (1, 1, 1),
    (5, 3, 7),
    (13, 33, 17),
    (0, 4, 3),
    (3, 0, 4),
    (3, 4, 0),
    (130, 77, 65),
    (515, 40, 259),
    (9, 130, 770),
]


# Rows, sizes k and n, and where the groups end: one group, none, empty ones, some behind the last, primes, uneven ones.
GROUPED = [
    (1, 1, 1, [1]),
    (7, 3, 5, [7]),
    (6, 4, 3, []),
    (0, 4, 3, [0, 0]),
    (5, 0, 3, [2, 5]),
    (5, 3, 0, [2, 5]),
    (11, 5, 3, [0, 4, 4, 9, 11, 11]),
    (13, 7, 17, [3, 8]),
    (5, 3, 4, [0, 0]),
    (61, 1, 1, [2, 30, 61]),
    (67, 33, 19, [5, 5, 48, 61]),
    (601, 40, 65, [1, 3, 390, 391, 601]),
    (300, 129, 260, [31, 300]),
    (290, 3, 2, [i - i % 7 for i in range(290)]),  # more groups than threads look at at once
]


def grouped(a, b, offs):
    begins = [0, *offs[:-1]]
    parts = [a[begin:end] @ b[g] for g, (begin, end) in enumerate(zip(begins, offs))]
    rest = len(a) - (offs[-1] if len(offs) else 0)
    return np.concatenate([*parts, np.zeros((rest, b.shape[2]))])


def _grouped_case(t, k, n, offs):
    return case(normal(t, k), normal(len(offs), k, n), const(np.array(offs, np.int32)))


def _linear_case(m, k, n, **kwargs):
    return case(normal(m, k), normal(n, k), normal(n), **kwargs)


def _bench(*sizes):
    return [Bench(_linear_case(4096, k, n), flops=2 * 4096 * k * n, label=f"4096x{n}x{k}") for n, k in sizes]


_SIZES = [(128, 128), (512, 128), (128, 512), (256, 256), (384, 384), (1536, 384), (384, 1536), (768, 768)]

UNEVEN = [70, 1500, 1503, 2100, 2400, 2400, 3900, 4096]  # where 8 groups of rows end

SPECS = [
    Spec(
        "matmul_integers",
        engine.matmul,
        lambda a, b: a @ b,
        [case(ids(99, *a), ids(99, *b)) for a, b in MATMUL],
        oracle=None,
        dtypes=("float32",),
        f32=0.0,
        cuda=[case(ids(99, *a), ids(99, *b)) for a, b in [((33, 65), (65, 40)), ((3, 37, 12), (3, 12, 11))]],
    ),
    Spec(
        "matmul",
        engine.matmul,
        lambda a, b: a @ b,
        [case(normal(*a), normal(*b)) for a, b in MATMUL],
        cuda=[
            case(normal(*a), normal(*b))
            for a, b in [
                ((129, 65), (65, 131)),
                ((257, 136), (136, 264)),
                ((4099,), (4099,)),
                ((129, 130), (130,)),
                ((3, 130, 72), (3, 72, 129)),
                ((2, 1, 67, 40), (3, 40, 66)),
                ((130, 40), (3, 40, 66)),
            ]
        ],
        f32=2e-5,
        f32_grad=5e-5,
        f64=1e-12,
        bench=[
            Bench(case(normal(m, k), normal(k, n)), flops=2 * m * n * k, label=f"{m}x{n}x{k}")
            for m, n, k in [(4096, 384, 384), (1024, 1024, 1024), (128, 128, 128), (32, 128, 128)]
        ]
        + [
            Bench(
                case(normal(64, 128, 64), normal(64, 64, 128)), flops=2 * 64 * 128 * 128 * 64, label="64 of 128x128x64"
            )
        ],
        torch=lambda torch, a, b: torch.matmul(a, b),
    ),
    Spec(
        "mm",
        engine.mm,
        lambda a, b: a @ b,
        [case(normal(3, 4), normal(4, 5))],
        cuda=[case(normal(129, 24), normal(24, 129))],
    ),
    Spec(
        "bmm",
        engine.bmm,
        lambda a, b: a @ b,
        [case(normal(3, 4, 5), normal(3, 5, 2)), case(normal(0, 4, 5), normal(0, 5, 2))],
        cuda=[case(normal(2, 129, 24), normal(2, 24, 130))],
    ),
    Spec(
        "linear",
        engine.linear,
        linear,
        [_linear_case(*s) for s in LINEAR]
        + [
            case(normal(5, 3), normal(4, 3)),
            case(normal(2, 3, 7), normal(4, 7), normal(4)),
            case(normal(7), normal(4, 7), normal(4)),
        ],
        cuda=[_linear_case(*s) for s in [(129, 72, 136), (130, 77, 259), (515, 40, 65)]]
        + [case(normal(129, 64), normal(132, 64))],
        f32=2e-5,
        f32_grad=1e-4,
        bench=_bench(*_SIZES),
        torch=lambda torch, x, w, b: torch.nn.functional.linear(x, w, b),
    ),
    Spec(
        "linear_gelu",
        engine.linear_gelu,
        lambda x, w, b=None, approximate="none": gelu(linear(x, w, b), approximate),
        [_linear_case(*s) for s in [*LINEAR[:6], (70, 9, 40), (3, 386, 7)]]
        + [_linear_case(*s, approximate="tanh") for s in LINEAR[1:3]]
        + [case(normal(2, 3, 7), normal(4, 7))],
        cuda=[_linear_case(129, 72, 136), _linear_case(131, 77, 65), _linear_case(140, 64, 128, approximate="tanh")],
        f32=2e-5,
        f32_grad=1e-4,
        bench=_bench((512, 128), (1536, 384)),
        torch=lambda torch, x, w, b: torch.nn.functional.gelu(torch.nn.functional.linear(x, w, b)),
    ),
    Spec(
        "grouped_mm",
        lambda a, b, offs: engine.grouped_mm(a, b, offs=offs),
        grouped,
        [_grouped_case(*s) for s in GROUPED],
        cuda=[
            _grouped_case(*s)
            for s in [
                (259, 72, 136, [0, 129, 131, 131, 200]),
                (140, 65, 67, [64, 131, 140]),
                (400, 40, 1, [7, 399]),
                (1330, 1, 130, [3, 1330]),
                (1024, 24, 256, [300, 777]),  # tiles of 128, on tensor cores
                (70, 256, 264, [16, 65]),
                (65, 1100, 9, [3, 60]),  # k in parts
                (1100, 9, 65, [30, 1090]),
            ]
        ],
        f32=2e-5,
        f32_grad=1e-4,
        bench=[
            Bench(_grouped_case(4096, k, n, UNEVEN), flops=2 * 4096 * k * n, label=f"4096x{n}x{k}, 8 groups")
            for n, k in [(384, 384), (1536, 384)]
        ],
        torch=lambda torch, a, b, offs: torch.nn.functional.grouped_mm(a, b, offs=offs),
    ),
]
