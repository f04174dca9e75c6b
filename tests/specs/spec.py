"""What a row is. One Spec an op drives its forward, gradient, ISA, thread, stride and guard tests, and its benchmark.

Expected values never come from engine: `reference` is plain float64 NumPy; gradients are taken of the reference, by the
complex step where it is analytic, by central differences where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class In:
    """An input array: its shape and how to draw it. Floating inputs take the dtype under test, others keep their own."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = lambda rng, shape: rng.standard_normal(shape)
    grad: bool = True  # floating inputs only: take part in the gradient test


def normal(*shape: int, grad: bool = True) -> In:
    return In(shape, grad=grad)


def uniform(low: float, high: float, *shape: int, grad: bool = True) -> In:
    return In(shape, lambda rng, s: rng.uniform(low, high, s), grad)


def away_from_zero(*shape: int, grad: bool = True) -> In:
    """Magnitudes in [0.2, 2]: for ops with a kink or a pole at 0."""
    return In(shape, lambda rng, s: rng.uniform(0.2, 2, s) * rng.choice([-1.0, 1.0], s), grad)


def distinct(*shape: int, grad: bool = True) -> In:
    """No two elements closer than 0.01: for maxima and sorting."""
    return In(shape, lambda rng, s: (rng.permutation(int(np.prod(s))) * 0.01 - 1.0).reshape(s), grad)


def ids(limit: int, *shape: int) -> In:
    return In(shape, lambda rng, s: rng.integers(0, limit, s), False)


def mask(*shape: int) -> In:
    return In(shape, lambda rng, s: rng.random(s) < 0.5, False)


def const(values: Any) -> In:
    array = np.asarray(values)
    return In(array.shape, lambda rng, s: array.copy(), False)


@dataclass(frozen=True)
class Case:
    """Inputs, and keyword arguments that op and reference both get."""

    inputs: Sequence[In]
    kwargs: dict[str, Any] = field(default_factory=dict)


def case(*inputs: In, **kwargs: Any) -> Case:
    return Case(inputs, kwargs)


@dataclass(frozen=True)
class Bench:
    """A benchmark's inputs with the work that the op cannot avoid; `torch(torch, *tensors, **kwargs)` does the same there."""

    case: Case
    flops: float = 0.0
    bytes: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Spec:
    name: str
    op: Callable[..., Any]  # op(*tensors, **kwargs) -> Tensor or tuple of Tensors
    reference: Callable[
        ..., Any
    ]  # reference(*float64 arrays, **kwargs) -> array or tuple; complex input if oracle = "complex"
    cases: Sequence[Case]
    oracle: str | None = "complex"  # "complex", "difference", None: the op has no gradient
    f32: float = 2e-6  # tolerance, relative to 1 + |expected|, of the forward in float32
    f32_grad: float = 1e-5
    f64: float = 1e-12
    f64_grad: float = 1e-9  # central differences: 1e-6 at least
    dtypes: Sequence[str] = ("float32", "float64")
    strided: bool = True  # also run on non-contiguous inputs
    cuda: Sequence[Case] | None = ()  # at least a tile of the CUDA kernels and an edge; None: the op never runs there
    bf16: float = 1e-2  # tolerances in bfloat16, of forward and gradient
    bf16_grad: float = 3e-2
    bench: Sequence[Bench] = ()
    torch: Callable[..., Any] | None = None
