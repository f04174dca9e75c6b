"""Losses of probabilities, counts and measured values, element by element. All have PyTorch's arguments.

`reduction` is "mean" over all elements, "sum" or "none". `size_average` and `reduce` are PyTorch's older arguments for the same:
reduce=False is "none", size_average=False is "sum". Gradients flow to input and target.
"""

from __future__ import annotations

import math
import warnings

from engine import _core
from engine._core import Array
from engine.autograd.tape import record
from engine.errors import require
from engine.ops.arithmetic import clamp
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.distance import broadcast_shape
from engine.ops.loss_reduction import floating, reduced, reduction_of
from engine.ops.operands import gradients
from engine.ops.unary import exp, log, sign
from engine.tensor import Tensor, as_array

__all__ = ["binary_cross_entropy", "gaussian_nll_loss", "huber_loss", "kl_div", "poisson_nll_loss", "smooth_l1_loss"]

K = _core.kernels


# ---------------------------------------------------------------- binary cross-entropy


def _input_slope(dy: Array, x: Array, t: Array) -> Array:
    return K.div(K.mul(dy, K.sub(x, t)), K.clamp(K.mul(K.sub(1.0, x), x), 1e-12, None))


def _target_slope(dy: Array, x: Array, t: Array) -> Array:
    return K.mul(dy, K.sub(K.log1p(K.neg(x)), K.log(x)))


_binary_cross_entropy_backward = gradients(_input_slope, _target_slope)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(target * log(input) + (1 - target) * log(1 - input)); a logarithm below -100 counts as -100.

    input: probabilities in [0, 1]; target: of the input's shape and dtype. weight: a factor for each element, broadcast.
    Raises ValueError for other shapes and for an input outside [0, 1]. `binary_cross_entropy_with_logits` is more accurate.
    """
    op = "binary_cross_entropy"
    floating(op, input=input, target=target)
    reduction = reduction_of(op, reduction, size_average, reduce)
    x, t = input._data, target._data
    require(t.shape == x.shape, op, "target", f"shape {tuple(x.shape)}, as input", t.shape)
    require(t.dtype is x.dtype, op, "target", x.dtype.name, t.dtype.name)
    inside = K.logical_and(K.ge(x, 0.0), K.le(x, 1.0))
    require(K.all(inside, (1 << x.ndim) - 1, False).item(), op, "input", "probabilities in [0, 1]", "other numbers")
    right, wrong = K.clamp(K.log(x), -100.0, None), K.clamp(K.log1p(K.neg(x)), -100.0, None)
    y = K.sub(K.mul(K.sub(t, 1.0), wrong), K.mul(t, right))
    loss: Tensor = record(op, y, (input, target), _binary_cross_entropy_backward, x, t)
    if weight is not None:
        shape = broadcast_shape(op, "weight", x, as_array(op, "weight", weight))
        require(shape == x.shape, op, "weight", f"a shape that broadcasts to {tuple(x.shape)}", weight.shape)
        loss = loss * weight
    return reduced(loss, reduction)


# ---------------------------------------------------------------- distributions


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence, element by element: target * (log(target) - input).

    input: log-probabilities; target: probabilities, or log-probabilities with log_target. reduction: also "batchmean", the sum
    divided by the size of dimension 0, which is the divergence as it is defined. The two are broadcast.
    """
    op = "kl_div"
    floating(op, input=input, target=target)
    reduction = reduction_of(op, reduction, size_average, reduce, "batchmean")
    broadcast_shape(op, "target", input._data, target._data)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        # 0 log 0 is 0. The logarithm of 1 stands for that of 0, whose gradient would be infinite.
        loss = target * (log(where(target == 0, 1.0, target)) - input)
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] if input.ndim else 1)
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts `target` under Poisson distributions: e^input - target * input.

    input: logarithms of the means, or the means themselves with log_input=False: input - target * log(input + eps). full: adds
    Stirling's approximation of log(target!) where target > 1. The two are broadcast.
    """
    op = "poisson_nll_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    broadcast_shape(op, "target", as_array(op, "input", input), as_array(op, "target", target))
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        many = where(target > 1, target, 1.0)
        stirling = many * log(many) - many + 0.5 * log(2 * math.pi * many)
        loss = loss + where(target > 1, stirling, 0.0).to(loss.dtype)  # of counts that are integers it is float32
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of `target` under normal distributions: (log(var) + (input - target)^2 / var) / 2.

    input: means; var: variances, of the input's shape, or without its last dimension, or with size 1 in one dimension, or a
    number. Variances below eps count as eps, and their gradient is as if they did not. full: adds log(2 pi) / 2.

    Raises ValueError for other shapes and for a variance below 0.
    """
    op = "gaussian_nll_loss"
    x, _ = as_array(op, "input", input), as_array(op, "target", target)
    reduction = reduction_of(op, reduction)
    if not isinstance(var, Tensor):
        var = input.new_full(x.shape, var)
    require(not bool((var < 0).any()), op, "var", "variances >= 0", "a negative number")
    shape = var.shape
    if shape != x.shape:
        if shape == x.shape[:-1]:
            var = var.unsqueeze(-1)
        else:
            differ = [n for m, n in zip(x.shape, shape) if m != n]
            fits = len(shape) == x.ndim and differ == [1]
            require(fits, op, "var", f"shape {tuple(x.shape)}, {x.shape[:-1]}, or with one size 1", shape)
    var = var + (clamp(var.detach(), min=eps) - var.detach())
    loss = 0.5 * (log(var) + (input - target).square() / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---------------------------------------------------------------- measured values


def _distance(op: str, input: Tensor, target: Tensor) -> Tensor:
    """|input - target|, broadcast, with PyTorch's warning if the shapes differ."""
    a, b = as_array(op, "input", input), as_array(op, "target", target)
    broadcast_shape(op, "target", a, b)
    if a.shape != b.shape:
        said = f"[{op}] target: shape {tuple(b.shape)} is not that of input, {tuple(a.shape)}; the two are broadcast"
        warnings.warn(said, stacklevel=3)
    difference = input - target
    return difference * sign(difference.detach())  # as abs, but a gradient of NaN stays NaN


@explained
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """With d = |input - target|: d^2 / (2 beta) where d < beta, otherwise d - beta / 2. beta = 0 gives |input - target|.

    The two are broadcast, with a warning if their shapes differ. Raises ValueError for beta < 0.
    """
    op = "smooth_l1_loss"
    reduction = reduction_of(op, reduction, size_average, reduce)
    require(beta >= 0, op, "beta", "a number >= 0", beta)
    distance = _distance(op, input, target)
    if beta == 0:
        return reduced(distance, reduction)
    near = where(distance > beta, beta, distance)  # the rest of the distance counts in full
    return reduced(near.square() * (0.5 / beta) + (distance - near), reduction)


@explained
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """With d = |input - target|: d^2 / 2 where d < delta, otherwise delta * (d - delta / 2) (Huber 1964).

    weight: a factor for each element, of the loss's shape. Input and target are broadcast, with a warning if their shapes differ.
    Raises ValueError for delta <= 0.
    """
    op = "huber_loss"
    reduction = reduction_of(op, reduction)
    require(delta > 0, op, "delta", "a number > 0", delta)
    distance = _distance(op, input, target)
    near = where(distance > delta, delta, distance)
    loss = near.square() * 0.5 + (distance - near) * delta
    if weight is not None:
        require(
            as_array(op, "weight", weight).shape == loss.shape, op, "weight", f"shape {tuple(loss.shape)}", weight.shape
        )
        loss = loss * weight
    return reduced(loss, reduction)
