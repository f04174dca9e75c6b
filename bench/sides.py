"""For tasks that are written once for both sides: a side's library under PyTorch's names, and answers to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np


def library(side: str) -> tuple[ModuleType, Any, Callable[..., Any]]:
    """(library, its functional module, randn); randn draws the same values on both sides, into memory of that side."""
    lib: Any
    if side == "engine":
        import engine as lib
        from engine.nn import functional as F
    else:
        import torch as lib
        from torch.nn import functional as F
    rng = np.random.default_rng(0)
    return lib, F, lambda *shape: lib.from_numpy(rng.standard_normal(shape, np.float32)).clone()


@dataclass
class Clocked:
    """A task that measures its time itself."""

    seconds: Callable[[], float]


def allow(savings: list[str]) -> None:
    """What engine may leave out although the result is the same; everything else it must compute, as the other side does. last: what
    first-token pooling does not read of the last layer; rows: embedding rows that no batch has used."""
    from engine.autograd import rows
    from engine.models.transformer import TransformerEncoderModel

    TransformerEncoderModel.compute_unread = "last" not in savings
    rows.enabled = "rows" in savings


def answer(*results: Any, random: bool = False, tolerance: float = 1e-4) -> dict[str, Any]:
    """Facts by which two sides compare results (tensors or arrays). random: only their size can agree."""
    arrays = [np.asarray(r.detach().numpy() if hasattr(r, "detach") else r) for r in results]
    return {
        "answer": [
            {
                "rms": float(np.sqrt(np.mean(np.square(a, dtype=np.float64)))),
                "some": [] if random else a.reshape(-1)[np.linspace(0, a.size - 1, 64).astype(int)].tolist(),
            }
            for a in arrays
        ],
        "tolerance": 0.2 if random else tolerance,
    }


def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raises AssertionError if the answers of two sides differ; a side may have none."""
    if "answer" not in ours or "answer" not in theirs:
        return
    tolerance = ours["tolerance"]
    for a, b in zip(ours["answer"], theirs["answer"], strict=True):
        np.testing.assert_allclose(b["rms"], a["rms"], rtol=tolerance)
        np.testing.assert_allclose(b["some"], a["some"], rtol=tolerance, atol=tolerance * a["rms"])


def without_grad(lib: Any, task: Any, random: bool = False, view: Any = lambda x: x) -> Any:
    def run() -> Any:
        with lib.no_grad():
            return task()

    return run, answer(view(run()), random=random)


def with_backward(inputs: list[Any], forward: Any, seed: Any, random: bool = False, view: Any = lambda x: x) -> Any:
    """forward(), then its backward; the gradients of the inputs are replaced each time. view: chooses the results to compare."""

    def run() -> None:
        forward().backward(seed)
        for x in inputs:
            x.grad = None

    y = forward()
    y.backward(seed)
    facts = answer(*[view(t) for t in (y, *[x.grad for x in inputs])], random=random)
    for x in inputs:
        x.grad = None
    return run, facts
