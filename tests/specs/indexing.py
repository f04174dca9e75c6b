from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, In, Spec, case, const, ids, mask, normal


def row(name, op, reference, *cases, f32=0.0, f64=0.0, **options):
    return Spec(name, op, reference, list(cases), f32=f32, f64=f64, f32_grad=1e-5, f64_grad=1e-11, **options)


def by_key(name, key, *shapes, cuda=None):
    """x[key], where NumPy's rules are PyTorch's. On CUDA the last shape gets a long dimension more."""
    return row(
        f"index_{name}",
        lambda x: x[key],
        lambda x: x[key].copy(),
        *[case(normal(*s)) for s in shapes],
        cuda=[case(normal(*(cuda or (*shapes[-1], 1031))))],
    )


def assigned(name, key, shape, value_shape):
    def op(x, value):
        y = x.clone()
        y[key] = value
        return y

    def reference(x, value):
        y = (x + value.sum() * 0).copy()  # complex if either is
        y[key] = value
        return y

    long = (case(normal(*shape, 1031), normal(*value_shape, 1031)),)
    return row(f"assign_{name}", op, reference, case(normal(*shape), normal(*value_shape)), cuda=long)


def gather(x, index, dim):
    return np.take_along_axis(
        x[tuple(slice(n) if d != dim % x.ndim else slice(None) for d, n in enumerate(index.shape))], index, dim
    )


def scatter_add(x, index, src, dim):
    y = (x + src.sum() * 0).copy()
    for at in np.ndindex(index.shape):
        to = list(at)
        to[dim] = index[at]
        y[tuple(to)] += src[at]
    return y


def scattered(x, index, src, dim, reduce):
    """PyTorch's scatter_reduce, one element at a time; None: the last one stays."""
    y = (x + src.sum() * 0).copy()
    for at in np.ndindex(index.shape):
        to = list(at)
        to[dim] = index[at]
        a, b = y[tuple(to)], src[at]
        larger = a if np.real(a) > np.real(b) else b
        smaller = b if np.real(a) > np.real(b) else a
        y[tuple(to)] = {None: b, "prod": a * b, "amax": larger, "amin": smaller}[reduce]
    return y


def scatter(x, index, src, dim, reduce):
    if reduce is None:
        return engine.scatter(x, dim, index, src)
    return engine.scatter_reduce(x, dim, index, src, reduce)


def index_select(x, index, dim):
    return np.take(x, index, dim)


def matrix(rows, columns, seed):
    return np.random.default_rng(seed).random((rows, columns)) < 0.4


GATHER = [
    case(normal(5), ids(5, 9), dim=0),
    case(normal(3, 4), ids(3, 2, 4), dim=0),
    case(normal(3, 4), ids(4, 3, 7), dim=1),
    case(normal(6, 5, 4), ids(5, 3, 9, 2), dim=1),
    case(normal(6, 5), ids(6, 0, 5), dim=0),
    case(normal(129, 65), ids(65, 129, 3), dim=-1),
]


def places(limit, dim, *shape):
    """Indices along dim, each at most once, so that the gradient is that of one element."""
    return In(
        shape,
        lambda rng, s: np.argsort(rng.random([limit if d == dim % len(s) else n for d, n in enumerate(s)]), dim)[
            tuple(slice(n) for n in s)
        ],
        False,
    )


SCATTERED = [case(*c.inputs, normal(*c.inputs[1].shape), **c.kwargs) for c in GATHER[:-1]]
REPLACED = [
    case(normal(5), places(5, 0, 3), normal(3), dim=0),
    case(normal(3, 4), places(3, 0, 2, 4), normal(2, 4), dim=0),
    case(normal(6, 5, 4), places(5, 1, 3, 4, 2), normal(3, 4, 2), dim=1),
    case(normal(6, 5), places(6, 0, 0, 5), normal(0, 5), dim=0),
]


SPECS = [
    by_key("integer", 1, (3,), (3, 4), (2, 1, 5)),
    by_key("negative", (-1, slice(None), -2), (3, 4, 5)),
    by_key("slice", (slice(1, -1), slice(None, None, 2)), (5, 7), (2, 3), (65, 33)),
    by_key("slice_beyond", (slice(2, 100), slice(3, 1)), (5, 7)),
    by_key("ellipsis_none", (..., None, 1), (3, 4), (2, 3, 4), cuda=(37, 31, 4)),
    by_key("first_token", (slice(None), 0, slice(None)), (4, 5, 65)),
    by_key("everything", (...,), (3, 4), ()),
    by_key("array", ([2, 0, -1, 2],), (3,), (3, 5), (4, 2, 3), (129, 65)),
    by_key("array_2d", (np.array([[0, 1], [1, 1], [2, -3]]),), (3, 5)),
    by_key("array_last", (slice(None), [1, 1, 0]), (3, 2), (5, 2, 33)),
    by_key("array_empty", ([],), (3, 5)),
    by_key("arrays", ([2, 0, -1, 2], [1, 1, 0, 1]), (3, 2), (3, 2, 5)),
    by_key("arrays_broadcast", (np.array([[0], [2]]), [1, 1, 0]), (3, 2), (3, 2, 5)),
    by_key("arrays_apart", ([2, 0], slice(None), [1, 3]), (3, 2, 4), (3, 2, 4, 5)),
    by_key("arrays_inside", (slice(None), [1, 0, 1], [2, 2, 2]), (3, 2, 4), (3, 2, 4, 5)),
    by_key("array_of_slice", (slice(1, None, 2), [3, 0, 0]), (7, 4), (7, 4, 3)),
    by_key("mask", matrix(4, 6, 0), (4, 6), (4, 6, 3)),
    by_key("mask_1d", np.array([True, False, True, True]), (4,), (4, 65)),
    by_key("mask_none", np.zeros(4, bool), (4, 3)),
    by_key("mask_inside", (slice(None), np.array([True, False, True])), (5, 3), (5, 3, 2)),
    by_key("mask_and_array", (matrix(3, 4, 1), [0] * int(matrix(3, 4, 1).sum())), (3, 4, 2)),
    row(
        "index_integer_beside_array",  # PyTorch takes the integer first
        lambda x: x[0, :, [1, 1]],
        lambda x: x[0][:, [1, 1]],
        case(normal(2, 3, 4)),
        cuda=[case(normal(2, 67, 33))],
    ),
    row(
        "index_by_tensor",
        lambda x, i: x[i],
        lambda x, i: x[i],
        case(normal(7, 5), ids(7, 4, 3)),
        case(normal(3, 129), ids(3, 900)),
        cuda=[case(normal(37, 129), ids(37, 90)), case(normal(3, 1031), ids(3, 40))],
    ),
    by_key("mask_list", ([True, False, True],), (3, 2)),
    assigned("integer", 1, (3, 4), (4,)),
    assigned("slice", (slice(None), slice(1, 3)), (3, 4), (3, 2)),
    assigned("broadcast", (slice(None), slice(1, 3)), (3, 4), (1, 2)),
    assigned("scalar", (slice(None), 0), (3, 4), ()),
    assigned("leading_ones", 0, (3, 4), (1, 1, 4)),
    assigned("array", ([2, 0],), (3, 4), (2, 4)),
    assigned("array_broadcast", ([2, 0],), (3, 4), (4,)),
    assigned("arrays", ([2, 0], [1, 3]), (3, 4), (2,)),
    assigned("arrays_apart", ([2, 0], slice(None), [1, 3]), (3, 2, 4), (2, 2)),
    assigned("array_last", (slice(None), [1, 0]), (65, 3), (65, 2)),
    assigned("mask", (matrix(4, 6, 2),), (4, 6), (int(matrix(4, 6, 2).sum()),)),
    assigned("mask_scalar", (matrix(4, 6, 2),), (4, 6, 3), ()),
    row(
        "index_select",
        lambda x, index, dim: engine.index_select(x, dim, index),
        index_select,
        case(normal(5), ids(5, 9), dim=0),
        case(normal(3, 4, 5), ids(4, 7), dim=1),
        case(normal(3, 4), ids(3, 0), dim=0),
        case(normal(70, 129), ids(70, 400), dim=0),
        case(normal(65, 9), ids(9, 20), dim=-1),
        cuda=[case(normal(70, 129), ids(70, 200), dim=0), case(normal(165, 9), ids(9, 20), dim=-1)],
        bench=[Bench(case(normal(4096, 128), ids(4096, 4096), dim=0), bytes=4096 * 128 * 8, label="4096x128")],
        torch=lambda torch, x, index, dim: torch.index_select(x, dim, index),
    ),
    row("gather", lambda x, index, dim: engine.gather(x, dim, index), gather, *GATHER, cuda=GATHER[-1:]),
    row(
        "scatter_add",
        lambda x, index, src, dim: engine.scatter_add(x, dim, index, src),
        scatter_add,
        *SCATTERED,
        cuda=[
            case(normal(37, 65), ids(37, 90, 33), normal(90, 33), dim=0),
            case(normal(65, 37), ids(37, 65, 9), normal(65, 9), dim=1),
        ],
        f32=1e-6,
        bf16=2e-2,  # each addition rounds
        f64=1e-15,
    ),
    *[
        row(
            f"scatter_{reduce or 'replace'}",
            lambda x, index, src, dim, reduce=reduce: scatter(x, index, src, dim, reduce),
            lambda x, index, src, dim, reduce=reduce: scattered(x, index, src, dim, reduce),
            *(REPLACED if reduce is None else SCATTERED),
            cuda=[
                case(normal(37, 65), places(37, 0, 30, 33), normal(30, 33), dim=0)
                if reduce is None
                else case(normal(37, 65), ids(37, 90, 33), normal(90, 33), dim=0),
            ],
            f32=1e-5 if reduce == "prod" else 0.0,
            bf16=5e-2 if reduce == "prod" else 1e-2,
            f64=1e-13 if reduce == "prod" else 0.0,
            bf16_grad=8e-2,
        )
        for reduce in (None, "prod", "amax", "amin")
    ],
    row(
        "index_add",
        lambda x, index, src, dim: engine.index_add(x, dim, index, src),
        lambda x, index, src, dim: scatter_add(
            x, np.broadcast_to(index.reshape([-1 if d == dim else 1 for d in range(x.ndim)]), src.shape), src, dim
        ),
        case(normal(5), ids(5, 9), normal(9), dim=0),
        case(normal(7, 40), ids(7, 12), normal(12, 40), dim=0),
        case(normal(3, 7, 4), ids(7, 2), normal(3, 2, 4), dim=1),
        f32=1e-6,
        bf16=2e-2,
        f64=1e-15,
        cuda=[case(normal(33, 65), ids(33, 40), normal(40, 65), dim=0)],
        bench=[Bench(case(normal(4096, 128), ids(4096, 4096), normal(4096, 128), dim=0), bytes=4096 * 128 * 12)],
        torch=lambda torch, x, index, src, dim: torch.index_add(x, dim, index, src),
    ),
    row(
        "take_along_dim",
        lambda x, index, dim: engine.take_along_dim(x, index, dim),
        lambda x, index, dim: np.take_along_axis(x, index, dim),
        case(normal(3, 4), ids(4, 3, 2), dim=1),
        cuda=[case(normal(33, 67), ids(67, 33, 5), dim=1)],
    ),
    row(
        "masked_select",
        engine.masked_select,
        lambda x, m: np.broadcast_to(x, np.broadcast_shapes(x.shape, m.shape))[
            np.broadcast_to(m, np.broadcast_shapes(x.shape, m.shape))
        ],
        case(normal(3, 4), mask(3, 4)),
        case(normal(20000), mask(20000)),
        case(normal(3, 4), const(np.zeros((3, 4), bool))),
        case(normal(0, 4), mask(0, 4)),
        case(normal(), const(True)),
        cuda=[case(normal(4099), mask(4099)), case(normal(67, 33), mask(67, 33))],
    ),
    row(
        "nonzero",
        engine.nonzero,
        lambda x: np.argwhere(x),
        case(mask(3, 4)),
        case(const([0.0, -0.0, np.nan, 2.0])),
        case(ids(2, 3, 170, 129)),
        case(mask(0, 3)),
        case(const(5)),
        oracle=None,
        cuda=[case(mask(67, 33)), case(ids(2, 3, 170, 9))],
    ),
    row(
        "count_nonzero",
        engine.count_nonzero,
        np.count_nonzero,
        case(mask(3, 40000)),
        case(mask(0)),
        oracle=None,
        cuda=[case(mask(3, 4001))],
    ),
]
