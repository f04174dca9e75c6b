"""Random tensors and the state from which they are drawn.

Numbers come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). They are a function of the seed, the number of the call
and the element's position, so they are the same at every thread count. rand, randn (float32), randint and randperm give
the same bits on every instruction set; float64 normals depend on the C library's log, sin and cos. PyTorch draws other
numbers from the same seed.
"""

from __future__ import annotations

import operator
import secrets
from typing import Any

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import check_inplace, record_inplace
from engine.device import number_of, refuse_float64, target
from engine.errors import BadType, BadValue
from engine.ops.factory import INTEGER_LIMITS
from engine.ops.operands import no_gradient
from engine.ops.shape import new_sizes
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


def manual_seed(seed: int) -> None:
    """Seeds the random numbers: after the same seed, the same calls draw the same numbers. -2^63 <= seed < 2^64.

    Raises ValueError for a seed outside this range, TypeError if it is not an integer."""
    _core.manual_seed(seed)


def seed() -> int:
    """Seeds the random numbers with a number from the operating system, and returns it."""
    number = secrets.randbits(64)
    _core.manual_seed(number)
    return number


def initial_seed() -> int:
    """The current seed."""
    return int(_core.random_state()[0])


def get_rng_state() -> Tensor:
    """The random state as uint8 (16,): the seed and the number of calls so far, little-endian."""
    numbers = _core.random_state()
    return Tensor(_core.from_bytes(b"".join(n.to_bytes(8, "little") for n in numbers), (16,), _core.uint8))


def set_rng_state(new_state: Tensor) -> None:
    """Restores a state that `get_rng_state` returned."""
    state = as_array("set_rng_state", "new_state", new_state)
    if state.dtype is not _core.uint8 or state.shape != (16,):
        got = f"{state.dtype.name} of shape {state.shape}"
        raise BadValue("set_rng_state", "new_state", "uint8 of shape (16,)", got)
    raw = _core.to_bytes(state)  # copies from a device if need be
    _core.set_random_state(int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little"))


# ---------------------------------------------------------------- factories


def _drawn(
    op: str, shape: tuple[int, ...], dtype: DType, number: int, kernel: Any, first: float, second: float
) -> Array:
    """Random numbers of a floating-point dtype; those of 16 bits are drawn as float32 and converted."""
    if not dtype.is_floating_point:
        raise BadType(op, "dtype", "a floating-point dtype", dtype.name)
    refuse_float64(op, dtype, number)
    array = _core.empty(shape, _core.float64 if dtype is _core.float64 else _core.float32, number)
    kernel(array, first, second, *_core.next_random())
    return array.cast(dtype)


def rand(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1): multiples of 2^-24 (float64: 2^-53). float32 by default."""
    sizes = new_sizes("rand", "size", size)
    return Tensor(_drawn("rand", sizes, dtype or _core.float32, number_of(device), K.uniform, 0.0, 1.0), requires_grad)


def randn(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers of mean 0 and variance 1 (Box and Muller 1958). float32 by default."""
    sizes = new_sizes("randn", "size", size)
    return Tensor(_drawn("randn", sizes, dtype or _core.float32, number_of(device), K.normal, 0.0, 1.0), requires_grad)


def rand_like(input: Tensor, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` of the shape and, by default, dtype and device of `input`."""
    x = as_array("rand_like", "input", input)
    number = x.device if device is None else number_of(device)
    return Tensor(_drawn("rand_like", x.shape, dtype or x.dtype, number, K.uniform, 0.0, 1.0), requires_grad)


def randn_like(input: Tensor, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` of the shape and, by default, dtype and device of `input`."""
    x = as_array("randn_like", "input", input)
    number = x.device if device is None else number_of(device)
    return Tensor(_drawn("randn_like", x.shape, dtype or x.dtype, number, K.normal, 0.0, 1.0), requires_grad)


def normal(
    mean: float = 0.0,
    std: float = 1.0,
    size: Any = (),
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers of the given mean and standard deviation. Unlike in PyTorch, both must be numbers. float32 by default."""
    _check_std("normal", std)
    sizes = new_sizes("normal", "size", (size,))
    return Tensor(
        _drawn("normal", sizes, dtype or _core.float32, number_of(device), K.normal, mean, std), requires_grad
    )


def _check_std(op: str, std: float) -> None:
    if not std >= 0:
        raise BadValue(op, "std", "a number >= 0", std)


def _integers(op: str, shape: tuple[int, ...], low: int, high: int, dtype: DType, number: int) -> Array:
    low, high = operator.index(low), operator.index(high)
    limits = INTEGER_LIMITS.get(dtype, (-(2**24), 2**24))
    if not low < high:
        raise BadValue(op, "high", f"a number above low, which is {low}", high)
    # The kernel takes `high` itself as int64.
    if low < limits[0] or high - 1 > limits[1] or high > 2**63 - 1:
        raise BadValue(op, "low, high", f"numbers that {dtype.name} can hold", f"{low} and {high}")
    kept = dtype in INTEGER_LIMITS or dtype is _core.float32 or dtype is _core.float64
    refuse_float64(op, dtype, number)
    array = _core.empty(shape, dtype if kept else _core.float32, number)
    K.randint(array, low, high, *_core.next_random())
    return array.cast(dtype)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform integers in [low, high): `randint(high, size)` or `randint(low, high, size)`. int64 by default."""
    if size is None:  # only one bound was given
        low, high, size = 0, low, high
    if size is None:
        raise BadType("randint", "size", "a tuple of sizes", None)
    sizes = new_sizes("randint", "size", (size,))
    return Tensor(_integers("randint", sizes, low, high, dtype or _core.int64, number_of(device)), requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint` of the shape and, by default, dtype and device of `input`."""
    x = as_array("randint_like", "input", input)
    low, high = (0, low) if high is None else (low, high)
    number = x.device if device is None else number_of(device)
    return Tensor(_integers("randint_like", x.shape, low, high, dtype or x.dtype, number), requires_grad)


def randperm(n: int, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The numbers 0 to n - 1 in random order (Fisher and Yates). int64 by default."""
    n = operator.index(n)
    if n < 0:
        raise BadValue("randperm", "n", "a number >= 0", n)
    dtype = dtype or _core.int64
    number = target("randperm", device, dtype)
    return Tensor(K.randperm(n, *_core.next_random(), device=number).cast(dtype), requires_grad)


@tensor_method
def bernoulli(input: Tensor) -> Tensor:
    """1 with the probability that `input` gives for the element, otherwise 0, in its shape and dtype.

    Raises ValueError for a probability outside [0, 1]."""
    return Tensor(K.bernoulli(as_array("bernoulli", "input", input), *_core.next_random()))


# ---------------------------------------------------------------- in place


def _draw_into(op: str, self: Tensor, kernel: Any, first: float, second: float) -> Tensor:
    x = self._data
    if not x.dtype.is_floating_point:
        raise BadType(op, "self", "a floating-point dtype", x.dtype.name)
    check_inplace(op, self)
    if x.is_contiguous and (x.dtype is _core.float32 or x.dtype is _core.float64):
        kernel(x, first, second, *_core.next_random())
    else:
        K.copy(x, _drawn(op, x.shape, x.dtype, x.device, kernel, first, second))
    return record_inplace(op, self, (self,), no_gradient)


@tensor_method("uniform_")
def _uniform_(self: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fills the tensor with uniform numbers in [a, b)."""
    if not a <= b:
        raise BadValue("uniform_", "b", f"a number >= {a}", b)
    return _draw_into("uniform_", self, K.uniform, a, b)


@tensor_method("normal_")
def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fills the tensor with normal numbers of the given mean and standard deviation."""
    _check_std("normal_", std)
    return _draw_into("normal_", self, K.normal, mean, std)


@tensor_method("bernoulli_")
def _bernoulli_(self: Tensor, p: float = 0.5) -> Tensor:
    """Fills the tensor with 1 with probability p, otherwise 0."""
    if not 0 <= p <= 1:
        raise BadValue("bernoulli_", "p", "a probability in [0, 1]", p)
    check_inplace("bernoulli_", self)
    chances = _core.empty(self.shape, _core.float32, self._data.device)
    K.fill(chances, float(p))
    K.copy(self._data, K.bernoulli(chances, *_core.next_random()))
    return record_inplace("bernoulli_", self, (self,), no_gradient)
