"""Linear algebra under PyTorch's names: norms, and what needs no decomposition."""

from engine.ops.blame import explained
from engine.ops.matrix_norms import matrix_norm, norm, vector_norm
from engine.ops.naming import called_as
from engine.ops.parts import cross as _cross
from engine.ops.signs import matrix_power
from engine.tensor import Tensor

__all__ = ["cross", "matrix_norm", "matrix_power", "norm", "vector_norm"]


@explained
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """`engine.cross` along the last dimension, unless `dim` says otherwise."""
    result: Tensor = called_as("cross", _cross, input, other, dim)
    return result
