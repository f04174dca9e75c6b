"""Every row of tests/specs: forward and gradient against float64 NumPy, on every ISA, with guards around every array; the
same bits at any thread count; non-contiguous inputs; inputs left as they were."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import engine
from engine import _core
from engine.tensor import Tensor
from specs import SPECS
from specs.spec import Case, Spec

NUMPY = {
    "float32": np.float32,
    "float64": np.float64,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "bool": np.bool_,
}


def rng_of(spec: Spec, number: int) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{spec.name}/{number}".encode()))


def draw(spec: Spec, number: int, dtype: str = "float64") -> list[np.ndarray]:
    rng = rng_of(spec, number)
    arrays = [np.asarray(i.draw(rng, i.shape)) for i in spec.cases[number].inputs]
    # Rounded to float32 first: both dtypes and the reference see the same numbers.
    return [a.astype(np.float32).astype(NUMPY[dtype]) if a.dtype == np.float64 else a for a in arrays]


def tensor(array: np.ndarray) -> Tensor:
    """In memory of the engine's own: between guards, which are NaNs to whoever reads past an end."""
    return Tensor(_core.from_buffer(array).clone())


def strided(array: np.ndarray) -> Tensor:
    """The same numbers in memory that is not contiguous."""
    if array.ndim == 0 or array.size == 0:
        return tensor(array)
    wide = np.full((*array.shape[:-1], array.shape[-1] * 2 + 1), 7, array.dtype)
    wide[..., 1::2] = array
    return Tensor(_core.from_buffer(wide).slice(array.ndim - 1, 1, wide.shape[-1], 2))


def to_numpy(t: Tensor) -> np.ndarray:
    """A copy of a tensor's numbers, from whatever device; bfloat16 widened."""
    array = t._data.to_device(-1)
    return np.array(array.cast(_core.float32) if array.dtype is _core.bfloat16 else array)


def run(spec: Spec, number: int, arrays: list[np.ndarray], make=None, grad: bool = False):
    """Outputs, and gradients of a fixed weighted sum of them, as NumPy arrays."""
    current: Case = spec.cases[number]
    make = make or tensor
    tensors = [make(a) for a in arrays]
    wanted = [
        i for i, (a, s) in enumerate(zip(arrays, current.inputs)) if s.grad and a.dtype in (np.float32, np.float64)
    ]
    if grad:
        for i in wanted:
            tensors[i].requires_grad_()
    before = [a.copy() for a in arrays]
    results = spec.op(*tensors, **current.kwargs)
    outputs = list(results) if isinstance(results, tuple | list) else [results]
    gradients: dict[int, np.ndarray] = {}
    if grad:
        weighted = [o for o in outputs if o.requires_grad]
        weights = weights_of([o.shape for o in outputs], rng_of(spec, number + 1000))
        seeds = [make_seed(w, o) for o, w in zip(outputs, weights) if o.requires_grad]
        given = [to_numpy(s) for s in seeds]
        found = engine.autograd.grad(weighted, [tensors[i] for i in wanted], seeds, allow_unused=True)
        for seed, copy in zip(seeds, given):
            assert np.array_equal(to_numpy(seed), copy, equal_nan=True), (
                "the backward changed the gradient it was given"
            )
        gradients = {i: np.zeros(arrays[i].shape) if g is None else to_numpy(g) for i, g in zip(wanted, found)}
    for a, t in zip(before, tensors):
        assert np.array_equal(to_numpy(t), a, equal_nan=a.dtype.kind == "f"), "the op changed an input"
    return [to_numpy(o) for o in outputs], gradients


def make_seed(weights: np.ndarray, output: Tensor) -> Tensor:
    """A gradient to begin with, of the output's dtype and on its device."""
    array = _core.from_buffer(weights.astype(NUMPY.get(output.dtype.name, np.float32))).clone()
    return Tensor(array.cast(output.dtype).to_device(output._data.device))


def weights_of(shapes, rng):
    return [rng.uniform(0.5, 1.5, s).astype(np.float32).astype(np.float64) for s in shapes]


def expected(spec: Spec, number: int) -> list[np.ndarray]:
    results = spec.reference(*draw(spec, number), **spec.cases[number].kwargs)
    return [np.asarray(r) for r in (results if isinstance(results, tuple | list) else [results])]


def check(name: str, found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.shape == wanted.shape, f"{name}: shape {found.shape}, expected {wanted.shape}"
    if wanted.dtype.kind in "biu":
        assert np.array_equal(found, wanted), f"{name}: differs"
        return
    finite = np.isfinite(wanted)
    assert np.array_equal(found[~finite], wanted[~finite].astype(found.dtype), equal_nan=True), (
        f"{name}: infinities or NaNs differ"
    )
    with np.errstate(invalid="ignore"):
        error = np.abs(found[finite] - wanted[finite]) / (1 + np.abs(wanted[finite]))
    assert error.size == 0 or error.max() <= tolerance, f"{name}: off by {error.max():.3g}, allowed {tolerance:.3g}"


def directional(spec: Spec, number: int, arrays, wanted, directions) -> float:
    """d/dt of the weighted sum of the reference's outputs at arrays + t * directions."""
    kwargs = spec.cases[number].kwargs

    def total(step):
        moved = [a + step * directions[i] if i in wanted else a for i, a in enumerate(arrays)]
        results = spec.reference(*moved, **kwargs)
        results = results if isinstance(results, tuple | list) else [results]
        weights = weights_of([np.shape(r) for r in results], rng_of(spec, number + 1000))
        return sum((np.asarray(r) * w).sum() for r, w in zip(results, weights) if np.asarray(r).dtype.kind in "fc")

    if spec.oracle == "complex":
        return float(np.imag(total(1e-30j)) / 1e-30)
    h = 1e-5
    return float((-total(2 * h) + 8 * total(h) - 8 * total(-h) + total(-2 * h)) / (12 * h))


def check_gradients(spec: Spec, number: int, gradients: dict[int, np.ndarray], tolerance: float) -> None:
    """Each element's derivative where there are few, random directions where there are many."""
    arrays = draw(spec, number)
    if spec.oracle == "difference":
        tolerance = max(tolerance, 1e-6)
    for i in gradients:
        assert gradients[i].shape == arrays[i].shape
        assert np.isfinite(gradients[i]).all(), f"gradient {i} is not finite"
        if arrays[i].size <= 40:
            for index in np.ndindex(arrays[i].shape):
                unit = np.zeros(arrays[i].shape)
                unit[index] = 1
                want = directional(spec, number, arrays, {i}, {i: unit})
                got = float(gradients[i][index])
                assert abs(got - want) <= tolerance * (1 + abs(want)), (
                    f"gradient {i} at {index}: {got}, expected {want}"
                )
        else:
            rng = rng_of(spec, number + 2000)
            for _ in range(6):
                some = rng.choice([-1.0, 0.0, 1.0], arrays[i].shape)
                want = directional(spec, number, arrays, {i}, {i: some})
                got = float((gradients[i].astype(np.float64) * some).sum())
                scale = 1 + float(np.sqrt((gradients[i].astype(np.float64) ** 2 * some**2).sum()))
                assert abs(got - want) <= tolerance * scale * 4, (
                    f"gradient {i}: {got} along a direction, expected {want}"
                )


ROWS = [pytest.param(spec, number, id=f"{spec.name}-{number}") for spec in SPECS for number in range(len(spec.cases))]
DIFFERENTIABLE = [p for p in ROWS if p.values[0].oracle]


@pytest.mark.parametrize("spec, number", ROWS)
def test_forward(spec: Spec, number: int, isa: str, guards: None) -> None:
    wanted = expected(spec, number)
    for dtype in spec.dtypes:
        found, _ = run(spec, number, draw(spec, number, dtype))
        assert len(found) == len(wanted)
        for i, (f, w) in enumerate(zip(found, wanted)):
            check(f"{dtype} output {i}", f, w, spec.f32 if dtype == "float32" else spec.f64)


@pytest.mark.parametrize("spec, number", DIFFERENTIABLE)
def test_gradient(spec: Spec, number: int, isa: str, guards: None) -> None:
    for dtype in spec.dtypes:
        _, gradients = run(spec, number, draw(spec, number, dtype), grad=True)
        assert gradients
        check_gradients(spec, number, gradients, spec.f32_grad if dtype == "float32" else spec.f64_grad)


@pytest.mark.parametrize("spec, number", [p for p in ROWS if p.values[0].strided])
def test_strided(spec: Spec, number: int, guards: None) -> None:
    for dtype in spec.dtypes:
        arrays = draw(spec, number, dtype)
        plain, plain_gradients = run(spec, number, arrays, grad=bool(spec.oracle))
        found, gradients = run(spec, number, arrays, make=strided, grad=bool(spec.oracle))
        tolerance, grad_tolerance = (spec.f32, spec.f32_grad) if dtype == "float32" else (spec.f64, spec.f64_grad)
        for f, w in zip(found, plain):
            check(f"strided {dtype} output", f, w, tolerance)
        for i in plain_gradients:
            check(f"strided {dtype} gradient {i}", gradients[i], plain_gradients[i], max(grad_tolerance, tolerance))


@pytest.mark.parametrize("spec, number", ROWS)
def test_same_bits_at_any_thread_count(spec: Spec, number: int, isa: str, threads) -> None:
    for dtype in spec.dtypes:
        arrays = draw(spec, number, dtype)
        results = []
        for n in (1, 2, 3, 7):
            threads(n)
            outputs, gradients = run(spec, number, arrays, grad=bool(spec.oracle))
            results.append([a.tobytes() for a in [*outputs, *gradients.values()]])
        assert results.count(results[0]) == len(results), f"{dtype}: other bits with another number of threads"
