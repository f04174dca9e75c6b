"""What public code asks of tensors, or tells the library, where engine has one answer; and small methods beside the families."""

from __future__ import annotations

from functools import reduce
from typing import Any

from engine import _core
from engine.autograd.modes import is_grad_enabled
from engine.device import CPU, device, set_default_device
from engine.dtypes import strided
from engine.errors import require
from engine.notices import say_once
from engine.ops.blame import explained
from engine.ops.factory import tensor, zeros
from engine.ops.matrix_norms import vector_norm
from engine.ops.operands import promote_types, result_type
from engine.ops.stacking import atleast_2d
from engine.ops.unary import sign
from engine.tensor import Tensor, as_array, tensor_method

__all__ = [
    "adjoint",
    "are_deterministic_algorithms_enabled",
    "block_diag",
    "detach",
    "dist",
    "get_default_device",
    "is_inference_mode_enabled",
    "scalar_tensor",
    "set_default_device",
    "sgn",
    "typename",
    "use_deterministic_algorithms",
]

# ---------------------------------------------------------------- one answer

_ANSWERS = {
    name: (lambda self: False, "False: engine has no such tensors.")
    for name in ("is_sparse", "is_quantized", "is_meta", "is_mps", "is_xla", "is_nested", "is_mkldnn", "is_xpu")
} | {
    "layout": (lambda self: strided, "`engine.strided`, the only one."),
    "retains_grad": (
        lambda self: self._node is not None and self._index in self._node._retained,
        "Whether `retain_grad` was called for the result of an op.",
    ),
}
for _name, (_answer, _doc) in _ANSWERS.items():
    setattr(Tensor, _name, property(_answer, doc=_doc))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Changes nothing: engine's kernels always give the same bits. Says so once for False."""
    if not mode:
        say_once("engine: use_deterministic_algorithms(False) changes nothing: kernels always give the same bits")


def are_deterministic_algorithms_enabled() -> bool:
    """True."""
    return True


def is_inference_mode_enabled() -> bool:
    """Whether ops are not recorded: engine's inference_mode is no_grad."""
    return not is_grad_enabled()


def get_default_device() -> device:
    """The device of new tensors if no other is given: the CPU."""
    return CPU


def typename(obj: Any) -> str:
    """The name of a tensor's type, such as "engine.FloatTensor", or of any other object's type with its module."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@tensor_method("is_signed")
def _is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return self.dtype is not _core.uint8 and self.dtype is not _core.bool


@tensor_method("is_same_size")
def _is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return self.shape == as_array("is_same_size", "other", other).shape


@tensor_method("is_shared")
def _is_shared(self: Tensor) -> bool:
    """False: no other process sees the memory."""
    return False


# ---------------------------------------------------------------- small ones


@explained
def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-dim tensor of the number, of the default dtype."""
    from engine.dtypes import get_default_dtype

    return tensor(s, dtype=get_default_dtype() if dtype is None else dtype, device=device, requires_grad=requires_grad)


@tensor_method
def adjoint(input: Tensor) -> Tensor:
    """The matrices (*, m, n) transposed, (*, n, m): a view. PyTorch also conjugates complex numbers."""
    ndim = as_array("adjoint", "input", input).ndim
    require(ndim >= 2, "adjoint", "input", "at least 2 dimensions", input.shape)
    return input.transpose(-2, -1)


def detach(input: Tensor) -> Tensor:
    """`input.detach()`: the same memory, cut off from the tape."""
    as_array("detach", "input", input)
    return input.detach()


@tensor_method
def sgn(input: Tensor) -> Tensor:
    """`sign(input)`, which PyTorch calls so for complex numbers, too."""
    return sign(input)


@tensor_method
@explained
def dist(input: Tensor, other: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of input - other, a 0-dim tensor."""
    return vector_norm(input - other, p)


@explained
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors (matrices, or rows) on its diagonal and zeros elsewhere. Gradients flow through."""
    parts = [atleast_2d(t) for t in tensors]
    rows, columns = sum(p.shape[0] for p in parts), sum(p.shape[1] for p in parts)
    first = parts[0] if parts else zeros(1, 0)
    dtype = first.dtype
    if tensors:  # tensors of dimensions decide before those of none, as in other ops
        kinds = [[t.dtype for t in tensors if bool(t.ndim) is ranked] for ranked in (True, False)]
        shared = [zeros((1,) * ranked, dtype=reduce(promote_types, k)) for ranked, k in zip((1, 0), kinds) if k]
        dtype = result_type(shared[0], shared[-1])
    made, row, column = zeros(rows or 1, columns, dtype=dtype, device=first.device), 0, 0
    for part in parts:
        made[row : row + part.shape[0], column : column + part.shape[1]] = part
        row, column = row + part.shape[0], column + part.shape[1]
    return made


@tensor_method("fill_diagonal_")
@explained
def _fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes the number to the diagonal of a matrix. wrap=True is refused (ValueError)."""
    require(
        self.ndim == 2 and not wrap, "fill_diagonal_", "self", "a matrix, and wrap=False", f"shape {tuple(self.shape)}"
    )
    self.diagonal().fill_(fill_value)
    return self
