from __future__ import annotations

import numpy as np

import engine
from specs.spec import Spec, case, const, normal


def row(name, op, reference, *cases, **options):
    return Spec(name, op, reference, list(cases), f32=0.0, f64=0.0, f32_grad=1e-6, f64_grad=1e-12, **options)


def pieces(sizes):
    return np.cumsum(sizes)[:-1]


def t_cat(*tensors, dim):
    return engine.cat(tensors, dim)


def expand_reference(x, sizes):
    lead = len(sizes) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if s == -1 else s for i, s in enumerate(sizes)]).copy()


SPECS = [
    row(
        "reshape",
        engine.reshape,
        lambda x, shape: x.reshape(shape),
        case(normal(2, 3, 4), shape=(4, 6)),
        case(normal(2, 3, 4), shape=(-1,)),
        case(normal(1), shape=()),
        case(normal(0, 3), shape=(3, 0, 2)),
        case(normal(7, 1, 5), shape=(5, -1, 1)),
        cuda=[case(normal(22, 31, 4), shape=(44, 62)), case(normal(67, 1, 35), shape=(35, -1, 1))],
    ),
    row(
        "reshape_of_transposed",
        lambda x: x.transpose(0, 1).reshape(-1),
        lambda x: x.T.reshape(-1),
        case(normal(3, 5)),
        case(normal(33, 17)),
        cuda=[case(normal(67, 33))],
    ),
    row(
        "view",
        lambda x, shape: x.view(shape),
        lambda x, shape: x.reshape(shape),
        case(normal(6, 4), shape=(3, 2, 4)),
        strided=False,
        cuda=[case(normal(66, 40), shape=(33, 2, 40))],
    ),
    row(
        "flatten",
        engine.flatten,
        lambda x, start_dim=0, end_dim=-1: x.reshape(
            *x.shape[:start_dim], -1, *(x.shape[end_dim + 1 :] if end_dim != -1 else ())
        ),
        case(normal(2, 3, 4)),
        case(normal(2, 3, 4, 5), start_dim=1, end_dim=2),
        cuda=[case(normal(12, 13, 14)), case(normal(12, 3, 4, 15), start_dim=1, end_dim=2)],
    ),
    row(
        "unflatten",
        engine.unflatten,
        lambda x, dim, sizes: x.reshape(x.shape[0], 3, 2, -1),
        case(normal(2, 6, 5), dim=1, sizes=(3, -1)),
        cuda=[case(normal(2, 6, 105), dim=1, sizes=(3, -1))],
    ),
    row(
        "permute",
        engine.permute,
        lambda x, dims: x.transpose(dims),
        case(normal(2, 3, 4), dims=(2, 0, 1)),
        case(normal(2, 3, 4), dims=(-1, 1, 0)),
        case(normal(3, 0, 2), dims=(1, 2, 0)),
        cuda=[case(normal(12, 13, 14), dims=(2, 0, 1))],
    ),
    row(
        "transpose",
        lambda x, dim0, dim1: engine.transpose(x, dim0, dim1),
        lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1),
        case(normal(2, 3, 4), dim0=0, dim1=2),
        case(normal(65, 33), dim0=-1, dim1=0),
        cuda=[case(normal(65, 33), dim0=-1, dim1=0)],
    ),
    row("T", lambda x: x.T, lambda x: x.T, case(normal(3, 5)), case(normal(2, 3, 4)), cuda=[case(normal(67, 33))]),
    row("mT", lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2), case(normal(2, 3, 4)), cuda=[case(normal(12, 13, 14))]),
    row("t", lambda x: x.t(), lambda x: x.T, case(normal(3, 5)), case(normal(4)), cuda=[case(normal(67, 33))]),
    row(
        "movedim",
        engine.movedim,
        lambda x, source, destination: np.moveaxis(x, source, destination),
        case(normal(2, 3, 4, 5), source=0, destination=2),
        case(normal(2, 3, 4, 5), source=(0, -1), destination=(1, 0)),
        cuda=[case(normal(6, 7, 8, 9), source=(0, -1), destination=(1, 0))],
    ),
    row(
        "squeeze",
        engine.squeeze,
        lambda x, dim=None: np.squeeze(x, dim),
        case(normal(1, 3, 1)),
        case(normal(1, 3, 1), dim=2),
        cuda=[case(normal(1, 1031, 1)), case(normal(1, 1031, 1), dim=2)],
    ),
    row(
        "unsqueeze",
        engine.unsqueeze,
        lambda x, dim: np.expand_dims(x, dim),
        case(normal(2, 3), dim=1),
        case(normal(2, 3), dim=-1),
        cuda=[case(normal(67, 33), dim=1)],
    ),
    row(
        "narrow",
        engine.narrow,
        lambda x, dim, start, length: x[:, 1:4],
        case(normal(2, 5, 3), dim=1, start=-4, length=3),
        cuda=[case(normal(67, 5, 33), dim=1, start=-4, length=3)],
    ),
    row(
        "select",
        engine.select,
        lambda x, dim, index: x[:, -2],
        case(normal(2, 5, 3), dim=1, index=-2),
        cuda=[case(normal(67, 5, 33), dim=1, index=-2)],
    ),
    row(
        "split",
        engine.split,
        lambda tensor, split_size_or_sections, dim: np.split(tensor, pieces([2, 2, 1]), dim),
        case(normal(5, 3), split_size_or_sections=2, dim=0),
        case(normal(3, 5, 2), split_size_or_sections=(2, 2, 1), dim=1),
        case(normal(65, 5), split_size_or_sections=[2, 2, 1], dim=-1),
        cuda=[
            case(normal(5, 1031), split_size_or_sections=2, dim=0),
            case(normal(265, 5), split_size_or_sections=[2, 2, 1], dim=-1),
        ],
    ),
    row(
        "split_used_in_part",
        lambda x: engine.split(x, 2, 1)[1],
        lambda x: x[:, 2:4],
        case(normal(3, 5)),
        cuda=[case(normal(265, 5))],
    ),
    row(
        "chunk",
        lambda x, chunks, dim: engine.chunk(x, chunks, dim),
        lambda x, chunks, dim: np.split(x, pieces([3, 3, 1]), dim),
        case(normal(7, 2), chunks=3, dim=0),
        case(normal(2, 7), chunks=3, dim=1),
        cuda=[case(normal(7, 165), chunks=3, dim=0)],
    ),
    row(
        "unbind",
        engine.unbind,
        lambda x, dim: tuple(np.moveaxis(x, dim, 0)),
        case(normal(3, 4), dim=0),
        case(normal(3, 4, 2), dim=-2),
        cuda=[case(normal(33, 4, 12), dim=-2)],
    ),
    row(
        "cat",
        t_cat,
        lambda *xs, dim: np.concatenate(xs, dim),
        case(normal(2, 3), normal(4, 3), dim=0),
        case(normal(2, 3), normal(2, 1), normal(2, 65), dim=1),
        case(normal(3, 0, 2), normal(3, 5, 2), dim=-2),
        case(normal(129, 257), normal(129, 3), dim=1),
        case(normal(70000), normal(1), dim=0),
        cuda=[case(normal(129, 257), normal(129, 3), dim=1), case(normal(4099), normal(1), dim=0)],
    ),
    row(
        "stack",
        lambda *xs, dim: engine.stack(xs, dim),
        lambda *xs, dim: np.stack(xs, dim),
        case(normal(2, 3), normal(2, 3), dim=0),
        case(normal(2, 3), normal(2, 3), normal(2, 3), dim=-1),
        case(normal(), normal(), dim=0),
        cuda=[case(normal(67, 33), normal(67, 33), dim=0), case(*[normal(67, 33)] * 3, dim=-1)],
    ),
    row(
        "clone",
        engine.clone,
        lambda x: x.copy(),
        case(normal(3, 5)),
        case(normal(0)),
        case(normal()),
        cuda=[case(normal(67, 33))],
    ),
    row(
        "contiguous", lambda x: x.T.contiguous(), lambda x: x.T.copy(), case(normal(3, 5)), cuda=[case(normal(67, 33))]
    ),
    row("to_float64", lambda x: x.to(engine.float64), lambda x: x * 1, case(normal(3, 5)), cuda=None),
    row(
        "tril",
        engine.tril,
        lambda x, diagonal=0: x * np.tril(np.ones(x.shape[-2:]), diagonal),
        case(normal(4, 4)),
        case(normal(2, 3, 5), diagonal=1),
        case(normal(5, 3), diagonal=-2),
        case(normal(3, 3), diagonal=-7),
        cuda=[case(normal(2, 33, 35), diagonal=1)],
    ),
    row(
        "triu",
        engine.triu,
        lambda x, diagonal=0: x * np.triu(np.ones(x.shape[-2:]), diagonal),
        case(normal(4, 4)),
        case(normal(2, 3, 5), diagonal=1),
        case(normal(5, 3), diagonal=-2),
        cuda=[case(normal(2, 33, 35), diagonal=-2)],
    ),
    row(
        "one_hot",
        engine.one_hot,
        lambda ids, num_classes: np.eye(num_classes, dtype=np.int64)[ids],
        case(const([[0, 3], [2, 4]]), num_classes=5),
        case(const(np.zeros((0,), np.int64)), num_classes=5),
        oracle=None,
        cuda=[case(const(np.arange(1200).reshape(3, 400) % 5), num_classes=5)],
    ),
]
