"""Drawing from given probabilities."""

from __future__ import annotations

from engine import _core
from engine._core import Array
from engine.errors import BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.generator import Generator, next_random
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["multinomial"]

K = _core.kernels
_LEAST = 2.0**-24


def _uniform(shape: tuple[int, ...], like: Array, generator: Generator | None) -> Array:
    numbers = _core.empty(shape, like.dtype, like.device)
    K.uniform(numbers, 0.0, 1.0, *next_random("multinomial", generator))
    return numbers


def _checked(op: str, x: Array) -> None:
    """Raises ValueError if the weights in the rows of x are no distribution. The host waits for them."""
    last = 1 << (x.ndim - 1)
    usable = K.logical_and(K.isfinite(x), K.ge(x, 0))
    positive = K.gt(K.sum(x, last, False), 0)
    right = K.all(usable, (1 << x.ndim) - 1, False).item() and K.all(positive, (1 << positive.ndim) - 1, False).item()
    require(right, op, "input", "weights >= 0 that are finite, with a sum above 0 in each row", "others")


@tensor_method
@explained
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn in proportion to the weights in each row of `input`: int64 (num_samples,) or (rows, num_samples).

    input: floating-point weights (n,) or (rows, n), which need not sum to 1. replacement: whether an index may be drawn again.
    generator: where the numbers come from; None: engine's random state (`manual_seed`). Raises ValueError for weights that are
    negative, not finite or all 0, and for more samples than there are weights above 0 if none may be drawn again.
    """
    op, x = "multinomial", as_array("multinomial", "input", input)
    if not x.dtype.is_floating_point:
        raise BadType(op, "input", "a floating-point dtype", x.dtype.name)
    require(x.ndim in (1, 2), op, "input", "1 or 2 dimensions", f"shape {tuple(x.shape)}")
    # Sums and draws of 16 bits would round most of the distribution away.
    wide = x.cast(_core.float64 if x.dtype is _core.float64 else _core.float32)
    rows = wide if wide.ndim == 2 else wide.unsqueeze(0)
    count, n = rows.shape
    require(n > 0, op, "input", "at least one weight in each row", "none")
    require(num_samples > 0, op, "num_samples", "a number > 0", num_samples)
    if not replacement and num_samples > n:
        raise BadValue(
            op, "num_samples", f"at most {n}, the number of weights", num_samples, "or pass replacement=True"
        )
    _checked(op, rows)
    if replacement:
        sums = K.cumsum(rows, 1, False)
        total = sums.slice(1, n - 1, n, 1)
        drawn = K.searchsorted(sums, K.mul(_uniform((count, num_samples), rows, generator), total), True)
        found = K.minimum(drawn, K.searchsorted(sums, total, False))  # the last weight above 0
    else:
        # The largest of weight / e, with e drawn from an exponential distribution, has the wanted probability.
        enough = K.all(K.ge(K.sum_integers(K.gt(rows, 0), 2, False), num_samples), 1, False).item()
        require(enough, op, "input", f"at least {num_samples} weights above 0 in each row", "fewer")
        e = K.neg(K.log(K.maximum(_uniform(rows.shape, rows, generator), _LEAST)))
        found = K.topk(K.div(rows, K.maximum(e, _LEAST)).unsqueeze(2), int(num_samples), True)[1]
    return Tensor(found.view((count, num_samples) if x.ndim == 2 else (num_samples,)))
