"""Dropout (Srivastava et al. 2014). The mask is a function of seed, call and position: it is drawn again, never stored."""

from __future__ import annotations

from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record
from engine.errors import BadValue
from engine.tensor import Tensor, as_array

__all__ = ["dropout"]

K = _core.kernels


def probability(op: str, p: Any) -> float:
    """A dropout probability as a float. Raises ValueError outside of [0, 1]."""
    if not 0.0 <= p <= 1.0:
        raise BadValue(op, "p", "a probability in [0, 1]", p)
    return float(p)


def _dropout_backward(ctx: Node, dy: Array) -> Any:
    return K.dropout(dy, *ctx.saved)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability p (rounded to 1/65536) and scales the others so that the mean stays.

    Not training, or p = 0: the input itself. `inplace` is accepted and changes nothing. The same seed, call number
    (`engine.manual_seed`) and shape give the same mask on any number of threads.
    """
    x = as_array("dropout", "input", input)
    p = probability("dropout", p)
    if not training or p == 0.0:
        return input
    seed, call = _core.next_random()
    return record("dropout", K.dropout(x, p, seed, call), (input,), _dropout_backward, p, seed, call)
