"""Every row of tests/specs on a CUDA device, in float32 and bfloat16: forward and gradient against float64 NumPy, the
same bits on two runs, strided inputs. On the simulator each access is checked as well.

The shapes are those of the row's `cuda` cases, each of at least a whole tile of its kernels and an edge, and then the
small and odd ones of its other cases (empty, 1, primes)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import engine
from engine import _core
from engine.tensor import Tensor
from specs import SPECS
from specs.spec import Spec
from test_specs import check, check_gradients, draw, run

TILE = 1024  # elements: the smallest that a kernel works on as one piece

ROWS = [s for s in SPECS if s.cuda is not None]
WITH_GRADIENT = [s for s in ROWS if s.oracle]


def rounded(spec: Spec, number: int, dtype: str) -> list[np.ndarray]:
    """float32 arrays of numbers that the dtype holds."""
    return [
        np.asarray(_core.from_buffer(a).cast(getattr(_core, dtype)).cast(_core.float32)) if a.dtype == np.float32 else a
        for a in draw(spec, number, "float32")
    ]


def on_device(dtype: str):
    def make(array: np.ndarray) -> Tensor:
        a = _core.from_buffer(np.ascontiguousarray(array).reshape(array.shape)).clone()
        return Tensor((a.cast(getattr(_core, dtype)) if array.dtype == np.float32 else a).to_device(0))

    return make


def strided_on_device(dtype: str):
    """The same numbers in memory that is neither contiguous nor aligned."""

    def make(array: np.ndarray) -> Tensor:
        if array.ndim == 0 or array.size == 0:
            return on_device(dtype)(array)
        wide = np.full((*array.shape[:-1], array.shape[-1] * 2 + 1), 7, array.dtype)
        wide[..., 1::2] = array
        whole = on_device(dtype)(wide)._data
        return Tensor(whole.slice(array.ndim - 1, 1, wide.shape[-1], 2))

    return make


def with_cases(spec: Spec, which: str) -> Spec:
    cases = spec.cuda if which == "tiles" else spec.cases
    return replace(spec, cases=cases)


def tolerances(spec: Spec, dtype: str) -> tuple[float, float]:
    return (spec.f32, spec.f32_grad) if dtype == "float32" else (spec.bf16, spec.bf16_grad)


@pytest.mark.parametrize("which", ["tiles", "odd"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("spec", [pytest.param(s, id=s.name) for s in ROWS])
def test_forward(spec: Spec, dtype: str, which: str, cuda: str, monkeypatch) -> None:
    spec = with_cases(spec, which)
    for number in range(len(spec.cases)):
        arrays = rounded(spec, number, dtype)
        wanted = spec.reference(
            *[a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays], **spec.cases[number].kwargs
        )
        wanted = [np.asarray(w) for w in (wanted if isinstance(wanted, tuple | list) else [wanted])]
        found, _ = run(spec, number, arrays, make=on_device(dtype))
        assert len(found) == len(wanted)
        for i, (f, w) in enumerate(zip(found, wanted)):
            check(f"case {number}, output {i}", f, w, tolerances(spec, dtype)[0])


@pytest.mark.parametrize("which", ["tiles", "odd"])
@pytest.mark.parametrize("spec", [pytest.param(s, id=s.name) for s in WITH_GRADIENT])
def test_gradient(spec: Spec, which: str, cuda: str) -> None:
    spec = with_cases(spec, which)
    for number in range(len(spec.cases)):
        _, gradients = run(spec, number, draw(spec, number, "float32"), make=on_device("float32"), grad=True)
        check_gradients(spec, number, gradients, spec.f32_grad)


@pytest.mark.parametrize("spec", [pytest.param(s, id=s.name) for s in WITH_GRADIENT])
def test_gradient_in_bfloat16(spec: Spec, cuda: str) -> None:
    """Beside float32's of the same numbers: the oracle's steps are too fine for 8 bits."""
    spec = with_cases(spec, "tiles")
    for number in range(len(spec.cases)):
        arrays = rounded(spec, number, "bfloat16")
        _, wanted = run(spec, number, arrays, make=on_device("float32"), grad=True)
        _, found = run(spec, number, arrays, make=on_device("bfloat16"), grad=True)
        for i, w in wanted.items():
            scale = max(1.0, float(np.abs(w).max(initial=0)))
            error = float(np.abs(found[i] - w).max(initial=0)) / scale
            assert error <= spec.bf16_grad, f"case {number}, gradient {i}: off by {error:.3g} of the largest"


@pytest.mark.parametrize("spec", [pytest.param(s, id=s.name) for s in ROWS if s.strided])
def test_strided(spec: Spec, cuda: str) -> None:
    spec = with_cases(spec, "tiles")
    for number in range(len(spec.cases)):
        for dtype in ("float32", "bfloat16"):
            arrays = rounded(spec, number, dtype)
            grad = bool(spec.oracle)
            plain, plain_gradients = run(spec, number, arrays, make=on_device(dtype), grad=grad)
            found, gradients = run(spec, number, arrays, make=strided_on_device(dtype), grad=grad)
            forward, backward = tolerances(spec, dtype)
            for f, w in zip(found, plain):
                check(f"case {number}, strided {dtype} output", f, w, forward)
            for i in plain_gradients:
                check(
                    f"case {number}, strided {dtype} gradient {i}",
                    gradients[i],
                    plain_gradients[i],
                    max(forward, backward),
                )


@pytest.mark.parametrize("spec", [pytest.param(s, id=s.name) for s in ROWS])
def test_same_bits_on_every_run(spec: Spec, cuda: str) -> None:
    spec = with_cases(spec, "tiles")
    for number in range(len(spec.cases)):
        arrays = rounded(spec, number, "float32")
        runs = []
        for _ in range(2):
            outputs, gradients = run(spec, number, arrays, make=on_device("float32"), grad=bool(spec.oracle))
            runs.append([a.tobytes() for a in [*outputs, *gradients.values()]])
        assert runs[0] == runs[1], f"case {number}: other bits on the second run"


def test_every_row_has_cases_of_a_tile_and_an_edge() -> None:
    for spec in ROWS:
        assert spec.cuda, f"{spec.name}: no cuda cases"
        for number, case in enumerate(spec.cuda):
            largest = max(int(np.prod(i.shape)) for i in case.inputs)
            assert largest > TILE, f"{spec.name}, cuda case {number}: {largest} elements, fewer than a tile and an edge"


# An operand is rounded by up to u = 2^-11 of itself in tf32, 2^-8 in bfloat16. A sum of k products of normal numbers is then off
# by some 0.8 u sqrt(k): 10 u for the longest sums here (136 terms; longer ones are larger themselves). Allowed is four times that.
@pytest.mark.parametrize("precision, tolerance", [("high", 40 * 2.0**-11), ("medium", 40 * 2.0**-8)])
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(s, id=s.name)
        for s in ROWS
        if s.name
        in ("matmul", "bmm", "linear", "linear_gelu", "attention", "attention_qkv", "scaled_dot_product_attention")
    ],
)
def test_products_of_float32_at_lower_precision(spec: Spec, precision: str, tolerance: float, cuda: str) -> None:
    spec = with_cases(spec, "tiles")
    for number in range(len(spec.cases)):
        arrays = draw(spec, number, "float32")
        wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
        wanted = np.asarray(spec.reference(*wide, **spec.cases[number].kwargs))
        _, exact = run(spec, number, arrays, make=on_device("float32"), grad=True)
        engine.set_float32_matmul_precision(precision)
        try:
            (found,), gradients = run(spec, number, arrays, make=on_device("float32"), grad=True)
        finally:
            engine.set_float32_matmul_precision("highest")
        check(f"case {number}, {precision}", found, wanted, tolerance)
        for i, w in exact.items():
            error = float(np.abs(gradients[i] - w).max()) / max(1.0, float(np.abs(w).max()))
            assert error <= tolerance, f"case {number}, {precision}, gradient {i}: off by {error:.3g} of the largest"
