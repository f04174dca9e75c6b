"""Composite ops on a CUDA device: values and gradients as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import tensor

RNG = np.random.default_rng(0)
P, Q, R = (RNG.uniform(0.1, 0.9, (4, 4)).astype(np.float32) for _ in range(3))
GAPS = np.where(RNG.random((4, 4)) < 0.3, np.nan, P).astype(np.float32)
V, W = P[0], Q[0]
IDS = np.array([1, 0, 3, 3])

ONE = [
    "acos",
    "asin",
    "atan",
    "cosh",
    "deg2rad",
    "erfc",
    "erfinv",
    "exp2",
    "expm1",
    "frac",
    "log2",
    "log10",
    "logit",
    "rad2deg",
    "sinc",
    "sinh",
    "tan",
    "trunc",
    "trace",
    "fliplr",
    "flipud",
    "ravel",
]
TWO = [
    "atan2",
    "clamp_max",
    "clamp_min",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "logaddexp",
    "xlogy",
    "inner",
    "kron",
    "isclose",
]
CALLS = {
    **{name: (getattr(engine, name), P) for name in ONE},
    **{name: (getattr(engine, name), P, Q) for name in TWO},
    "addcdiv": (engine.addcdiv, P, Q, R),
    "addcmul": (engine.addcmul, P, Q, R),
    "addmm": (engine.addmm, P, Q, R),
    "addr": (engine.addr, P, V, W),
    "aminmax": (lambda x: engine.aminmax(x, dim=0).max, P),
    "bincount": (engine.bincount, IDS),
    "cdist": (engine.cdist, P, Q),
    "clamp": (engine.clamp, P, Q, R),
    "count_nonzero": (lambda x: engine.count_nonzero(x, 1), IDS[None]),
    "cummax": (lambda x: engine.cummax(x, 1).values, P),
    "diag": (engine.diag, P),
    "diag_embed": (lambda x: engine.diag_embed(x, 1), P),
    "diff": (engine.diff, P),
    "dot": (engine.dot, V, W),
    "einsum": (lambda a, b: engine.einsum("ij,kj->ik", a, b), P, Q),
    "exp_": (lambda x: (x * 1).exp_(), P),
    "fill": (lambda x, v: engine.fill(x, v), P, np.float32(3)),
    "flip": (lambda x: engine.flip(x, (0, 1)), P),
    "histc": (lambda x: engine.histc(x, 4, 0, 1), P),
    "isin": (lambda x: engine.isin(x, 3), IDS),
    "isin of a number": (lambda x: engine.isin(3, x), IDS),
    "lerp": (engine.lerp, P, Q, R),
    "logcumsumexp": (lambda x: engine.logcumsumexp(x, 0), P),
    "meshgrid": (lambda a, b: engine.meshgrid(a, b)[1], V, W),
    "mv": (engine.mv, P, V),
    "nan_to_num": (engine.nan_to_num, GAPS),
    "nanmean": (engine.nanmean, GAPS),
    "nanquantile": (lambda x: engine.nanquantile(x, 0.3, 1), GAPS),
    "norm": (lambda x: engine.linalg.norm(x, 1), P),
    "norm of order 0": (lambda x: x.norm(0), P),
    "nuclear norm": (lambda x: engine.linalg.norm(x, "nuc"), P),
    "quantile": (lambda x: engine.quantile(x, 0.3), P),
    "repeat": (lambda x: x.repeat(2, 2), P),
    "repeat_interleave": (lambda x: x.repeat_interleave(tensor([1, 0, 2, 1], device=x.device), 0), P),
    "roll": (lambda x: engine.roll(x, 1, 0), P),
    "rot90": (engine.rot90, P),
    "round": (lambda x: engine.round(x, decimals=1), P),
    "tensor_split": (lambda x: engine.tensor_split(x, 3)[0], P),
    "tensordot": (engine.tensordot, P, Q),
    "tril_indices": (lambda x: engine.tril_indices(3, 3, device=x.device), P),
    "unfold": (lambda x: x.unfold(0, 2, 1), P),
    "vander": (engine.vander, V),
    "vstack": (lambda x: engine.vstack([x, x[0]]), P),
    "whole quotient": (lambda a: engine.div(a, 2, rounding_mode="trunc"), IDS),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_on_the_cpu(name: str, cuda) -> None:
    function, *arrays = CALLS[name]
    found = []
    for device in ("cpu", cuda):
        tensors = [tensor(a, device=device) for a in arrays]
        for t in tensors:
            if t.is_floating_point():
                t.requires_grad_()
        y = function(*tensors)
        if y.requires_grad:
            (y * y).sum().backward()
        found.append([y, *(t.grad for t in tensors if t.grad is not None)])
    for on_cpu, on_cuda in zip(*found, strict=True):
        assert on_cuda.is_cuda
        np.testing.assert_allclose(on_cuda.detach().cpu().numpy(), on_cpu.detach().numpy(), rtol=1e-4, atol=2e-5)
