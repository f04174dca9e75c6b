"""Dropout of whole channels and of SELU networks, and the exchange of channels and places: dropout1d to 3d, alpha_dropout,
pixel_shuffle, pixel_unshuffle."""

from __future__ import annotations

from math import prod

from engine.errors import BadValue, require
from engine.ops.activation_smooth import floating_array
from engine.ops.blame import explained
from engine.ops.comparison import where
from engine.ops.dropout import dropout
from engine.ops.inplace import in_place
from engine.ops.random import rand_like
from engine.ops.shape import permute, reshape
from engine.tensor import Tensor, as_array

__all__ = ["alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "pixel_shuffle", "pixel_unshuffle"]


def _of_channels(op: str, input: Tensor, p: float, training: bool, inplace: bool, places: int) -> Tensor:
    x = floating_array(op, input)
    fits = x.ndim in (places + 1, places + 2)
    require(fits, op, "input", f"{places + 1} or {places + 2} dimensions", f"shape {tuple(x.shape)}")
    if not 0.0 <= p <= 1.0:
        raise BadValue(op, "p", "a probability in [0, 1]", p)
    if not training or p == 0:
        return input
    ones = input.new_ones((*x.shape[: x.ndim - places], *(1,) * places))
    mask = dropout(ones, p)
    return input.mul_(mask) if inplace else input * mask


@explained
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels: input (n, c, l) or (c, l). inplace as in `dropout`."""
    return _of_channels("dropout1d", input, p, training, inplace, 1)


@explained
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels: input (n, c, h, w) or (c, h, w). inplace as in `dropout`."""
    return _of_channels("dropout2d", input, p, training, inplace, 2)


@explained
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels: input (n, c, d, h, w) or (c, d, h, w). inplace as in `dropout`."""
    return _of_channels("dropout3d", input, p, training, inplace, 3)


_LOWEST = -1.7580993408473766  # what selu gives for minus infinity


@explained
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for `selu` (Klambauer et al. 2017, arXiv 1706.02515): elements become the lowest value of selu with probability p, and
    all are scaled and shifted so that mean 0 and variance 1 stay. inplace as in `dropout`."""
    floating_array("alpha_dropout", input)
    if not 0.0 <= p <= 1.0:
        raise BadValue("alpha_dropout", "p", "a probability in [0, 1]", p)
    if not training or p == 0:
        return input
    if inplace:
        return in_place("alpha_dropout_", input, alpha_dropout, p, training)
    if p == 1:
        return input * 0
    scale = ((1 - p) * (1 + p * _LOWEST**2)) ** -0.5
    kept = rand_like(input.detach()) >= p
    return where(kept, input, _LOWEST) * scale - scale * p * _LOWEST


@explained
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, c r r, h, w) -> (*, c, h r, w r): channels become places (Shi et al. 2016, arXiv 1609.05158)."""
    x, r = as_array("pixel_shuffle", "input", input), upscale_factor
    require(r > 0, "pixel_shuffle", "upscale_factor", "a number > 0", r)
    fits = x.ndim >= 3 and x.shape[-3] % (r * r) == 0
    require(fits, "pixel_shuffle", "input", f"shape (*, channels, h, w), channels a multiple of {r * r}", x.shape)
    *front, c, h, w = x.shape
    c //= r * r
    apart = reshape(input, (prod(front), c, r, r, h, w))
    return reshape(permute(apart, (0, 1, 4, 2, 5, 3)), (*front, c, h * r, w * r))


@explained
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, c, h r, w r) -> (*, c r r, h, w): the inverse of `pixel_shuffle`."""
    x, r = as_array("pixel_unshuffle", "input", input), downscale_factor
    require(r > 0, "pixel_unshuffle", "downscale_factor", "a number > 0", r)
    fits = x.ndim >= 3 and x.shape[-1] % r == 0 and x.shape[-2] % r == 0
    require(fits, "pixel_unshuffle", "input", f"shape (*, channels, h, w), h and w multiples of {r}", x.shape)
    *front, c, h, w = x.shape
    apart = reshape(input, (prod(front), c, h // r, r, w // r, r))
    return reshape(permute(apart, (0, 1, 3, 5, 2, 4)), (*front, c * r * r, h // r, w // r))
