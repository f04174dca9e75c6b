"""Random tensors and the state from which they are drawn.

Numbers come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). They are a function of the seed, the number of the call
and the element's position, so they are the same at every thread count. rand, randn (float32), randint and randperm give
the same bits on every instruction set; float64 normals depend on the C library's log, sin and cos. PyTorch draws other
numbers from the same seed.

generator: a `Generator` from which to draw instead of engine's random state.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import check_inplace, record_inplace
from engine.device import target
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, BadValue, require
from engine.ops.blame import explained
from engine.ops.factory import new_array, new_array_like, sizes_of
from engine.ops.generator import Generator, default_generator, next_random, state_numbers
from engine.ops.operands import data_of, no_gradient
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "bernoulli",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]

K = _core.kernels


# ---------------------------------------------------------------- the state


def manual_seed(seed: int) -> Generator:
    """Seeds the random numbers: after the same seed, the same calls draw the same numbers. -2^63 <= seed < 2^64.

    Returns `default_generator`. Raises ValueError for a seed outside this range, TypeError if it is not an integer."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the random numbers with a number from the operating system, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The current seed. The thread of a `DataLoader` with num_workers > 0 has its own random state, in each epoch with another seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The random state as uint8 (16,): the seed and the number of calls so far, little-endian."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Restores a state that `get_rng_state` returned."""
    _core.set_random_state(*state_numbers("set_rng_state", new_state))


# ---------------------------------------------------------------- factories


# For each dtype: the digits of a number, the binary logarithm of the least one above 0, and the largest one.
_GRIDS = {
    _core.float16: (11, -24, 65504.0),
    _core.bfloat16: (8, -133, (2.0 - 2.0**-7) * 2.0**127),
    _core.float32: (24, -149, (2.0 - 2.0**-23) * 2.0**127),
}


def _largest_below(high: float, dtype: DType) -> float:
    """The largest number of the dtype that is less than `high`."""
    below = math.nextafter(float(high), -math.inf)
    if dtype not in _GRIDS:
        return below
    digits, least, largest = _GRIDS[dtype]
    step = max(math.frexp(below)[1] - digits, least)
    return min(math.ldexp(math.floor(math.ldexp(below, -step)), step), largest)


def draw(
    op: str,
    array: Array,
    kernel: Any,
    first: float,
    second: float,
    generator: Generator | None = None,
    argument: str = "dtype",
) -> Array:
    """`array`, filled by the kernel. It writes float32 and float64 to contiguous memory; all else is drawn apart and copied."""
    dtype = array.dtype
    if not dtype.is_floating_point:
        raise BadType(op, argument, "a floating-point dtype", dtype.name)
    if array.is_contiguous and (dtype is _core.float32 or dtype is _core.float64):
        kernel(array, first, second, *next_random(op, generator))
    else:
        apart = _core.empty(array.shape, _core.float64 if dtype is _core.float64 else _core.float32, array.device)
        drawn = draw(op, apart, kernel, first, second, generator)
        K.copy(array, _kept_below(drawn, second, dtype) if kernel is K.uniform and first < second else drawn)
        return array
    if kernel is K.uniform and first < second and (first, second) != (0.0, 1.0):
        K.copy(array, _kept_below(array, second, dtype))
    return array


def _kept_below(array: Array, high: float, dtype: DType) -> Array:
    """The numbers, with those that rounding has taken to `high` replaced by the largest of the dtype below it."""
    return K.clamp(array, None, _largest_below(high, dtype)) if math.isfinite(high) else array


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform numbers in [0, 1): multiples of 2^-24 (float64: 2^-53). float32 by default."""
    array = new_array("rand", sizes_of("rand", sizes, size), dtype, device)
    return Tensor(draw("rand", array, K.uniform, 0.0, 1.0, generator), requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1 (Box and Muller 1958). float32 by default."""
    array = new_array("randn", sizes_of("randn", sizes, size), dtype, device)
    return Tensor(draw("randn", array, K.normal, 0.0, 1.0, generator), requires_grad)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`rand` of the shape and, by default, dtype and device of `input`."""
    array = new_array_like("rand_like", input, dtype, device)
    return Tensor(draw("rand_like", array, K.uniform, 0.0, 1.0, generator), requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`randn` of the shape and, by default, dtype and device of `input`."""
    array = new_array_like("randn_like", input, dtype, device)
    return Tensor(draw("randn_like", array, K.normal, 0.0, 1.0, generator), requires_grad)


@explained
def normal(
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Any = (),
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of the given mean and standard deviation. float32 by default.

    If one of the two is a floating Tensor, or both are, they are broadcast, and the result has their shape and the dtype and
    device of the first one; `size`, `dtype` and `device` are then not read. No gradient flows to them.
    """
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        return Tensor(_normal_around(data_of(mean), data_of(std), generator), requires_grad)
    require(std >= 0, "normal", "std", "a number >= 0", std)
    array = new_array("normal", (size,), dtype, device)
    return Tensor(draw("normal", array, K.normal, mean, std, generator), requires_grad)


def _normal_around(mean: Any, std: Any, generator: Generator | None) -> Array:
    first = mean if type(mean) is Array else std
    for name, value in (("mean", mean), ("std", std)):
        right = type(value) is not Array or value.dtype.is_floating_point
        require(right, "normal", name, "a floating-point dtype", right or value.dtype.name, error=BadType)
    least = (K.amin(std, (1 << std.ndim) - 1, False).item() if std.size else 0) if type(std) is Array else std
    require(least >= 0, "normal", "std", "numbers >= 0", least)
    drawn = _core.empty(K.add(mean, std).shape, first.dtype, first.device)
    return K.add(K.mul(draw("normal", drawn, K.normal, 0.0, 1.0, generator), std), mean).cast(first.dtype)


def draw_integers(op: str, array: Array, low: int, high: int, generator: Generator | None = None) -> Array:
    low, high = operator.index(low), operator.index(high)
    dtype = array.dtype
    whole = 2**53 if dtype is _core.float64 else 65504 if dtype is _core.float16 else 2**24
    least, largest = INTEGER_LIMITS.get(dtype, (-whole, whole))
    if not low < high:
        raise BadValue(op, "high", f"a number above low, which is {low}", high)
    # The kernel takes `high` itself as int64.
    if low < least or high - 1 > largest or high > 2**63 - 1:
        raise BadValue(op, "low, high", f"numbers that {dtype.name} can hold", f"{low} and {high}")
    if dtype not in INTEGER_LIMITS and dtype is not _core.float64:
        array = _core.empty(array.shape, _core.float32, array.device)
    K.randint(array, low, high, *next_random(op, generator))
    if dtype is _core.float16 or dtype is _core.bfloat16:
        array = _kept_below(array, high, dtype)
    return array.cast(dtype)


@explained
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform integers in [low, high): `randint(high, size)` or `randint(low, high, size)`. int64 by default."""
    if size is None:  # only one bound was given
        low, high, size = 0, low, high
    elif high is None:  # one bound, and size by keyword
        low, high = 0, low
    require(size is not None, "randint", "size", "a tuple of sizes", None, error=BadType)
    array = new_array("randint", (size,), _core.int64 if dtype is None else dtype, device)
    return Tensor(draw_integers("randint", array, low, high, generator), requires_grad)


@explained
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """`randint` of the shape and, by default, dtype and device of `input`."""
    low, high = (0, low) if high is None else (low, high)
    array = new_array_like("randint_like", input, dtype, device)
    return Tensor(draw_integers("randint_like", array, low, high, generator), requires_grad)


@explained
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers 0 to n - 1 in random order (Fisher and Yates). int64 by default."""
    n = operator.index(n)
    require(n >= 0, "randperm", "n", "a number >= 0", n)
    dtype = _core.int64 if dtype is None else dtype
    number = target("randperm", device, dtype)
    return Tensor(K.randperm(n, *next_random("randperm", generator), device=number).cast(dtype), requires_grad)


@tensor_method
def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that `input` gives for the element, otherwise 0, in its shape and dtype.

    Raises ValueError for a probability outside [0, 1]."""
    return Tensor(K.bernoulli(as_array("bernoulli", "input", input), *next_random("bernoulli", generator)))


# ---------------------------------------------------------------- in place


def _draw_into(op: str, self: Tensor, kernel: Any, first: float, second: float, generator: Generator | None) -> Tensor:
    check_inplace(op, self)
    draw(op, self._data, kernel, first, second, generator, "self")
    return record_inplace(op, self, (self,), no_gradient)


@tensor_method("uniform_")
@explained
def _uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with uniform numbers in [a, b)."""
    require(a <= b, "uniform_", "b", f"a number >= {a}", b)
    return _draw_into("uniform_", self, K.uniform, a, b, generator)


@tensor_method("normal_")
@explained
def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with normal numbers of the given mean and standard deviation."""
    require(std >= 0, "normal_", "std", "a number >= 0", std)
    return _draw_into("normal_", self, K.normal, mean, std, generator)


@tensor_method("bernoulli_")
@explained
def _bernoulli_(self: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with 1 with probability p, otherwise 0."""
    require(0 <= p <= 1, "bernoulli_", "p", "a probability in [0, 1]", p)
    check_inplace("bernoulli_", self)
    chances = _core.empty(self.shape, _core.float32, self._data.device)
    K.fill(chances, float(p))
    K.copy(self._data, K.bernoulli(chances, *next_random("bernoulli_", generator)))
    return record_inplace("bernoulli_", self, (self,), no_gradient)
