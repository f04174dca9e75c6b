from __future__ import annotations

import numpy as np

import engine
from specs.spec import Bench, Spec, case, normal


def layer_norm(x, weight, bias, eps=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * weight + bias


SPECS = [
    Spec(
        "layer_norm",
        lambda x, w, b, **kw: engine.layer_norm(x, w.shape, w, b, **kw),
        layer_norm,
        [
            case(normal(*shape), normal(shape[-1]), normal(shape[-1]))
            for shape in [(1, 2), (3, 7), (2, 3, 17), (70, 33), (0, 5), (129, 128)]
        ]
        + [case(normal(5, 64), normal(64), normal(64), eps=1e-12)],
        f32=5e-6,
        f32_grad=1e-4,
        bench=[
            Bench(case(normal(4096, d), normal(d), normal(d)), bytes=4096 * d * 8, label=f"4096x{d}")
            for d in (128, 384, 768)
        ],
        torch=lambda torch, x, w, b, **kw: torch.nn.functional.layer_norm(x, w.shape, w, b, **kw),
    )
]
