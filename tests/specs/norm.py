from __future__ import annotations

import numpy as np

import engine
from specs.reference import dropout_factors, layer_norm
from specs.spec import Bench, Spec, case, normal

SHAPES = [(1, 2), (3, 7), (2, 3, 17), (70, 33), (0, 5), (129, 128)]
CUDA_SHAPES = [(129, 128), (67, 33), (2, 3, 385), (5, 1031)]
SEED = 0x1234_5678_9ABC


def rms_norm(x, weight=1.0, eps=1e-5):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def fused(x, residual=None, weight=None, bias=None, *, p=0.0, training=True, prenorm=False, **kwargs):
    """The op with a seed of its own, so that the reference can draw the same mask."""
    engine.manual_seed(SEED)
    return engine.dropout_add_layer_norm(
        x, residual, weight, bias, p, training, kwargs.get("eps", 1e-5), prenorm=prenorm
    )


def fused_reference(x, residual=0.0, weight=1.0, bias=0.0, *, p=0.0, training=True, prenorm=False, eps=1e-5):
    total = residual + (x * dropout_factors(x.shape, p, SEED, 0) if training else x)
    y = layer_norm(total, weight, bias, eps)
    return (y, total) if prenorm else y


def full(*shape, **kwargs):
    return case(normal(*shape), normal(*shape), normal(shape[-1]), normal(shape[-1]), **kwargs)


SPECS = [
    Spec(
        "layer_norm",
        lambda x, w, b, **kw: engine.layer_norm(x, w.shape, w, b, **kw),
        lambda x, w, b, eps=1e-5: layer_norm(x, w, b, eps, w.ndim),
        [case(normal(*shape), normal(shape[-1]), normal(shape[-1])) for shape in SHAPES]
        + [case(normal(5, 64), normal(64), normal(64), eps=1e-12), case(normal(4, 3, 5), normal(3, 5), normal(3, 5))],
        f32=5e-6,
        f32_grad=1e-4,
        cuda=[case(normal(*shape), normal(shape[-1]), normal(shape[-1])) for shape in CUDA_SHAPES],
        bench=[
            Bench(case(normal(4096, d), normal(d), normal(d)), bytes=4096 * d * 8, label=f"4096x{d}")
            for d in (128, 384, 768)
        ],
        torch=lambda torch, x, w, b, **kw: torch.nn.functional.layer_norm(x, w.shape, w, b, **kw),
    ),
    Spec(
        "layer_norm_plain",
        lambda x: engine.layer_norm(x, x.shape[-1]),
        layer_norm,
        [case(normal(*shape)) for shape in SHAPES],
        cuda=[case(normal(*shape)) for shape in CUDA_SHAPES],
        f32=5e-6,
        f32_grad=1e-4,
        torch=lambda torch, x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
    ),
    Spec(
        "rms_norm",
        lambda x, w, eps=1e-5: engine.rms_norm(x, w.shape, w, eps),
        rms_norm,
        [case(normal(*shape), normal(shape[-1])) for shape in SHAPES] + [case(normal(5, 64), normal(64), eps=1e-6)],
        f32=5e-6,
        f32_grad=1e-4,
        cuda=[case(normal(*shape), normal(shape[-1])) for shape in CUDA_SHAPES],
        bench=[Bench(case(normal(4096, d), normal(d)), bytes=4096 * d * 8, label=f"4096x{d}") for d in (128, 384, 768)],
        torch=lambda torch, x, w, eps=1e-5: torch.nn.functional.rms_norm(x, w.shape, w, eps),
    ),
    Spec(
        "dropout_add_layer_norm",
        fused,
        fused_reference,
        [full(*shape, p=p) for shape in SHAPES for p in (0.0, 0.3)]
        + [full(67, 100, p=0.1, prenorm=True), full(9, 100, p=0.5, training=False, prenorm=True)]
        + [case(normal(9, 33), p=0.2), case(normal(9, 33), p=0.0), case(normal(5, 40), normal(5, 40), p=0.5)],
        f32=5e-6,
        f32_grad=1e-4,
        cuda=[full(*shape, p=0.3) for shape in CUDA_SHAPES]
        + [full(67, 100, p=0.1, prenorm=True), full(67, 100, p=0.0)],
        bench=[Bench(full(4096, d, p=0.1), bytes=4096 * d * 16, label=f"4096x{d}") for d in (128, 384, 768)],
        torch=lambda torch, x, r, w, b, p=0.0: torch.nn.functional.layer_norm(
            r + torch.nn.functional.dropout(x, p), w.shape, w, b
        ),
    ),
]
