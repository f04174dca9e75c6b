"""The composites on a CUDA device: values and gradients as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from engine import nn, tensor
from engine.nn import functional as F

RNG = np.random.default_rng(0)
X, Y = (RNG.standard_normal((4, 6)).astype(np.float32) for _ in range(2))
P, Q = (RNG.uniform(0.05, 0.95, (4, 6)).astype(np.float32) for _ in range(2))
IDS = RNG.integers(0, 4, (3, 5))
LOG_PROBS = np.log(RNG.dirichlet(np.ones(4), (6, 2))).astype(np.float32)

CALLS = {
    **{name: (getattr(F, name), X) for name in ["celu", "elu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "logsigmoid", "mish"]},
    **{name: (getattr(F, name), X) for name in ["relu6", "rrelu", "selu", "softplus", "softshrink", "softsign", "tanhshrink", "glu"]},
    **{
        f"pad {mode}": (lambda x, mode=mode: F.pad(x, (2, 1, -1, 1), mode), RNG.standard_normal((2, 4, 6)).astype("f"))
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "softmin": (lambda x: F.softmin(x, 1), X),
    "threshold": (lambda x: F.threshold(x, 0.1, -1.0), X),
    "in place": (lambda x: F.elu(x * 1, inplace=True), X),
    "dropout in place": (lambda x: F.dropout(x * 1, 1.0, inplace=True), X),
    "prelu": (F.prelu, X, P[0]),
    "normalize": (F.normalize, X),
    "cosine_similarity": (F.cosine_similarity, X, Y),
    "pairwise_distance": (F.pairwise_distance, X, Y),
    "bilinear": (F.bilinear, X, Y, RNG.standard_normal((3, 6, 6)).astype("f")),
    "binary_cross_entropy": (F.binary_cross_entropy, P, Q),
    "cross_entropy": (F.cross_entropy, X, P),
    "bce with logits": (F.binary_cross_entropy_with_logits, X, P),
    "gaussian_nll_loss": (F.gaussian_nll_loss, X, Y, P),
    "huber_loss": (F.huber_loss, X, Y),
    "kl_div": (F.kl_div, X, P),
    "poisson_nll_loss": (F.poisson_nll_loss, X, P),
    "smooth_l1_loss": (F.smooth_l1_loss, X, Y),
    "triplet_margin_loss": (F.triplet_margin_loss, X, Y, P),
    "cosine_embedding_loss": (F.cosine_embedding_loss, X, Y, np.array([1, -1, 1, -1])),
    "multi_margin_loss": (F.multi_margin_loss, X, np.array([0, 5, 2, 1])),
    "multilabel_margin_loss": (F.multilabel_margin_loss, X, np.array([[0, 1, -1, 0, 0, 0]] * 4)),
    "multilabel_soft_margin_loss": (F.multilabel_soft_margin_loss, X, P),
    "ctc_loss": (lambda x: F.ctc_loss(x, tensor([[1, 2], [3, 3]]), [6, 5], [2, 2]), LOG_PROBS),
    "embedding": (lambda w: F.embedding(tensor(IDS, device=w.device), w, scale_grad_by_freq=True), X),
    **{
        f"embedding_bag {mode}": (
            lambda w, mode=mode: F.embedding_bag(tensor(IDS, device=w.device), w, mode=mode, padding_idx=1), X
        )
        for mode in ("sum", "mean", "max")
    },
    "grouped heads": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True),
        RNG.standard_normal((2, 4, 3, 8)).astype("f"), RNG.standard_normal((2, 2, 5, 8)).astype("f"),
    ),
    "mask with a gradient": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, m), X, RNG.standard_normal((4, 4)).astype("f")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_as_on_the_cpu(name, cuda):
    function, *arrays = CALLS[name]
    found = []
    for device in ("cpu", cuda):
        tensors = [tensor(a, device=device) for a in arrays]
        for t in tensors:
            if t.is_floating_point():
                t.requires_grad_()
        y = function(*tensors)
        (y * y).sum().backward()
        found.append([y, *(t.grad for t in tensors if t.grad is not None)])
    for on_cpu, on_cuda in zip(*found):
        assert on_cuda.is_cuda
        np.testing.assert_allclose(on_cuda.detach().cpu().numpy(), on_cpu.detach().numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 3, "vdim": 5}])
def test_attention_with_more_keys(options, cuda):
    module = nn.MultiheadAttention(8, 2, batch_first=True, **options)
    shapes = [(2, 3, 8), (2, 4, options.get("kdim", 8)), (2, 4, options.get("vdim", 8))]
    arrays = [RNG.standard_normal(s).astype("f") for s in shapes]
    wanted = module(*map(tensor, arrays))
    found = module.to(cuda)(*[tensor(a, device=cuda) for a in arrays])
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a.detach().cpu().numpy(), b.detach().numpy(), rtol=1e-4, atol=2e-5)
