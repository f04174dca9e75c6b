from __future__ import annotations

import numpy as np

import engine
from specs.reference import log_softmax, sigmoid
from specs.spec import Bench, In, Spec, away_from_zero, case, ids, normal, uniform


def reduce(losses, reduction, divisor):
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.sum() / divisor


def classes_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim > 1 else x


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    logp = log_softmax(classes_last(x))
    c = logp.shape[-1]
    w = np.ones(c) if weight is None else weight
    if target.dtype.kind == "f":
        goal = classes_last(target) * (1 - label_smoothing) + label_smoothing / c
        losses = -(goal * logp * w).sum(-1)
        return reduce(losses, reduction, losses.size)
    counts = target != ignore_index
    label = np.where(counts, target, 0)
    goal = np.eye(c)[label] * (1 - label_smoothing) + label_smoothing / c
    losses = np.where(counts, -(goal * logp * w).sum(-1), 0)
    return reduce(losses, reduction, (w[label] * counts).sum())


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean"):
    logp = classes_last(x)
    w = np.ones(logp.shape[-1]) if weight is None else weight
    counts = target != ignore_index
    label = np.where(counts, target, 0)
    factors = w[label] * counts
    losses = -np.take_along_axis(logp, label[..., None], -1)[..., 0] * factors
    return reduce(losses, reduction, factors.sum())


def bce(x, target, weight=1.0, pos_weight=1.0, reduction="mean"):
    losses = -weight * (pos_weight * target * np.log(sigmoid(x)) + (1 - target) * np.log(sigmoid(-x)))
    return reduce(losses, reduction, losses.size)


def some_ignored(limit, ignored, *shape):
    """Labels, of which about a third is the ignored one."""
    return In(shape, lambda rng, s: np.where(rng.random(s) < 0.3, ignored, rng.integers(0, limit, s)), False)


def distribution(n, c, *rest):
    """Probabilities over dimension 1."""

    def draw(rng, shape):
        p = rng.random(shape)
        return p / p.sum(axis=1, keepdims=True)

    return In((n, c, *rest), draw, False)


def positive(*shape):
    return uniform(0.2, 2, *shape, grad=False)


def with_weight(op):
    """Spec inputs are positional; here the third one is the keyword argument `weight`."""
    return lambda x, t, *w, **kw: op(x, t, *w, **kw)


REDUCTIONS = ("mean", "sum", "none")
LABELS = [
    *[case(normal(9, 5), ids(5, 9), reduction=r) for r in REDUCTIONS],
    case(normal(1, 1), ids(1, 1)),
    case(normal(7), ids(7)),
    case(normal(0, 3), ids(3, 0), reduction="sum"),
    case(normal(3, 5, 2, 3), ids(5, 3, 2, 3), reduction="none"),
    case(normal(3, 17, 4), ids(17, 3, 4)),
    case(normal(11, 7), some_ignored(7, -100, 11)),
    *[case(normal(12, 6), some_ignored(6, 2, 12), positive(6), ignore_index=2, reduction=r) for r in REDUCTIONS],
    case(uniform(-50, 50, 40, 33), ids(33, 40)),
    case(normal(517, 77), ids(77, 517)),
]
SMOOTH = [
    *[case(normal(9, 5), ids(5, 9), reduction=r, label_smoothing=0.1) for r in REDUCTIONS],
    *[
        case(normal(13, 19), some_ignored(19, -1, 13), positive(19), ignore_index=-1, reduction=r, label_smoothing=0.3)
        for r in REDUCTIONS
    ],
    case(normal(5, 3, 4), ids(3, 5, 4), label_smoothing=1.0),
]
SOFT = [
    *[case(normal(9, 5), distribution(9, 5), reduction=r) for r in REDUCTIONS],
    *[case(normal(4, 18), distribution(4, 18), positive(18), reduction=r, label_smoothing=0.2) for r in REDUCTIONS],
    case(normal(3, 4, 5), distribution(3, 4, 5), reduction="none"),
    case(normal(130, 77), distribution(130, 77)),
]
CUDA_LABELS = [
    case(normal(130, 77), ids(77, 130)),
    case(normal(3, 1031), ids(1031, 3), reduction="sum"),
    *[case(normal(43, 33), some_ignored(33, 2, 43), positive(33), ignore_index=2, reduction=r) for r in REDUCTIONS],
    case(normal(3, 17, 44), ids(17, 3, 44)),
]
CUDA_SMOOTH = [
    case(normal(43, 33), some_ignored(33, -1, 43), positive(33), ignore_index=-1, label_smoothing=0.3),
    case(normal(43, 33), distribution(43, 33)),
    case(normal(43, 33), distribution(43, 33), positive(33), reduction="none", label_smoothing=0.2),
]
CUDA_ELEMENTS = [(4099,), (67, 33)]
ELEMENTS = [(1,), (0, 3), (5, 7), (3, 2, 17), (40001,)]


def elements(*inputs, reductions=REDUCTIONS, shapes=ELEMENTS):
    return [
        case(*[make(*s) for make in inputs], reduction=r)
        for s in shapes
        for r in reductions
        if np.prod(s) or r != "mean"
    ]


def probabilities(*shape):
    return uniform(0, 1, *shape, grad=False)


SPECS = [
    Spec(
        "cross_entropy",
        with_weight(engine.cross_entropy),
        cross_entropy,
        LABELS + SMOOTH + SOFT,
        cuda=CUDA_LABELS + CUDA_SMOOTH,
        bench=[
            Bench(case(normal(n, c), ids(c, n)), bytes=n * c * 8, label=f"{n}x{c}")
            for n, c in ((4096, 77), (512, 30522))
        ],
        torch=lambda torch, x, t, *w, **kw: torch.nn.functional.cross_entropy(x, t, *w, **kw),
    ),
    Spec(
        "nll_loss",
        with_weight(engine.nll_loss),
        nll_loss,
        LABELS,
        cuda=CUDA_LABELS,
        torch=lambda torch, x, t, *w, **kw: torch.nn.functional.nll_loss(x, t, *w, **kw),
    ),
    Spec(
        "binary_cross_entropy_with_logits",
        lambda x, t, w=None, p=None, **kw: engine.binary_cross_entropy_with_logits(x, t, weight=w, pos_weight=p, **kw),
        lambda x, t, w=1.0, p=1.0, **kw: bce(x, t, w, p, **kw),
        [
            *elements(normal, probabilities),
            case(normal(6, 5), probabilities(6, 5), positive(6, 1), positive(5)),
            case(uniform(-30, 30, 200), probabilities(200), reduction="none"),
        ],
        cuda=[
            *elements(normal, probabilities, shapes=CUDA_ELEMENTS),
            case(normal(67, 33), probabilities(67, 33), positive(67, 1), positive(33)),
        ],
        bench=[Bench(case(normal(1 << 20), probabilities(1 << 20)), bytes=(1 << 20) * 8, label="1M")],
        torch=lambda torch, x, t, **kw: torch.nn.functional.binary_cross_entropy_with_logits(x, t, **kw),
    ),
    Spec(
        "mse_loss",
        engine.mse_loss,
        lambda x, t, reduction="mean": reduce((x - t) ** 2, reduction, x.size),
        elements(normal, normal),
        cuda=elements(normal, normal, shapes=CUDA_ELEMENTS),
        bench=[Bench(case(normal(1 << 20), normal(1 << 20)), bytes=(1 << 20) * 8, label="1M")],
        torch=lambda torch, x, t, **kw: torch.nn.functional.mse_loss(x, t, **kw),
    ),
    Spec(
        "l1_loss",
        engine.l1_loss,
        lambda x, t, reduction="mean": reduce(np.where(np.real(x - t) > 0, x - t, t - x), reduction, x.size),
        elements(away_from_zero, lambda *s: uniform(-0.1, 0.1, *s)),
        cuda=elements(away_from_zero, lambda *s: uniform(-0.1, 0.1, *s), shapes=CUDA_ELEMENTS),
        torch=lambda torch, x, t, **kw: torch.nn.functional.l1_loss(x, t, **kw),
    ),
]
