"""Initial values, written in place and without history. Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming).

generator: a `Generator` from which to draw instead of engine's random state.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from engine import ops
from engine.autograd import no_grad
from engine.errors import BadValue, require
from engine.notices import say_once
from engine.ops.generator import Generator
from engine.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with draws from U[a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with draws from N(mean, std^2)."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fills with draws from N(mean, std^2) restricted to [a, b]; draws outside are drawn again.

    Raises ValueError if so little of the distribution lies inside that drawing does not end.
    """
    with no_grad():
        tensor.normal_(mean, std, generator=generator)
        for _ in range(1000):
            outside = ops.logical_or(tensor < a, tensor > b)
            if not outside.any():
                return tensor
            again = ops.empty_like(tensor).normal_(mean, std, generator=generator)
            tensor.copy_(ops.where(outside, again, tensor))
    raise BadValue("trunc_normal_", "a, b", f"a range into which draws from N({mean}, {std}^2) fall", f"[{a}, {b}]")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills with val."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fills with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fills with 1."""
    return constant_(tensor, 1.0)


_LINEAR = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
)  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity. param: the slope of leaky_relu (None: 0.01)."""
    slope = 0.01 if param is None else param
    gains = {
        **dict.fromkeys(_LINEAR, 1.0), "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4,
        "leaky_relu": math.sqrt(2.0 / (1 + slope**2)),
    }  # fmt: skip
    known = nonlinearity in gains
    require(known, "calculate_gain", "nonlinearity", f"one of {', '.join(gains)}", repr(nonlinearity))
    return gains[nonlinearity]


def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with 1 on the diagonal and 0 elsewhere."""
    require(tensor.ndim == 2, "eye_", "tensor", "2 dimensions", f"shape {tensor.shape}")
    with no_grad():
        return tensor.copy_(ops.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fills the weight of a convolution, (out, in, *), with zeros, and with 1 where it passes input i on as output i.

    Raises ValueError for other than 3 to 5 dimensions, and if `groups` does not divide the outputs.
    """
    shape = tensor.shape
    require(3 <= len(shape) <= 5, "dirac_", "tensor", "3 to 5 dimensions", f"shape {shape}")
    require(shape[0] % groups == 0, "dirac_", "groups", f"a divisor of {shape[0]}", groups)
    zeros_(tensor)
    per_group, middle = shape[0] // groups, tuple(n // 2 for n in shape[2:])
    with no_grad():
        for group in range(groups):
            for i in range(min(per_group, shape[1])):
                tensor[(group * per_group + i, i, *middle)] = 1.0
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with a random matrix whose rows, or columns if there are fewer, are orthogonal and of length `gain` (Saxe et al. 2014).

    A tensor (rows, *) is taken as a matrix. The host computes it. Raises ValueError for fewer than 2 dimensions.
    """
    require(tensor.ndim >= 2, "orthogonal_", "tensor", "at least 2 dimensions", f"shape {tensor.shape}")
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    drawn = ops.randn(rows, columns, generator=generator).numpy()
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q = q * np.sign(np.diag(r)) * gain  # the signs make the distribution uniform
    with no_grad():
        return tensor.copy_(ops.tensor(q.T if rows < columns else q).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fills a matrix with draws from N(0, std^2), of which a share `sparsity` of each column, rounded up, is 0 (Martens 2010)."""
    require(tensor.ndim == 2, "sparse_", "tensor", "2 dimensions", f"shape {tensor.shape}")
    zeros = math.ceil(sparsity * tensor.shape[0])
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        for column in range(tensor.shape[1]):
            tensor[ops.randperm(tensor.shape[0], generator=generator)[:zeros], column] = 0.0
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...). Public code uses this name of PyTorch's."""
    return _fans("init", tensor)


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...)."""
    require(tensor.ndim >= 2, op, "tensor", "at least 2 dimensions", f"shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with draws from U(-a, a), a = gain * sqrt(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6.0 / max(1, sum(_fans("xavier_uniform_", tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with draws from N(0, s^2), s = gain * sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(1, sum(_fans("xavier_normal_", tensor)))), generator)


def _kaiming(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(op, tensor)))
    require(mode in fans, op, "mode", "'fan_in' or 'fan_out'", repr(mode))
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fans[mode]))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fills with draws from U(-b, b), b = gain * sqrt(3 / fan); a: leaky_relu's slope."""
    bound = math.sqrt(3.0) * _kaiming("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fills with draws from N(0, s^2), s = gain / sqrt(fan); a: leaky_relu's slope."""
    return normal_(tensor, 0.0, _kaiming("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def _older(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function under its name of before PyTorch 0.4, without the underscore."""
    name = function.__name__

    @wraps(function)
    def older(*args: Any, **kwargs: Any) -> Tensor:
        say_once(f"engine: nn.init.{name[:-1]} is an older name of nn.init.{name}")
        return function(*args, **kwargs)

    return older


uniform, normal, constant = _older(uniform_), _older(normal_), _older(constant_)
eye, dirac, orthogonal, sparse = _older(eye_), _older(dirac_), _older(orthogonal_), _older(sparse_)
xavier_uniform, xavier_normal = _older(xavier_uniform_), _older(xavier_normal_)
kaiming_uniform, kaiming_normal = _older(kaiming_uniform_), _older(kaiming_normal_)
