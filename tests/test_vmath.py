"""The vector functions against float64 NumPy over a stride of all floats and every special value: within 2 units in the last
place, with C's infinities, NaNs and zeros."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine import _core
from specs.reference import normal_cdf, sigmoid

K = _core.kernels
STRIDE = 10007
TINY = float(np.finfo(np.float32).tiny)
EDGES = [88.72283, 88.72284, 89.0, -87.33654, -87.33655, -88.0, -104.0, -110.0, 9.02, 18.1, 3.92, 0.921875, 0.92187494]
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, TINY, -TINY, 1.0, -1.0, 3.4028235e38, *EDGES], np.float32)


def every(stride: int) -> np.ndarray:
    """A stride of all floats, and the neighbours of the special ones."""
    floats = np.arange(0, 1 << 32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore"):
        near = [np.nextafter(SPECIAL, np.float32(side)) for side in (np.inf, -np.inf)]
    return np.concatenate([SPECIAL, *near, floats])


def flush(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < TINY, np.copysign(0, x), x)


def run(function, x: np.ndarray) -> np.ndarray:
    return np.asarray(function(_core.from_buffer(x.copy()))).copy()


def ulps(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the true value's float."""
    with np.errstate(all="ignore"):
        rounded = wanted.astype(np.float32)
        small = np.abs(wanted) <= TINY
        exponent = np.maximum(np.frexp(np.where(np.isfinite(wanted), wanted, 1))[1], -125)
        distance = np.abs(found.astype(np.float64) - wanted) / np.ldexp(1.0, exponent - 24)
    distance[small] = np.where(np.abs(found[small]) <= TINY, 0, np.inf)
    edge = np.isnan(wanted) | np.isinf(rounded) | ~np.isfinite(found)
    same = (np.isnan(found) & np.isnan(wanted)) | (found == rounded)
    distance[edge] = np.where(same[edge], 0, np.inf)
    return distance


def exact(function):
    def reference(x):
        with np.errstate(all="ignore"):
            return function(flush(x).astype(np.float64))

    return reference


FUNCTIONS = {
    "exp": exact(np.exp),
    "log": exact(np.log),
    "log1p": exact(np.log1p),
    "tanh": exact(np.tanh),
    "sigmoid": exact(sigmoid),
    "erf": exact(np.vectorize(math.erf, otypes=[np.float64])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_two_ulps_everywhere(name: str, isa: str) -> None:
    x = every(STRIDE)
    wanted = FUNCTIONS[name](x)
    distance = ulps(run(getattr(K, name), x), wanted)
    if isa == "baseline":  # without fma, a small part of a number next to the smallest one is flushed
        distance[np.abs(wanted) < 1e-36] = 0
    worst = int(distance.argmax())
    assert distance[worst] <= (2.25 if isa == "baseline" else 2), (
        f"{name}({x[worst]!r}): off by {distance[worst]:.3g} ulp"
    )


@pytest.mark.parametrize("name", ["tanh", "erf", "log1p"])
def test_zeros_keep_their_sign(name: str, isa: str) -> None:
    y = run(getattr(K, name), np.array([0.0, -0.0] * 20, np.float32))
    assert np.array_equal(np.signbit(y), [False, True] * 20)
    assert not y.any()


def test_exp_of_softmax_and_logsumexp(isa: str) -> None:
    """e^x of two-element rows (x, 0): the way softmax goes through exp."""
    x = np.linspace(-86, 0, 20001, dtype=np.float32)
    rows = np.stack([x, np.zeros_like(x)], axis=1)
    y = run(K.softmax, rows)[:, 0]
    assert ulps(y, sigmoid(x.astype(np.float64))).max() <= 3


def test_gelu_is_not_positive_below_zero(isa: str) -> None:
    x = np.concatenate([np.linspace(-5.6, -5.1, 400_001), [-5.365346]]).astype(np.float32)
    found = run(lambda a: K.gelu(a, False), x)
    wide = x.astype(np.float64)
    assert found.max() <= 0
    assert np.abs(found - wide * normal_cdf(wide)).max() <= (1.1e-6 if isa == "baseline" else 9e-7)


@pytest.mark.parametrize("tanh_form", [False, True])
def test_gelu_everywhere(tanh_form: bool, isa: str) -> None:
    x = every(STRIDE)
    x = x[np.isfinite(x) & (np.abs(x) > 1e-36)]
    wide = flush(x).astype(np.float64)
    with np.errstate(all="ignore"):
        inner = 2 * np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
        wanted = wide * (sigmoid(inner) if tanh_form else normal_cdf(wide))
    found = run(lambda a: K.gelu(a, tanh_form), x)
    # Relative, but in the far tail to x: there the function is the product of x and a probability near 0.
    error = np.abs(found - wanted) / np.maximum(np.abs(wanted), 0.3 * np.minimum(np.abs(wide), 3))
    assert error.max() <= 1e-6
    assert not found[wide < -14].any()
    ones = _core.from_buffer(np.ones_like(x))
    slope = np.asarray(K.gelu_backward(ones, _core.from_buffer(x.copy()), tanh_form))
    assert np.isfinite(slope[np.abs(x) < 1e30]).all()
    assert np.abs(slope[np.abs(x) > 1e3] - (x[np.abs(x) > 1e3] > 0))[np.abs(x[np.abs(x) > 1e3]) < 1e30].max() == 0
