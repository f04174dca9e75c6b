"""What losses share: the reduction of a loss for each element, and PyTorch's older arguments for it."""

from __future__ import annotations

from engine.errors import BadType, BadValue
from engine.ops.reduction import mean, sum
from engine.tensor import Tensor, as_array


def reduction_of(
    op: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None, *more: str
) -> str:
    """`reduction`, or what PyTorch's older arguments ask for: reduce=False is "none", size_average=False is "sum".

    more: words that the loss knows beside the three. Raises ValueError for another word.
    """
    if size_average is not None or reduce is not None:
        if reduce is not None and not reduce:
            return "none"
        return "mean" if size_average is None or size_average else "sum"
    if reduction not in ("none", "mean", "sum", *more):
        words = ", ".join(map(repr, ("none", "mean", *more)))
        raise BadValue(op, "reduction", f"{words} or 'sum'", repr(reduction))
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or sum of all elements, or the loss itself for "none"."""
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def floating(op: str, **tensors: Tensor) -> None:
    """Raises TypeError for an argument that is not a Tensor of a floating-point dtype."""
    for name, value in tensors.items():
        x = as_array(op, name, value)
        if not x.dtype.is_floating_point:
            raise BadType(op, name, "a floating-point dtype", x.dtype.name)
