"""gradcheck: compares the gradients of backward with central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import _core
from engine.autograd.modes import no_grad
from engine.autograd.tape import grad
from engine.errors import BadState, BadType, require
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

    Inputs that require grad must be float64 and on the CPU. All outputs are weighted with fixed random numbers and added up,
    so that one backward checks them all. atol, rtol: the largest absolute and relative difference allowed.

    Raises RuntimeError that names input and element if a gradient differs, or returns False with raise_exception=False.
    Raises ValueError if no input requires grad or no output depends on one, TypeError for other dtypes.
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    require(checked, "gradcheck", "inputs", "at least one tensor that requires grad", "none")
    for i in checked:
        x = args[i]
        require(x.is_cpu, "gradcheck", f"inputs[{i}]", "a float64 tensor on the CPU", f"one on {x.device}")
        require(x.dtype is _core.float64, "gradcheck", f"inputs[{i}]", "float64", x.dtype.name, error=BadType)

    def outputs() -> list[Tensor]:
        result = func(*args)
        made = [result] if isinstance(result, Tensor) else list(result)
        return [t for t in made if t.dtype.is_floating_point]

    first = [t for t in outputs() if t.requires_grad]
    require(first, "gradcheck", "func", "an output that depends on the inputs", "none")
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
                by_differences = f"a gradient of {expected:.6g} at {index}, by differences"
                raise BadState("gradcheck", f"inputs[{i}]", by_differences, f"{computed[index]:.6g}")
    return True
