"""Losses, with PyTorch's arguments and its definitions of weights and reductions.

`size_average` and `reduce` are PyTorch's older arguments for `reduction`: reduce=False is "none", size_average=False is "sum".
"""

from __future__ import annotations

from math import prod
from typing import Any

from engine import _core
from engine._core import Array
from engine.autograd.tape import record, will_record
from engine.errors import BadType, BadValue
from engine.ops import precision
from engine.ops.activation_smooth import logsigmoid
from engine.ops.loss_reduction import reduced, reduction_of
from engine.ops.naming import called_as
from engine.ops.operands import gradient, gradients, promote_types
from engine.ops.softmax import log_softmax
from engine.tensor import Tensor, as_array

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss", "nll_loss"]

IGNORE_INDEX = -100  # the class number of a position without a target; losses leave it out

K = _core.kernels

_WORDS = ("none", "mean", "sum")
_REDUCTIONS = {word: number for number, word in enumerate(_WORDS)}


def _reduction(op: str, reduction: str, size_average: bool | None, reduce: bool | None) -> int:
    """The kernels' number for a reduction."""
    if size_average is None and reduce is None and reduction in _REDUCTIONS:
        return _REDUCTIONS[reduction]
    return _REDUCTIONS[reduction_of(op, reduction, size_average, reduce)]


def _raised(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The operands, converted to float32 if autocast says so."""
    return (precision.raised(input), precision.raised(target)) if precision.active else (input, target)


def _of_one_dtype(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The operands, converted to the smallest dtype that holds both. Gradients come back in the dtype of each."""
    dtype = promote_types(input.dtype, target.dtype)
    return input.to(dtype), target.to(dtype)


def _no_grad(op: str, name: str, value: Tensor | None) -> None:
    if will_record(value):
        raise BadValue(op, name, "a tensor that does not require grad", "one that does", "use .detach()")


def _fixed(op: str, name: str, value: Tensor | None) -> Array | None:
    """An optional argument through which no gradient flows."""
    array = None if value is None else as_array(op, name, value)
    _no_grad(op, name, value)
    return array


# ---- classes: input (n, c), (n, c, d1, ...) or (c,); the kernels see (rows, c)


def _class_rows(x: Array) -> Array:
    """Logits as rows of classes: (rows, c)."""
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
        raise BadValue(op, "input", "at least one class", f"shape {tuple(x.shape)}")
    return classes


def _labels(op: str, x: Array, target: Array) -> Array:
    """Class numbers as int64 (rows,). Their shape is checked here, their values by the kernel."""
    if target.dtype.is_floating_point or target.dtype is _core.bool:
        raise BadType(op, "target", "class numbers of an integer dtype (int64)", target.dtype.name)
    expected = () if x.ndim == 1 else (x.shape[0], *x.shape[2:])
    if target.shape != expected:
        raise BadValue(op, "target", f"shape {expected}", target.shape)
    return target.cast(_core.int64).reshape((prod(expected),))


@gradient
def _cross_entropy_backward(dy: Array, dx: Array, shape: tuple[int, ...]) -> Array:
    # Usually nothing follows a loss, and dy is 1: then dx is the gradient. On a device dy is not read, because the host would
    # have to wait.
    if dy.size != 1 or dy.device >= 0 or dy.item() != 1.0:
        dx = K.cross_entropy_backward(dy.reshape((dy.size,)), dx)
    return _from_class_rows(dx, shape)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of softmax(input) and the target. The gradient is computed in the same pass.

    input: logits, (n, c), (n, c, d1, ...) or (c,), floating-point. target: class numbers, int64 of shape (n,),
    (n, d1, ...) or (); or probabilities, floating-point, of the input's shape. weight: (c,), a factor for each class.
    ignore_index: positions with this class number do not count. label_smoothing: in
    [0, 1], the share of the target that is spread evenly over all classes (Szegedy et al. 2015, arXiv 1512.00567).
    reduction: "mean" (for class numbers: the sum divided by the sum of the weights of all targets that count), "sum" or
    "none". Gradients flow to input and to probabilities, not to weight.

    Raises IndexError for a class number outside [0, c), ValueError for shapes that do not fit and for an ignore_index >= 0
    together with probabilities.
    """
    op = "cross_entropy"
    input, target = _raised(input, target)
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    w = _fixed(op, "weight", weight)
    number = _reduction(op, reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise BadValue(op, "label_smoothing", "a number in [0, 1]", label_smoothing)
    _classes(op, x)
    lines = () if x.ndim == 1 else (x.shape[0], *x.shape[2:])
    count = prod(lines)
    losses = count if number == 0 else 1
    grad_rows = count if will_record(input) else 0
    if t.shape == x.shape and t.dtype.is_floating_point:
        if ignore_index >= 0:
            raise BadValue(op, "ignore_index", "a number < 0 together with probabilities", ignore_index)
        if will_record(target):
            return _soft_cross_entropy(input, target, weight, number, label_smoothing)
        if t.dtype is not x.dtype and x.dtype.is_floating_point:
            input, target = _of_one_dtype(input, target)
            return cross_entropy(
                input,
                target,
                weight,
                ignore_index=ignore_index,
                reduction=_WORDS[number],
                label_smoothing=label_smoothing,
            )
        loss, gradient = called_as(
            op, K.cross_entropy_soft, _class_rows(x), _class_rows(t), w, label_smoothing, number, losses, grad_rows
        )
    else:
        loss, gradient = K.cross_entropy(
            _class_rows(x), _labels(op, x, t), w, ignore_index, label_smoothing, number, losses, grad_rows
        )
    return record(op, loss.view(lines if number == 0 else ()), (input,), _cross_entropy_backward, gradient, x.shape)


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, number: int, label_smoothing: float
) -> Tensor:
    """Cross-entropy of probabilities, made of ops through which gradients flow to both."""
    dim = 1 if input.ndim > 1 else 0
    classes = input.shape[dim]
    target = target * (1 - label_smoothing) + label_smoothing / classes
    loss = -log_softmax(input, dim) * target
    if weight is not None:
        if weight.shape != (classes,):
            raise BadValue("cross_entropy", "weight", f"shape {(classes,)}", weight.shape)
        loss = loss * weight.reshape((classes,) + (1,) * (input.ndim - dim - 1))
    return reduced(loss.sum(dim), _WORDS[number])


@gradient
def _nll_loss_backward(dy: Array, *saved: Any) -> Array:
    *arguments, shape = saved
    return _from_class_rows(K.nll_loss_backward(dy.reshape((dy.size,)), *arguments), shape)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood: -weight[target] * input[target].

    input: log-probabilities, (n, c), (n, c, d1, ...) or (c,), floating-point. target: class numbers, int64 (n,),
    (n, d1, ...) or (). weight, ignore_index, reduction and errors as in cross_entropy.
    """
    op = "nll_loss"
    input, target = _raised(input, target)
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    w = _fixed(op, "weight", weight)
    number = _reduction(op, reduction, size_average, reduce)
    classes = _classes(op, x)
    labels = _labels(op, x, t)
    loss, total = K.nll_loss(_class_rows(x), labels, w, ignore_index, number, labels.size if number == 0 else 1)
    saved = (labels, w, total, ignore_index, number, classes, x.shape)
    return record(op, loss.view(t.shape if number == 0 else ()), (input,), _nll_loss_backward, *saved)


# ---- element by element


def _same_shape(op: str, x: Array, target: Array) -> None:
    if target.shape != x.shape:
        raise BadValue(op, "target", f"shape {tuple(x.shape)}, as input", target.shape)


def _spread(op: str, name: str, value: Tensor | None, x: Array) -> Array | None:
    """An optional factor, in the input's dtype and broadcast to its shape."""
    array = _fixed(op, name, value)
    if array is None:
        return None
    shape = x.shape
    if array.ndim > len(shape) or any(a not in (1, b) for a, b in zip(array.shape[::-1], shape[::-1])):
        raise BadValue(op, name, f"a shape that broadcasts to {shape}", array.shape)
    return array.cast(x.dtype).expand(shape)


@gradient
def _binary_cross_entropy_with_logits_backward(dy: Array, *saved: Any) -> Array:
    return K.binary_cross_entropy_with_logits_backward(dy.reshape((dy.size,)), *saved)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input) and the target. Large logits do not overflow.

    input: logits, floating-point; target: in [0, 1], floating-point, of the input's shape; the loss has its dtype. weight: a factor for each element;
    pos_weight: a factor for the term -target * ln(sigmoid(input)). Both are broadcast to the input's shape. No gradient
    flows to the weights. reduction: "mean", "sum" or "none".
    """
    op = "binary_cross_entropy_with_logits"
    input, target = _raised(input, target)
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    _same_shape(op, x, t)
    if t.dtype is not x.dtype and t.dtype.is_floating_point and x.dtype.is_floating_point:
        input, mine = _of_one_dtype(input, target)
        wide = binary_cross_entropy_with_logits(input, mine, weight, size_average, reduce, reduction, pos_weight)
        return wide.to(target.dtype)
    w, p = _spread(op, "weight", weight, x), _spread(op, "pos_weight", pos_weight, x)
    number = _reduction(op, reduction, size_average, reduce)
    if will_record(target):
        return _soft_binary_cross_entropy(input, target, weight, pos_weight, number)
    loss = K.binary_cross_entropy_with_logits(x, t, w, p, number, x.size if number == 0 else 1)
    loss = loss.view(x.shape if number == 0 else ())
    return record(op, loss, (input,), _binary_cross_entropy_with_logits_backward, x, t, w, p, number)


def _soft_binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, pos_weight: Tensor | None, number: int
) -> Tensor:
    """The same, made of ops through which gradients flow to both."""
    wrong = -logsigmoid(input)
    factor = 1.0 if pos_weight is None else (pos_weight - 1) * target + 1
    loss = (1 - target) * input + factor * wrong
    if weight is not None:
        loss = loss * weight
    return reduced(loss, _WORDS[number]).to(target.dtype)  # a weight may have another dtype


def _both(kernel: Any) -> Any:
    """The backward of a loss of input - target: the gradient of target is that of input with the operands exchanged."""
    return gradients(
        lambda dy, x, t, number: kernel(dy.reshape((dy.size,)), x, t, number),
        lambda dy, x, t, number: kernel(dy.reshape((dy.size,)), t, x, number),
    )


_mse_loss_backward, _l1_loss_backward = _both(K.mse_loss_backward), _both(K.l1_loss_backward)


def _of_difference(
    op: str,
    kernel: Any,
    backward: Any,
    input: Tensor,
    target: Tensor,
    size_average: bool | None,
    reduce: bool | None,
    reduction: str,
    weight: Tensor | None,
    *,
    bools: bool,
) -> Tensor:
    """bools: whether one of the two may be boolean."""
    input, target = _raised(input, target)
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    _same_shape(op, x, t)
    if x.dtype is not t.dtype:
        if not bools and _core.bool in (x.dtype, t.dtype):
            name = "input" if x.dtype is _core.bool else "target"
            raise BadType(op, name, "a dtype of numbers", "bool", "convert it with .float()")
        dtype = promote_types(x.dtype, t.dtype)
        x, t = x.cast(dtype), t.cast(dtype)
    number = _reduction(op, reduction, size_average, reduce)
    plain = number if weight is None else 0
    loss = kernel(x, t, plain, x.size if plain == 0 else 1).view(x.shape if plain == 0 else ())
    result: Tensor = record(op, loss, (input, target), backward, x, t, plain)
    if weight is None:
        return result
    if as_array(op, "weight", weight).shape != x.shape:
        raise BadValue(op, "weight", f"shape {tuple(x.shape)}, as input", weight.shape)
    result = result * weight
    return result if number == 0 else result.sum() if number == 2 else result.sum() / weight.sum()


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)^2. Unlike in PyTorch, nothing is broadcast: both have the same shape. At least one is floating-point; the
    loss has the smallest dtype that holds both.

    reduction: "mean", "sum" or "none". weight: a factor for each element; a mean is then divided by the sum of the factors.
    Gradients flow to all three.
    """
    return _of_difference(
        "mse_loss", K.mse_loss, _mse_loss_backward, input, target, size_average, reduce, reduction, weight, bools=True
    )


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|input - target|. Unlike in PyTorch, nothing is broadcast: both have the same shape. At least one is floating-point; the
    loss has the smallest dtype that holds both.

    reduction and weight as in `mse_loss`. Gradients flow to all three.
    """
    return _of_difference(
        "l1_loss", K.l1_loss, _l1_loss_backward, input, target, size_average, reduce, reduction, weight, bools=False
    )
