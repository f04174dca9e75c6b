"""`torch.special`: ops of `engine` under the names that PyTorch has here. Functions that engine does not have are missing."""

from engine.ops import (
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    round,
    sinc,
    softmax,
    xlogy,
)
from engine.ops import sigmoid as expit

__all__ = [
    "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "log1p", "log_softmax", "logit", "logsumexp", "round", "sinc", "softmax", "xlogy",
]  # fmt: skip
