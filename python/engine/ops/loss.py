"""Losses, with PyTorch's arguments and its definitions of weights and reductions."""

from __future__ import annotations

from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import Node, record, will_record
from engine.errors import BadType, BadValue
from engine.ops import precision
from engine.ops.naming import called_as
from engine.tensor import Tensor, as_array

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss", "nll_loss"]

IGNORE_INDEX = -100  # the class number of what has no target; losses leave it out

K = _core.kernels

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def _reduction(op: str, reduction: str) -> int:
    number = _REDUCTIONS.get(reduction)
    if number is None:
        raise BadValue(op, "reduction", "'none', 'mean' or 'sum'", repr(reduction))
    return number


def _no_grad(op: str, name: str, value: Tensor | None) -> None:
    if will_record(value):
        raise BadValue(op, name, "a tensor that does not require grad", "one that does", "use .detach()")


def _fixed(op: str, name: str, value: Tensor | None) -> Array | None:
    """An optional argument through which no gradient flows."""
    _no_grad(op, name, value)
    return None if value is None else as_array(op, name, value)


# ---- classes: input (n, c), (n, c, d1, ...) or (c,); the kernels see (rows, c)


def _class_rows(x: Array) -> Array:
    """Logits with the classes last and all else as rows."""
    if x.ndim <= 2:
        return x.reshape((1, *x.shape)) if x.ndim == 1 else x
    rows = x.permute((0, *range(2, x.ndim), 1))
    return rows.reshape((prod(rows.shape[:-1]), rows.shape[-1]))


def _from_class_rows(rows: Array, shape: tuple[int, ...]) -> Array:
    """The inverse, for a gradient."""
    if len(shape) <= 2:
        return rows.view(shape)
    return rows.view((shape[0], *shape[2:], shape[1])).permute((0, len(shape) - 1, *range(1, len(shape) - 1)))


def _classes(op: str, x: Array) -> int:
    if x.ndim == 0:
        raise BadValue(op, "input", "shape (classes,), (n, classes) or (n, classes, ...)", "()")
    classes = x.shape[0] if x.ndim == 1 else x.shape[1]
    if classes == 0:
        raise BadValue(op, "input", "at least one class", f"shape {x.shape}")
    return classes


def _labels(op: str, x: Array, target: Array) -> Array:
    """Class numbers as int64 (rows,), their shape checked; values are the kernel's to check."""
    if target.dtype.is_floating_point or target.dtype is _core.bool:
        raise BadType(op, "target", "class numbers of an integer dtype such as int64", target.dtype.name)
    expected = () if x.ndim == 1 else (x.shape[0], *x.shape[2:])
    if target.shape != expected:
        raise BadValue(op, "target", f"shape {expected}", target.shape)
    return target.cast(_core.int64).reshape((prod(expected),))


def _cross_entropy_backward(ctx: Node, dy: Array) -> Any:
    gradient, shape = ctx.saved
    # dy = 1 is the rule: a loss that nothing follows. A view, so that the saved array stays the node's own. A device's dy is
    # not read: that would wait.
    if dy.size != 1 or dy.device >= 0 or dy.item() != 1.0:
        gradient = K.cross_entropy_backward(dy.reshape((dy.size,)), gradient)
    return _from_class_rows(gradient, shape)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of softmax(input) and the target, computed in one pass with its gradient.

    input: logits, (n, c), (n, c, d1, ...) or (c,), float32 or float64. target: class numbers, int64 of shape (n,),
    (n, d1, ...) or (); or probabilities, of the input's shape and dtype. weight: (c,), a factor for each class.
    ignore_index: class numbers that do not count (not for probabilities). label_smoothing: in [0, 1], the share of the
    target spread evenly over all classes (Szegedy et al. 2015, arXiv 1512.00567). reduction: "mean" (class numbers: divided
    by the weights' sum over the targets that count), "sum" or "none". Raises IndexError for a class number outside of
    [0, c), ValueError for shapes that do not fit. No gradient flows to target or weight.
    """
    op = "cross_entropy"
    if precision.active:
        input, target = map(precision.raised, (input, target))
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    w = _fixed(op, "weight", weight)
    number = _reduction(op, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise BadValue(op, "label_smoothing", "a number in [0, 1]", label_smoothing)
    _classes(op, x)
    lines = () if x.ndim == 1 else (x.shape[0], *x.shape[2:])
    count = prod(lines)
    losses = count if number == 0 else 1
    grad_rows = count if will_record(input) else 0
    if t.shape == x.shape and t.dtype.is_floating_point:
        _no_grad(op, "target", target)
        loss, gradient = called_as(
            op, K.cross_entropy_soft, _class_rows(x), _class_rows(t), w, label_smoothing, number, losses, grad_rows
        )
    else:
        loss, gradient = K.cross_entropy(
            _class_rows(x), _labels(op, x, t), w, ignore_index, label_smoothing, number, losses, grad_rows
        )
    return record(op, loss.view(lines if number == 0 else ()), (input,), _cross_entropy_backward, gradient, x.shape)


def _nll_loss_backward(ctx: Node, dy: Array) -> Any:
    labels, weight, total, ignore_index, number, classes, shape = ctx.saved
    dx = K.nll_loss_backward(dy.reshape((dy.size,)), labels, weight, total, ignore_index, number, classes)
    return _from_class_rows(dx, shape)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: -weight[target] * input[target] of log-probabilities.

    input: (n, c), (n, c, d1, ...) or (c,), float32 or float64. target: class numbers, int64 (n,), (n, d1, ...) or ().
    weight, ignore_index, reduction and errors as in cross_entropy.
    """
    op = "nll_loss"
    if precision.active:
        input, target = map(precision.raised, (input, target))
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    w = _fixed(op, "weight", weight)
    number = _reduction(op, reduction)
    classes = _classes(op, x)
    labels = _labels(op, x, t)
    loss, total = K.nll_loss(_class_rows(x), labels, w, ignore_index, number, labels.size if number == 0 else 1)
    return record(
        op,
        loss.view(t.shape if number == 0 else ()),
        (input,),
        _nll_loss_backward,
        labels,
        w,
        total,
        ignore_index,
        number,
        classes,
        x.shape,
    )


# ---- element by element


def _same_shape(op: str, x: Array, target: Array) -> None:
    if target.shape != x.shape:
        raise BadValue(op, "target", f"the input's shape {x.shape}", target.shape)


def _spread(op: str, name: str, value: Tensor | None, shape: tuple[int, ...]) -> Array | None:
    """An optional factor, broadcast to the input's shape."""
    array = _fixed(op, name, value)
    if array is None or array.shape == shape:
        return array
    fits = array.ndim <= len(shape) and all(a in (1, b) for a, b in zip(array.shape[::-1], shape[::-1]))
    if not fits:
        raise BadValue(op, name, f"a shape that broadcasts to {shape}", array.shape)
    return array.expand(shape)


def _binary_cross_entropy_with_logits_backward(ctx: Node, dy: Array) -> Any:
    return K.binary_cross_entropy_with_logits_backward(dy.reshape((dy.size,)), *ctx.saved)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input) and the target, from logits of any size without overflow.

    input, target: of one shape, float32 or float64, targets in [0, 1]. weight: a factor for each element, pos_weight: one
    for the part of target; both are broadcast to the input's shape. No gradient flows to target or the weights.
    """
    op = "binary_cross_entropy_with_logits"
    if precision.active:
        input, target = map(precision.raised, (input, target))
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    _same_shape(op, x, t)
    _no_grad(op, "target", target)
    w, p = _spread(op, "weight", weight, x.shape), _spread(op, "pos_weight", pos_weight, x.shape)
    number = _reduction(op, reduction)
    loss = K.binary_cross_entropy_with_logits(x, t, w, p, number, x.size if number == 0 else 1)
    loss = loss.view(x.shape if number == 0 else ())
    return record(op, loss, (input,), _binary_cross_entropy_with_logits_backward, x, t, w, p, number)


def _both(kernel: Any) -> Any:
    """The backward of a loss of input - target: the gradient of target is that of input with the operands exchanged."""

    def backward(ctx: Node, dy: Array) -> Any:
        x, t, number = ctx.saved
        dy = dy.reshape((dy.size,))
        return (
            kernel(dy, x, t, number) if ctx.needs[0] else None,
            kernel(dy, t, x, number) if ctx.needs[1] else None,
        )

    return backward


_mse_loss_backward = _both(K.mse_loss_backward)
_l1_loss_backward = _both(K.l1_loss_backward)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)^2 of two tensors of one shape (unlike PyTorch, nothing is broadcast)."""
    if precision.active:
        input, target = map(precision.raised, (input, target))
    x, t = as_array("mse_loss", "input", input), as_array("mse_loss", "target", target)
    _same_shape("mse_loss", x, t)
    number = _reduction("mse_loss", reduction)
    loss = K.mse_loss(x, t, number, x.size if number == 0 else 1).view(x.shape if number == 0 else ())
    return record("mse_loss", loss, (input, target), _mse_loss_backward, x, t, number)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target| of two tensors of one shape (unlike PyTorch, nothing is broadcast)."""
    if precision.active:
        input, target = map(precision.raised, (input, target))
    x, t = as_array("l1_loss", "input", input), as_array("l1_loss", "target", target)
    _same_shape("l1_loss", x, t)
    number = _reduction("l1_loss", reduction)
    loss = K.l1_loss(x, t, number, x.size if number == 0 else 1).view(x.shape if number == 0 else ())
    return record("l1_loss", loss, (input, target), _l1_loss_backward, x, t, number)
