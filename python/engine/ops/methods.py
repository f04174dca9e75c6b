"""Other names of ops, and the in-place methods of ops that have no kernel for them, from tables.

This file is the last that `engine.ops` imports, so that all methods named in the tables are there.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from engine.autograd.tape import check_inplace
from engine.ops import arithmetic, binary, comparison, shape, special, unary
from engine.ops.inplace import in_place
from engine.ops.naming import called_as
from engine.tensor import Tensor

__all__ = [
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "concatenate",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "moveaxis",
    "not_equal",
    "swapdims",
]

arccos, arcsin, arctan, arctan2 = special.acos, special.asin, special.atan, binary.atan2
greater, greater_equal, less, less_equal = comparison.gt, comparison.ge, comparison.lt, comparison.le
not_equal, concatenate, moveaxis, swapdims = comparison.ne, shape.cat, shape.movedim, shape.transpose

# Functions that are methods under one more name.
_METHODS = {
    "arccos": arccos, "arcsin": arcsin, "arctan": arctan, "arctan2": arctan2, "divide": arithmetic.div,
    "greater": greater, "greater_equal": greater_equal, "less": less, "less_equal": less_equal, "moveaxis": moveaxis,
    "multiply": arithmetic.mul, "negative": unary.neg, "not_equal": not_equal, "subtract": arithmetic.sub,
    "true_divide": arithmetic.div,
}  # fmt: skip

# Methods whose in-place form writes the result over the tensor.
_WRITTEN = """
abs absolute acos addbmm addcdiv addcmul addmm addmv addr arccos arcsin arctan arctan2 asin atan atan2 baddbmm ceil clamp_max
clamp_min cos cosh cumsum deg2rad eq erf erfc erfinv exp exp2 expm1 fix floor floor_divide fmod frac ge greater greater_equal gt
hypot le lerp less less_equal log log10 log1p log2 logical_and logical_not logical_or logical_xor logit lt nan_to_num ne
not_equal pow rad2deg reciprocal relu remainder round rsqrt sgn sigmoid sign sin sinc sinh sqrt square tan tanh tril triu trunc xlogy
"""

# Methods whose in-place form gives the tensor another shape over the same memory.
_RESHAPED = "squeeze swapaxes swapdims t transpose unsqueeze"

# In-place methods under one more name.
_SAME = {"divide_": "div_", "multiply_": "mul_", "negative_": "neg_", "subtract_": "sub_", "true_divide_": "div_"}


def _reshaped(op: str, self: Tensor, function: Any, *args: Any, **kwargs: Any) -> Tensor:
    check_inplace(op, self)
    view = called_as(op, function, self, *args, **kwargs)
    self._data, self._node, self._index = view._data, view._node, view._index
    return self


def _attach(name: str, act: Any, docstring: str) -> None:
    """Makes the method `name_`, with the arguments of the method `name`."""
    op, function = f"{name}_", getattr(Tensor, name)

    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return act(op, self, function, *args, **kwargs)

    method.__name__, method.__doc__ = op, docstring
    setattr(Tensor, op, method)


for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)
for _name in _WRITTEN.split():
    _attach(_name, in_place, f"self = self.{_name}(...), in place. Errors as in engine.ops.inplace.in_place.")
for _name in _RESHAPED.split():
    _attach(_name, _reshaped, f"self = self.{_name}(...): the same memory in another shape.")
for _name, _other in _SAME.items():
    setattr(Tensor, _name, getattr(Tensor, _other))
