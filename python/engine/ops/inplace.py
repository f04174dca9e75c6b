"""The in-place form of an op that has no kernel for it: the result is computed and written over the tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, check_inplace, record_inplace, will_record
from engine.errors import BadType, BadValue
from engine.ops.convert import clone, copy_into
from engine.ops.naming import called_as
from engine.ops.operands import zeros_array
from engine.tensor import Tensor, as_array


def _written_backward(ctx: Node, dy: Array) -> Any:
    (dtype,) = ctx.saved
    # The old values reach the result through `function`, or not at all.
    return (None, dy.cast(dtype)) if ctx.needs[1] else (zeros_array(dy.shape, dy), None)


def in_place(op: str, input: Tensor, function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """input = function(input, *args, **kwargs), written to the memory of `input`, which is returned. `op`: the name in errors.

    Raises RuntimeError for a leaf that requires grad, except under no_grad; ValueError if the result has another shape;
    TypeError if the dtype of the result is of a higher category (bool < integer < floating).
    """
    as_array(op, "input", input)
    operands = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    check_inplace(op, input, next((v for v in operands if v._requires_grad), None))
    # What `function` saves must keep its values.
    before = clone(input) if will_record(input, *operands) else input
    result = called_as(op, function, before, *args, **kwargs)
    if result.shape != input.shape:
        raise BadValue(op, "input", f"shape {tuple(result.shape)}, to which the operands broadcast", input.shape)
    if _category(result) > _category(input):
        raise BadType(op, "input", f"a dtype that can hold the result, {result.dtype.name}", input.dtype.name)
    copy_into(input._data, result._data)
    return record_inplace(op, input, (input, result), _written_backward, result.dtype)


def _category(tensor: Tensor) -> int:
    return 2 if tensor.dtype.is_floating_point else int(tensor.dtype is not _core.bool)
