"""Dropout (Srivastava et al. 2014). The mask is a function of seed, call and position, so that backward draws it again
instead of storing it."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine.autograd.tape import check_inplace, record, record_inplace
from engine.errors import BadType, BadValue
from engine.ops.convert import copy_into
from engine.ops.operands import gradient
from engine.tensor import Tensor, as_array

__all__ = ["dropout"]

K = _core.kernels


def drawn(op: str, p: Any, training: bool, argument: str = "p") -> tuple[float, int, int]:
    """The probability as a float, and the seed and call number of a mask: (p, seed, call).

    If training is False or p is 0, the probability is 0 and no random number is used up. Raises ValueError if p is outside
    [0, 1].
    """
    try:
        right = 0.0 <= p <= 1.0
    except TypeError:
        raise BadType(op, argument, "a probability in [0, 1]", type(p).__name__) from None
    if not right:
        raise BadValue(op, argument, "a probability in [0, 1]", p)
    if not training or p == 0.0:
        return 0.0, 0, 0
    seed, call = _core.next_random()
    return float(p), seed, call


_dropout_backward = gradient(K.dropout)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability p (rounded to 1/65536) and scales the others up so that the mean does not change.

    With training=False or p = 0 the result is the input itself. inplace: the result is written to the memory of `input`, which
    is returned. The mask depends
    on the seed (`engine.manual_seed`), the number of the call and the shape, but not on the number of threads.
    """
    x = as_array("dropout", "input", input)
    p, seed, call = drawn("dropout", p, training)
    if p == 0.0:
        return input
    if inplace:
        return _dropout_(input, p, seed, call)
    return record("dropout", K.dropout(x, p, seed, call), (input,), _dropout_backward, p, seed, call)


def _dropout_(input: Tensor, p: float, seed: int, call: int) -> Tensor:
    check_inplace("dropout_", input)
    copy_into(input._data, K.dropout(input._data, p, seed, call))
    return record_inplace("dropout_", input, (input,), _dropout_backward, p, seed, call)
