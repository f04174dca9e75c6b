"""Losses that are made of other ops: values and gradients against PyTorch, gradients by differences, modules, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn, tensor
from engine.nn import functional as F

RNG = np.random.default_rng(0)
N, C = 4, 5


def normal(*shape):
    return RNG.standard_normal(shape)


def share(*shape):
    return RNG.uniform(0.05, 0.95, shape)


def signs(*shape):
    return RNG.choice([-1.0, 1.0], shape)


LABELS = np.array([[3, 0, -1, 2, 1], [1, -1, -1, -1, -1], [-1, 0, 0, 0, 0], [4, 3, 2, 1, 0]])
# name: the tensors, how many of them get gradients, options, and the module
CASES = {
    "binary_cross_entropy": ([share(N, C), share(N, C)], 2, {}, nn.BCELoss),
    "cosine_embedding_loss": ([normal(N, C), normal(N, C), signs(N)], 2, {"margin": 0.1}, nn.CosineEmbeddingLoss),
    "gaussian_nll_loss": ([normal(N, C), normal(N, C), share(N, C)], 3, {"full": True}, nn.GaussianNLLLoss),
    "hinge_embedding_loss": ([normal(N, C), signs(N, C)], 1, {"margin": 0.7}, nn.HingeEmbeddingLoss),
    "huber_loss": ([normal(N, C), normal(N, C)], 2, {"delta": 0.6}, nn.HuberLoss),
    "kl_div": ([np.log(share(N, C)), share(N, C)], 2, {}, nn.KLDivLoss),
    "margin_ranking_loss": ([normal(N), normal(N), signs(N)], 2, {"margin": 0.3}, nn.MarginRankingLoss),
    "multi_margin_loss": ([normal(N, C), np.array([0, 4, 2, 2])], 1, {"p": 2, "margin": 0.8}, nn.MultiMarginLoss),
    "multilabel_margin_loss": ([normal(N, C), LABELS], 1, {}, nn.MultiLabelMarginLoss),
    "multilabel_soft_margin_loss": ([normal(N, C), share(N, C).round()], 1, {}, nn.MultiLabelSoftMarginLoss),
    "poisson_nll_loss": ([normal(N, C), RNG.poisson(3, (N, C)) * 1.0], 1, {"full": True}, nn.PoissonNLLLoss),
    "smooth_l1_loss": ([normal(N, C), normal(N, C)], 2, {"beta": 0.5}, nn.SmoothL1Loss),
    "soft_margin_loss": ([normal(N, C), signs(N, C)], 1, {}, nn.SoftMarginLoss),
    "triplet_margin_loss": ([normal(N, C) for _ in range(3)], 3, {"p": 3, "swap": True}, nn.TripletMarginLoss),
    "triplet_margin_with_distance_loss": (
        [normal(N, C) for _ in range(3)], 3, {"margin": 2.0}, nn.TripletMarginWithDistanceLoss
    ),
}  # fmt: skip
MORE = [
    ("gaussian_nll_loss", [normal(N, C), normal(N, C), share(N)], {}),
    ("gaussian_nll_loss", [normal(N, C), normal(N, C), share(N, 1)], {"eps": 0.5}),
    ("huber_loss", [normal(N, C), normal(N, C)], {"weight": share(N, C)}),
    ("kl_div", [np.log(share(N, C)), np.array([[0.0, 0.5, 0.5, 0.0, 0.0]] * N)], {}),
    ("kl_div", [np.log(share(N, C)), np.log(share(N, C))], {"log_target": True, "reduction": "batchmean"}),
    ("multi_margin_loss", [normal(N, C), np.array([0, 4, 2, 2])], {"weight": share(C)}),
    ("multi_margin_loss", [normal(C), np.array(2)], {}),
    ("multilabel_margin_loss", [normal(C), LABELS[0]], {}),
    ("multilabel_soft_margin_loss", [normal(N, C), share(N, C)], {"weight": share(C)}),
    ("poisson_nll_loss", [share(N, C), RNG.poisson(3, (N, C)) * 1.0], {"log_input": False}),
    ("smooth_l1_loss", [normal(N, C), normal(N, C)], {"beta": 0.0}),
    ("binary_cross_entropy", [share(N, C), share(N, C)], {"weight": share(C)}),
    ("binary_cross_entropy", [np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])], {}),
    ("cosine_embedding_loss", [normal(C), normal(C), np.array(-1.0)], {}),
]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_by_differences(name, reduction):
    arrays, count, options, module = CASES[name]
    tensors = [tensor(a) for a in arrays]
    for t in tensors[:count]:
        t.requires_grad_()
    function = getattr(F, name)
    assert engine.autograd.gradcheck(lambda *t: function(*t, **options, reduction=reduction), tensors)
    loss = function(*tensors, **options, reduction=reduction)
    assert module(**options, reduction=reduction)(*tensors).tolist() == loss.tolist()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch says that the mean of a divergence is not one
@pytest.mark.parametrize("name, arrays, options", [*((n, a, o) for n, (a, _, o, _) in CASES.items()), *MORE])
def test_as_pytorch(name, arrays, options, reduction):
    torch = pytest.importorskip("torch")
    options = {"reduction": reduction, **options}
    seen = []
    for make, functions in ((tensor, F), (torch.tensor, torch.nn.functional)):
        given = [make(a) for a in arrays]
        given[0].requires_grad_()
        own = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        loss = getattr(functions, name)(*given, **own)
        loss.sum().backward()
        seen.append((loss.detach().tolist(), given[0].grad.tolist()))
    np.testing.assert_allclose(seen[0][0], seen[1][0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=1e-8, atol=1e-11)


def test_large_differences_and_scores_overflow_nowhere():
    far = tensor([1e30]).requires_grad_()
    for loss in (F.smooth_l1_loss, F.huber_loss):
        loss(far, engine.zeros(1)).backward()
    F.soft_margin_loss(far, tensor([-1.0])).backward()
    assert far.grad.tolist() == [3]
    assert F.soft_margin_loss(tensor([1e4]), tensor([1.0])).item() == 0


def test_float32_and_empty():
    x = engine.ones(0, 3)
    assert F.huber_loss(x, x, reduction="none").shape == (0, 3)
    assert F.binary_cross_entropy(x, x, reduction="sum").item() == 0
    assert F.smooth_l1_loss(engine.ones(2), engine.zeros(2)).dtype is engine.float32


def test_shapes_that_differ_are_broadcast_with_a_warning():
    with pytest.warns(UserWarning, match=r"\[huber_loss\] target: shape \(3,\) is not that of input"):
        assert F.huber_loss(engine.ones(2, 3), engine.zeros(3)).item() == 0.5


def test_distances_of_ones_own():
    loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().sum(-1), margin=0.5)
    a, p, n = tensor([[0.0, 0.0]]), tensor([[1.0, 1.0]]), tensor([[1.0, 0.0]])
    assert loss(a, p, n).item() == 1.5


# ---------------------------------------------------------------- CTC


def every_path(log_probs, labels, blank=0):
    """-log of the sum over all paths that collapse to the labels; the definition, slowly."""
    time, classes = log_probs.shape
    total = 0.0
    for number in range(classes**time):
        path = [number // classes**t % classes for t in range(time)]
        merged = [c for t, c in enumerate(path) if t == 0 or path[t - 1] != c]
        if [c for c in merged if c != blank] == list(labels):
            total += np.exp(sum(log_probs[t, c] for t, c in enumerate(path)))
    return -np.log(total) if total else np.inf


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("labels", [[], [1], [1, 2], [2, 2], [1, 2, 1]])
@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_by_its_definition(labels, blank):
    labels = [c if c != blank else 0 for c in labels]
    log_probs = log_softmax(normal(5, 3))
    loss = F.ctc_loss(tensor(log_probs), tensor(np.array(labels, np.int64)), (5,), (len(labels),), blank, "sum")
    np.testing.assert_allclose(loss.item(), every_path(log_probs, labels, blank), rtol=1e-10)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_gradient(reduction):
    """With log_softmax, from which log_probs must come."""
    x = tensor(normal(6, 3, 4)).requires_grad_()
    targets, lengths = tensor([[1, 2, 2], [3, 1, 0], [0, 0, 0]]), tensor([3, 1, 0])

    def loss(x):
        return F.ctc_loss(F.log_softmax(x, 2), targets, [6, 4, 2], lengths, reduction=reduction)

    assert engine.autograd.gradcheck(loss, (x,))
    flat = F.ctc_loss(F.log_softmax(x, 2), tensor([1, 2, 2, 3]), [6, 4, 2], lengths, reduction=reduction)
    assert flat.tolist() == loss(x).tolist()


def test_a_target_that_is_too_long():
    log_probs = tensor(log_softmax(normal(2, 1, 3))).requires_grad_()
    target = tensor([[1, 1, 2]])
    assert F.ctc_loss(log_probs, target, [2], [3]).item() == np.inf
    loss = nn.CTCLoss(zero_infinity=True)(log_probs, target, tensor([2]), tensor([3]))
    loss.backward()
    assert loss.item() == 0 and not np.any(log_probs.grad.numpy())


def test_ctc_as_pytorch():
    torch = pytest.importorskip("torch")
    log_probs = log_softmax(normal(12, 3, 6))
    targets, inputs, lengths = RNG.integers(1, 6, (3, 5)), np.array([12, 9, 11]), np.array([5, 3, 1])
    seen = []
    for make, functions in ((tensor, F), (torch.tensor, torch.nn.functional)):
        x = make(log_probs).requires_grad_()
        loss = functions.ctc_loss(x, make(targets), make(inputs), make(lengths))
        loss.backward()
        seen.append((loss.item(), x.grad.tolist()))
    np.testing.assert_allclose(seen[0][0], seen[1][0], rtol=1e-10)
    np.testing.assert_allclose(seen[0][1], seen[1][1], rtol=1e-8, atol=1e-12)


ONES = engine.ones(2, 3)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda: F.binary_cross_entropy(ONES * 2, ONES),
            ValueError,
            r"\[binary_cross_entropy\] input: expected probab",
        ),
        (lambda: F.binary_cross_entropy(ONES, engine.ones(3)), ValueError, r"target: expected shape \(2, 3\)"),
        (lambda: F.cosine_embedding_loss(ONES, ONES, ONES), ValueError, r"\[cosine_embedding_loss\] target"),
        (lambda: F.ctc_loss(ONES, tensor([1]), [2], [1], blank=3), ValueError, r"\[ctc_loss\] blank: expected a class"),
        (lambda: F.ctc_loss(ONES, tensor([1]), [3], [1]), ValueError, r"\[ctc_loss\] input_lengths: expected lengths"),
        (lambda: F.ctc_loss(ONES, tensor([1, 1]), [2], [1]), ValueError, r"\[ctc_loss\] targets: expected 1 label, "),
        (lambda: F.ctc_loss(ONES, tensor([3]), [2], [1]), ValueError, r"\[ctc_loss\] targets: expected class numbers"),
        (lambda: F.gaussian_nll_loss(ONES, ONES, -ONES), ValueError, r"\[gaussian_nll_loss\] var: expected variances"),
        (
            lambda: F.gaussian_nll_loss(ONES, ONES, engine.ones(5)),
            ValueError,
            r"\[gaussian_nll_loss\] var: expected shape",
        ),
        (lambda: F.huber_loss(ONES, ONES, delta=0), ValueError, r"\[huber_loss\] delta"),
        (lambda: F.huber_loss(ONES, engine.ones(5)), ValueError, r"\[huber_loss\] target: expected a shape that broad"),
        (
            lambda: F.kl_div(ONES, ONES, reduction="avg"),
            ValueError,
            r"reduction: expected 'none', 'mean', 'batchmean' or",
        ),
        (lambda: F.margin_ranking_loss(ONES, ONES, engine.ones(3)), ValueError, r"\[margin_ranking_loss\] target"),
        (
            lambda: F.multi_margin_loss(ONES, tensor([0, 3])),
            ValueError,
            r"\[multi_margin_loss\] target: expected class",
        ),
        (
            lambda: F.multi_margin_loss(ONES, tensor([0, 1]), p=3),
            ValueError,
            r"\[multi_margin_loss\] p: expected 1 or 2",
        ),
        (lambda: F.multilabel_margin_loss(ONES, ONES), TypeError, r"\[multilabel_margin_loss\] target: expected int64"),
        (lambda: F.smooth_l1_loss(ONES, ONES, beta=-1), ValueError, r"\[smooth_l1_loss\] beta"),
        (lambda: F.triplet_margin_loss(ONES, ONES, ONES, 0), ValueError, r"\[triplet_margin_loss\] margin"),
        (lambda: nn.KLDivLoss(reduction="avg"), ValueError, r"\[KLDivLoss\] reduction"),
        (lambda: nn.BCELoss(reduction="batchmean"), ValueError, r"\[BCELoss\] reduction"),
    ],
)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
