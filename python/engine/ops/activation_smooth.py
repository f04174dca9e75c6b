"""Activation functions that are smooth, or smooth on either side of 0. Any shape; floating-point dtypes."""

from __future__ import annotations

from engine import _core
from engine._core import Array, DType
from engine.autograd.tape import record
from engine.errors import BadType, BadValue, require
from engine.ops.activation import log1p, sigmoid, tanh
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.inplace import in_place
from engine.ops.operands import gradient
from engine.ops.random import rand_like
from engine.ops.shape import chunk
from engine.ops.sizes import normal_dim
from engine.ops.softmax import softmax
from engine.ops.unary import abs, exp
from engine.tensor import Tensor, as_array

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "glu",
    "gumbel_softmax",
    "logsigmoid",
    "mish",
    "selu",
    "selu_",
    "softmin",
    "softplus",
    "softsign",
    "tanhshrink",
]

K = _core.kernels


def floating_array(op: str, input: Tensor) -> Array:
    """The Array of a Tensor of a floating-point dtype. Raises TypeError for others."""
    x = as_array(op, "input", input)
    if not x.dtype.is_floating_point:
        raise BadType(op, "input", "a floating-point dtype", x.dtype.name)
    return x


# ---------------------------------------------------------------- exponential below 0


def _expm1(x: Array) -> Array:
    """e^x - 1 for x <= 0, accurate for small x too."""
    return K.mul(K.tanh(K.mul(x, 0.5)), K.add(K.exp(x), 1.0))


@gradient
def _elu_backward(dy: Array, x: Array, alpha: float, scale: float, rate: float) -> Array:
    slope = K.mul(K.exp(K.mul(K.clamp(x, None, 0.0), rate)), alpha * scale * rate)
    return K.mul(dy, K.where(K.gt(x, 0.0), scale, slope))


def _elu(op: str, input: Tensor, alpha: float, scale: float, rate: float) -> Tensor:
    """scale * input if input > 0, otherwise scale * alpha * (e^(rate * input) - 1)."""
    x = floating_array(op, input)
    below = K.mul(_expm1(K.mul(K.clamp(x, None, 0.0), rate)), alpha * scale)
    y = K.where(K.gt(x, 0.0), K.mul(x, scale), below)
    return record(op, y, (input,), _elu_backward, x, float(alpha), scale, rate)


@explained
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input if it is positive, otherwise alpha * (e^input - 1) (Clevert et al. 2016, arXiv 1511.07289).

    inplace: the result is written to the memory of `input`, which is returned.
    """
    return in_place("elu_", input, elu, alpha) if inplace else _elu("elu", input, alpha, 1.0, 1.0)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """elu with two constants that keep mean 0 and variance 1 from layer to layer (Klambauer et al. 2017, arXiv 1706.02515).

    inplace as in `elu`.
    """
    if inplace:
        return in_place("selu_", input, selu)
    return _elu("selu", input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, True)


@explained
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input if it is positive, otherwise alpha * (e^(input / alpha) - 1) (Barron 2017, arXiv 1704.07483). inplace as in `elu`.

    Raises ValueError for alpha = 0.
    """
    require(alpha != 0, "celu", "alpha", "a number other than 0", alpha)
    return in_place("celu_", input, celu, alpha) if inplace else _elu("celu", input, alpha, 1.0, 1.0 / alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, True)


# ---------------------------------------------------------------- softplus and its relatives


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta * input)) / beta; the input itself where beta * input > threshold."""
    x = floating_array("softplus", input)
    if x.dtype is _core.float16 or x.dtype is _core.bfloat16:  # e^threshold overflows float16
        return softplus(input.float(), beta, threshold).to(x.dtype)
    scaled = input * beta
    curve = log1p(exp(where(scaled > threshold, threshold, scaled))) / beta
    return where(scaled > threshold, input, curve)


_logsigmoid_backward = gradient(lambda dy, x: K.mul(dy, K.sigmoid(K.neg(x))))


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e^-input)), without overflow."""
    x = floating_array("logsigmoid", input)
    y = K.sub(K.clamp(x, None, 0.0), K.log1p(K.exp(K.neg(K.abs(x)))))
    return record("logsigmoid", y, (input,), _logsigmoid_backward, x)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input)) (Misra 2019, arXiv 1908.08681). inplace as in `elu`."""
    x = floating_array("mish", input)
    if inplace:
        return in_place("mish_", input, mish)
    wide = input.float() if x.dtype is _core.float16 or x.dtype is _core.bfloat16 else input
    return (wide * tanh(softplus(wide))).to(x.dtype)


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    as_array("softsign", "input", input)
    return input / (abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    as_array("tanhshrink", "input", input)
    return input - tanh(input)


# ---------------------------------------------------------------- along a dimension


@explained
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """softmax(-input) along `dim`. None: as in `softmax`."""
    return softmax(-input, dim, dtype=dtype)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), a and b the two halves of `input` along `dim` (Dauphin et al. 2017, arXiv 1612.08083).

    Raises ValueError if the size of `dim` is odd or input has no dimension.
    """
    x = floating_array("glu", input)
    require(x.ndim, "glu", "input", "at least one dimension", "a 0-dim tensor")
    size = x.shape[normal_dim("glu", dim, x.ndim)]
    require(size % 2 == 0, "glu", "input", f"an even size of dimension {dim}", size)
    if size == 0:
        return input * 1
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


@explained
def gumbel_softmax(logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the Gumbel-softmax distribution (Jang et al. 2017, arXiv 1611.01144), of the shape of `logits`.

    tau: the temperature. hard: the result is one-hot, with the gradient of the soft sample. eps is accepted and changes nothing.
    """
    floating_array("gumbel_softmax", logits)
    if not tau > 0:
        raise BadValue("gumbel_softmax", "tau", "a number > 0", tau)
    # 1 - u lies in (0, 1], and the exponential variate -log(1 - u) may be 0: then the Gumbel variate would be +inf. Both logarithms
    # need more than 16 bits.
    wide = _core.float64 if logits.dtype is _core.float64 else _core.float32
    tiny = 1e-38 if wide is _core.float32 else 1e-300
    noise = -(-(1 - rand_like(logits.detach(), dtype=wide)).log()).clamp(min=tiny).log().to(logits.dtype)
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    shape = index.shape
    one_hot = (soft.detach() * 0).scatter_add(dim, index, soft.new_ones(shape))
    return one_hot - soft.detach() + soft
