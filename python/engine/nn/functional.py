"""The ops that layers are made of, under PyTorch's names for them."""
# ruff: noqa: F401, F403, F821

from engine._core import DType as _DType
from engine.ops.activation import *
from engine.ops.activation_piecewise import *
from engine.ops.activation_smooth import *
from engine.ops.attention import *
from engine.ops.channels import *
from engine.ops.distance import *
from engine.ops.dropout import *
from engine.ops.embedding import *
from engine.ops.embedding_bag import *
from engine.ops.factory import one_hot
from engine.ops.linear import *
from engine.ops.loss import *
from engine.ops.loss_ctc import *
from engine.ops.loss_likelihood import *
from engine.ops.loss_margin import *
from engine.ops.multihead import *
from engine.ops.norm import *
from engine.ops.packing import pack_padded, pad_packed
from engine.ops.padding import *
from engine.ops.patches import *
from engine.ops.pooling import *
from engine.ops.softmax import LOG_SOFTMAX as _LOG_SOFTMAX
from engine.ops.softmax import SOFTMAX as _SOFTMAX
from engine.ops.softmax import along as _along
from engine.tensor import Tensor as _Tensor

# These files also hold functions that PyTorch has only in `torch`, not in `torch.nn.functional`.
del bmm, erf, log1p, matmul, mm


# PyTorch has other arguments here than in `torch.softmax` and `torch.log_softmax`.
def softmax(input: _Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: _DType | None = None) -> _Tensor:
    """`engine.softmax`; _stacklevel changes nothing."""
    return _along(_SOFTMAX, input, dim, dtype)


def log_softmax(input: _Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: _DType | None = None) -> _Tensor:
    """`engine.log_softmax`; _stacklevel changes nothing."""
    return _along(_LOG_SOFTMAX, input, dim, dtype)
