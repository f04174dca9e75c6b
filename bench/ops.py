"""The per-op table, from the same rows that test the ops: forward, and forward + backward, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.limits import mix
from bench.protocol import Run, Table


def _row(name: str) -> Any:
    from specs import SPECS

    return next(s for s in SPECS if s.name == name)


def prepare(side: str, name: str, index: int, backward: bool) -> Callable[[], Any]:
    """The op of a row's benchmark on this side's tensors; with backward, also the gradients of all floating inputs."""
    spec = _row(name)
    bench = spec.bench[index]
    rng = np.random.default_rng(0)
    arrays = [np.asarray(i.draw(rng, i.shape)) for i in bench.case.inputs]
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    wanted = [backward and i.grad and a.dtype == np.float32 for i, a in zip(bench.case.inputs, arrays)]
    if side == "engine":
        import engine

        tensors: list[Any] = [engine.tensor(a) for a in arrays]
        op = lambda: spec.op(*tensors, **bench.case.kwargs)  # noqa: E731
        no_grad: Any = engine.no_grad
        ones: Any = engine.ones
    else:
        import torch

        tensors = [torch.tensor(a) for a in arrays]
        op = lambda: spec.torch(torch, *tensors, **bench.case.kwargs)  # noqa: E731
        no_grad, ones = torch.no_grad, torch.ones
    if not backward:

        def forward() -> None:
            with no_grad():
                op()

        return forward
    for tensor, want in zip(tensors, wanted):
        if want:
            tensor.requires_grad_()
    first = op()
    seed = ones(tuple((first[0] if isinstance(first, tuple) else first).shape))

    def both() -> None:
        result = op()
        (result[0] if isinstance(result, tuple) else result).backward(seed)
        for tensor in tensors:
            tensor.grad = None

    return both


def run(run: Run) -> list[Table]:
    from specs import SPECS

    table = Table("Ops, float32", "us")
    for spec in SPECS:
        for index, bench in enumerate(spec.bench[:1] if run.quick else spec.bench):
            for backward in (False, True) if spec.oracle else (False,):
                sides = ("engine", "torch") if spec.torch else ("engine",)
                c = run.compare("ops:prepare", sides=sides, name=spec.name, index=index, backward=backward)
                # The share of the limit: the time of the forward's smallest possible work at the machine's peak rate.
                floor = max(bench.flops / run.limits["fma_gflops"], bench.bytes / run.limits[mix(1, 1)]) / 1e9
                share = None if backward or not floor else floor / c.engine
                table.add(f"{spec.name} {bench.label}" + (" forward + backward" if backward else ""), c, share=share)
    return [table]
