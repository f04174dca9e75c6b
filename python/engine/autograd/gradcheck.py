"""gradcheck: analytic gradients against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import _core
from engine.autograd.tape import grad, no_grad
from engine.errors import BadState, BadType, BadValue
from engine.tensor import Tensor


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """True if the gradients of `func(*inputs)` agree with (f(x + eps) - f(x - eps)) / 2 eps for every input element.

    Inputs that require grad must be float64, and so on the CPU. Each output is weighted by fixed random numbers, so one backward covers it.
    Raises RuntimeError naming input and element where they differ, or returns False with raise_exception=False.
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not checked:
        raise BadValue("gradcheck", "inputs", "at least one tensor that requires grad", "none")
    for i in checked:
        if args[i].is_cuda:
            raise BadValue("gradcheck", f"inputs[{i}]", "a float64 tensor on the CPU", f"one on {args[i].device}")
        if args[i].dtype is not _core.float64:
            raise BadType("gradcheck", f"inputs[{i}]", "float64", args[i].dtype.name)

    def outputs() -> list[Tensor]:
        result = func(*args)
        made = [result] if isinstance(result, Tensor) else list(result)
        return [t for t in made if t.dtype.is_floating_point]

    first = [t for t in outputs() if t.requires_grad]
    if not first:
        raise BadValue("gradcheck", "func", "an output that depends on the inputs", "none")
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 1.5, t.shape) for t in first]
    seeds = [
        Tensor(_core.from_buffer(np.ascontiguousarray(w)).reshape(list(w.shape)).cast(t.dtype))
        for w, t in zip(weights, first)
    ]
    analytic = grad(first, [args[i] for i in checked], seeds, allow_unused=True)

    def weighted() -> float:
        with no_grad():
            made = outputs()
        return float(sum((np.asarray(t._data) * w).sum() for t, w in zip(made, weights)))

    for i, found in zip(checked, analytic):
        values = np.asarray(args[i]._data)  # the tensor's own memory: changed and restored element by element
        computed = np.zeros(values.shape) if found is None else found.numpy()
        for index in np.ndindex(values.shape):
            before = values[index]
            values[index] = before + eps
            above = weighted()
            values[index] = before - eps
            below = weighted()
            values[index] = before
            expected = (above - below) / (2 * eps)
            if not abs(computed[index] - expected) <= atol + rtol * abs(expected):
                if not raise_exception:
                    return False
                raise BadState(
                    "gradcheck",
                    f"inputs[{i}]",
                    f"a gradient of {expected:.6g} at {index}, by differences",
                    f"{computed[index]:.6g}",
                )
    return True
