"""Losses of probabilities, counts and measured values, and CTC, as modules. The functions say what they compute.

`reduction`: "mean", "sum" or "none". `size_average` and `reduce` are PyTorch's older arguments for the same.
"""

from __future__ import annotations

from typing import Any

from engine.errors import require
from engine.nn import functional as F
from engine.nn.losses import Loss
from engine.tensor import Tensor

__all__ = [
    "BCELoss",
    "CTCLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class BCELoss(Loss):
    """Binary cross-entropy of probabilities in [0, 1] against targets of the same shape. weight: a factor for each element."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence of log-probabilities from a target. reduction: also "batchmean".

    log_target: the target holds log-probabilities, too.
    """

    _words = ("batchmean",)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(Loss):
    """The negative log-likelihood of counts under Poisson distributions. log_input, full and eps as in `poisson_nll_loss`."""

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        options: dict[str, Any] = {"log_input": self.log_input, "full": self.full, "eps": self.eps}
        return F.poisson_nll_loss(log_input, target, reduction=self.reduction, **options)


class GaussianNLLLoss(Loss):
    """The negative log-likelihood of targets under normal distributions. full and eps as in `gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class SmoothL1Loss(Loss):
    """d^2 / (2 beta) where d = |input - target| < beta, otherwise d - beta / 2."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(Loss):
    """d^2 / 2 where d = |input - target| < delta, otherwise delta * (d - delta / 2)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class CTCLoss(Loss):
    """Connectionist temporal classification. blank and zero_infinity as in `ctc_loss`."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        require(blank >= 0, "CTCLoss", "blank", "a class number >= 0", blank)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        options: dict[str, Any] = {"blank": self.blank, "zero_infinity": self.zero_infinity}
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, reduction=self.reduction, **options)
