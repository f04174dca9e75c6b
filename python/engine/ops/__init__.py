"""The operations, one file a family. Importing them attaches the Tensor methods too."""

from types import ModuleType as _ModuleType

from engine.ops.activation import *
from engine.ops.activation_piecewise import *
from engine.ops.activation_smooth import *
from engine.ops.arithmetic import *
from engine.ops.asked import *
from engine.ops.attention import *
from engine.ops.binary import *
from engine.ops.bitwise import *
from engine.ops.channels import *
from engine.ops.closeness import *
from engine.ops.comparison import *
from engine.ops.constants import *
from engine.ops.convert import *
from engine.ops.diagonals import *
from engine.ops.distance import *
from engine.ops.dropout import *
from engine.ops.einsum import *
from engine.ops.embedding import *
from engine.ops.embedding_bag import *
from engine.ops.factory import *
from engine.ops.generator import *
from engine.ops.hyperbolic import *
from engine.ops.index_put import *
from engine.ops.indexing import *
from engine.ops.linear import *
from engine.ops.loss import *
from engine.ops.loss_ctc import *
from engine.ops.loss_likelihood import *
from engine.ops.loss_margin import *
from engine.ops.memory import *
from engine.ops.multihead import *
from engine.ops.norm import *
from engine.ops.operands import *
from engine.ops.operators import *
from engine.ops.outside import *
from engine.ops.packing import *
from engine.ops.padding import *
from engine.ops.parts import *
from engine.ops.patches import *
from engine.ops.pooling import *
from engine.ops.precision import *
from engine.ops.printing import *
from engine.ops.products import *
from engine.ops.random import *
from engine.ops.random_fill import *
from engine.ops.rearrange import *
from engine.ops.reduction import *
from engine.ops.rounding import *
from engine.ops.sampling import *
from engine.ops.scan import *
from engine.ops.scatter import *
from engine.ops.shape import *
from engine.ops.signs import *
from engine.ops.softmax import *
from engine.ops.sorting import *
from engine.ops.special import *
from engine.ops.stacking import *
from engine.ops.statistics import *
from engine.ops.strided import *
from engine.ops.typed import *
from engine.ops.unary import *
from engine.ops.unique import *
from engine.ops.windows import *

from engine.ops.methods import *  # isort: skip - it comes after the others: it makes methods of what they attach
from engine.ops.written import *  # isort: skip - it makes functions of those methods

# What the files export. Without it, `from engine.ops import *` would bring the files themselves too.
__all__ = [name for name, value in globals().items() if not name.startswith("_") and not isinstance(value, _ModuleType)]
