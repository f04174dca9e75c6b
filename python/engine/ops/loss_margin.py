"""Losses that ask for a margin between scores or distances. All have PyTorch's arguments.

`reduction`, `size_average` and `reduce` as in `loss_likelihood`: the mean or sum of the losses of all rows, or each of them.
"""

from __future__ import annotations

from collections.abc import Callable

from engine import _core
from engine.errors import BadType, amount, require
from engine.ops.activation import relu
from engine.ops.activation_smooth import logsigmoid
from engine.ops.arithmetic import clamp, minimum
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.distance import broadcast_shape, pairwise_distance
from engine.ops.loss_reduction import floating, reduced, reduction_of
from engine.ops.unary import sqrt
from engine.tensor import Tensor, as_array

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _same_dims(op: str, **tensors: Tensor) -> None:
    """Raises ValueError unless all have as many dimensions as the first."""
    (first, tensor), *others = tensors.items()
    ndim = as_array(op, first, tensor).ndim
    for name, other in others:
        got = as_array(op, name, other).shape
        require(len(got) == ndim, op, name, f"{amount(ndim, 'dimension')}, as {first}", f"shape {got}")


# ---------------------------------------------------------------- pairs and triplets


@explained
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin). target: 1 if input1 should be larger, -1 if input2. All three are broadcast."""
    op = "margin_ranking_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    _same_dims(op, input1=input1, input2=input2, target=target)
    return reduced(clamp(-target * (input1 - input2) + margin, min=0), reduction)


@explained
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1. input: distances, for example."""
    op = "hinge_embedding_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    x, t = as_array(op, "input", input), as_array(op, "target", target)
    broadcast_shape(op, "target", x, t)
    # As in PyTorch, a target that is neither adds both terms.
    far = where(target != 1, clamp(margin - input, min=0), 0.0)
    near = where(target != -1, input, 0.0)
    return reduced(far + near, reduction)


@explained
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.

    input1, input2: (n, d) with target (n,), or (d,) with target (). Raises ValueError for other shapes.
    """
    op = "cosine_embedding_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    a, b, t = as_array(op, "input1", input1), as_array(op, "input2", input2), as_array(op, "target", target)
    require(t.ndim <= 1, op, "target", "0 or 1 dimensions", f"shape {tuple(t.shape)}")
    require(
        a.ndim == t.ndim + 1, op, "input1", f"{t.ndim + 1} dimensions, one more than target", f"shape {tuple(a.shape)}"
    )
    require(b.ndim == a.ndim, op, "input2", f"{amount(a.ndim, 'dimension')}, as input1", f"shape {tuple(b.shape)}")
    broadcast_shape(op, "input2", a, b)
    tiny = 1e-12
    lengths = sqrt(((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny))
    cos = (input1 * input2).sum(-1) / lengths
    broadcast_shape(op, "target", cos._data, t)
    loss = where(target == 1, 1 - cos, 0.0) + where(target == -1, clamp(cos - margin, min=0), 0.0)
    return reduced(loss, reduction)


@explained
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the `pairwise_distance` with p and eps: (*, d) -> (*).

    swap: the distance from positive to negative counts if it is smaller than that from the anchor. Raises ValueError for margin <= 0.
    """
    op = "triplet_margin_loss"
    require(margin > 0, op, "margin", "a number > 0", margin)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    reduction = reduction_of(op, reduction, size_average, reduce)
    return _triplet(op, anchor, positive, negative, distance, margin, swap, reduction)


@explained
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance of two tensors; the default is `pairwise_distance`."""
    op = "triplet_margin_with_distance_loss"
    require(margin > 0, op, "margin", "a number > 0", margin)
    reduction = reduction_of(op, reduction)
    return _triplet(op, anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction)


def _triplet(
    op: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    _same_dims(op, anchor=anchor, positive=positive, negative=negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(margin + near - far, min=0), reduction)


# ---------------------------------------------------------------- scores of classes


def _scores(op: str, input: Tensor, target: Tensor, row_shape: bool) -> tuple[Tensor, Tensor]:
    """Scores as (n, c), and the target as (n, c) if row_shape, else (n,). Raises ValueError for other shapes."""
    floating(op, input=input)
    x, t = input._data, as_array(op, "target", target)
    right = x.ndim <= 2 and (x.ndim == 0 or x.shape[-1] > 0)
    require(right, op, "input", "shape (n, c), (c,) or () with c > 0", x.shape)
    expected = x.shape if row_shape else x.shape[:-1]
    one = x.ndim <= 1 and t.shape == (1,)  # PyTorch takes (1,) for ()
    require(t.shape == expected or (one and expected == ()), op, "target", f"shape {expected}", t.shape)
    if x.ndim == 2:
        return input, target
    return input.reshape(1, -1), target.reshape((1, -1) if row_shape else (1,))


def _class_numbers(op: str, target: Tensor, least: int, classes: int) -> None:
    integer = target.dtype in (_core.int64, _core.int32)
    require(integer, op, "target", "int64 or int32", target.dtype.name, error=BadType)
    inside = bool(((target >= least) & (target < classes)).all())
    require(inside, op, "target", f"class numbers in [{least}, {classes})", "another number")


@explained
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over all other classes i of max(0, margin - input[target] + input[i])^p, divided by the number of classes.

    input: scores, (n, c) or (c,); target: class numbers, int64 (n,) or (). p: 1 or 2. weight: (c,), a factor for each class of
    target. Raises ValueError for other shapes, another p and class numbers outside [0, c).
    """
    op = "multi_margin_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    require(p in (1, 2), op, "p", "1 or 2", p)
    scores, labels = _scores(op, input, target, False)
    classes = scores.shape[1]
    _class_numbers(op, labels, 0, classes)
    labels = labels.long().unsqueeze(1)
    loss = relu(margin - scores.gather(1, labels) + scores)
    if p == 2:
        loss = loss.square()
    if weight is not None:
        require(as_array(op, "weight", weight).shape == (classes,), op, "weight", f"shape {(classes,)}", weight.shape)
        loss = loss * weight[labels]
    own = scores.new_zeros(scores.shape).scatter_add(1, labels, scores.new_ones(labels.shape)) > 0
    loss = where(own, 0.0, loss).sum(1) / classes
    return reduced(loss.reshape(input.shape[:-1]), reduction)


@explained
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over all right classes j and wrong classes i of max(0, 1 - input[j] + input[i]), divided by the number of classes.

    input: scores, (n, c) or (c,); target: int64 of the same shape: the right classes of each row, then -1 in the first place that
    is free; what follows is not read. Raises ValueError for other shapes and for numbers outside [-1, c).
    """
    op = "multilabel_margin_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    scores, labels = _scores(op, input, target, True)
    classes = scores.shape[1]
    _class_numbers(op, labels, -1, classes)
    read = (labels < 0).long().cumsum(1) == 0
    labels = where(read, labels.long(), 0)
    right = scores.new_zeros(scores.shape).scatter_add(1, labels, read.to(scores.dtype)) > 0
    gaps = relu(1 - scores.gather(1, labels).unsqueeze(2) + scores.unsqueeze(1))  # (n, right, wrong)
    counted = read.unsqueeze(2) & ~right.unsqueeze(1)
    loss = where(counted, gaps, 0.0).sum((1, 2)) / classes
    return reduced(loss.reshape(input.shape[:-1]), reduction)


@explained
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + e^(-target * input)), element by element, without overflow. target: 1 or -1, of the input's shape."""
    op = "soft_margin_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    floating(op, input=input)
    broadcast_shape(op, "target", input._data, as_array(op, "target", target))
    return reduced(-logsigmoid(input * target), reduction)


@explained
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits (n, c) or (c,), averaged over the classes. target: 0 or 1, of the same shape.

    weight: a factor for each class, (c,).
    """
    op = "multilabel_soft_margin_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    floating(op, input=input)
    broadcast_shape(op, "target", input._data, as_array(op, "target", target))
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        broadcast_shape(op, "weight", loss._data, as_array(op, "weight", weight))
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)
