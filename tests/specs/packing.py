from __future__ import annotations

import numpy as np

import engine
from specs.spec import Spec, case, const, normal

MASKS = [
    [[1, 1, 0], [1, 0, 0]],
    [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]],
    [[1, 1], [1, 1]],
    [[0, 0]],
    [[1] * n + [0] * (37 - n) for n in (37, 1, 0, 30)],
]


def unpack(x, mask):
    y = np.zeros((*mask.shape, *x.shape[1:]), x.dtype)
    y[mask == 1] = x
    return y


SPECS = [
    Spec(
        "pack_padded",
        lambda x, mask: engine.pack_padded(x, engine.Layout.from_rectangle(*mask.shape, mask)),
        lambda x, mask: x[mask == 1],
        [case(normal(*np.shape(m), *rest), const(m)) for m in MASKS for rest in [(), (3,), (2, 17)]],
        cuda=[case(normal(*np.shape(m), *rest), const(m)) for m in MASKS[4:] for rest in [(19,), (2, 67)]],
    ),
    Spec(
        "pad_packed",
        lambda x, mask: engine.pad_packed(x, engine.Layout.from_rectangle(*mask.shape, mask)),
        unpack,
        [case(normal(int(np.sum(m)), *rest), const(m)) for m in MASKS for rest in [(), (3,), (2, 17)]],
        cuda=[case(normal(int(np.sum(m)), *rest), const(m)) for m in MASKS[4:] for rest in [(19,), (2, 67)]],
    ),
]
