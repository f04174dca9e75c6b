"""The ops that layers are made of, under PyTorch's names for them."""
# ruff: noqa: F401, F403, F821

from engine.ops.activation import *
from engine.ops.activation_piecewise import *
from engine.ops.activation_smooth import *
from engine.ops.attention import *
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
from engine.ops.pooling import *
from engine.ops.softmax import *

# These files also hold functions that PyTorch has only in `torch`, not in `torch.nn.functional`.
del bmm, erf, log1p, logsumexp, matmul, mm
