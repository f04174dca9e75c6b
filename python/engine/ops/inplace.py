"""In-place forms of ops that are made of other ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.autograd.tape import check_inplace, record_inplace
from engine.errors import BadType
from engine.ops.convert import clone, copy_into
from engine.ops.operands import gradient
from engine.tensor import Tensor, as_array

_passed_on = gradient(lambda dy: dy)


def in_place(op: str, input: Tensor, function: Callable[..., Tensor], *args: Any) -> Tensor:
    """input = function(input, *args), written to the memory of `input`, which is returned. `op` is the name in errors.

    Raises RuntimeError for a leaf that requires grad, except under no_grad, and TypeError if the result has another dtype.
    """
    as_array(op, "input", input)
    check_inplace(op, input)
    source = clone(input) if input.requires_grad else input  # what function saves must keep its values
    result = function(source, *args)
    if result.dtype is not input.dtype:
        raise BadType(op, "input", f"{result.dtype.name}, the dtype of the result", input.dtype.name)
    copy_into(input._data, result._data)
    return record_inplace(op, input, (result,), _passed_on)
