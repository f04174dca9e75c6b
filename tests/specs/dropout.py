from __future__ import annotations

import engine
from specs.reference import dropout_factors
from specs.spec import Bench, Spec, case, normal

SEED = 0xFEDC_BA98_7654_3210


def dropout(x, p=0.5, training=True):
    engine.manual_seed(SEED)
    return engine.dropout(x, p, training)


SPECS = [
    Spec(
        "dropout",
        dropout,
        lambda x, p=0.5, training=True: x * (dropout_factors(x.shape, p, SEED, 0) if training else 1.0),
        [case(normal(*s), p=p) for s in [(1,), (0, 2), (127,), (3, 43), (257,), (40001,)] for p in (0.1, 0.5)]
        + [case(normal(300), p=p) for p in (0.0, 1.0, 1e-6, 0.999999, 0.25)]
        + [case(normal(300), p=0.5, training=False)],
        cuda=[case(normal(*s), p=p) for s in [(4099,), (67, 43)] for p in (0.1, 0.5)],
        bench=[Bench(case(normal(1 << 20), p=0.1), bytes=(1 << 20) * 8, label="1M")],
        torch=lambda torch, x, p: torch.nn.functional.dropout(x, p),
    )
]
