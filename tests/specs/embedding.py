from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, Spec, case, const, ids, normal


def op_sum(input, weight, position_ids, position_weight, *types, **options):
    return engine.embedding_sum(input, weight, position_ids, position_weight, *types, **options)


def frozen_row(weight, padding_idx):
    """The table with one row whose changes do not show: its gradient is zero."""
    if padding_idx is None:
        return weight
    rows = weight.copy()
    rows[padding_idx] = rows[padding_idx].real
    return rows


def reference_sum(input, weight, position_ids, position_weight, types=None, type_weight=None, padding_idx=None):
    y = frozen_row(weight, padding_idx)[input] + position_weight[position_ids]
    return y if type_weight is None else y + type_weight[types]


def without_ids(input, weight, position_ids, position_weight, type_weight):
    return engine.embedding_sum(input, weight, position_ids, position_weight, None, type_weight)


SPECS = [
    Spec(
        "embedding",
        lambda ids, weight, **kw: engine.embedding(ids, weight, **kw),
        lambda ids, weight, padding_idx=None: frozen_row(weight, padding_idx)[ids],
        [
            case(ids(1, 1), normal(1, 1)),
            case(ids(7, 3, 5), normal(7, 3)),
            case(ids(11, 200), normal(11, 65)),  # every row several times, in pieces
            case(ids(1000, 40), normal(1000, 17)),  # most rows not at all
            case(ids(3, 0), normal(3, 4)),
            case(ids(3, 5), normal(3, 0)),
            case(ids(5, 64), normal(5, 8), padding_idx=2),
            case(ids(5, 64), normal(5, 8), padding_idx=-1),
            case(ids(2, 700), normal(2, 129)),
        ],
        f32=0.0,
        f64=0.0,
        cuda=[
            case(ids(11, 200), normal(11, 165)),
            case(ids(1000, 40), normal(1000, 17), padding_idx=3),
            case(ids(2, 700), normal(2, 529)),
            case(ids(300, 5, 31), normal(300, 128)),
        ],
        bench=[Bench(case(ids(30522, 4096), normal(30522, 128)), bytes=4096 * 128 * 8, label="30522x128, 4096 ids")],
        torch=lambda torch, ids, weight: torch.nn.functional.embedding(ids, weight),
    ),
    Spec(
        "embedding_sum",
        op_sum,
        reference_sum,
        [
            case(ids(7, 5), normal(7, 3), ids(4, 5), normal(4, 3)),
            case(ids(7, 2, 5), normal(7, 65), ids(4, 2, 5), normal(4, 65), ids(2, 2, 5), normal(2, 65)),
            case(ids(97, 300), normal(97, 33), ids(31, 300), normal(31, 33), ids(2, 300), normal(2, 33), padding_idx=0),
            case(ids(7, 0), normal(7, 3), ids(4, 0), normal(4, 3), ids(2, 0), normal(2, 3)),
        ],
        f64=1e-15,
        cuda=[
            case(ids(97, 300), normal(97, 33), ids(31, 300), normal(31, 33), ids(2, 300), normal(2, 33), padding_idx=0),
            case(ids(97, 3, 43), normal(97, 128), ids(43, 3, 43), normal(43, 128)),
        ],
        bench=[
            Bench(
                case(
                    ids(30522, 4096), normal(30522, 128), ids(512, 4096), normal(512, 128), ids(2, 4096), normal(2, 128)
                ),
                bytes=4096 * 128 * 16,
                label="30522x128, 4096 ids",
            )
        ],
    ),
    Spec(
        "embedding_sum_of_one_type",
        without_ids,
        lambda i, w, p, pw, tw: w[i] + pw[p] + tw[np.zeros_like(i)],
        [case(ids(7, 130), normal(7, 5), ids(4, 130), normal(4, 5), normal(2, 5))],
        cuda=[case(ids(7, 1300), normal(7, 33), ids(4, 1300), normal(4, 33), normal(2, 33))],
        f64=1e-15,
    ),
    Spec(
        "embedding_of_int32_ids",
        engine.embedding,
        lambda ids, weight: weight[ids],
        [case(const(np.array([3, 1, 3, 0], np.int32)), normal(5, 6))],
        cuda=[case(const(np.arange(300, dtype=np.int32) % 37), normal(37, 67))],
        f32=0.0,
        f64=0.0,
    ),
]
