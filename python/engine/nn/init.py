"""Initial values, written in place and without history. Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming).

generator: a `Generator` from which to draw instead of engine's random state.
"""

from __future__ import annotations

import math

import numpy as np

from engine import _core, ops
from engine.autograd import no_grad
from engine.errors import BadValue, require
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


def eye_(tensor: Tensor) -> Tensor:
    """Fills a matrix with 1 on the diagonal and 0 elsewhere. Raises ValueError for another number of dimensions."""
    require(tensor.ndim == 2, "eye_", "tensor", "2 dimensions", f"shape {tuple(tensor.shape)}")
    with no_grad():
        return tensor.copy_(ops.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fills the weight of a convolution (out, in, ...) so that it keeps its input: each of the channels of a group that has both an
    input and an output is passed on. Raises ValueError for other than 3 to 5 dimensions, and unless groups divides out."""
    shape = tensor.shape
    require(3 <= len(shape) <= 5, "dirac_", "tensor", "3 to 5 dimensions", f"shape {shape}")
    fits = groups >= 1 and shape[0] % groups == 0
    require(fits, "dirac_", "groups", f"a divisor of {shape[0]}", groups)
    values = np.zeros(shape, np.float32)
    each, middle = shape[0] // groups, tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for i in range(min(each, shape[1])):
            values[(group * each + i, i, *middle)] = 1.0
    with no_grad():
        return tensor.copy_(ops.as_tensor(values))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fills with an orthogonal matrix times gain (Saxe et al. 2013, arXiv 1312.6120). Dimensions after the first count as one; of its
    rows or columns, those that are fewer are orthogonal to each other. Raises ValueError for fewer than 2 dimensions."""
    require(tensor.ndim >= 2, "orthogonal_", "tensor", "at least 2 dimensions", f"shape {tuple(tensor.shape)}")
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    drawn = ops.empty(rows, tensor.numel() // rows, dtype=_core.float64).normal_(generator=generator).numpy()
    q, r = np.linalg.qr(drawn.T if rows < drawn.shape[1] else drawn)
    q = q * np.sign(np.diag(r))  # makes the factors unique, so that q is evenly distributed
    q = q.T if rows < drawn.shape[1] else q
    with no_grad():
        return tensor.copy_(ops.as_tensor(q.reshape(tensor.shape) * gain))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fills a matrix with draws from N(0, std^2), and then that share of each column with zeros (Martens 2010). Raises ValueError for
    another number of dimensions."""
    require(tensor.ndim == 2, "sparse_", "tensor", "2 dimensions", f"shape {tuple(tensor.shape)}")
    require(0 <= sparsity <= 1, "sparse_", "sparsity", "a number in [0, 1]", sparsity)
    rows = tensor.shape[0]
    zeros = math.ceil(sparsity * rows)
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        order = ops.rand(*tensor.shape, generator=generator, device=tensor.device).argsort(0)
        return tensor.scatter_(0, order[:zeros], 0.0)


_CONVOLUTIONS = [f"conv{transposed}{n}d" for transposed in ("", "_transpose") for n in (1, 2, 3)]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity. param: the slope of leaky_relu (None: 0.01)."""
    slope = 0.01 if param is None else param
    gains = {
        "linear": 1.0, **dict.fromkeys(_CONVOLUTIONS, 1.0), "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 3 / 4,
        "leaky_relu": math.sqrt(2.0 / (1 + slope**2)),
    }  # fmt: skip
    known = nonlinearity in gains
    require(known, "calculate_gain", "nonlinearity", f"one of {', '.join(gains)}", repr(nonlinearity))
    return gains[nonlinearity]


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...)."""
    require(tensor.ndim >= 2, op, "tensor", "at least 2 dimensions", f"shape {tuple(tensor.shape)}")
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


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...). Public code uses this name of PyTorch's."""
    return _fans("init", tensor)


# Names that PyTorch had before, and still takes.
uniform, normal, constant, eye, dirac = uniform_, normal_, constant_, eye_, dirac_
xavier_uniform, xavier_normal = xavier_uniform_, xavier_normal_
kaiming_uniform, kaiming_normal = kaiming_uniform_, kaiming_normal_
orthogonal, sparse = orthogonal_, sparse_
