"""Whether numbers are near each other or among others, and numbers in place of NaN and infinity."""

from __future__ import annotations

import math

from engine import _core
from engine.errors import BadType, require
from engine.ops.blame import explained
from engine.ops.comparison import eq, isfinite, isnan, logical_not, where
from engine.ops.factory import as_tensor
from engine.ops.operands import Operand
from engine.ops.reduction import all, any
from engine.ops.shape import reshape, unsqueeze
from engine.ops.unary import abs
from engine.tensor import Tensor, as_array, tensor_method

__all__ = ["allclose", "isclose", "isin", "nan_to_num"]

_LARGEST = {
    _core.float64: (2 - 2.0**-52) * 2.0**1023,
    _core.float32: (2 - 2.0**-23) * 2.0**127,
    _core.bfloat16: (2 - 2.0**-7) * 2.0**127,
    _core.float16: 65504.0,
}


@tensor_method
@explained
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|: bool. Infinite numbers are near equal ones alone. equal_nan: NaN is near
    NaN. Both tensors have one dtype."""
    a, b = as_array("isclose", "input", input), as_array("isclose", "other", other)
    require(a.dtype is b.dtype, "isclose", "other", f"dtype {a.dtype.name}, as input", b.dtype.name, error=BadType)
    for name, value in (("rtol", rtol), ("atol", atol)):
        require(value >= 0, "isclose", name, "a number >= 0", value)
    near = eq(input, other)
    if a.dtype.is_floating_point and equal_nan:
        near = near.logical_or(isnan(input).logical_and(isnan(other)))
    if rtol == 0 and atol == 0:
        return near
    if not a.dtype.is_floating_point:
        input, other = input.float(), other.float()
    distance = abs(input.detach() - other.detach())
    return near.logical_or(isfinite(distance).logical_and(distance <= atol + rtol * abs(other.detach())))


@tensor_method
@explained
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are near each other, by the rule of `isclose`."""
    return bool(all(isclose(input, other, rtol, atol, equal_nan)))


def isin(elements: Operand, test_elements: Operand, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is among `test_elements` (invert: is not): bool, of the shape of elements. At least one of the two
    is a Tensor. assume_unique is accepted and changes nothing. Each element is compared with each test element."""
    either = isinstance(elements, Tensor) or isinstance(test_elements, Tensor)
    require(either, "isin", "elements", "a Tensor for at least one of the two", type(elements).__name__, error=BadType)
    if not isinstance(elements, Tensor):
        elements = as_tensor(elements, device=test_elements.device)  # type: ignore[union-attr]
    if not isinstance(test_elements, Tensor):
        test_elements = as_tensor(test_elements, device=elements.device)
    found = any(eq(unsqueeze(elements, -1), reshape(test_elements, (-1,))), -1)
    return logical_not(found) if invert else found


@tensor_method
def nan_to_num(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`nan` in place of NaN, posinf in place of infinity, neginf in place of minus infinity; None: 0, and the largest and the
    least number of the dtype. The replaced elements get no gradient."""
    x = as_array("nan_to_num", "input", input)
    if not x.dtype.is_floating_point:
        return input.clone()
    high = _LARGEST[x.dtype]
    result = where(isnan(input), 0.0 if nan is None else nan, input)
    result = where(input == math.inf, high if posinf is None else posinf, result)
    return where(input == -math.inf, -high if neginf is None else neginf, result)
