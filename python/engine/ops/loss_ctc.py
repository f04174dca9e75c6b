"""Connectionist temporal classification (Graves et al. 2006): the loss of a sequence of labels without an alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import _core
from engine._core import Array
from engine.autograd.modes import no_grad
from engine.autograd.tape import record
from engine.errors import BadType, BadValue, amount, require
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.factory import arange, from_numpy, full
from engine.ops.loss_reduction import floating, reduced, reduction_of
from engine.ops.operands import gradient
from engine.ops.shape import cat, stack
from engine.ops.softmax import logsumexp
from engine.ops.unary import exp
from engine.tensor import Tensor, as_array

__all__ = ["ctc_loss"]

Lengths = Tensor | Sequence[int] | int


def _lengths(op: str, name: str, value: Lengths, batch: int, largest: int) -> np.ndarray:
    """One length in [0, largest] for each sequence, on the host."""
    if isinstance(value, Tensor):
        require(not value.is_floating_point(), op, name, "integers", value.dtype.name, error=BadType)
        value = value.tolist()
    lengths = np.atleast_1d(np.asarray(value, np.int64))
    require(
        lengths.shape == (batch,), op, name, f"{batch} lengths, one for each sequence", f"shape {tuple(lengths.shape)}"
    )
    inside = bool(((lengths >= 0) & (lengths <= largest)).all())
    require(inside, op, name, f"lengths in [0, {largest}]", lengths.tolist())
    return lengths


def _labels(op: str, targets: Tensor, lengths: np.ndarray, classes: int) -> np.ndarray:
    """Targets as (n, longest) on the host, from this shape or from labels that stand one after the other."""
    t = as_array(op, "targets", targets)
    require(t.dtype in (_core.int64, _core.int32), op, "targets", "int64 or int32", t.dtype.name, error=BadType)
    values = np.asarray(targets.detach().cpu()).astype(np.int64)
    longest = max(int(lengths.max(initial=0)), 0)
    if values.ndim == 2:
        fits = len(values) == len(lengths) and longest <= values.shape[1]
        require(fits, op, "targets", f"shape ({len(lengths)}, {longest}) or longer", values.shape)
        rows = values[:, :longest]
    else:
        right = values.ndim == 1 and len(values) == lengths.sum()
        expected = f"{amount(lengths.sum(), 'label')}, the sum of target_lengths, or shape (n, length)"
        require(right, op, "targets", expected, f"shape {tuple(values.shape)}")
        rows = np.zeros((len(lengths), longest), np.int64)
        rows[np.arange(longest) < lengths[:, None]] = values
    counted = rows[np.arange(longest) < lengths[:, None]]
    inside = bool(((counted >= 0) & (counted < classes)).all())
    require(inside, op, "targets", f"class numbers in [0, {classes})", "another number")
    return np.where(np.arange(longest) < lengths[:, None], rows, 0)


def _shifted(x: Tensor, steps: int) -> Tensor:
    """(n, states), `steps` states to the right; to the left if it is negative. -inf comes in."""
    edge = full((x.shape[0], abs(steps)), float("-inf"), dtype=x.dtype, device=x.device)
    joined = cat([edge, x], 1) if steps > 0 else cat([x, edge], 1)
    return joined[:, : x.shape[1]] if steps > 0 else joined[:, -steps:]


def _step(states: Tensor, jumps: Tensor, direction: int) -> Tensor:
    """The log-sum of the ways from a state, from its neighbour and, where `jumps` is 0 and not -inf, from the one after it."""
    ways = [states, _shifted(states, direction), _shifted(states, 2 * direction) + jumps]
    return logsumexp(stack(ways), 0)


@gradient
def _ctc_backward(dy: Array, log_probs: Array, occupied: Array, inside: Array) -> Array:
    # As in PyTorch, the gradient is that for log_probs which a log_softmax has made: the probabilities themselves belong to it.
    weight = Tensor(dy).reshape(1, -1, 1)
    slope = exp(Tensor(log_probs)) - Tensor(occupied)  # NaN if the loss is infinite
    return where(Tensor(inside) & (weight != 0), slope * weight, 0.0)._data


@explained
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Lengths,
    target_lengths: Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability that the classes of all time steps, without repeats and then without blanks, are the targets.

    log_probs: (time, n, c) or (time, c), from `log_softmax`, floating-point. targets: class numbers, int64 (n, longest), or
    the labels of all sequences one after the other. input_lengths, target_lengths: (n,) as a Tensor or a sequence of integers.
    blank: the class that stands for no label. reduction: "mean" divides each loss by its target's length (at least 1) and
    averages; "sum"; "none". zero_infinity: the loss and gradient of a target that is too long for its input become 0.

    The gradient is that of log_probs which `log_softmax` made, as in PyTorch: it is right if log_probs came from there. Raises
    ValueError for other shapes, lengths out of range and class numbers outside [0, c).
    """
    op = "ctc_loss"
    reduction = reduction_of(op, reduction)
    floating(op, log_probs=log_probs)
    single = log_probs.ndim == 2
    if log_probs.ndim not in (2, 3):
        raise BadValue(op, "log_probs", "shape (time, n, classes) or (time, classes)", log_probs.shape)
    batched = log_probs.unsqueeze(1) if single else log_probs
    time, batch, classes = batched.shape
    require(0 <= blank < classes, op, "blank", f"a class number in [0, {classes})", blank)
    inputs = _lengths(op, "input_lengths", input_lengths, batch, time)
    lengths = _lengths(op, "target_lengths", target_lengths, batch, 2**31)
    labels = _labels(op, targets, lengths, classes)
    losses = _negative_log_likelihood(batched, labels, inputs, lengths, blank)
    if zero_infinity:
        losses = losses.masked_fill(losses == float("inf"), 0.0)
    if reduction == "mean":
        losses = losses / from_numpy(np.maximum(lengths, 1)).to(losses.dtype).to(losses.device)
    return losses.reshape(()) if single and reduction == "none" else reduced(losses, reduction)


def _negative_log_likelihood(
    log_probs: Tensor, labels: np.ndarray, inputs: np.ndarray, lengths: np.ndarray, blank: int
) -> Tensor:
    """The losses (n,), recorded, from the forward and backward variables of all states of all time steps."""
    time, batch, _ = log_probs.shape
    exact = log_probs.detach().double() if log_probs.is_cpu else log_probs.detach()  # sums of long paths are large
    states = 2 * labels.shape[1] + 1  # a blank before, between and after the labels
    classes = np.full((batch, states), blank)
    classes[:, 1::2] = labels
    may_jump = np.zeros((batch, states), bool)  # over a blank between two labels that differ
    may_jump[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    position = np.arange(states)
    first = position < 2
    real = position <= 2 * lengths[:, None]
    last = real & (position >= 2 * lengths[:, None] - 1)

    def gate(allowed: np.ndarray) -> Tensor:
        """0 where allowed, -inf elsewhere."""
        values = np.where(allowed, 0.0, -np.inf)
        return from_numpy(np.ascontiguousarray(values)).to(exact.dtype).to(log_probs.device)

    with no_grad():
        of_state = from_numpy(np.ascontiguousarray(classes)).to(log_probs.device)
        p = exact.gather(2, of_state.unsqueeze(0).expand(time, batch, states))
        start, end, jump_in = gate(first & real), gate(last), gate(may_jump & real)
        # A jump from s to s + 2 leads to a state that may be jumped to.
        jump_out = gate(np.pad(may_jump, ((0, 0), (0, 2)))[:, 2:])
        ends = from_numpy(inputs).to(log_probs.device).unsqueeze(1)
        forward: list[Any] = []
        for t in range(time):
            forward.append(p[t] + (_step(forward[-1], jump_in, 1) if t else start))
        after: list[Any] = [None] * time  # the log-probability of all that follows time t, for each state
        for t in reversed(range(time)):
            going_on = _step(after[t + 1] + p[t + 1], jump_out, -1) if t + 1 < time else end
            after[t] = where(ends == t + 1, end, going_on)
        index = arange(time, device=log_probs.device).reshape(time, 1, 1)
        inside = (index < ends).expand(log_probs.shape)
        if time:
            joint = stack(forward) + stack(after)
            total = logsumexp(joint[0], 1)  # the same at each time
            total = where(ends[:, 0] == 0, gate(lengths == 0), total)  # sequences without time steps
            share = exp(joint - total.reshape(1, batch, 1))
            occupied = exact.new_zeros(log_probs.shape).scatter_add(2, of_state.unsqueeze(0).expand(p.shape), share)
        else:
            total, occupied = gate(lengths == 0), exact.new_zeros(log_probs.shape)
        losses, occupied = (-total).to(log_probs.dtype), occupied.to(log_probs.dtype)
    return record("ctc_loss", losses._data, (log_probs,), _ctc_backward, log_probs._data, occupied._data, inside._data)
