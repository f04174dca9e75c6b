"""What PyTorch has in `torch.onnx.operators`."""

from engine.ops.factory import tensor
from engine.ops.shape import reshape
from engine.tensor import Tensor

__all__ = ["reshape_from_tensor_shape", "shape_as_tensor"]


def shape_as_tensor(x: Tensor) -> Tensor:
    """The shape as int64 (dimensions,)."""
    return tensor(x.shape)


def reshape_from_tensor_shape(x: Tensor, shape: Tensor) -> Tensor:
    """x in the shape that a tensor holds."""
    return reshape(x, shape.tolist())
