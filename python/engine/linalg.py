"""Linear algebra under PyTorch's names: norms."""

from engine.ops.matrix_norms import matrix_norm, norm, vector_norm

__all__ = ["matrix_norm", "norm", "vector_norm"]
