"""What tasks that are written once for both sides need: the library of a side, under PyTorch's names."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def library(side: str) -> tuple[ModuleType, Any]:
    """(library, its functional module)"""
    if side == "engine":
        import engine
        from engine.nn import functional

        return engine, functional
    import torch
    from torch.nn import functional as torch_functional

    return torch, torch_functional


def without_grad(lib: Any, task: Any) -> Any:
    def run() -> None:
        with lib.no_grad():
            task()

    return run


def with_backward(inputs: list[Any], forward: Any, seed: Any) -> Any:
    """forward(), then its backward; the gradients of the inputs are written anew each time."""

    def run() -> None:
        forward().backward(seed)
        for x in inputs:
            x.grad = None

    return run
