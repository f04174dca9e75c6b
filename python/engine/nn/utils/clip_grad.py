"""The norm of gradients, and clipping by it or by value."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any

from engine import _core, ops
from engine._core import Array, DType
from engine.autograd.rows import stored
from engine.device import placed
from engine.errors import BadType, BadValue, require
from engine.ops.convert import packed
from engine.tensor import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

K = _core.kernels


def _listed(op: str, argument: str, tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """One Tensor or several as a list. Raises TypeError for anything else."""
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for i, t in enumerate(found):
        if not isinstance(t, Tensor):
            raise BadType(op, f"{argument}[{i}]", "a Tensor", type(t).__name__)
    return found


def _by_dtype(tensors: Iterable[Tensor], whole: bool = False) -> list[list[Array]]:
    """The arrays of the tensors, grouped by dtype and device. Of a gradient that is kept as rows: its rows; whole: the full array."""
    groups: dict[tuple[DType, int], list[Array]] = {}
    for t in tensors:
        array = t._data if whole else stored(t)
        groups.setdefault((array.dtype, array.device), []).append(array)
    return list(groups.values())


def _gradients(op: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The gradients of those parameters that have one."""
    listed = _listed(op, "parameters", parameters)
    if not listed and isinstance(parameters, Iterator):
        warnings.warn(f"engine: {op} got an empty generator and clips nothing", stacklevel=3)
    return [p._grad for p in listed if p._grad is not None]


def _strided(gradients: list[Tensor]) -> list[Tensor]:
    return [g for g in gradients if not stored(g).is_contiguous]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors together: a 0-dim tensor on their device, float32, or float64 if a tensor is float64.

    norm_type: a number, also as a string such as "inf"; inf for the largest magnitude and -inf for the smallest. For 0 it is, as in
    PyTorch, the number of tensors that have an element other than zero. `foreach` is accepted and changes nothing. The bits do not
    depend on the number of threads. Raises TypeError for what is not a Tensor and, if error_if_nonfinite, ValueError for a norm that
    is not finite.
    """
    op = "get_total_norm"
    return _total_norm(op, "tensors", _listed(op, "tensors", tensors), norm_type, error_if_nonfinite)


def _number(op: str, argument: str, value: Any) -> float:
    """A number, also from a string or from a tensor of one element. Raises ValueError or TypeError for anything else, and for NaN."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        kind = BadValue if isinstance(error, ValueError) else BadType
        raise kind(op, argument, "a number", repr(value)) from None
    require(not math.isnan(number), op, argument, "a number", value)
    return number


def _total_norm(
    op: str, argument: str, tensors: Iterable[Tensor], norm_type: float | str, error_if_nonfinite: bool
) -> Tensor:
    p = _number(op, "norm_type", norm_type)
    groups = _by_dtype(tensors, whole=p <= 0)  # a row that is not kept counts where zeros do
    if p > 0:
        norms = [K.grad_norm(arrays, p) for arrays in groups] or [ops.zeros(())._data]
    else:
        norms = [_small_norm(arrays, p) for arrays in groups] or [ops.zeros(())._data]
    norm = norms[0]
    if len(norms) > 1:  # joined on the CUDA device if one is among them, so that nothing waits
        number = max(n.device for n in norms)
        parts = [placed(n, _core.float64 if number < 0 else _core.float32, number) for n in norms]
        if abs(p) == math.inf:
            norm = reduce(K.maximum if p > 0 else K.minimum, parts)
        elif p == 0:
            norm = reduce(K.add, parts)
        else:
            norm = K.pow(reduce(K.add, [K.pow(n, p) for n in parts]), 1 / p)
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise BadValue(op, argument, "a finite norm", norm.item())
    return Tensor(norm)


def _accumulator(arrays: list[Array]) -> DType:
    """The dtype of norms and factors of these arrays, which have one dtype: float32 for halves."""
    return _core.float64 if arrays[0].dtype is _core.float64 else _core.float32


def _small_norm(arrays: list[Array], p: float) -> Array:
    """The norm of the arrays' norms for p <= 0, for which there is no kernel; arrays of one dtype on one device."""
    norms = ops.stack([Tensor(array.cast(_accumulator(arrays))).norm(p) for array in arrays])
    return norms.norm(p)._data


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients in place by max_norm / (norm + 1e-6) if their common norm exceeds max_norm.

    Returns the norm before clipping, a 0-dim tensor. `foreach` is accepted and changes nothing. The argument `grad_scale` of
    `Optimizer.step` clips without this extra pass over the gradients. Raises ValueError for a negative max_norm and, if
    error_if_nonfinite, for a norm that is not finite.
    """
    max_norm = _number("clip_grad_norm_", "max_norm", max_norm)
    require(max_norm >= 0, "clip_grad_norm_", "max_norm", "a number >= 0", max_norm)
    gradients = _gradients("clip_grad_norm_", parameters)
    norm = _total_norm("clip_grad_norm_", "parameters", gradients, norm_type, error_if_nonfinite)
    _scale(gradients, norm, max_norm)
    return norm


clip_grad_norm = clip_grad_norm_  # the old name


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """What `clip_grad_norm_` does once the norm is known: scales all gradients in place by max_norm / (total_norm + 1e-6), if that is
    less than 1. total_norm: one element. `foreach` is accepted and changes nothing. Raises ValueError for a negative max_norm."""
    op = "clip_grads_with_norm_"
    max_norm = _number(op, "max_norm", max_norm)
    require(max_norm >= 0, op, "max_norm", "a number >= 0", max_norm)
    (norm,) = _listed(op, "total_norm", [total_norm])
    require(norm.numel() == 1, op, "total_norm", "one element", f"shape {tuple(norm.shape)}")
    _scale(_gradients(op, parameters), norm, max_norm)


def _scale(gradients: list[Tensor], norm: Tensor, max_norm: float) -> None:
    coefficient = clip_coefficient(norm, max_norm)
    if not isinstance(coefficient, Tensor) and coefficient >= 1:
        return
    with packed(_strided(gradients)):
        _multiply(gradients, coefficient)


def _multiply(gradients: list[Tensor], coefficient: float | Tensor) -> None:
    if isinstance(coefficient, Tensor):
        for arrays in _by_dtype(gradients):
            K.scale_list(arrays, placed(coefficient._data, _accumulator(arrays), arrays[0].device))
    else:  # also if it is NaN, as in PyTorch
        for arrays in _by_dtype(gradients, whole=math.isnan(coefficient)):
            factor = _core.empty((), _accumulator(arrays))
            K.fill(factor, coefficient)
            K.scale_list(arrays, factor)


def clip_coefficient(norm: Tensor, max_norm: float) -> float | Tensor:
    """The factor that brings gradients of that norm to max_norm.

    On the CPU it is a number; one >= 1 means that the gradients stay as they are. On a CUDA device it is a 0-dim tensor, at most 1,
    and the host does not wait for it.
    """
    if norm.is_cuda:
        return Tensor(K.clamp(K.div(float(max_norm), K.add(norm._data, 1e-6)), None, 1.0))
    return max_norm / (float(norm.item()) + 1e-6)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamps each element of the gradients to [-clip_value, clip_value], in place. `foreach` is accepted and changes nothing."""
    clip_value = _number("clip_grad_value_", "clip_value", clip_value)
    require(clip_value >= 0, "clip_grad_value_", "clip_value", "a number >= 0", clip_value)
    gradients = _gradients("clip_grad_value_", parameters)
    with packed(_strided(gradients)):
        for arrays in _by_dtype(gradients):
            K.clamp_list(arrays, -clip_value, clip_value)


def zero_gradients(parameters: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Removes the gradients of the parameters, or with set_to_none=False fills them with zeros."""
    if set_to_none:
        for p in parameters:
            p._grad = None
        return
    for p in parameters:
        if p._grad is not None:
            p._grad = p._grad.detach()
            K.fill(p._grad._data, 0.0)
