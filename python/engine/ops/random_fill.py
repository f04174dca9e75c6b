"""Tensors filled with random numbers of further distributions, in place, by formulas of uniform and normal numbers.

generator: a `Generator` from which to draw instead of engine's random state. No gradient flows to the old values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import check_inplace, record_inplace
from engine.dtypes import INTEGER_LIMITS
from engine.errors import BadType, require
from engine.ops.blame import explained
from engine.ops.convert import copy_into
from engine.ops.generator import Generator
from engine.ops.operands import no_gradient
from engine.ops.random import draw, draw_integers
from engine.tensor import Tensor, tensor_method

__all__: list[str] = []

K = _core.kernels
# The whole numbers up to this one are exact.
_WHOLE = {_core.float64: 2**53, _core.float32: 2**24, _core.float16: 2**11, _core.bfloat16: 2**8, _core.bool: 1}


def _filled(
    op: str, self: Tensor, generator: Generator | None, formula: Callable[[Array], Array], kernel: Any = None
) -> Tensor:
    """self = formula of numbers in [0, 1), or of those of the kernel."""
    check_inplace(op, self)
    x = self._data
    apart = _core.empty(x.shape, _core.float64 if x.dtype is _core.float64 else _core.float32, x.device)
    copy_into(x, formula(draw(op, apart, kernel or K.uniform, 0.0, 1.0, generator)))
    return record_inplace(op, self, (self,), no_gradient)


def _need_floating(op: str, self: Tensor) -> None:
    require(self.is_floating_point(), op, "self", "a floating-point dtype", self.dtype.name, error=BadType)


@tensor_method("exponential_")
@explained
def _exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with numbers of the exponential distribution of rate `lambd`, whose mean is 1 / lambd.

    Raises ValueError unless lambd > 0, TypeError for a dtype that is not floating-point."""
    _need_floating("exponential_", self)
    require(lambd > 0, "exponential_", "lambd", "a number > 0", lambd)
    return _filled("exponential_", self, generator, lambda u: K.div(K.log(K.sub(1.0, u)), -float(lambd)))


@tensor_method("geometric_")
@explained
def _geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with numbers of trials, 1 or more, until the first success, if each succeeds with probability p.

    Raises ValueError unless 0 < p < 1."""
    require(0 < p < 1, "geometric_", "p", "a number in (0, 1)", p)
    rate = math.log1p(-p)
    return _filled(
        "geometric_", self, generator, lambda u: K.clamp(K.ceil(K.div(K.log(K.sub(1.0, u)), rate)), 1.0, None)
    )


@tensor_method("cauchy_")
@explained
def _cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with numbers of the Cauchy distribution: half of them lie within `sigma` of the median.

    Raises ValueError unless sigma > 0, TypeError for a dtype that is not floating-point."""
    _need_floating("cauchy_", self)
    require(sigma > 0, "cauchy_", "sigma", "a number > 0", sigma)

    def quantile(u: Array) -> Array:
        angle = K.mul(K.sub(u, 0.5), math.pi)
        return K.add(K.mul(K.div(K.sin(angle), K.cos(angle)), float(sigma)), float(median))

    return _filled("cauchy_", self, generator, quantile)


@tensor_method("log_normal_")
@explained
def _log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with e to the power of normal numbers of that mean and standard deviation.

    Raises ValueError unless std > 0, TypeError for a dtype that is not floating-point."""
    _need_floating("log_normal_", self)
    require(std > 0, "log_normal_", "std", "a number > 0", std)
    return _filled("log_normal_", self, generator, lambda z: K.exp(K.add(K.mul(z, float(std)), float(mean))), K.normal)


@tensor_method("random_")
@explained
def _random_(self: Tensor, *bounds: int | None, generator: Generator | None = None, **named: int | None) -> Tensor:
    """Fills the tensor with uniform integers: random_() from 0 to the largest that the dtype holds, random_(to) in [0, to),
    random_(from, to) in [from, to); to = None: up to the largest that the dtype holds.

    The largest is 2^24 for float32, 2^53 for float64, 2^11 for float16 and 2^8 for bfloat16. The bounds may be named `from`
    (`**{"from": 3}`) and `to`. Raises ValueError if from >= to, or if the dtype cannot hold the numbers."""
    low, high = _bounds(bounds, named)
    x = self._data
    if high is None:
        largest = INTEGER_LIMITS[x.dtype][1] if x.dtype in INTEGER_LIMITS else _WHOLE[x.dtype]
        high = min(largest + 1, 2**63 - 1)
    check_inplace("random_", self)
    copy_into(x, draw_integers("random_", _core.empty(x.shape, x.dtype, x.device), low, high, generator))
    return record_inplace("random_", self, (self,), no_gradient)


def _bounds(bounds: tuple[int | None, ...], named: dict[str, int | None]) -> tuple[int, int | None]:
    """from and to: one alone is `to`, unless it is named `from`."""
    for name in named:
        require(name in ("from", "to"), "random_", "arguments", "from, to and generator", name, error=BadType)
    names = ("to",) if len(bounds) == 1 and "to" not in named else ("from", "to")
    right = len(bounds) <= 2 and not set(names[: len(bounds)]) & set(named)
    require(right, "random_", "arguments", "from and to, each once", f"{bounds} and {named}", error=BadType)
    given = {**dict(zip(names, bounds)), **named}
    low = given.get("from")
    return 0 if low is None else low, given.get("to")
